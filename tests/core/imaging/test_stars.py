"""Stars against photutils, central differences and brute-force sums."""

import numpy as np
import pytest
from photutils.psf import ImagePSF

from galstep.core.imaging.stars import StarRenderer, gram_stamps, project_stamps
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import ParameterError

SHAPE = (40, 50)


def make_psf(size=81, oversample=4, sigma=1.1):
    """A lopsided PSF with structure, light at the array's edge included."""
    offset = (np.arange(size) - (size - 1) / 2) / oversample
    y, x = offset[:, None], offset
    core = np.exp(-0.5 * ((x - 0.1) ** 2 + (y + 0.2) ** 2) / sigma**2)
    wings = 0.02 * (1 + (x**2 + 1.2 * y**2) / 4) ** -1.5
    return EffectivePSF.from_array(core + wings * (1 + 0.3 * np.cos(3 * x + y)), oversample)


@pytest.fixture(name="renderer", scope="module")
def _renderer():
    return StarRenderer(make_psf())


@pytest.fixture(name="stars", scope="module")
def _stars():
    random = np.random.default_rng(11)
    x = random.uniform(-8, SHAPE[1] + 8, 60)
    y = random.uniform(-8, SHAPE[0] + 8, 60)
    return x, y, random.uniform(-1, 5, 60)


@pytest.mark.parametrize(("size", "oversample"), [(81, 4), (80, 4), (61, 3), (31, 1)])
def test_photutils(size, oversample):
    psf = make_psf(size, oversample)
    x_0, y_0 = 19.37, 20.81
    model = ImagePSF(psf.array * oversample**2, x_0=x_0, y_0=y_0, flux=3.0, oversampling=oversample)
    y, x = np.mgrid[:41, :42]
    expected = model(x.astype(float), y.astype(float))
    image = StarRenderer(psf).render((41, 42), [x_0], [y_0], [3.0])
    # the two splines end differently; 8 samples from the edge that has died out
    inside = np.maximum(abs(x - x_0), abs(y - y_0)) * oversample < size / 2 - 8
    np.testing.assert_allclose(image[inside], expected[inside], atol=1e-6 * expected.max())


def test_a_star_sums_to_its_flux(renderer):
    image = renderer.render((60, 60), [29.7], [30.2], [7.0])
    assert image.sum() == pytest.approx(7.0, rel=2e-3)
    # over all phases of the pixel grid the mean is exact but for the edge
    phases = np.arange(4) / 4
    x, y = (30 + v.ravel() for v in np.meshgrid(phases, phases))
    sums = [renderer.render((60, 60), [a], [b], [1.0]).sum() for a, b in zip(x, y, strict=True)]
    assert np.mean(sums) == pytest.approx(1.0, abs=2e-4)


def test_star_is_at_the_centre_of_the_array():
    array = np.zeros((33, 33))
    array[16, 16] = 1.0
    image = StarRenderer(EffectivePSF.from_array(array, 4)).render((9, 11), [5.0], [3.0], [1.0])
    assert np.unravel_index(image.argmax(), image.shape) == (3, 5)
    np.testing.assert_allclose(image[3, :], image[3, ::-1], atol=1e-15)


def test_zero_beyond_the_array(renderer):
    image = renderer.render((80, 80), [40.3], [39.8], [1.0])
    y, x = np.mgrid[:80, :80]
    outside = np.maximum(abs(x - 40.3), abs(y - 39.8)) > 10.0
    assert np.all(image[outside] == 0)
    assert np.all(image[~outside] > 0)


