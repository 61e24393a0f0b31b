"""One galaxy brought in every form: the same measurement."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from duck_images import image_model
from mosaics import DEC, RA, make_mosaic_wcs
from stpipe import Step

from galstep.datamodels import GalaxyModel
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

NAME = "F150W"
SHAPE = (61, 61)
SCALE = 0.03
WCS = make_mosaic_wcs(SHAPE, SCALE)
SKIPPED = ("psfcalibrate", "scalefit", "forcedscalefit", "jointfit", "aperphot")


@pytest.fixture(scope="module")
def scene():
    return make_scene(5, SHAPE, 4, (NAME,), snr=200.0, psf_size=61)


@pytest.fixture(scope="module")
def planes(scene):
    """Data and error as the HDF5 file holds them."""
    return scene.data[NAME].astype("f4"), scene.err[NAME].astype("f4")


@pytest.fixture(scope="module")
def psf(scene, tmp_path_factory):
    return str(scene.write_psf(tmp_path_factory.mktemp("psf") / "psf.h5"))


def measure(source, psf_file, **loadcrop):
    """Flux, its error, r_eff and place in the input frame."""
    steps = {key: {"skip": True} for key in SKIPPED}
    steps["loadcrop"] = {"psf_file": psf_file, **loadcrop}
    model = GalPipeline(steps=steps, qa_figure=False).run(source)
    band = model.bands[NAME]
    fit = band.fit.sersic[0]
    place = np.add(band.origin, (fit.params.x_0, fit.params.y_0))
    return np.array([fit.flux, fit.flux_err, fit.params.r_eff, *place])


@pytest.fixture(scope="module")
def expected(scene, psf, tmp_path_factory):
    """What is measured in the HDF5 file."""
    path = tmp_path_factory.mktemp("hdf5") / "x.h5"
    scene.write_hdf5(path)
    result = measure(path, psf)
    assert abs(result[0] - scene.truth.fluxes[NAME]) < 5 * result[1]
    return result


def hdus_of(data, err, unit="MJy/sr", **keywords):
    image = fits.ImageHDU(data, WCS.to_header(), name="SCI")
    image.header.update(BUNIT=unit, FILTER=NAME, **keywords)
    return fits.HDUList([fits.PrimaryHDU(), image, fits.ImageHDU(err, name="ERR")])


def test_fits(planes, psf, expected, tmp_path):
    hdus_of(*planes).writeto(tmp_path / "x.fits")
    np.testing.assert_allclose(measure(tmp_path / "x.fits", psf), expected, rtol=1e-6)


@pytest.mark.slow
def test_fits_in_electrons(planes, psf, expected, tmp_path):
    factor = 2.5e-13 / np.radians(SCALE / 3600) ** 2
    counts = [plane / factor for plane in planes]
    hdus_of(*counts, unit="ELECTRONS/S", PHOTFNU=2.5e-7).writeto(tmp_path / "x.fits")
    np.testing.assert_allclose(measure(tmp_path / "x.fits", psf), expected, rtol=1e-5)


def test_ccddata(planes, psf, expected):
    image = CCDData(
        planes[0], StdDevUncertainty(planes[1]), unit="MJy/sr", wcs=WCS, meta={"FILTER": NAME}
    )
    np.testing.assert_allclose(measure(image, psf), expected, rtol=1e-6)


def test_image_model(planes, psf, expected):
    model = image_model(NAME, SHAPE, data=planes[0], err=planes[1])
    model.meta.wcs = WCS
    np.testing.assert_allclose(measure(model, psf), expected, rtol=1e-6)


@pytest.mark.slow
def test_psf_in_a_fits_file(scene, planes, expected, tmp_path):
    hdus_of(*planes).writeto(tmp_path / "x.fits")
    psf = fits.PrimaryHDU(np.float32(scene.psf_arrays[NAME]))
    psf.header.update(FILTER=NAME, OVERSAMP=scene.truth.oversample)
    psf.writeto(tmp_path / "psf.fits")
    result = measure(tmp_path / "x.fits", str(tmp_path / "psf.fits"))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.slow
def test_cut_out_of_a_mosaic(planes, psf, expected, tmp_path):
    """The same pixels in the corner of a frame of three times the size."""
    offset = (70, 95)
    wcs = WCS.deepcopy()
    wcs.wcs.crpix += offset
    hdus = hdus_of(*planes)
    for hdu in hdus[1:]:
        mosaic = np.full((183, 183), np.nan, "f4")
        mosaic[offset[1] : offset[1] + 61, offset[0] : offset[0] + 61] = hdu.data
        hdu.data = mosaic
    hdus[1].header.update(wcs.to_header())
    hdus.writeto(tmp_path / "mosaic.fits")
    result = measure(tmp_path / "mosaic.fits", psf, ra=RA, dec=DEC, size=61 * SCALE)
    np.testing.assert_allclose(result, expected + [0, 0, 0, *offset], rtol=1e-6)


def test_command_line(planes, psf, expected, elsewhere):
    hdus_of(*planes).writeto("x.fits")
    skipped = [f"--steps.{key}.skip=true" for key in SKIPPED]
    options = [f"--steps.loadcrop.psf_file={psf}", "--qa_figure=false", *skipped]
    Step.from_cmdline(["gal_pipeline", "x.fits", *options])
    fit = GalaxyModel.open("x_gal.asdf").bands[NAME].fit.sersic[0]
    assert (fit.flux, fit.flux_err) == pytest.approx(tuple(expected[:2]), rel=1e-6)
