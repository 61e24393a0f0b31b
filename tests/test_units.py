"""AB magnitudes against numbers known beforehand."""

import numpy as np
import pytest
from astropy import units as u

from galstep.exceptions import InputError
from galstep.units import ab_magnitude, check_unit, flux_unit, jansky_per_flux

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
