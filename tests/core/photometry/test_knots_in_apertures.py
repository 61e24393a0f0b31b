"""Knots and companions in apertures, with analytic answers."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY, SHAPE, circle, gaussian_psf, gaussian_share

from galstep.core.photometry.aperture_covariance import flux_covariances
from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.core.photometry.aperture_photometry import Measurement
from galstep.core.photometry.apertures import overlap
from galstep.core.photometry.companion_light import with_companion_error
from galstep.core.photometry.galaxy_aperture import define_aperture
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, ApertureFlux, JointSummary, SersicFit, StarList

FLUX = 3.0


def points(flux, x, y):
    n = len(flux)
    zeros = np.zeros(n)
    return StarList(
        np.arange(n), np.array(x), np.array(y), np.array(flux), zeros, zeros, zeros, zeros,
        np.zeros(n, int),
    )  # fmt: skip


def light(knots, sigma=0.9, flux=FLUX, **options):
    return GalaxyLight(
        [SersicFit(GAUSSIAN_GALAXY, flux)], gaussian_psf(sigma), SHAPE, knots=knots, **options
    )


@pytest.mark.parametrize("sigma", [0.9, 2.0])
def test_the_share_is_that_of_components_and_knots(sigma):
    """A knot at the circle's centre has a Gaussian curve of growth too."""
    own = light(points([1.0, 0.5], [50.3, 90.0], [48.9, 90.0]), sigma)
    radius = 5.0
    in_circle = FLUX * gaussian_share(radius, sigma) + 1.0 * gaussian_share(radius, sigma, 1e-9)
    assert own.share(circle(radius)) == pytest.approx(in_circle / 4.5, abs=3e-3)
    assert own.total == 4.5


def test_stamp_and_share_agree():
    own, where = light(points([1.0], [53.0], [47.0])), circle(8.0)
    assert (overlap(where).data * own.stamp(where)).sum() == pytest.approx(own.share(where))


def test_slopes_are_of_the_components_alone():
    where = circle(8.0)
    with_knots, without = light(points([1.0], [53.0], [47.0])), light(None)
    np.testing.assert_allclose(with_knots.slopes(where), without.slopes(where))
    # the logarithm of a share that holds light which does not change
    part = FLUX * without.share(where) / (4 * with_knots.share(where))
    expected = part * without.log_share_slopes(where)
    np.testing.assert_allclose(with_knots.log_share_slopes(where), expected)


def test_knots_follow_the_pixels():
    """On pixels half as large the light in the same circle on the sky is the same."""
    knots, half = points([1.0], [53.0], [47.0]), PixelMap(matrix=((2.0, 0.0), (0.0, 2.0)))
    here = light(knots, 0.9).share(circle(8.0))
    there = GalaxyLight(
        [SersicFit(GAUSSIAN_GALAXY, FLUX)], gaussian_psf(1.8), (1, 1), [circle(8.0)], half, knots
    ).share(circle(8.0))
    assert there == pytest.approx(here, abs=3e-3)


@pytest.mark.parametrize("flux", [-1.0, 0.0])
def test_a_galaxy_without_flux_has_the_shape_of_its_component(flux):
    own = light(points([1.0], [53.0], [47.0]), flux=flux)
    assert own.share(circle(8.0)) == pytest.approx(light(None).share(circle(8.0)))
    assert own.total == flux


@pytest.mark.parametrize("knots", [None, StarList.empty(), points([np.nan], [53.0], [47.0])])
def test_without_knots_nothing_changes(knots):
    assert light(knots).share(circle(8.0)) == light(None).share(circle(8.0))
    chosen = [
        define_aperture([SersicFit(GAUSSIAN_GALAXY, FLUX)], gaussian_psf(0.9), SHAPE, 0.2, knots=k)
        for k in (knots, None)
    ]
    assert chosen[0].aperture == chosen[1].aperture


def test_isophotes_are_those_of_the_smooth_light():
    """One knot on an axis moves the radii, not the shape."""
    knots = points([0.6], [50.3 + 12.0], [48.9])
    one, other = (
        define_aperture([SersicFit(GAUSSIAN_GALAXY, FLUX)], gaussian_psf(0.9), SHAPE, 0.2, knots=k)
        for k in (None, knots)
    )
    np.testing.assert_array_equal(one.isophotes.a, other.isophotes.a)
    assert other.kron_radius > 1.02 * one.kron_radius


# ----------------------------------------------------------------- companions


