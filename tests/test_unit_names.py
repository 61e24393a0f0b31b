import numpy as np
import pytest
from astropy import units as u

from galstep.datamodels.images.calibration import surface_brightness_factor
from galstep.datamodels.images.image_source import Calibration
from galstep.exceptions import InputError
from galstep.unit_names import parse_unit

SPELLINGS = {
    u.MJy / u.sr: ("MJy/sr", "MJY/SR", b"MJy/sr", "MJy sr-1", "Mjy/Sr", "MegaJy / steradian"),
    u.electron / u.s: (
        "ELECTRONS/S", "electrons/sec", "e-/s", "E-/S", "e/s", "e- s-1", "electrons per second",
    ),
    u.count: ("COUNTS", "counts", "cts"),
    u.count / u.s: ("counts/s", "cps", "COUNTS/SEC", "count s^-1"),
    u.DN / u.s: ("DN/s", "DN/S"),
    u.adu: ("adu", "ADU"),
    u.uJy: ("uJy", "UJY", "microJansky", "micro-Jy", "\u00b5Jy"),
    u.nJy / u.pix: ("nJy/pix", "NJY/PIXEL"),
    10 * u.nJy: ("10.0*nanoJansky", "10 nJy"),
    u.mJy / u.pix: ("mJy/pixel", "mJy/PIXEL", "mJy / Pixel", "milliJansky/pix"),
    u.mJy / u.sr: ("mJy/sr", "mJy/SR"),
    u.mJy / u.beam: ("mJy/BEAM", "mJy/beam"),
    u.mJy: ("mJy", "mJY"),
    u.Jy / u.pix: ("Jy/pixel", "JY/PIXEL"),
    u.erg / u.s / u.cm**2 / u.Hz: ("erg/s/cm2/Hz", "ERG/S/CM2/HZ", "erg s-1 cm-2 Hz-1"),
    1e-20 * u.erg / u.s / u.cm**2 / u.AA: ("1e-20 erg/s/cm2/AA", "1.E-20 erg/s/cm**2/Angstrom"),
    u.Jy / u.arcsec**2: (u.Jy / u.arcsec**2, "Jy/arcsec2", "JY/ARCSEC2"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "unit"), [(text, unit) for unit, texts in SPELLINGS.items() for text in texts]
)
def test_spelling(text, unit):
    assert np.isclose(parse_unit(text, "x").to(unit), 1.0, rtol=1e-12)


@pytest.mark.parametrize("text", ["mjy", "mjy/sr", "mjy/pixel", "mjansky"])
def test_a_prefix_without_its_case_may_be_either(text):
    with pytest.raises(InputError, match=f"x: unit '{text}' may be mJy or MJy"):
        parse_unit(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("furlongs", "must be one that astropy knows, got 'furlongs'"),
        ("1//2", "must be one that astropy knows"),
        ("mag", "must be linear in the light, got 'mag'"),
        ("mag/arcsec2", "must be linear in the light"),
        ("-1 Jy", "positive"),
        ("0 Jy", "must be one that astropy knows"),
        ("10**999999999 Jy", "exponents"),
    ],
)
def test_what_is_no_unit_of_an_image(text, message):
    with pytest.raises(InputError, match=f"x: unit {message}" if "must" in message else message):
        parse_unit(text, "x")


def test_no_unit_is_no_brightness():
    factor, reason = surface_brightness_factor(parse_unit("", "x"), 1e-14, Calibration())
    assert factor is None
    assert "neither a brightness nor counts" in reason
