"""Angles and positions in every spelling are the same degrees."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord

from galstep.datamodels.catalogs.angles import degrees_of, sky_place
from galstep.exceptions import InputError

RA, DEC = 150.11375, -2.228333333333333
COORD = SkyCoord(RA * u.deg, DEC * u.deg)


@pytest.mark.parametrize(
    "given", [RA, "150.11375", "10:00:27.3", "10h00m27.3s", "10 00 27.3", RA * u.deg,
              Angle("10h00m27.3s"), (RA * u.deg).to(u.rad), "150d06m49.5s", np.float32(RA)],
    ids=str,
)  # fmt: skip
def test_right_ascension(given):
    assert degrees_of(given, True, "ra") == pytest.approx(RA, abs=1e-5)


@pytest.mark.parametrize("given", [DEC, "-2:13:42", "-02d13m42s", DEC * 60 * u.arcmin], ids=str)
def test_declination(given):
    assert degrees_of(given, False, "dec") == pytest.approx(DEC, abs=1e-9)


@pytest.mark.parametrize(
    "given",
    [COORD, COORD.galactic, SkyCoord([RA] * u.deg, [DEC] * u.deg), "10:00:27.3 -2:13:42",
     "10:00:27.3, -2:13:42", "10 00 27.3 -2 13 42", "150.11375 -2.22833333", (RA, DEC),
     [RA * u.deg, "-2:13:42"], np.array([RA, DEC]), COORD.fk5],
    ids=str,
)  # fmt: skip
def test_position(given):
    assert sky_place(given) == pytest.approx((RA, DEC), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("10:00:27.3", "must be right ascension and declination"),
        ((RA,), "must be a SkyCoord, text, or"),
        (7.0, "must be a SkyCoord, text, or"),
        (None, "must be a SkyCoord, text, or"),
        ((RA, 95), "declination in"),
        ((RA, "north"), "dec must be an angle"),
        ((RA, 5 * u.s), "dec must be an angle"),
        ((float("nan"), 0), "declination in"),
        (SkyCoord([1, 2] * u.deg, [1, 2] * u.deg), "one position, got a SkyCoord of 2"),
    ],
    ids=str,
)
def test_what_is_no_position(given, message):
    with pytest.raises(InputError, match=message) as caught:
        sky_place(given)
    assert "\n" not in str(caught.value)
