"""AB magnitudes against numbers known beforehand."""

import numpy as np
import pytest
from astropy import units as u

from galstep.exceptions import InputError, ParameterError
from galstep.units import (
    ab_magnitude,
    check_unit,
    colour,
    flux_unit,
    jansky_per_flux,
    upper_limit,
)

AREA = (0.03 / 206264.80625) ** 2  # of a pixel of 0.03 arcsec, sr


def test_zero_point_of_the_sample_images():
    # AB = 28.0865 - 2.5 log10(S) for a sum S in MJy/sr over pixels of 0.03 arcsec
    magnitude, error = ab_magnitude(10.0, 0.5, "MJy/sr", AREA)
    assert magnitude == pytest.approx(25.5865, abs=1e-4)
    assert error == pytest.approx(2.5 / np.log(10) * 0.05)


@pytest.mark.parametrize("unit", ["Jy", "Jy/pix", "Jy / pix"])
def test_flux_density_per_pixel_needs_no_area(unit):
    # the zero point of AB is 3631 Jy, or magnitude 8.90 of 1 Jy
    assert ab_magnitude(1.0, 0.1, unit, AREA)[0] == pytest.approx(8.90, abs=1e-3)


def test_counts_have_no_magnitude():
    assert np.isnan(jansky_per_flux("ct", AREA))
    assert np.isnan(ab_magnitude(5.0, 1.0, "ct", AREA)[0])


def test_arrays_and_fluxes_that_are_not_positive():
    magnitude, error = ab_magnitude([1.0, 0.0, -1.0], [0.1, 0.1, 0.1], "MJy/sr", AREA)
    assert np.isfinite(magnitude).tolist() == [True, False, False]
    assert np.isfinite(error).tolist() == [True, False, False]


def test_flux_unit():
    assert flux_unit("MJy/sr") == u.Unit("MJy pix / sr")
    assert flux_unit("Jy/pix") == u.Jy


@pytest.mark.parametrize("unit", ["MJy/sr", b"MJy/sr", u.Unit("MJy/sr")])
def test_check_unit_gives_text(unit):
    assert u.Unit(check_unit(unit, "image")) == u.Unit("MJy/sr")


@pytest.mark.parametrize("unit", ["furlongs", 3.5j, None])
def test_check_unit_names_what_is_wrong(unit):
    with pytest.raises(InputError, match="image: unit must be one that astropy knows, got"):
        check_unit(unit, "image")


def test_colour_is_the_difference_of_astropy_magnitudes():
    value, _ = colour(3.0, 7.5, np.zeros((2, 2)))
    expected = (3.0 * u.Jy).to(u.ABmag) - (7.5 * u.Jy).to(u.ABmag)
    assert value == pytest.approx(expected.value)


def test_colour_error_counts_the_covariance():
    rng = np.random.default_rng(3)
    covariance = np.array([[0.04, 0.05], [0.05, 0.16]])
    draws = rng.multivariate_normal([10.0, 20.0], covariance, size=40_000)
    scatter = np.std(-2.5 * np.log10(draws[:, 0] / draws[:, 1]))
    assert colour(10.0, 20.0, covariance)[1] == pytest.approx(scatter, rel=0.02)


def test_an_error_common_to_both_fluxes_leaves_the_colour_alone():
    shared = 0.1 * np.array([2.0, 5.0])
    assert colour(2.0, 5.0, np.outer(shared, shared))[1] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("fluxes", [(0.0, 1.0), (1.0, -1.0), (np.nan, 1.0)])
def test_no_colour_without_positive_fluxes(fluxes):
    assert np.isnan(colour(*fluxes, np.eye(2))).all()


def test_an_unknown_covariance_gives_an_unknown_error():
    value, error = colour(1.0, 1.0, np.full((2, 2), np.nan))
    assert value == 0
    assert np.isnan(error)


@pytest.mark.parametrize(("flux", "limit"), [(2.0, 5.0), (-40.0, 3.0)])
def test_limit_is_three_errors_above_what_was_measured_or_zero(flux, limit):
    area = 2.1e-14
    expected = (limit * u.MJy / u.sr * (area * u.sr)).to(u.ABmag).value
    assert upper_limit(flux, 1.0, "MJy/sr", area) == pytest.approx(expected)


def test_no_limit_without_an_error_or_in_counts():
    assert np.isnan(upper_limit(1.0, np.nan, "MJy/sr", 1e-14))
    assert np.isnan(upper_limit(1.0, 1.0, "electron/s", 1e-14))


def test_limit_wants_a_positive_number_of_sigma():
    with pytest.raises(ParameterError, match="n_sigma must be > 0, got 0"):
        upper_limit(1.0, 1.0, "MJy/sr", 1e-14, n_sigma=0)
