"""Sums over a band's border images against the derivative images written out."""

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.engine.border import border_images
from galstep.core.engine.layout import Layout
from galstep.core.engine.normal import evaluate, star_stamps, wing_half_sizes
from galstep.core.engine.scene import Freedom
from galstep.core.imaging.stars import weighted_stamps
from galstep.testing import make_scene

FREEDOM = Freedom(registration=(1,))


@pytest.fixture(name="scene", scope="module")
def _scene():
    synthetic = make_scene(3, (43, 47), 6, ("F150W", "F277W"), snr=100)
    bands = bands_of(synthetic)
    state = true_state(synthetic, bands)
    half_sizes = [wing_half_sizes(b, f) for b, f in zip(bands, state.star_flux, strict=True)]
    evaluation = evaluate(bands, state, half_sizes, FREEDOM)
    layout = Layout.of(bands, state, FREEDOM)
    stamps = star_stamps(bands[1], 1, state, 6)
    images = border_images(bands[1], 1, state, evaluation, layout, stamps)
    return bands[1], state, evaluation, layout, stamps, images


def written_out(images):
    """(n_border, ny, nx): every derivative as an image of its own."""
    return images.combined(np.eye(images.mixing.shape[0]))


def test_the_derivatives(scene):
    band, state, evaluation, layout, stamps, images = scene
    derivatives, stack = written_out(images), evaluation.galaxies(1)[0]
    flux = state.galaxy_flux[1, 0]
    np.testing.assert_allclose(derivatives[layout.galaxy_flux(1)], stack[0])
    np.testing.assert_allclose(derivatives[layout.sky(1)], band.basis)
    np.testing.assert_allclose(derivatives[:6], flux * stack[1:])
    stars = np.zeros((2, *band.shape))
    padded = np.pad(stars, ((0, 0), (10, 10), (10, 10)))
    for stamp, ix, iy in zip(*stamps, strict=True):
        padded[:, iy + 4 : iy + 17, ix + 4 : ix + 17] += stamp[1:]
    moved = flux * stack[1:3] + padded[:, 10:-10, 10:-10]
    np.testing.assert_allclose(derivatives[layout.registration[1]], moved, atol=1e-12)
    others = [layout.galaxy_flux(0), layout.sky(0).start]
    assert not derivatives[others].any()


def test_products(scene):
    band, _, evaluation, _, _, images = scene
    derivatives, residual = written_out(images), evaluation.residuals[1]
    weight = band.weight * np.random.default_rng(0).uniform(0, 2, band.shape)
    matrix, gradient = images.normal_equations(weight, residual)
    expected = np.einsum("aij,bij,ij->ab", derivatives, derivatives, weight)
    np.testing.assert_allclose(matrix, expected, rtol=1e-10, atol=1e-9)
    expected = np.einsum("aij,ij,ij->a", derivatives, residual, weight)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-8)


def test_projection_on_stamps(scene):
    band, _, _, layout, stamps, images = scene
    found = images.projected(weighted_stamps(band.weight, *stamps), *stamps[1:])
    padded = np.pad(written_out(images) * band.weight, ((0, 0), (10, 10), (10, 10)))
    assert found.shape == (3, layout.n_border, layout.n_stars)
    for k, (stamp, ix, iy) in enumerate(zip(*stamps, strict=True)):
        window = padded[:, iy + 4 : iy + 17, ix + 4 : ix + 17]
        expected = np.einsum("bij,aij->ab", window, stamp)
        np.testing.assert_allclose(found[:, :, k], expected, rtol=1e-9, atol=1e-8)


def test_without_stars_the_galaxies_move_alone(scene):
    band, state, evaluation, layout, _, _ = scene
    images = border_images(band, 1, state, evaluation, layout)
    moved = state.galaxy_flux[1, 0] * evaluation.galaxies(1)[0, 1:3]
    np.testing.assert_allclose(written_out(images)[layout.registration[1]], moved)
