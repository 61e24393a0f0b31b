"""The compiled inner loops give the numbers of the numpy ones."""

import numpy as np
import pytest

from galstep.core.imaging import _kernels, _kernels_numpy
from galstep.core.imaging.hankel import hankel_table
from galstep.core.imaging.passband import Passband
from galstep.core.imaging.sersic import shape_matrix_derivatives
from galstep.core.imaging.stars import StarRenderer, gram_cut_stamps, gram_stamps
from galstep.core.psf.effective import EffectivePSF

compiled = pytest.importorskip("galstep.core.imaging._kernels_numba", exc_type=ImportError)


def make_psf(size=61, oversample=3):
    random = np.random.default_rng(5)
    offset = (np.arange(size) - (size - 1) / 2) / oversample
    core = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2))
    return EffectivePSF.from_array(core * random.uniform(0.8, 1.2, core.shape), oversample)


def close(first, second):
    np.testing.assert_allclose(first, second, rtol=1e-10, atol=1e-10 * np.abs(second).max())


@pytest.fixture(name="scene", scope="module")
def _scene():
    random = np.random.default_rng(6)
    renderer = StarRenderer(make_psf())
    x, y = random.uniform(-6, 46, (2, 50))
    x[0], y[0] = 5.0, 5.5  # on a pixel, between two
    return renderer, x, y, random


def test_the_compiled_ones_are_in_use():
    assert _kernels.COMPILED
    assert _kernels.gram is compiled.gram


def test_both_modules_have_the_same_functions():
    names = set(_kernels.__all__) - {"COMPILED"}
    assert names == set(compiled.__all__)
    assert names <= set(_kernels_numpy.__all__)


def test_render_stars(scene):
    renderer, x, y, random = scene
    half = random.integers(1, 14, len(x))
    flux = random.normal(size=(len(x), 3))
    images = np.zeros((2, 40, 44))
    for image, kernels in zip(images, (compiled, _kernels_numpy), strict=True):
        kernels.render_stars(image, renderer._phases, renderer._sizes, x, y, half, flux)
    assert np.abs(images[0]).max() > 0
    close(*images)


def test_project_stars(scene):
    renderer, x, y, random = scene
    half = random.integers(1, 14, len(x))
    images = random.normal(size=(3, 40, 44))
    out = np.full((2, len(x), 3), np.nan)
    for result, kernels in zip(out, (compiled, _kernels_numpy), strict=True):
        kernels.project_stars(images, renderer._phases, renderer._sizes, x, y, half, result)
    close(*out)


def test_stamps_and_their_sums(scene):
    renderer, x, y, random = scene
    ix, iy = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    stamps = np.zeros((2, len(x), 3, 11, 11))
    share, target = random.uniform(0.1, 1, len(x)), random.permutation(len(x))
    for result, kernels in zip(stamps, (compiled, _kernels_numpy), strict=True):
        kernels.make_stamps(renderer._phases, renderer._sizes, x, y, ix, iy, share, target, result)
    close(*stamps)
    stamps[:], _, _ = renderer.stamps(x, y, 5)
    images, weight = random.normal(size=(2, 40, 44)), random.uniform(0, 1, (40, 44))
    sums = np.full((2, len(x), 2, 3), np.nan)
    weighted, added = np.full((2, *stamps[0].shape), np.nan), np.zeros((2, 4, 40, 44))
    factors = random.normal(size=(len(x), 4, 3))
    for k, kernels in enumerate((compiled, _kernels_numpy)):
        kernels.project_stamps(images, stamps[0], ix, iy, sums[k])
        kernels.weight_stamps(weight, stamps[0], ix, iy, weighted[k])
        kernels.add_stamps(added[k], stamps[0], ix, iy, factors)
    for results in (sums, weighted, added):
        close(*results)


def test_gram(scene):
    renderer, x, y, random = scene
    stamps, ix, iy = renderer.stamps(x, y, 5)
    cut = [stamp[:, i % 3 : 11 - i % 4, i % 2 :].copy() for i, stamp in enumerate(stamps)]
    corners = np.column_stack([iy - 5 + np.arange(50) % 3, ix - 5 + np.arange(50) % 2])
    inside = np.flatnonzero((corners >= 0).all(axis=1) & (iy < 34) & (ix < 38))
    weight, weights = random.uniform(0, 1, (40, 44)), random.uniform(0, 1, (50, 11, 11))
    pairs, few = random.integers(0, 50, (2, 300)), random.choice(inside, (2, 300))
    for grams in (
        [gram_stamps(weight, stamps, ix, iy, *pairs) for _ in both()],
        [gram_stamps(weights, stamps, ix, iy, *pairs) for _ in both()],
        [gram_cut_stamps(weight, cut, corners, *few) for _ in both()],
    ):
        assert np.abs(grams[0]).max() > 0
        close(*grams)


