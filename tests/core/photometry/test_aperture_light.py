"""Light of model galaxies in apertures, with analytic answers."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY, SHAPE, circle, gaussian_psf, gaussian_share

from galstep.core.imaging.sersic import enclosed_fraction
from galstep.core.photometry.aperture_light import (
    GalaxyLight,
    component_weights,
    parameter_covariance,
)
from galstep.core.photometry.apertures import overlap
from galstep.records import Aperture, SersicFit, SersicParams


def light(params=GAUSSIAN_GALAXY, sigma=0.9, apertures=(), flux=3.0):
    return GalaxyLight([SersicFit(params, flux)], gaussian_psf(sigma), SHAPE, apertures)


@pytest.mark.parametrize("radius", [3.0, 8.0, 20.0])
@pytest.mark.parametrize("sigma", [0.9, 2.5])
def test_share_of_a_gaussian_galaxy(radius, sigma):
    # light is summed over pixels: flat inside each, 1/24 px^2 of curvature
    share = light(sigma=sigma).share(circle(radius))
    assert share == pytest.approx(gaussian_share(radius, sigma), abs=4e-3)


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_share_follows_the_curve_of_growth_where_the_psf_does_not_matter(n):
    params = SersicParams(50.0, 50.0, 20.0, n, 0.4, 0.7)
    ellipse = Aperture(50.0, 50.0, 30.0, 18.0, 0.7)
    share = light(params, 0.8).share(ellipse)
    assert share == pytest.approx(float(enclosed_fraction(1.5, n)), abs=2e-3)


def test_an_aperture_may_be_larger_than_the_frame():
    wide = circle(80.0)
    small_frame = GalaxyLight(
        [SersicFit(replace(GAUSSIAN_GALAXY, r_eff=30.0), 1.0)], gaussian_psf(0.9), SHAPE, [wide]
    )
    assert small_frame.share(wide) == pytest.approx(gaussian_share(80.0, 0.9, 30.0), abs=1e-3)
    assert small_frame.stamp(wide).shape == overlap(wide).shape


def test_slopes_are_those_of_the_light_itself():
    params = SersicParams(50.3, 48.9, 7.0, 1.3, 0.3, 0.5)
    ellipse = Aperture(50.8, 48.5, 9.0, 6.0, 0.6)
    (slopes,) = light(params).slopes(ellipse)
    (log_slopes,) = light(params).log_share_slopes(ellipse)
    share = light(params).share(ellipse)
    for k, step in enumerate(1e-4 * np.eye(6)):
        up, down = (
            light(SersicParams.from_vector(params.to_vector() + s)).share(ellipse)
            for s in (step, -step)
        )
        assert slopes[k] == pytest.approx(3 * (up - down) / 2e-4, abs=3e-5)
        assert log_slopes[k] == pytest.approx((up - down) / 2e-4 / share, abs=3e-5)
    assert slopes[6] == share
    assert log_slopes[6] == 0


def test_components_are_weighted_by_their_flux():
    one = SersicFit(GAUSSIAN_GALAXY, flux=1.0)
    wide = SersicFit(replace(GAUSSIAN_GALAXY, r_eff=12.0), flux=3.0)
    np.testing.assert_allclose(component_weights([one, wide]), [0.25, 0.75])
    both = GalaxyLight([one, wide], gaussian_psf(0.9), SHAPE)
    shares = gaussian_share(10.0, 0.9), gaussian_share(10.0, 0.9, r_eff=12.0)
    expected = 0.25 * shares[0] + 0.75 * shares[1]
    assert both.share(circle(10.0)) == pytest.approx(expected, abs=3e-3)
    in_stamp = (overlap(circle(10.0)).data * both.stamp(circle(10.0))).sum()
    assert in_stamp == pytest.approx(both.share(circle(10.0)))
    np.testing.assert_allclose(both.slopes(circle(10.0))[:, 6], shares, atol=3e-3)


def test_one_component_has_a_shape_whatever_its_flux():
    assert component_weights([SersicFit(GAUSSIAN_GALAXY, -1.0)]) == [1.0]
    nothing = [SersicFit(GAUSSIAN_GALAXY, 0.0)] * 2
    np.testing.assert_array_equal(component_weights(nothing), [0.5, 0.5])


def test_covariance_of_parameters_without_errors():
    flux_only = parameter_covariance(SersicFit(GAUSSIAN_GALAXY, 5.0, flux_err=0.3))
    assert flux_only[6, 6] == pytest.approx(0.09)
    assert flux_only.sum() == flux_only[6, 6]
    covariance = np.full((7, 7), np.nan)
    covariance[2, 2] = 0.01
    pinned = parameter_covariance(SersicFit(GAUSSIAN_GALAXY, 5.0, covariance=covariance))
    assert pinned[2, 2] == 0.01
    assert np.isnan(pinned[6, 6])
    assert np.isfinite(pinned.ravel()[:-1]).all()
