"""galstep in jwst itself: its image models, steps, pipelines and hooks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jwst", reason="jwst is not installed")

from jwst.source_catalog import SourceCatalogStep
from jwst.stpipe import Pipeline, Step
from stdatamodels.jwst import datamodels
from tan_gwcs import make_gwcs, measured_flux, put_parameters

from galstep.datamodels import GalaxyModel
from galstep.hooks import Measure
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

pytestmark = [
    pytest.mark.slow,
    # of the host's, none of our matter
    pytest.mark.filterwarnings("default"),
]

DOCS = Path(__file__).parents[2] / "docs"
RA, DEC, SCALE = 202.47, 47.195, 0.03
NAME = "F150W"


@pytest.fixture(autouse=True)
def _no_reference_server(monkeypatch, tmp_path):
    monkeypatch.setenv("STPIPE_DISABLE_CRDS_STEPPARS", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def scene():
    return make_scene(5, (71, 71), 8, (NAME,), snr=200.0, psf_size=81)


@pytest.fixture
def image(scene):
    """An i2d image of the scene."""
    model = datamodels.ImageModel(scene.data[NAME].astype("f4"))
    model.err = scene.err[NAME].astype("f4")
    model.wht = np.ones_like(model.err)
    model.meta.filename = "jw01234_i2d.fits"
    model.meta.instrument.name = "NIRCAM"
    model.meta.instrument.filter = NAME
    model.meta.instrument.pupil = "CLEAR"
    model.meta.bunit_data = "MJy/sr"
    model.meta.photometry.pixelarea_steradians = np.radians(SCALE / 3600) ** 2
    model.meta.wcs = make_gwcs(RA, DEC, 35.0, 35.0, SCALE, (71, 71))
    return model


@pytest.fixture
def psf_file(scene, tmp_path):
    return str(scene.write_psf(tmp_path / "psf.h5"))


def check(band, scene):
    np.testing.assert_allclose(band.data, scene.data[NAME], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(band.err, scene.err[NAME], rtol=1e-6)
    assert (band.unit, band.pixel_scale) == ("MJy/sr", pytest.approx(SCALE, rel=1e-6))
    assert band.pixel_position(RA, DEC) == pytest.approx((35, 35), abs=1e-3)


def test_image_model(image, psf_file, scene):
    present = set(image.instance)
    check(GalaxyModel.open(image, psf_file=psf_file).bands[NAME], scene)
    assert set(image.instance) == present, "reading it made arrays in it"


def test_its_file_is_read_without_jwst(image, psf_file, scene):
    image.save("jw01234_i2d.fits")
    program = (
        "import sys; sys.modules['jwst'] = sys.modules['stdatamodels'] = None\n"
        "from galstep.datamodels import GalaxyModel\n"
        f"model = GalaxyModel.open('jw01234_i2d.fits', psf_file={psf_file!r})\n"
        "model.save('read.asdf')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    band = GalaxyModel.open("read.asdf").bands[NAME]
    np.testing.assert_allclose(band.data, scene.data[NAME], rtol=1e-5, atol=1e-6)
    assert band.pixel_scale == pytest.approx(SCALE)


class Nothing(Step):
    """A step of jwst that does nothing."""

    class_alias = "nothing"

    spec = ""

    def process(self, input):
        return self.prepare_output(input) if hasattr(self, "prepare_output") else input


@pytest.mark.parametrize("hook", ["galstep.hooks.measure", "galstep.hooks.Measure"])
def test_hook_of_a_step(image, psf_file, scene, tmp_path, hook):
    put_parameters(tmp_path, psf_file)
    result = Nothing.call(image, post_hooks=[hook], save_results=True, suffix="nothing")
    assert isinstance(result, datamodels.ImageModel)
    flux, error = measured_flux("jw01234_i2d_gal.asdf", NAME)
    assert abs(flux - scene.truth.fluxes[NAME]) < 5 * error
    assert os.path.exists("jw01234_nothing.fits") or os.path.exists("jw01234_i2d_nothing.fits")


def test_hook_of_resample(image, psf_file, scene, tmp_path):
    """A step that does something: drizzle one exposure onto its own grid."""
    put_parameters(tmp_path, psf_file)
    image.dq = np.zeros(image.data.shape, "u4")
    image.area = np.ones_like(image.data)
    image.var_rnoise = image.err**2
    image.var_poisson, image.var_flat = (np.full_like(image.err, 1e-14) for _ in range(2))
    image.meta.filename = "jw01234_cal.fits"
    image.meta.photometry.pixelarea_arcsecsq = SCALE**2
    half_ra, half_dec = np.array([1 / np.cos(np.radians(DEC)), 1]) * 35.5 * SCALE / 3600
    corners = [
        (RA + i * half_ra, DEC + j * half_dec) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    image.meta.wcsinfo.s_region = "POLYGON ICRS  " + " ".join(f"{r} {d}" for r, d in corners)
    image.meta.wcsinfo.v3yangle = image.meta.wcsinfo.roll_ref = 0.0
    image.meta.wcsinfo.vparity = -1
    image.meta.wcsinfo.ra_ref, image.meta.wcsinfo.dec_ref = RA, DEC
    image.meta.exposure.type = "NRC_IMAGE"
    for name in ("exposure_time", "measurement_time", "duration"):
        setattr(image.meta.exposure, name, 100.0)
    image.meta.exposure.start_time, image.meta.exposure.end_time = 60000.0, 60000.1
    image.meta.cal_step.assign_wcs = "COMPLETE"
    image.save("jw01234_cal.fits")
    typed = "jwst.step.ResampleStep jw01234_cal.fits --post_hooks=galstep.hooks.Measure,"
    assert typed in (DOCS / "integration.rst").read_text()
    Step.from_cmdline(typed.split())
    (written,) = (path for path in tmp_path.glob("jw01234_*.fits") if "cal" not in path.stem)
    with datamodels.open(written) as result:
        assert result.meta.cal_step.resample == result.meta.cal_step.gal_measure == "COMPLETE"
    flux, error = measured_flux("jw01234_cal_gal.asdf", NAME)
    assert abs(flux - scene.truth.fluxes[NAME]) < 5 * error


def test_status_survives_the_file(image, psf_file, tmp_path):
    put_parameters(tmp_path, psf_file)
    Nothing.call(image, post_hooks=["galstep.hooks.Measure"]).save("out.fits")
    with datamodels.open("out.fits") as model:
        assert model.meta.cal_step.gal_measure == "COMPLETE"


class WithGalaxy(Pipeline):
    """Steps of jwst and of galstep in a pipeline of jwst."""

    class_alias = "with_galaxy"

    spec = ""

    step_defs = {
        "source_catalog": SourceCatalogStep,
        "gal_measure": Measure,
        "galaxy": GalPipeline,
    }

    def process(self, input):
        # a pre-hook runs also where its step is skipped
        self.source_catalog.run(input)
        self.found = self.galaxy.run(self.gal_measure.run(input))
        return input


def test_steps_of_a_pipeline(image, psf_file, scene, tmp_path, monkeypatch):
    # a pipeline of jwst notes the context of its reference server
    monkeypatch.setattr("stpipe.crds_client.get_context_used", lambda observatory: "none")
    put_parameters(tmp_path, psf_file)
    host = WithGalaxy(
        steps={
            "source_catalog": {"skip": True, "pre_hooks": ["galstep.hooks.Measure"]},
            "gal_measure": {"parameter_file": "gal_pipeline"},
            "galaxy": {
                "save_results": True,
                "output_file": "nested.asdf",
                "qa_figure": False,
                "steps": {"loadcrop": {"psf_file": psf_file}},
            },
        }
    )
    host.run(image)
    assert image.meta.cal_step.gal_measure == "COMPLETE"
    flux, error = measured_flux("nested_gal.asdf", NAME)
    assert abs(flux - scene.truth.fluxes[NAME]) < 5 * error
    again, _ = measured_flux("jw01234_i2d_gal.asdf", NAME)
    assert again == pytest.approx(flux, rel=1e-10)


def test_galaxy_off_the_image_does_not_end_the_run(image, psf_file, tmp_path, caplog):
    put_parameters(tmp_path, psf_file, ra=RA + 1, dec=DEC, size=1.5)
    result = Nothing.call(image, post_hooks=["galstep.hooks.Measure"], configure_log=False)
    assert result.meta.cal_step.gal_measure == "SKIPPED"
    assert "galaxy not measured: input: the position (ra, dec) is off the image" in caplog.text


def test_listed_beside_its_steps():
    program = os.path.join(os.path.dirname(sys.executable), "stpipe")
    listed = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout
    for name in (
        "galstep.pipeline.GalPipeline",
        "galstep.hooks.Measure",
        "jwst.step.SourceCatalogStep",
    ):
        assert name in listed


def test_said_in_the_log_of_the_host(image, psf_file, tmp_path):
    put_parameters(tmp_path, psf_file)
    image.save("jw01234_i2d.fits")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from stpipe import Step\n"
        "Step.from_cmdline(['toy_host_jwst.Nothing', 'jw01234_i2d.fits', "
        "'--post_hooks=galstep.hooks.Measure,', '--log-file=run.log'])\n"
    )
    (tmp_path / "toy_host_jwst.py").write_text(
        "from jwst.stpipe import Step\n"
        "class Nothing(Step):\n"
        "    class_alias = 'nothing'\n"
        "    spec = ''\n"
        "    def process(self, input):\n"
        "        from stdatamodels.jwst import datamodels\n"
        "        return datamodels.open(input) if isinstance(input, str) else input\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    said = (tmp_path / "run.log").read_text()
    assert "stpipe.galstep.basefit" in said
    assert "jw01234_i2d_sersic.ecsv" in said