def both():
    """The kernels of one module after the other in use."""
    for kernels in (compiled, _kernels_numpy):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_kernels, "gram", kernels.gram)
            yield kernels


def test_stamps_wider_than_the_psf(scene):
    renderer, x, y, _ = scene
    ix, iy = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    stamps = np.zeros((2, len(x), 3, 31, 31))
    share, target = np.ones(len(x)), np.arange(len(x))
    for result, kernels in zip(stamps, (compiled, _kernels_numpy), strict=True):
        kernels.make_stamps(renderer._phases, renderer._sizes, x, y, ix, iy, share, target, result)
    close(*stamps)
    assert np.all(stamps[0][:, :, 0, :] == 0)


@pytest.mark.parametrize("n_images", [1, 7])
@pytest.mark.parametrize(("n", "ln_r_eff"), [(0.6, -9.0), (0.6, 1.0), (4.0, 2.0), (8.0, 9.0)])
def test_fill_spectra(n, ln_r_eff, n_images):
    # the smallest size is all series, the largest runs off the table
    table = hankel_table()
    band = Passband(make_psf(), 60)
    j = np.arange(-band.j_max, band.j_max + 1)
    wave = 2 * np.pi / 60
    shapes = shape_matrix_derivatives(ln_r_eff, 0.2, -0.1)[[0, 2, 3]].reshape(3, 4)[:, [0, 1, 3]]
    spectra = np.full((2, n_images, *band.shape), np.nan, dtype=complex)
    for out, kernels in zip(spectra, (compiled, _kernels_numpy), strict=True):
        kernels.fill_spectra(
            out,
            (band.first, band.j_x, band.j_y, band.transform, wave),
            np.exp(-1j * wave * 31.3 * j),
            np.exp(-1j * wave * 28.9 * j),
            np.ascontiguousarray(shapes),
            table.rows(n),
            (table.ln_kappa_0, table.ln_kappa_step),
            table.small_kappa(n),
        )
    for first, second in zip(*spectra, strict=True):
        close(first, second)


@pytest.mark.parametrize("n_images", [1, 7])
def test_sum_profiles(n_images):
    random = np.random.default_rng(8)
    constants = np.concatenate(
        [[2.3, 4.2, -1.0, 4.6, 0.4], [0.3, 0.1, 0.2], random.normal(size=12)]
    )
    x, y = np.linspace(-5, 9, 6), np.linspace(-7, 4, 5)
    copies = random.uniform(-9, 9, (2, 11))
    out = np.full((2, n_images, 5, 6), np.nan)
    for result, kernels in zip(out, (compiled, _kernels_numpy), strict=True):
        kernels.sum_profiles(result, x, y, *copies, constants)
    close(*out)


def test_solve_blocks():
    rng = np.random.default_rng(3)
    n = 7
    pairs = np.array([(a, b) for a in range(n) for b in range(a + 1, n) if (a + b) % 3])
    own = np.arange(n)
    first, second = (np.concatenate([own, pairs[:, k]]).astype(np.int64) for k in (0, 1))
    blocks = 0.1 * rng.normal(size=(len(first), 3, 3))
    blocks[:n] = np.eye(3) + 0.5 * (blocks[:n] + blocks[:n].transpose(0, 2, 1))
    matrix = np.zeros((n, 3, n, 3))
    matrix[first, :, second] = blocks
    matrix[second[n:], :, first[n:]] = blocks[n:].transpose(0, 2, 1)
    matrix, right = matrix.reshape(3 * n, 3 * n), rng.normal(size=(n, 3))
    inverse = np.linalg.inv(blocks[:n])
    for module in (_kernels, _kernels_numpy):
        solution = np.full((n, 3), np.nan)
        module.solve_blocks(first, second, blocks, inverse, right, solution, 1e-12, 100)
        assert matrix @ solution.ravel() == pytest.approx(right.ravel(), abs=1e-11)
        module.solve_blocks(first, second, blocks, inverse, right, solution, 1e-12, 0)
        assert not solution.any()


@pytest.mark.parametrize("sizes", [(7, 3), (1, 1), (7, 1, 2)])
def test_weighted_products(sizes):
    rng = np.random.default_rng(4)
    groups = tuple(rng.normal(size=(size, 3000)) for size in sizes)
    images, weight, residual = np.concatenate(groups), rng.random(3000), rng.normal(size=3000)
    expected = (images * weight) @ np.vstack([images, residual]).T
    for module in (_kernels, _kernels_numpy):
        out = np.full((len(images), len(images) + 1), np.nan)
        module.weighted_products(groups, weight, residual, out)
        assert np.triu(out) == pytest.approx(np.triu(expected), abs=1e-10)
