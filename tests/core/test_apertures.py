"""Sums, fillings and shares of light with analytic answers."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.apertures import (
    aperture_sum,
    component_weights,
    enclosed_light,
    fill_stamp,
    model_stamp,
    overlap,
    psf_correction,
)
from galstep.core.psf import EffectivePSF
from galstep.core.sersic import enclosed_fraction
from galstep.exceptions import InputError, ParameterError
from galstep.records import Aperture, SersicFit, SersicParams
from galstep.testing.psfs import GaussianMixturePSF


def gaussian_psf(sigma, oversample=5):
    size = 2 * int(6 * sigma * oversample) + 1
    return EffectivePSF.from_array(
        GaussianMixturePSF.gaussian(sigma).sampled(oversample, size), oversample
    )


# a Sersic profile with n = 1/2 is a Gaussian, sigma = r_eff / sqrt(2 ln 2)
GAUSSIAN_GALAXY = SersicParams(50.3, 48.9, 6.0, 0.5, 0.0, 0.0)


def gaussian_share(radius, psf_sigma, r_eff=GAUSSIAN_GALAXY.r_eff):
    variance = r_eff**2 / (2 * np.log(2)) + psf_sigma**2
    return 1 - np.exp(-(radius**2) / (2 * variance))


def circle(radius, x=50.3, y=48.9):
    return Aperture(x, y, radius, radius, 0.0)


@pytest.mark.parametrize("a", [0.3, 4.0, 23.7])
@pytest.mark.parametrize("theta", [0.0, 1.0, 3.0])
def test_sum_over_uniform_light_is_the_area_of_the_ellipse(a, theta):
    ellipse = Aperture(30.4, 29.1, a, 0.6 * a, theta)
    total, area = aperture_sum(np.full((60, 61), 2.5), ellipse)
    assert area == pytest.approx(np.pi * 0.6 * a**2)
    assert total == pytest.approx(2.5 * area)


def test_sum_over_a_gradient_is_its_value_at_the_centre():
    y, x = np.indices((60, 61))
    ellipse = Aperture(30.4, 29.1, 15.0, 7.0, 0.7)
    # each pixel is flat, which moves nothing inside and little at the rim
    total, area = aperture_sum(2.0 * x - y, ellipse)
    assert total / area == pytest.approx(2.0 * 30.4 - 29.1, abs=0.01)


def test_what_is_off_the_frame_or_masked_is_left_out():
    image = np.ones((40, 40))
    half = Aperture(-0.5, 20.0, 10.0, 10.0, 0.0)
    assert aperture_sum(image, half)[1] == pytest.approx(np.pi * 50)
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :20] = True
    image[mask] = np.nan
    total, area = aperture_sum(image, Aperture(19.5, 20.0, 10.0, 5.0, 0.0), mask)
    assert total == area == pytest.approx(np.pi * 25)


@pytest.mark.parametrize("x", [-30.0, 500.0])
def test_an_aperture_beyond_the_frame_holds_nothing(x):
    assert aperture_sum(np.ones((20, 20)), Aperture(x, 5.0, 4.0, 3.0, 0.0)) == (0.0, 0.0)


def test_an_aperture_larger_than_the_frame_holds_all_of_it():
    total, area = aperture_sum(np.ones((20, 30)), Aperture(15.0, 10.0, 100.0, 90.0, 0.4))
    assert total == area == pytest.approx(600)


@pytest.mark.parametrize("numbers", [(5, 5, 0, 1, 0), (5, np.nan, 2, 1, 0), (5, 5, 2, -1, 0)])
def test_an_impossible_aperture_is_refused(numbers):
    with pytest.raises(InputError, match="finite numbers and positive semi-axes, got Aperture"):
        overlap(Aperture(*numbers))


def cone(shape, aperture):
    """Light that depends on the elliptical radius alone, and linearly."""
    y, x = np.indices(shape)
    dx, dy = x - aperture.x, y - aperture.y
    cos, sin = np.cos(aperture.theta), np.sin(aperture.theta)
    ratio = aperture.a / aperture.b
    return 50.0 - np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) * ratio)


@pytest.fixture
def gap():
    ellipse = Aperture(40.2, 38.7, 20.0, 12.0, 0.9)
    image = cone((80, 80), ellipse)
    mask = np.zeros(image.shape, dtype=bool)
    mask[35:42, 20:60] = True
    return ellipse, image, mask


def test_rings_restore_light_that_depends_on_the_radius(gap):
    ellipse, image, mask = gap
    broken = np.where(mask, np.nan, image)
    whole = fill_stamp(image, np.zeros_like(mask), ellipse, np.zeros(overlap(ellipse).shape))
    filled = fill_stamp(broken, mask, ellipse, np.zeros(overlap(ellipse).shape))
    assert whole.total == pytest.approx(aperture_sum(image, ellipse)[0])
    assert whole.masked == whole.off_frame == 0
    assert filled.masked == pytest.approx(1 - aperture_sum(image, ellipse, mask)[1] / (np.pi * 240))
    assert filled.total == pytest.approx(whole.total, rel=2e-3)


def test_the_model_stands_in_where_it_is_asked_for_and_where_nothing_else_is(gap):
    ellipse, image, mask = gap
    model = np.full(overlap(ellipse).shape, 7.0)
    filled = fill_stamp(image, mask, ellipse, model, "sersic_modelimg")
    good, area = aperture_sum(image, ellipse, mask)
    assert filled.total == pytest.approx(good + 7.0 * (np.pi * 240 - area))
    blank = fill_stamp(image, np.ones_like(mask), ellipse, model)
    assert blank.total == pytest.approx(7.0 * np.pi * 240)
    assert blank.masked == pytest.approx(1)


def test_what_lies_off_the_frame_is_filled_too():
    ellipse = Aperture(3.0, 40.0, 12.0, 12.0, 0.0)
    image = cone((80, 80), ellipse)
    filled = fill_stamp(image, np.zeros(image.shape, bool), ellipse, np.zeros((25, 25)))
    assert 0.1 < filled.off_frame < 0.5
    # a cone of height 50 and slope 1: pi R^2 (50 - 2 R / 3)
    assert filled.total == pytest.approx(np.pi * 144 * (50 - 8), rel=5e-3)


def test_an_unknown_filling_is_refused(gap):
    ellipse, image, mask = gap
    with pytest.raises(ParameterError, match="'median' or 'sersic_modelimg', got 'mean'"):
        fill_stamp(image, mask, ellipse, image, "mean")


@pytest.mark.parametrize("radius", [3.0, 8.0, 20.0])
@pytest.mark.parametrize("sigma", [0.9, 2.5])
def test_share_of_a_gaussian_galaxy(radius, sigma):
    share, _ = enclosed_light(GAUSSIAN_GALAXY, gaussian_psf(sigma), circle(radius))
    # light is summed over pixels: flat inside each, 1/24 px^2 of curvature
    assert share == pytest.approx(gaussian_share(radius, sigma), abs=4e-3)


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_share_follows_the_curve_of_growth_where_the_psf_does_not_matter(n):
    params = SersicParams(80.0, 80.0, 20.0, n, 0.4, 0.7)
    ellipse = Aperture(80.0, 80.0, 30.0, 18.0, 0.7)
    share, _ = enclosed_light(params, gaussian_psf(0.8), ellipse)
    assert share == pytest.approx(float(enclosed_fraction(1.5, n)), abs=2e-3)


def test_share_has_the_right_slopes():
    psf = gaussian_psf(1.2)
    params = SersicParams(50.3, 48.9, 7.0, 1.3, 0.3, 0.5)
    ellipse = Aperture(50.8, 48.5, 9.0, 6.0, 0.6)
    _, gradient = enclosed_light(params, psf, ellipse)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-4
        up, down = (
            enclosed_light(SersicParams.from_vector(params.to_vector() + s), psf, ellipse)[0]
            for s in (step, -step)
        )
        assert gradient[k] == pytest.approx((up - down) / 2e-4, abs=1e-5)


def test_correction_is_that_of_the_gaussians():
    fit = SersicFit(GAUSSIAN_GALAXY, flux=3.0)
    correction, error = psf_correction([fit], gaussian_psf(2.5), gaussian_psf(0.9), circle(5.0))
    expected = -2.5 * np.log10(gaussian_share(5.0, 0.9) / gaussian_share(5.0, 2.5))
    assert expected < -0.1
    assert correction == pytest.approx(expected, abs=0.004)
    assert error == 0


def test_no_correction_to_a_filter_of_the_same_psf_whatever_the_flux():
    psf = gaussian_psf(1.5)
    for flux in (5.0, -0.3):
        fit = SersicFit(GAUSSIAN_GALAXY, flux=flux)
        assert psf_correction([fit], psf, psf, circle(5.0))[0] == 0
        other = psf_correction([fit], psf, gaussian_psf(0.9), circle(5.0))[0]
        assert other == pytest.approx(
            psf_correction([replace(fit, flux=1.0)], psf, gaussian_psf(0.9), circle(5.0))[0]
        )


def test_correction_error_is_the_scatter_over_the_shape():
    covariance = np.full((7, 7), np.nan)
    covariance[2, 2] = 0.05**2  # ln r_eff alone is free
    fit = SersicFit(GAUSSIAN_GALAXY, 1.0, covariance=covariance)
    psfs = gaussian_psf(2.5), gaussian_psf(0.9)
    error = psf_correction([fit], *psfs, circle(5.0))[1]

    def shifted(step):
        params = replace(GAUSSIAN_GALAXY, r_eff=GAUSSIAN_GALAXY.r_eff * np.exp(step))
        return psf_correction([replace(fit, params=params)], *psfs, circle(5.0))[0]

    assert error == pytest.approx(abs(shifted(0.05) - shifted(-0.05)) / 2, rel=0.02)


def test_components_are_weighted_by_their_flux():
    one = SersicFit(GAUSSIAN_GALAXY, flux=1.0)
    wide = SersicFit(replace(GAUSSIAN_GALAXY, r_eff=12.0), flux=3.0)
    np.testing.assert_allclose(component_weights([one, wide]), [0.25, 0.75])
    psf, ellipse = gaussian_psf(0.9), circle(10.0)
    image = model_stamp([one, wide], psf, ellipse)
    expected = 0.25 * gaussian_share(10.0, 0.9) + 0.75 * gaussian_share(10.0, 0.9, r_eff=12.0)
    assert (overlap(ellipse).data * image).sum() == pytest.approx(expected, abs=3e-3)
