"""Pixels that are left out of the last fits."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state
from ladder_scenes import NO_SEARCH, errors_of, run, star_scene

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.outliers import discounted_band, within_isophote
from galstep.core.noise.errors import pixel_sigma
from galstep.records import SersicParams

SPIKES = (13, 47), (28, 33)  # far from the galaxy, and in it; (y, x)


@pytest.fixture(name="spoiled", scope="module")
def _spoiled():
    """A star beside a hot pixel, and a hot pixel in the galaxy."""
    synthetic = star_scene([48.3, 14.2], [12.6, 45.1], [40.0, 40.0])
    band = bands_of(synthetic)[0]
    data = band.data.copy()
    for place in SPIKES:
        data[place] += 100 * band.sigma
    return synthetic, replace(band, data=data)


def test_an_ellipse():
    params = SersicParams(30.0, 25.0, 8.0, 1.0, 0.5, np.pi / 2)
    inside = within_isophote((60, 60), params.to_vector(), 2.0)
    assert inside[25 + 15, 30] and not inside[25 + 17, 30]
    assert inside[25, 30 + 7] and not inside[25, 30 + 9]
    assert inside.sum() == pytest.approx(np.pi * 16 * 8, rel=0.04)


def test_which_pixels(spoiled):
    synthetic, band = spoiled
    vector = synthetic.truth.sersic.to_vector()
    residual = np.zeros(band.shape)
    for place in SPIKES:
        residual[place] = 16 * band.sigma
    for clip, beyond, left_out in ((15.0, 2.0, 1), (17.0, 2.0, 0), (15.0, 0.0, 2), (0.0, 0.0, 0)):
        own = discounted_band(
            band, residual, [vector], replace(ONE_PASS, clip=clip, clip_beyond=beyond)
        )
        assert (own.weight < 1e-6 * band.weight).sum() == left_out
        np.testing.assert_allclose(pixel_sigma(own), pixel_sigma(band))


def test_with_robust_weights_too(spoiled):
    synthetic, band = spoiled
    residual = np.zeros(band.shape)
    residual[10, 10], residual[13, 47] = 6 * band.sigma, 20 * band.sigma
    vectors = [synthetic.truth.sersic.to_vector()]
    own = discounted_band(
        band, residual, vectors, replace(ONE_PASS, clip=15.0, robust="huber", robust_scale=3.0)
    )
    share = own.weight / band.weight
    assert share[10, 10] == pytest.approx(0.5) and share[13, 47] < 1e-6
    np.testing.assert_allclose(pixel_sigma(own), pixel_sigma(band))


def test_a_star_beside_a_hot_pixel(spoiled):
    synthetic, band = spoiled
    state = true_state(synthetic, [band])
    true = synthetic.truth.stars["flux_F150W"][0]
    plain = run(synthetic, bands=[band], state=state, **NO_SEARCH)
    clipped = run(synthetic, bands=[band], state=state, **NO_SEARCH, clip=15.0)
    off = [
        (own.solution.state.star_flux[0, 0] - true) / errors_of(own)[0] for own in (plain, clipped)
    ]
    assert abs(off[0]) > 6 and abs(off[1]) < 4
