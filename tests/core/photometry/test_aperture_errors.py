"""The terms of an aperture's error, each in a case where it is known."""

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY, SHAPE, circle, gaussian_psf

from galstep.core.photometry.aperture_errors import (
    ErrorTerms,
    light_variance,
    model_terms,
    pixel_noise_error,
    star_error,
)
from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.records import SersicFit, StarList


@pytest.mark.parametrize("seed", range(40))
def test_the_parts_add_up_to_the_whole(seed):
    variance, sky, star = 10 ** np.random.default_rng(seed).uniform(-6, 6, 3)
    parts = model_terms(variance, sky, star)
    assert min(parts) >= 0
    assert np.sum(np.square(parts)) == pytest.approx(max(variance, sky**2), rel=1e-9)
    # the sky counts in full, the stars for no more than they are
    assert parts[0] == sky
    assert parts[1] <= star


def test_without_a_variance_the_guesses_stand():
    assert model_terms(np.nan, 2.0, 3.0) == (2.0, 3.0, 0.0)


def test_the_total_is_the_quadratic_sum():
    assert ErrorTerms(2.0, 3.0, 6.0, 0.0, 0.0).total == pytest.approx(7.0)
    assert ErrorTerms(0.0, 0.0, 0.0, 3.0, 4.0).total == pytest.approx(5.0)


def test_variance_of_the_light_is_its_scatter_over_the_parameters():
    covariance = np.zeros((7, 7))
    covariance[2, 2], covariance[6, 6] = 0.02**2, 0.1**2
    covariance[2, 6] = covariance[6, 2] = 0.8 * 0.02 * 0.1
    fit = SersicFit(GAUSSIAN_GALAXY, 5.0, covariance=covariance)
    psf = gaussian_psf(0.9)
    slopes = GalaxyLight([fit], psf, SHAPE).slopes(circle(6.0))
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(7), covariance, 400)
    lights = []
    for step in drawn:
        moved = fit.params.from_vector(fit.params.to_vector() + step[:6])
        galaxy = SersicFit(moved, 5.0 + step[6])
        lights.append(galaxy.flux * GalaxyLight([galaxy], psf, SHAPE).share(circle(6.0)))
    # 400 draws: 3.5 % of a standard deviation
    assert np.sqrt(light_variance([fit], slopes)) == pytest.approx(np.std(lights), rel=0.12)


def test_components_count_as_independent():
    fit = SersicFit(GAUSSIAN_GALAXY, 5.0, flux_err=0.2)
    slopes = GalaxyLight([fit], gaussian_psf(0.9), SHAPE).slopes(circle(6.0))
    one = light_variance([fit], slopes)
    assert light_variance([fit, fit], np.vstack([slopes, slopes])) == pytest.approx(2 * one)


def test_an_unknown_error_of_the_flux_is_not_zero():
    fit = SersicFit(GAUSSIAN_GALAXY, 5.0)
    slopes = GalaxyLight([fit], gaussian_psf(0.9), SHAPE).slopes(circle(6.0))
    assert np.isnan(light_variance([fit], slopes))


@pytest.mark.parametrize(("corr", "factor"), [(1.0, 1.0), (3.0, 3.0), (np.nan, 1.0)])
def test_white_noise_grows_as_the_root_of_the_area(corr, factor):
    error, mask = np.full(SHAPE, 0.2), np.zeros(SHAPE, bool)
    found = pixel_noise_error(error, mask, circle(20.0), corr)
    # pixels at the rim count with the square of their overlap
    assert found == pytest.approx(factor * 0.2 * np.sqrt(np.pi) * 20, rel=0.02)
    mask[:, :50] = True
    assert pixel_noise_error(error, mask, circle(20.0), corr) == pytest.approx(found, rel=0.01)


def stars(x, y, flux_err):
    n = len(x)
    return StarList(
        np.arange(n), np.array(x), np.array(y), *np.ones((3, n)), np.array(flux_err),
        np.ones(n), np.zeros(n, int),
    )  # fmt: skip


@pytest.mark.parametrize(("dx", "share"), [(0.0, 1.0), (18.0, 0.5), (60.0, 0.0)])
def test_a_star_adds_its_error_by_its_share(dx, share):
    error = star_error(stars([50.3 + dx], [48.9], [0.7]), gaussian_psf(1.2), circle(18.0), 0.1)
    assert error == pytest.approx(0.7 * share, abs=0.03)


def test_stars_add_up_and_unknown_errors_are_those_of_white_noise():
    psf = gaussian_psf(1.2)
    two = star_error(stars([50.0, 52.0], [49.0, 45.0], [0.3, 0.4]), psf, circle(18.0), 0.1)
    assert two == pytest.approx(0.5, rel=0.01)
    unknown = star_error(stars([50.0], [49.0], [np.nan]), psf, circle(18.0), 0.1)
    # 4 pi sigma^2 is the noise area of a Gaussian
    assert unknown == pytest.approx(0.1 * np.sqrt(4 * np.pi) * 1.2, rel=0.01)
    assert star_error(StarList.empty(), psf, circle(18.0), 0.1) == 0
