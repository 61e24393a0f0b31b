"""galstep in romancal itself: its mosaics, steps and hooks."""

import os

import numpy as np
import pytest

pytest.importorskip("romancal", reason="romancal is not installed")

from roman_datamodels import datamodels
from romancal.stpipe import RomanStep
from tan_gwcs import make_gwcs, measured_flux, put_parameters

from galstep.datamodels import GalaxyModel
from galstep.testing import make_scene

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

RA, DEC, SCALE = 270.0, 66.5, 0.055
NAME = "F158"
SCENE_NAME = "F150W"


@pytest.fixture(autouse=True)
def _no_reference_server(monkeypatch, tmp_path):
    monkeypatch.setenv("STPIPE_DISABLE_CRDS_STEPPARS", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def scene():
    return make_scene(5, (71, 71), 8, (SCENE_NAME,), snr=200.0, psf_size=81)


@pytest.fixture
def mosaic(scene):
    """A level 3 mosaic of the scene."""
    shape = (71, 71)
    model = datamodels.MosaicModel.create_fake_data(shape=shape)
    model.data = scene.data[SCENE_NAME].astype("f4")
    model.err = scene.err[SCENE_NAME].astype("f4")
    model.weight = np.ones(shape, "f4")
    model.meta.filename = "r00001_f158_coadd.asdf"
    model.meta.instrument.optical_element = NAME
    model.meta.wcs = make_gwcs(RA, DEC, 35.0, 35.0, SCALE, shape)
    return model


@pytest.fixture
def psf_file(scene, tmp_path):
    import h5py

    path = tmp_path / "psf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["oversample"] = scene.truth.oversample
        file[NAME] = scene.psf_arrays[SCENE_NAME]
    return str(path)


def check(band, scene):
    np.testing.assert_allclose(band.data, scene.data[SCENE_NAME], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(band.err, scene.err[SCENE_NAME], rtol=1e-6)
    assert (band.unit, band.pixel_scale) == ("MJy/sr", pytest.approx(SCALE, rel=1e-6))
    assert band.pixel_position(RA, DEC) == pytest.approx((35, 35), abs=1e-3)


def test_mosaic_model(mosaic, psf_file, scene):
    model = GalaxyModel.open(mosaic, psf_file=psf_file)
    assert model.meta.name == "r00001_f158_coadd"
    check(model.bands[NAME], scene)


def test_its_file(mosaic, psf_file, scene):
    mosaic.save("r00001_f158_coadd.asdf")
    check(GalaxyModel.open("r00001_f158_coadd.asdf", psf_file=psf_file).bands[NAME], scene)


def test_cut_out_of_its_file(mosaic, psf_file, scene):
    mosaic.save("mosaic.asdf")
    model = GalaxyModel.open("mosaic.asdf", psf_file=psf_file, ra=RA, dec=DEC, size=40 * SCALE)
    band = model.bands[NAME]
    assert band.shape == (40, 40)
    x, y = band.origin
    expected = scene.data[SCENE_NAME][y : y + 40, x : x + 40]
    np.testing.assert_allclose(band.data, expected, rtol=1e-5, atol=1e-6)
    assert band.pixel_position(RA, DEC) == pytest.approx((35 - x, 35 - y), abs=1e-3)


class Nothing(RomanStep):
    """A step of romancal that does nothing."""

    class_alias = "nothing"

    spec = ""

    def process(self, input):
        return input


@pytest.mark.parametrize("hook", ["galstep.hooks.measure", "galstep.hooks.Measure"])
def test_hook_of_a_step(mosaic, psf_file, scene, tmp_path, hook):
    put_parameters(tmp_path, psf_file, pixel_scale=SCALE)
    result = Nothing.call(mosaic, post_hooks=[hook], save_results=True, suffix="nothing")
    assert isinstance(result, datamodels.MosaicModel)
    assert result.meta.cal_step.gal_measure == "COMPLETE"
    flux, error = measured_flux("r00001_f158_coadd_gal.asdf", NAME)
    assert abs(flux - scene.truth.fluxes[SCENE_NAME]) < 5 * error
    saved = [name for name in os.listdir(".") if name.endswith("nothing.asdf")]
    assert len(saved) == 1
    with datamodels.open(saved[0]) as model:
        assert isinstance(model, datamodels.MosaicModel)