def companion(flux=2.0, flux_err=0.3, x=50.3, covariance=None):
    shape = replace(GAUSSIAN_GALAXY, x_0=x)
    return SersicFit(shape, flux, flux_err, covariance=covariance, galaxy_id=1)


def measured(radius, **values):
    return ApertureFlux(circle(radius), 5.0, 0.4, flux_corr=4.5, flux_corr_err=0.36, **values)


def added(fluxes, companions):
    return with_companion_error("a", fluxes, companions, gaussian_psf(0.9), SHAPE)


def test_error_of_a_companion_is_that_of_its_light_in_the_aperture():
    before = measured(5.0, model_err=0.1, psf_correction=0.2, covariance={"a": 0.36**2, "b": 0.05})
    (after,) = added([before], [companion()])
    error = 0.3 * gaussian_share(5.0, 0.9)
    assert after.flux == before.flux
    assert after.flux_err == pytest.approx(np.hypot(0.4, error), rel=2e-3)
    assert after.model_err == pytest.approx(np.hypot(0.1, error), rel=5e-3)
    seen = error * 10 ** (-0.4 * 0.2)
    assert after.flux_corr_err == pytest.approx(np.hypot(0.36, seen), rel=2e-3)
    assert after.covariance == {"a": after.flux_corr_err**2, "b": 0.05}


def test_a_companion_far_away_adds_nothing():
    (after,) = added([measured(5.0)], [companion(x=95.0)])
    assert after.flux_err == pytest.approx(0.4, rel=1e-6)


def test_the_place_of_a_companion_at_the_edge_counts():
    """Its centre moves light over the aperture's edge: the shape's covariance enters."""
    covariance = np.zeros((7, 7))
    covariance[0, 0] = 0.2**2
    beside = companion(flux_err=0.0, x=50.3 + 6.0, covariance=covariance)
    (after,) = added([measured(5.0)], [beside])
    moved = [
        GalaxyLight([companion(x=56.3 + d)], gaussian_psf(0.9), SHAPE).share(circle(5.0))
        for d in (-0.2, 0.2)
    ]
    error = 2.0 * abs(moved[1] - moved[0]) / 2
    assert after.flux_err == pytest.approx(np.hypot(0.4, error), rel=1e-3)


def test_what_is_not_measured_stays_so():
    nothing = ApertureFlux(Aperture(50.0, 50.0, 500.0, 500.0, 0.0), np.nan)
    assert added([nothing, measured(5.0)], [companion()])[0] is nothing
    assert added([nothing], []) == [nothing]


def test_unknown_errors_add_none():
    before = measured(5.0)
    assert added([before], [companion(flux_err=np.nan)]) == [before]


# ----------------------------------------------------------------- covariance


@pytest.mark.parametrize("doubt", [0.0, 0.1, 5.0])
def test_what_totals_cannot_know_does_not_make_apertures_alike(doubt):
    """What may be star or knot is in the totals' covariance, not in the components'."""
    fits = {name: (SersicFit(GAUSSIAN_GALAXY, 3.0, 0.1),) for name in "ab"}
    slopes = np.array([[0.0] * 6 + [0.8]])
    seen = {"noise_err": 0.0, "psf_correction": 0.0, "flux_corr": 2.4, "flux_corr_err": 0.08}
    one = Measurement(ApertureFlux(circle(5.0), 2.4, 0.08, **seen), slopes)
    fluxes = {"a": one, "b": one}
    matrix = 0.1**2 * np.array([[1.0, 0.6], [0.6, 1.0]]) + doubt**2 * np.outer([1, 2], [1, 2])
    found = flux_covariances(fluxes, fits, JointSummary(("a", "b"), matrix))
    assert found["a"].covariance["b"] == pytest.approx(0.6 * 0.08**2)


def test_a_doubt_of_one_filter_alone_makes_none_between_them():
    fits = {name: (SersicFit(GAUSSIAN_GALAXY, 3.0, 0.1),) for name in "ab"}
    slopes = np.array([[0.0] * 6 + [0.8]])
    seen = {"noise_err": 0.0, "psf_correction": 0.0, "flux_corr": 2.4, "flux_corr_err": 0.08}
    one = Measurement(ApertureFlux(circle(5.0), 2.4, 0.08, **seen), slopes)
    for cross in (0.006, -0.006):
        matrix = np.array([[4.01, cross], [cross, 0.01]])
        found = flux_covariances({"a": one, "b": one}, fits, JointSummary(("a", "b"), matrix))
        assert found["a"].covariance["b"] == pytest.approx(0.64 * cross)