def test_stars_off_the_frame(renderer):
    large = renderer.render((60, 70), [8.3, 64.0, 2.0], [20.0, 5.5, 9.0], [1.0, 2.0, 3.0])
    small = renderer.render(SHAPE, [-1.7, 54.0, -8.0], [10.0, -4.5, -1.0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(small, large[10:50, 10:60], atol=1e-15)
    assert small.sum() > 0
    far = renderer.render(SHAPE, [-500.0, 1e6], [10.0, 1e6], [1.0, 1.0])
    assert np.all(far == 0)


def test_no_stars(renderer):
    assert np.all(renderer.render(SHAPE, [], [], []) == 0)
    assert renderer.project(np.ones((2, *SHAPE)), [], []).shape == (0, 2)
    stamps, ix, iy = renderer.stamps([], [], 5)
    assert stamps.shape == (0, 3, 11, 11)
    assert gram_stamps(np.ones(SHAPE), stamps, ix, iy, [], []).shape == (0, 3, 3)
    assert project_stamps(np.ones((2, *SHAPE)), stamps, ix, iy).shape == (0, 2, 3)


def test_half_sizes_cut_a_box(renderer):
    whole = renderer.render(SHAPE, [20.2], [21.4], [1.0])
    box = renderer.render(SHAPE, [20.2], [21.4], [1.0], half_sizes=3)
    np.testing.assert_allclose(box[18:25, 17:24], whole[18:25, 17:24], atol=1e-15)
    box[18:25, 17:24] = 0
    assert np.all(box == 0)
    both = renderer.render(SHAPE, [20.2, 35.0], [21.4, 9.0], [1.0, 2.0], np.array([3, 5]))
    parts = renderer.render(SHAPE, [20.2], [21.4], [1.0], 3)
    parts += renderer.render(SHAPE, [35.0], [9.0], [2.0], 5)
    np.testing.assert_allclose(both, parts, atol=1e-16)


@pytest.mark.parametrize("x", [20.0, 20.1, 20.4999, 20.63])
def test_derivatives_match_central_differences(renderer, x):
    y, step = 18.27, 1e-5
    inner = np.s_[10:27, 12:29]  # inside the edge of the PSF, where it steps to zero

    def star(dx, dy):
        return renderer.render(SHAPE, [x + dx], [y + dy], [1.0])[inner]

    by_x = renderer.render(SHAPE, [x], [y], [0.0], flux_x=[1.0])[inner]
    numeric = (star(step, 0) - star(-step, 0)) / (2 * step)
    np.testing.assert_allclose(by_x, numeric, atol=1e-6 * np.abs(numeric).max())
    by_y = renderer.render(SHAPE, [x], [y], [0.0], flux_y=[1.0])[inner]
    numeric = (star(0, step) - star(0, -step)) / (2 * step)
    np.testing.assert_allclose(by_y, numeric, atol=1e-6 * np.abs(numeric).max())


def test_stamps_are_the_rendering(renderer, stars):
    x, y, _ = stars
    stamps, ix, iy = renderer.stamps(x, y, 6)
    np.testing.assert_array_equal(ix, np.rint(x))
    np.testing.assert_array_equal(iy, np.rint(y))
    assert ix.dtype == iy.dtype == np.int64
    for k in (0, 7, 31):
        d_x, d_y = x[k] - ix[k] + 12, y[k] - iy[k] + 12
        for a, factors in enumerate([(1, None, 0, 0), (0, None, 1, 0), (0, None, 0, 1)]):
            image = renderer.render((25, 25), [d_x], [d_y], *factors)
            np.testing.assert_allclose(stamps[k, a], image[6:19, 6:19], atol=1e-14)


def test_project_is_the_transpose_of_render(renderer, stars):
    x, y, flux = stars
    images = np.random.default_rng(2).normal(size=(3, *SHAPE))
    half = np.random.default_rng(3).integers(2, 12, len(x))
    projected = renderer.project(images, x, y, half)
    assert projected.shape == (len(x), 3)
    rendered = renderer.render(SHAPE, x, y, flux, half)
    np.testing.assert_allclose(flux @ projected, (images * rendered).sum(axis=(1, 2)), rtol=1e-10)


def placed(stamps, ix, iy):
    """Stamps as full frames (N, 3, ny, nx), cut at the frame."""
    half = stamps.shape[2] // 2
    pad = 40
    frames = np.zeros((len(stamps), 3, SHAPE[0] + 2 * pad, SHAPE[1] + 2 * pad))
    for k, (x, y) in enumerate(zip(ix + pad, iy + pad, strict=True)):
        frames[k, :, y - half : y + half + 1, x - half : x + half + 1] = stamps[k]
    return frames[:, :, pad:-pad, pad:-pad]


def test_sums_over_stamps(renderer, stars):
    x, y, _ = stars
    random = np.random.default_rng(4)
    stamps, ix, iy = renderer.stamps(x, y, 7)
    frames = placed(stamps, ix, iy)
    images = random.normal(size=(2, *SHAPE))
    expected = np.einsum("qyx,nayx->nqa", images, frames)
    np.testing.assert_allclose(project_stamps(images, stamps, ix, iy), expected, atol=1e-12)
    weight = random.uniform(0, 2, SHAPE)
    weight[5:9, 10:30] = 0
    pairs = np.array([(i, j) for i in range(len(x)) for j in range(i, len(x))]).T
    expected = np.einsum("yx,nayx,mbyx->nmab", weight, frames, frames, optimize=True)
    np.testing.assert_allclose(
        gram_stamps(weight, stamps, ix, iy, *pairs), expected[pairs[0], pairs[1]], atol=1e-12
    )


def test_half_sizes_of_the_psf(renderer):
    assert renderer.half_size == 10
    half = renderer.matrix_half_size
    psf = renderer.psf
    offset = np.abs(np.arange(81) - 40) / 4
    squares = psf.array**2

    def share(h):
        inside = offset <= h
        return squares[np.ix_(inside, inside)].sum() / squares.sum()

    assert 5 <= half <= 25
    assert share(half) >= 0.997
    assert half == 5 or share(half - 1) < 0.997


def test_matrix_half_size_grows_with_the_psf():
    assert StarRenderer(make_psf(161, 4, 3.5)).matrix_half_size > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0], [1.0]), r"x and y must be 1-D arrays of one length, not of shapes"),
        (([np.nan], [1.0], [1.0]), "star positions must be finite"),
        (([1.0], [1.0], [1.0, 2.0]), r"flux must be one number or one per star \(1\), not of"),
        (([1.0], [1.0], [1.0], [2, 3]), "half_sizes must be one number or one per star"),
    ],
)
def test_wrong_arguments(renderer, arguments, message):
    with pytest.raises(ParameterError, match=message):
        renderer.render(SHAPE, *arguments)
