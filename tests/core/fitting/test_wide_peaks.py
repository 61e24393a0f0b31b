"""Galaxies that stand out beside the first fit, and stars and structure that do not."""

import numpy as np
import pytest
from engine_scenes import bands_of, with_galaxy

from galstep.core.engine.scene import SceneState
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.wide_peaks import OUTSIDE_RADII, wide_peaks
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (141, 141)
TARGET = SersicParams(70.3, 69.6, 8.0, 1.2, 0.3, 0.5)
COMPANION = SersicParams(97.2, 51.4, 8.0, 1.0, 0.2, 2.0)


def synthetic(stars=60, seed=3, **options):
    return make_scene(
        seed, SHAPE, stars, ("F150W",), snr=300.0, sersic=TARGET, star_snr=(10, 200), **options
    )


def scene(others, stars=60, seed=3):
    """Data and band of target and other galaxies (share of its flux, params)."""
    made = synthetic(stars, seed)
    flux = made.truth.fluxes["F150W"]
    components = [(flux, TARGET), *((share * flux, params) for share, params in others)]
    made = with_galaxy(made, {"F150W": components})
    (band,) = bands_of(made)
    return made, band


def peaks_of(others, stars=60, seed=3, shape=TARGET):
    """Peaks beside the true target."""
    made, band = scene(others, stars, seed)
    flux = made.truth.fluxes["F150W"]
    state = SceneState.start([band], [shape.to_vector()], [[flux]])
    return wide_peaks(band, state, (TARGET.x_0, TARGET.y_0))


def test_a_companion_is_seen_where_it_is():
    (peak,) = peaks_of([(0.4, COMPANION)])
    assert np.hypot(peak.x_0 - COMPANION.x_0, peak.y_0 - COMPANION.y_0) < 3


@pytest.mark.parametrize("stars", [0, 60, 200])
@pytest.mark.parametrize("seed", [1, 2])
def test_stars_are_none(stars, seed):
    # of crowded frames a blend or two may be tried: the fit decides
    assert len(peaks_of([], stars, seed)) <= stars // 100


def test_the_brightest_come_first():
    second = SersicParams(30.0, 110.0, 5.0, 1.0, 0.0, 0.0)
    found = peaks_of([(0.15, second), (0.5, COMPANION)], stars=10)
    assert [round(own.x_0 / 10) for own in found] == [10, 3]


def test_what_lies_within_the_target_is_its_own():
    near = SersicParams(70.3 + 0.7 * OUTSIDE_RADII * 8.0, 69.6, 4.0, 1.0, 0.0, 0.0)
    assert peaks_of([(0.4, near)], stars=0) == []


def test_masked_pixels_are_no_peak():
    made, band = scene([(0.4, COMPANION)])
    made.data["F150W"][40:64, 85:110] = np.nan
    (band,) = bands_of(made)
    state = SceneState.start([band], [TARGET.to_vector()], [[made.truth.fluxes["F150W"]]])
    assert wide_peaks(band, state, (TARGET.x_0, TARGET.y_0)) == []


def test_the_target_is_not_drawn_over_a_companion_like_it():
    """Two alike, close: left free, one profile lies over both and no clump of stars tells."""
    made, band = scene([(0.6, COMPANION)], stars=150, seed=4)
    first = robust_galaxy_fit(made.data["F150W"], band.mask, band.sigma, band.star_renderer.psf)
    (fit,) = fit_base(band, first).fits
    assert len(fit.companions) == 1
    assert fit.flux == pytest.approx(made.truth.fluxes["F150W"], rel=0.05)
    assert fit.companions[0].flux == pytest.approx(0.6 * made.truth.fluxes["F150W"], rel=0.1)
