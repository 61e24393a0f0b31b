"""Which source is a star: what that does to apertures, with analytic answers."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY, circle, gaussian_psf, gaussian_share

from galstep.core.photometry.division_error import with_division_error
from galstep.records import ApertureFlux, BandFit, SersicFit, SkyModel, StarList
from galstep.units import colour

SKY = SkyModel((0.0,), 0, 50.0, 50.0, 50.0)
RADIUS = 5.0
SIGMA = {"a": 0.9, "b": 1.6}  # of the PSFs
POINT = 1e-9  # r_eff of a source that is none


def sources(flux, probability, star_id=(1,), x=(50.3,), y=(48.9,)):
    n = len(flux)
    zeros = np.zeros(n)
    return StarList(
        np.array(star_id), np.array(x), np.array(y), np.array(flux), zeros, zeros, zeros, zeros,
        np.zeros(n, int), star_probability=np.array(probability),
    )  # fmt: skip


def fit(stars=None, knots=None):
    empty = StarList.empty()
    galaxy = (SersicFit(GAUSSIAN_GALAXY, 30.0),)
    return BandFit("jointfit", galaxy, SKY, stars or empty, knots=knots or empty)


def fluxes(names="a", flux=20.0, err=0.2, **values):
    one = ApertureFlux(
        circle(RADIUS), flux, err, star_err=0.1, psf_correction=0.0, flux_corr=flux,
        flux_corr_err=err, covariance={name: err**2 if name == "a" else 0.0 for name in names},
    )  # fmt: skip
    return {
        name: [replace(one, covariance={n: err**2 if n == name else 0.0 for n in names}, **values)]
        for name in names
    }


def added(measured, fits):
    return with_division_error(measured, fits, {n: gaussian_psf(SIGMA[n]) for n in measured})


@pytest.mark.parametrize("kind", ["stars", "knots"])
@pytest.mark.parametrize("probability", [0.05, 0.5, 0.8])
def test_one_source_is_a_bernoulli_variable(kind, probability):
    ((after,),) = added(fluxes(), {"a": fit(**{kind: sources([3.0], [probability])})}).values()
    inside = 3.0 * gaussian_share(RADIUS, SIGMA["a"], POINT)
    # by drawing: star or no star, its light subtracted or not
    drawn = np.random.default_rng(1).random(200_000) < probability
    error = np.std(inside * drawn)
    assert after.flux == 20.0
    assert after.flux_err == pytest.approx(np.hypot(0.2, error), rel=5e-3)
    assert after.star_err == pytest.approx(np.hypot(0.1, error), rel=5e-3)
    assert after.flux_corr_err == pytest.approx(after.flux_err)
    assert after.covariance["a"] == pytest.approx(after.flux_corr_err**2)


def test_only_the_light_inside_counts():
    far = sources([300.0], [0.5], x=[90.0], y=[90.0])
    ((after,),) = added(fluxes(), {"a": fit(far)}).values()
    assert after.flux_err == pytest.approx(0.2)
    at_edge = sources([4.0], [0.5], x=[50.3 + RADIUS])
    ((after,),) = added(fluxes(), {"a": fit(at_edge)}).values()
    error = np.sqrt(after.flux_err**2 - 0.04)
    assert 0.3 < error / 2.0 < 0.5  # a little less than half of it lies in a circle


@pytest.mark.parametrize("probability", [0.0, 1.0, np.nan])
def test_without_doubt_nothing_changes(probability):
    measured = fluxes()
    result = added(measured, {"a": fit(sources([3.0], [probability]))})
    assert result["a"][0] is measured["a"][0]


def test_sources_are_independent():
    own = fit(sources([3.0], [0.5]), sources([4.0], [0.5], star_id=[2]))
    ((after,),) = added(fluxes(), {"a": own}).values()
    error = 2.5 * gaussian_share(RADIUS, SIGMA["a"], POINT)
    assert after.flux_err == pytest.approx(np.hypot(0.2, error), rel=5e-3)


def test_a_source_of_the_galaxys_colour_leaves_the_colour_alone():
    """It makes both fluxes wrong by the same factor."""
    share = {name: gaussian_share(RADIUS, SIGMA[name], POINT) for name in "ab"}
    fits = {name: fit(sources([10.0 / share[name]], [0.5])) for name in "ab"}
    result = added(fluxes("ab"), fits)
    (a,), (b,) = result["a"], result["b"]
    assert a.flux_err == pytest.approx(np.hypot(0.2, 5.0), rel=5e-3)
    assert a.covariance["b"] == b.covariance["a"] == pytest.approx(25.0, rel=5e-3)
    matrix = [[a.flux_corr_err**2, a.covariance["b"]], [b.covariance["a"], b.flux_corr_err**2]]
    _, error = colour(a.flux_corr, b.flux_corr, matrix)
    # that of the noise, 1 % in each filter; the total is wrong by 25 %
    assert error == pytest.approx(1.0857 * np.hypot(0.01, 0.01), abs=0.02)


def test_different_sources_make_filters_err_apart():
    fits = {"a": fit(sources([3.0], [0.5])), "b": fit(sources([3.0], [0.5], star_id=[9]))}
    result = added(fluxes("ab"), fits)
    assert result["a"][0].covariance["b"] == 0
    assert result["b"][0].covariance["b"] > 1


def test_a_correction_to_another_psf_scales_it():
    ((after,),) = added(
        fluxes(psf_correction=0.75), {"a": fit(sources([3.0], [0.5]))}
    ).values()  # fmt: skip
    error = np.sqrt(after.flux_err**2 - 0.04)
    assert after.flux_corr_err == pytest.approx(np.hypot(0.2, error * 10**-0.3))


def test_what_is_not_measured_stays_so():
    nothing = {"a": [ApertureFlux(circle(RADIUS), np.nan)]}
    assert added(nothing, {"a": fit(sources([3.0], [0.5]))}) == nothing
