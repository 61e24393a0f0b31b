"""Far wings of stars: with them a star that is drawn small is the whole star."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED

from galstep.core.engine.normal import evaluate, wing_half_sizes
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.engine.wings import far_wings, with_far_wings, without_far_wings
from galstep.core.psf.effective import EffectivePSF

SHAPE = (83, 90)
NOISE = 0.1


def winged_psf():
    """Wings that fall as r^-3, to 50 px."""
    offset = np.arange(-100, 101) / 2
    radius = np.hypot(offset[:, None], offset)
    return EffectivePSF.from_array(np.exp(-0.5 * radius**2) + 0.03 * (1 + radius**2 / 4) ** -1.5, 2)


PSF = winged_psf()


def scene(x, y, snr, mask=None):
    """A band of zeros and stars of this S/N."""
    mask = np.zeros(SHAPE, dtype=bool) if mask is None else mask
    band = make_band("a", np.zeros(SHAPE), mask, PSF, np.full(SHAPE, NOISE))
    flux = np.array(snr, dtype=float) * NOISE * np.sqrt(PSF.noise_area)
    state = SceneState.start([band], np.zeros((0, 6)))
    return band, state.with_stars(np.array(x), np.array(y), flux[None])


def drawn(band, state, half_sizes=None):
    own = {} if half_sizes is None else dict(half_sizes=half_sizes)
    return band.star_renderer.render(band.shape, state.x, state.y, state.star_flux[0], **own)


@pytest.mark.parametrize("snr", [1.0, 5.0, 20.0, 70.0, -20.0])
@pytest.mark.parametrize(("x", "y"), [
    (40.0, 41.0), (40.5, 41.5), (2.3, 79.8), (-3.4, 30.2), (96.1, 88.0), (-40.3, 20.0),
], ids=str)  # fmt: skip
def test_a_small_star_and_its_wings_are_the_star(snr, x, y):
    band, state = scene([x], [y], [snr])
    sizes = wing_half_sizes(band, state.star_flux[0])
    assert sizes[0] < band.star_renderer.half_size
    whole, cut = drawn(band, state), drawn(band, state, sizes)
    both = cut + far_wings(band, 0, state, sizes)
    size = abs(state.star_flux[0, 0])
    assert np.abs(both - whole).sum() < 2e-3 * size
    # without them it is another star
    if x in (40.0, 40.5) and abs(snr) < 10:
        assert np.abs(cut - whole).sum() > 5e-3 * size


def test_a_crowd_of_stars_of_all_sizes():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-20, 110, 200), rng.uniform(-20, 100, 200)
    band, state = scene(x, y, 10 ** rng.uniform(0, 3, 200))
    sizes = wing_half_sizes(band, state.star_flux[0])
    assert len(np.unique(sizes)) == 5
    both = drawn(band, state, sizes) + far_wings(band, 0, state, sizes)
    assert np.abs(both - drawn(band, state)).sum() < 2e-3 * state.star_flux.sum()
    assert np.abs(both - drawn(band, state)).max() < 0.05 * NOISE


def test_bright_stars_have_none_left():
    band, state = scene([40.0], [40.0], [1e4])
    assert not far_wings(band, 0, state, wing_half_sizes(band, state.star_flux[0])).any()


def test_a_star_that_cannot_reach_the_frame():
    band, state = scene([-400.0, 4000.0], [40.0, -1e6], [5.0, 5.0])
    assert not far_wings(band, 0, state, wing_half_sizes(band, state.star_flux[0])).any()


def test_no_stars():
    band, state = scene([], [], [])
    (same,), (wings,) = without_far_wings([band], state, [np.zeros(0, dtype=int)])
    assert same.data is band.data and wings.shape == SHAPE and not wings.any()
    assert not far_wings(band, 0, state, np.zeros(0, dtype=int)).any()


def test_they_go_where_the_band_sees_the_star():
    # on a grid of its own, with a registration
    matrix, origin = np.array([[0.6, 0.1], [-0.1, 0.6]]), np.array([8.0, 20.0])
    band, state = scene([50.2], [40.7], [4.0])
    own = replace(band, matrix=matrix, origin=origin)
    state = replace(state, shift=np.array([[0.7, -1.2]]))
    place = matrix @ [50.9, 39.5] + origin
    there = replace(state, x=place[:1], y=place[1:], shift=np.zeros((1, 2)))
    sizes = wing_half_sizes(band, state.star_flux[0])
    expected = far_wings(band, 0, there, sizes)
    np.testing.assert_allclose(far_wings(own, 0, state, sizes), expected, atol=1e-12)


def test_data_and_images_are_taken_apart_and_put_together():
    mask = np.random.default_rng(3).random(SHAPE) < 0.1
    band, state = scene([20.0, 60.0], [30.0, 50.0], [5.0, 15.0], mask)
    sizes = [wing_half_sizes(band, state.star_flux[0])]
    bands, wings = without_far_wings([band], state, sizes)
    assert not bands[0].data[mask].any()
    np.testing.assert_allclose(bands[0].data[~mask], -wings[0][~mask])
    evaluation = evaluate(bands, state, sizes, PINNED)
    whole = with_far_wings(evaluation, wings).stars[0]
    # what the residual is the rest of
    residual = np.where(mask, 0.0, band.data - whole)
    np.testing.assert_allclose(residual, evaluation.residuals[0], atol=1e-12)


def test_the_sky_does_not_take_the_light_of_faint_stars():
    # 300 faint stars, and no noise: the sky is zero
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 89, 300), rng.uniform(0, 82, 300)
    band, truth = scene(x, y, rng.uniform(4, 9, 300))
    band = replace(band, data=drawn(band, truth))
    start = replace(truth, star_flux=0.9 * truth.star_flux)
    fit = fit_scene([band], start, PINNED, max_iterations=30, tolerance=1e-6)
    again = fit_scene([band], fit.state, PINNED, max_iterations=30, tolerance=1e-6)
    found = again.state
    wings = far_wings(band, 0, truth, wing_half_sizes(band, truth.star_flux[0])).mean()
    assert abs(found.sky[0][0]) < 0.05 * wings
    assert found.star_flux.sum() == pytest.approx(truth.star_flux.sum(), rel=2e-3)
