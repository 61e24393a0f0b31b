"""A unit means the same in every reader, and what it may mean twice is an error."""

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError
from galstep.steps import LoadCrop, StarPhot
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame, tan_wcs
from galstep.unit_names import parse_unit
from galstep.units import jansky_per_flux

SHAPE, SIDE = (61, 61), 0.031
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = (STAR.sampled(4, 61), 4)
X, Y, FLUX = [30.3], [29.6], 3.0e6
DATA = star_frame(SHAPE, STAR, X, Y, [FLUX]) + np.random.default_rng(1).normal(0, 1, SHAPE)
AREA = np.radians(SIDE / 3600) ** 2
# text: Jy of one unit in one pixel
UNITS = {
    "MJY/SR": 1e6 * AREA,
    "MJy/sterad": 1e6 * AREA,
    "mJy/SR": 1e-3 * AREA,
    "KJy/sr": 1e3 * AREA,
    "mJy/arcsec^2": 1e-3 * SIDE**2,
    "mJy / Pixel": 1e-3,
    "UJY": 1e-6,
    "NJY/PIXEL": 1e-9,
    "pJy": 1e-12,
    "10^-6 Jy": 1e-6,
    "W/m2/Hz": 1e26,
    "nanomaggies": 3.6307805e-6,
    "nmgy/arcsec2": 3.6307805e-6 * SIDE**2,
}
AMBIGUOUS = ["mjy", "mjy/sr", "mjy/beam", "PJY", "PJY/SR", "mjansky/pix"]
FILTER = "F150W"


def fits_file(folder, unit):
    header = tan_wcs(SHAPE).to_header()
    header["BUNIT"], header["FILTER"] = unit, FILTER
    path = folder / "image.fits"
    fits.PrimaryHDU(DATA, header).writeto(path)
    return path


def hdf5_file(folder, unit):
    path = folder / "image.h5"
    with h5py.File(path, "w") as file:
        file[FILTER] = DATA
        file[FILTER].attrs.update({"unit": unit, "pixel_scale": SIDE})
    return path


def in_memory(folder, unit):
    return NDData(DATA, wcs=tan_wcs(SHAPE), meta={"BUNIT": unit, "FILTER": FILTER})


DOORS = {"FITS": fits_file, "HDF5": hdf5_file, "NDData": in_memory}


@pytest.mark.parametrize("unit", UNITS)
def test_a_star_and_a_galaxy_have_the_same_brightness(tmp_path, unit):
    path = fits_file(tmp_path, unit)
    table = Table({"x": X, "y": Y})
    catalog = StarPhot(finder="none").run(path, PSF, init_params=table).catalog
    magnitude = -2.5 * np.log10(FLUX * UNITS[unit] / 3630.7805)
    assert catalog["mag_ab"][0].value == pytest.approx(magnitude, abs=2e-3)
    band = GalaxyModel.open(path, psf_file={FILTER: PSF}).bands[FILTER]
    assert band.unit == "MJy/sr"
    assert band.data[30, 30] == pytest.approx(DATA[30, 30] * UNITS[unit] / AREA * 1e-6, rel=1e-4)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("unit", ["mJy/PIXEL", "UJY", "nanomaggy"])
def test_every_reader_reads_the_same(tmp_path, door, unit):
    image = DOORS[door](tmp_path, unit)
    band = LoadCrop().run(GalaxyModel.open(image, psf_file={FILTER: PSF})).bands[FILTER]
    jansky = {"mJy/PIXEL": 1e-3, "UJY": 1e-6, "nanomaggy": 3.6307805e-6}[unit]
    assert np.nanmax(band.data) == pytest.approx(DATA.max() * jansky / AREA * 1e-6, rel=1e-3)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("unit", AMBIGUOUS)
def test_what_may_be_two_units_is_an_error(tmp_path, door, unit):
    image = DOORS[door](tmp_path, unit)
    message = f"unit '{unit}' may be [mp]Jy or [MP]Jy, which differ by 1e"
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(image, psf_file={FILTER: PSF})
    with pytest.raises(InputError, match=message):
        StarPhot().run(image, PSF)


def test_prefixes_keep_their_case():
    assert parse_unit("PJy", "x") == u.PJy
    assert parse_unit("pJy", "x") == parse_unit("pjy", "x") == u.pJy


@pytest.mark.parametrize("unit", ["nmgy", "nmgy / pix", "mgy", "nmgy / arcsec2"])
def test_a_maggy_is_the_light_of_magnitude_zero(unit):
    scale = 1.0 if unit == "mgy" else 1e-9
    area = SIDE**2 if "arcsec" in unit else 1.0
    assert jansky_per_flux(unit, AREA) == pytest.approx(3630.7805 * scale * area, rel=1e-6)
