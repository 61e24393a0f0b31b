"""``NDData`` and ``CCDData``, with all they can carry."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.masked import Masked
from mosaics import DEC, FLUX, RA, flux_of, make_image, make_mosaic_wcs, psf_of

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.duck_nddata import nddata_source
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf

SHAPE = (60, 70)
WCS = make_mosaic_wcs(SHAPE)
IMAGE = make_image(SHAPE, WCS)
META = {"FILTER": "F150W"}


def opened(image, **options):
    return GalaxyModel.open(image, psf_file=psf_of("F150W"), **options).bands["F150W"]


@pytest.mark.parametrize("kind", [np.asarray, NDData, np.ma.masked_array])
def test_a_mask_is_no_image(kind):
    with pytest.raises(InputError, match="must hold numbers, got true and false: it is a mask"):
        opened({"F150W": kind(IMAGE > 0.1)})


@pytest.mark.parametrize("kind", [CCDData, NDData])
def test_image_unit_mask_and_wcs(kind):
    mask = np.zeros(SHAPE, bool)
    mask[3, 4] = True
    factor = 1e-12 / np.radians(0.04 / 3600) ** 2
    band = opened(kind(IMAGE / factor, mask=mask, unit="uJy", wcs=WCS, meta=META))
    assert (band.unit, flux_of(band)) == ("MJy/sr", pytest.approx(FLUX, rel=1e-3))
    assert np.argwhere(band.mask).tolist() == [[3, 4]]
    assert band.pixel_position(RA, DEC) == pytest.approx((34.5, 29.5), abs=1e-6)


@pytest.mark.parametrize(
    ("uncertainty", "value"),
    [(StdDevUncertainty, 0.02), (VarianceUncertainty, 4e-4), (InverseVariance, 2500.0)],
)
def test_uncertainty(uncertainty, value):
    image = CCDData(IMAGE, uncertainty(np.full(SHAPE, value)), unit="MJy/sr", meta=META)
    np.testing.assert_allclose(opened(image).err, 0.02, rtol=1e-12)


def test_keywords_of_a_header():
    header = fits.Header({"FILTER": "F150W", "PIXAR_A2": 0.0025, "PHOTFNU": 1e-7})
    factor = 1e-13 / np.radians(0.05 / 3600) ** 2
    band = opened(CCDData(IMAGE / factor, unit="electron/s", meta=header))
    np.testing.assert_allclose(band.data, IMAGE, rtol=1e-12)
    assert band.pixel_scale == pytest.approx(0.05)


def test_the_callers_arrays_stay():
    image = NDData(IMAGE.copy(), unit=u.MJy / u.sr, meta=META)
    opened(image).data[:] = 0
    np.testing.assert_array_equal(image.data, IMAGE)


def test_mapping_of_filter_to_image():
    galaxy = GalaxyModel.open(
        {"g": IMAGE, "r": NDData(2 * IMAGE, unit="MJy/sr")}, psf_file=psf_of("g", "r")
    )
    assert galaxy.filters == ("g", "r")
    np.testing.assert_array_equal(galaxy.bands["r"].data, 2 * IMAGE)
    assert galaxy.meta.name == "galaxy"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            NDData(np.ones(5), meta=META),
            r"input must be a 2-D image of real numbers, got shape \(5,",
        ),
        (NDData(np.ones((20, 20), complex), meta=META), "real numbers, got .* type complex128"),
        ([NDData(IMAGE), NDData(IMAGE)], "no keyword tells the filter; give filters, one for each"),
        (
            NDData(IMAGE, mask=np.ones(SHAPE, float), meta=META),
            "input: mask must be boolean or integer, got float64",
        ),
        (
            NDData(IMAGE, UnknownUncertainty(IMAGE), meta=META),
            "uncertainty must be StdDevUncertainty, .*, got UnknownUncertainty",
        ),
    ],
)
def test_messages(image, message):
    with pytest.raises(InputError, match=message):
        opened(image)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_uncertainty_in_another_unit(kind):
    sigma = np.full(IMAGE.shape, 250.0)  # mJy beside an image in Jy
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    uncertainty = kind(sigma**power, unit=u.mJy**power)
    source = nddata_source(NDData(IMAGE, uncertainty, unit="Jy", meta=META), "input")
    found = source.err if power == 1 else np.sqrt(source.variances[0])
    assert found == pytest.approx(np.full(IMAGE.shape, 0.25))


MASK = np.zeros(IMAGE.shape, dtype=bool)
MASK[2, 3] = True
ARRAYS = {
    "array": (IMAGE, None, False),
    "masked array": (np.ma.array(IMAGE, mask=MASK), None, True),
    "quantity": (IMAGE * u.nJy, u.nJy, False),
    "Masked": (Masked(IMAGE, mask=MASK), None, True),
    "Masked quantity": (Masked(IMAGE * u.nJy, mask=MASK), u.nJy, True),
    "NDData of a quantity": (NDData(IMAGE * u.nJy, mask=MASK), u.nJy, True),
    "NDData of a masked array": (NDData(np.ma.array(IMAGE, mask=MASK), unit="nJy"), u.nJy, True),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_keep_mask_and_unit(name):
    array, unit, masked = ARRAYS[name]
    psf = {"F150W": (default_psf("F150W").sampled(4, 61), 4)}
    band = GalaxyModel.open({"F150W": array}, psf_file=psf, unit="MJy/sr").bands["F150W"]
    assert np.array_equal(band.mask, MASK if masked else ~np.isfinite(IMAGE))
    factor = 1.0 if unit is None else 1e-9 * 1e-6 / band.pixel_area_sr  # nJy per pixel
    assert band.data[5, 5] == pytest.approx(IMAGE[5, 5] * factor, rel=1e-6)
