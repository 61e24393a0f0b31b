"""What is refused before memory or time is spent on it: units, headers, texts, tables, PSFs."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from galstep.datamodels.files.fits_bounds import check_header_end
from galstep.datamodels.files.image_bounds import check_arrays, check_pixel_side, check_pixels
from galstep.datamodels.files.psf_bounds import check_psf_light, check_psf_size
from galstep.datamodels.files.table_bounds import bounded_positions, check_rows, check_table_file
from galstep.datamodels.files.wcs_bounds import check_wcs_header
from galstep.datamodels.files.wcs_text import wcs_from_text
from galstep.datamodels.images.fits_input import open_fits
from galstep.exceptions import InputError
from galstep.psf_array import whole_oversample
from galstep.units import check_unit

GOOD_UNITS = [
    "MJy/sr", "Jy", "electron / s", "", "10**-20 erg / (s cm2 Angstrom)", "1e-26 W m-2 Hz-1",
    "10^-23 erg s-1 cm-2 Hz-1", "Jy(1/2)", "1000 Jy", "1e-20 erg s-1 cm-2 Angstrom-1",
]  # fmt: skip
BAD_UNITS = [
    "10**999999999 Jy", "10^999999999 Jy", "10+999999999 Jy", "10-999999999 Jy",
    "10**(999999999) Jy", "10** 999999999 Jy", "10**+999999999 Jy", "2**99999999 Jy", "-1 Jy",
    "-1e-3 MJy/sr", "0 Jy", "1e999 Jy", "1e-320 Jy", "Jy " * 1000, "(" * 500 + "Jy" + ")" * 500,
    "10**400 Jy", "mJy**99", "nan Jy", "nonsense", "mag",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("unit", GOOD_UNITS)
def test_units_that_are_used(unit):
    assert check_unit(unit, "x") == unit


@pytest.mark.parametrize("unit", BAD_UNITS, ids=[unit[:20] for unit in BAD_UNITS])
def test_units_that_are_none(unit):
    with pytest.raises(InputError, match=r"^x: unit must .*got") as caught:
        check_unit(unit, "x")
    assert len(str(caught.value)) < 300


WCS = {"WCSAXES": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
       "CRPIX1": 20.0, "CRPIX2": 20.0, "CDELT1": -8e-6, "CDELT2": 8e-6}  # fmt: skip


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    "keys",
    [
        {"A_ORDER": 999999, "B_ORDER": 2}, {"A_ORDER": 2, "B_ORDER": 99}, {"A_ORDER": -5},
        {"AP_ORDER": 999999}, {"BP_ORDER": 10**9}, {"A_ORDER": 1e300}, {"A_ORDER": "many"},
        {"A_ORDER": 2.5}, {"WCSAXES": 9999999}, {"WCSAXES": -1}, {"PV1_9999999": 1.0},
        {"PS2_100": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_headers_of_no_end(keys):
    with pytest.raises(InputError, match=r"x: \w+ must be"):
        check_wcs_header(WCS | keys, "x")
    with pytest.raises(InputError):
        wcs_from_text(fits.Header(WCS | keys).tostring(sep="\n"), "x")


def test_headers_that_are_used():
    check_wcs_header(WCS | {"A_ORDER": 9, "B_ORDER": 9, "AP_ORDER": 0, "PV2_39": 1.0}, "x")
    assert wcs_from_text(fits.Header(WCS).tostring(sep="\n"), "x").has_celestial
    with pytest.raises(InputError, match="must be a FITS header, got 2000000 characters"):
        wcs_from_text("A" * 2_000_000, "x")


@pytest.mark.parametrize(
    "shape", [(200_000, 200_000), (1 << 40, 4), (1, 10**9), (10_001, 10_000), (2**62, 2**62)]
)
def test_sizes(shape):
    with pytest.raises(InputError, match=r"x must have at most 1e\+08 pixels, got .* x .*: cut"):
        check_pixels(shape, "x", "cut it")
    with pytest.raises(InputError, match="x: a: must|x: a must"):
        check_arrays({"a": np.broadcast_to(0.0, (20_000, 20_000))}, "x")
    check_pixels((10_000, 10_000), "x")
    check_pixels(None, "x")
    check_pixels((), "x")


@pytest.mark.parametrize("side", [1e-300, 0.0, -1.0, np.nan, np.inf, 1e300, 1e-7, 2e5])
def test_pixels_that_are_none(side):
    with pytest.raises(InputError, match="the pixels must be 1e-06 to 100000 arcsec wide"):
        check_pixel_side(side, "x")


@pytest.mark.parametrize(
    "value", [np.inf, np.nan, 0, -4, 2.5, 1e300, 10**6, "4", [4, 5], None, True, 101, 1 + 2j]
)
def test_oversampling_that_is_none(value):
    with pytest.raises(InputError, match="x: oversample must be a positive integer, got"):
        whole_oversample(value, "x")


def test_oversampling():
    assert [whole_oversample(v, "x") for v in (1, 4.0, np.int8(2), np.array([11]))] == [1, 4, 2, 11]
    with pytest.raises(InputError, match=r"must have at most 2.5e\+07 pixels"):
        check_psf_size((5001, 5000), "x")


def psf_at(x, y, size=61, sigma=3.0):
    """A Gaussian."""
    rows, columns = np.indices((size, size))
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("place", [(55, 55), (0, 0), (30, 55), (60, 0), (5, 30)])
def test_light_far_from_the_middle(place):
    with pytest.raises(InputError, match=r"the star must be in the middle of the array, and is"):
        check_psf_light(psf_at(*place), 4, "x")
    lone = np.full((61, 61), 1e-12)
    lone[place[1], place[0]] = 1.0
    with pytest.raises(InputError, match=r"the star must be in the middle"):
        check_psf_light(lone, 4, "x")


@pytest.mark.parametrize(("shift", "is_told"), [(0.0, False), (2.0, False), (8.0, True)])
def test_light_beside_the_middle_is_told(shift, is_told, caplog):
    # in samples, of which four are a pixel; the F160W library PSF is half a pixel off
    with caplog.at_level(logging.WARNING):
        check_psf_light(psf_at(30 + shift, 30), 4, "x")
    assert ("in the middle" in caplog.text) == is_told
    check_psf_light(np.ones((9, 9)), 4, "flat")


LONG = 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,y\n1," + b"9" * LONG + b"\n", "a line or cell of at most 131072 characters is read"),
        (b"9" * 10_000_000, "a line or cell of at most 131072 characters is read"),
        (b"x,y\n" + b"1,2\n" * 10 + b"," * LONG, "a line or cell of at most 131072 characters"),
        (b"x," * 4_200_000, "a line or cell"),
        (
            b"# %ECSV 1.0\n# ---\n# a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"# a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10))
                for i in range(1, 10)
            )
            + b"x\n1\n",
            "aliases that repeat",
        ),
        (b"# %ECSV 1.0\n# ---\n# a: " + b"[" * 100 + b"\nx\n1\n", "nested more than"),
    ],
    ids=["cell", "endless line", "last line", "columns", "aliases", "nesting"],
)  # fmt: skip
def test_tables_of_no_end(content, message, tmp_path):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        check_table_file(tmp_path / "x.csv", "catalog")


def test_tables_that_are_read(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"x,y\n" + b"1,2\n" * 1_500_000)
    check_table_file(tmp_path / "x.csv", "catalog")
    (tmp_path / "x.fits").write_bytes(b"SIMPLE" + b"\0" * 300_000)
    check_table_file(tmp_path / "x.fits", "catalog")
    with open(tmp_path / "sparse", "wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(InputError, match="a table of at most 256 MB is read"):
        check_table_file(tmp_path / "sparse", "catalog")


def test_rows_and_positions():
    check_rows(1681, 1681, "x")
    with pytest.raises(InputError, match="got 1000000 positions for 1681 pixels"):
        check_rows(1_000_000, 1681, "x")
    found = bounded_positions([np.inf, -np.inf, np.nan, 1e308, -1e308, 5.5])
    np.testing.assert_array_equal(found, [np.nan, np.nan, np.nan, 1e7, -1e7, 5.5])


def test_header_without_an_end(tmp_path):
    card = b"SIMPLE  =                    T".ljust(80)
    (tmp_path / "x.fits").write_bytes(card + b"COMMENT y".ljust(80) * 50_000)
    with (
        open(tmp_path / "x.fits", "rb") as stream,
        pytest.raises(InputError, match="x: its header has no END within 1000 blocks"),
    ):
        check_header_end(stream, "x")


@pytest.mark.parametrize("damage", [None, "data", "sum"])
def test_wrong_checksum_is_told(damage, tmp_path, caplog):
    from contextlib import ExitStack

    path = tmp_path / "x.fits"
    image = fits.ImageHDU(np.arange(400.0).reshape(20, 20), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=True)
    content = bytearray(path.read_bytes())
    if damage == "data":
        content[-2000] ^= 0x40
    elif damage == "sum":
        where = content.rindex(b"DATASUM = '") + 11
        content[where : where + 1] = b"9" if content[where : where + 1] != b"9" else b"8"
    path.write_bytes(content)
    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        open_fits(path, "input", stack)
    assert ("x.fits[SCI]: the data are not those that DATASUM" in caplog.text) == bool(damage)
