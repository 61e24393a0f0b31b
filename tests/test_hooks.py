"""`galstep.hooks` in a host whose products are FITS files."""

import os

import numpy as np
import pytest
from stpipe import Step
from toy_host import HostModel, HostPipeline, Resample

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError, ParameterFileError
from galstep.hooks import Measure, measure
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

NOTHING_FITTED = "".join(
    f"- {{class: gal_{key}, name: {key}, parameters: {{skip: true}}}}\n"
    for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
)
PRODUCTS = {f"host_gal.{end}" for end in ("asdf",)} | {
    f"host_{table}.ecsv" for table in ("sersic", "phot", "stars")
}


@pytest.fixture(scope="module")
def scene():
    """A galaxy without stars."""
    return make_scene(5, (41, 41), 0, ("F150W",), snr=200.0, psf_size=41)


@pytest.fixture
def image(scene):
    """A stand-in for a host's image model."""
    return HostModel(scene.data["F150W"].astype("f4"))


@pytest.fixture
def parameters(scene, elsewhere):
    """The parameter file in the current folder; only reading is asked for."""
    scene.write_psf(elsewhere / "psf.h5")

    def write(name="gal_pipeline.asdf", psf_file="psf.h5", top="qa_figure: false"):
        (elsewhere / name).write_text(
            "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: gal_pipeline\nname: GalPipeline\n"
            f"parameters: {{{top}}}\nsteps:\n"
            f"- {{class: gal_loadcrop, name: loadcrop, parameters: {{psf_file: {psf_file}}}}}\n"
            f"{NOTHING_FITTED}...\n"
        )
        return elsewhere / name

    write()
    return write


def files():
    """What has been written into the current folder."""
    return {name for name in os.listdir(".") if name.startswith(("host", "step"))}


HOOKS = {
    "function": "galstep.hooks.measure",
    "class": "galstep.hooks.Measure",
    "class with a parameter": "galstep.hooks.Measure(parameter_file='gal_pipeline')",
    "class itself": Measure,
    "instance": lambda: Measure(parameter_file="gal_pipeline.asdf"),
}


@pytest.mark.parametrize(
    ("when", "hook"),
    [
        ("pre_hooks", "function"),
        *(pytest.param("post_hooks", hook, marks=pytest.mark.slow) for hook in HOOKS),
    ],
)
def test_host_keeps_its_image_and_the_galaxy_is_saved(parameters, image, scene, when, hook):
    hook = HOOKS[hook]() if hook == "instance" else HOOKS[hook]
    result = Resample(**{when: [hook]}, save_results=True).run(image)
    assert result is image
    assert result.meta.cal_step.gal_measure == "COMPLETE"
    assert files() >= PRODUCTS | {"host_resample.fits"}
    band = GalaxyModel.open("host_gal.asdf").bands["F150W"]
    assert np.nanmax(np.abs(band.data - scene.data["F150W"])) < 1e-5 * np.abs(band.data).max()
    np.testing.assert_allclose(band.err, 0.1, rtol=1e-6)


def test_command_line_of_the_host(parameters, image):
    image.save("host.fits")
    Step.from_cmdline(
        [
            "toy_host.Resample",
            "host.fits",
            "--post_hooks=galstep.hooks.measure,",
            "--log-file=run.log",
        ]
    )
    assert files() >= PRODUCTS | {"host_resample.fits"}
    said = (parameters().parent / "run.log").read_text()
    assert "loadcrop: filters 1, base F150W" in said
    assert "host_phot.ecsv" in said


def test_products_go_where_the_host_writes(parameters, image):
    Resample(post_hooks=[Measure], output_dir="out", save_results=True).run(image)
    assert set(os.listdir("out")) >= PRODUCTS | {"host_resample.fits"}
    assert files() == set()


def test_image_without_a_name_is_called_after_the_input_of_the_host(parameters, image):
    image.meta.filename = None
    image.save("raw_cal.fits")
    step = Resample(post_hooks=["galstep.hooks.Measure"])
    step.process = lambda input: image
    step.run("raw_cal.fits")
    assert {name for name in os.listdir(".") if name.endswith("gal.asdf")} == {"raw_cal_gal.asdf"}
    assert os.path.exists("raw_cal_phot.ecsv")


@pytest.mark.slow
def test_parameter_file_elsewhere(parameters, image, tmp_path):
    path = parameters("other.asdf", top="qa_figure: false, output_dir: there")
    Resample(post_hooks=[Measure(parameter_file=str(path))]).run(image)
    assert set(os.listdir("there")) >= PRODUCTS


class TestFailure:
    """The host goes on, unless it is told otherwise."""

    def test_is_logged_and_recorded(self, parameters, image, caplog):
        parameters(psf_file="null")
        result = Resample(post_hooks=["galstep.hooks.measure"], save_results=True).run(image)
        assert result is image
        assert result.meta.cal_step.gal_measure == "SKIPPED"
        assert "galaxy not measured: input: images need their PSFs: give psf_file" in caplog.text
        assert files() == {"host_resample.fits"}

    def test_ends_the_run_if_it_must(self, parameters, image):
        parameters(psf_file="null")
        with pytest.raises(InputError, match="images need their PSFs"):
            Resample(post_hooks=[Measure(must_succeed=True)]).run(image)

    def test_no_parameter_file(self, elsewhere, image, caplog):
        measure(image)
        assert image.meta.cal_step.gal_measure == "SKIPPED"
        assert "parameter_file 'gal_pipeline.asdf': there is no such file in" in caplog.text
        with pytest.raises(ParameterFileError, match="no such file"):
            Measure(must_succeed=True).run(image)

    def test_what_is_no_image(self, parameters, caplog):
        assert Measure().run([1, 2]) == [1, 2]
        assert "galaxy not measured: input must be a path" in caplog.text

    def test_defect_is_not_hidden(self, parameters, image, monkeypatch):
        monkeypatch.setattr(GalPipeline, "process", lambda self, input: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Resample(post_hooks=[Measure]).run(image)


def galaxy_parameters():
    """For `HostPipeline`'s step ``galaxy``."""
    skipped = ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
    steps = {key: {"skip": True} for key in skipped}
    return {"steps": steps | {"loadcrop": {"psf_file": "psf.h5"}}, "qa_figure": False}


class TestStepDefs:
    @pytest.mark.slow
    def test_measure_as_a_step(self, parameters, image):
        host = HostPipeline(steps={"galaxy": galaxy_parameters()}, save_results=True)
        assert host.run(image) is image
        assert image.meta.cal_step.gal_measure == "COMPLETE"
        assert files() >= PRODUCTS | {"host_hostpipeline.fits"}

    def test_measure_skipped(self, parameters, image):
        host = HostPipeline(steps={"galaxy": galaxy_parameters(), "measure": {"skip": True}})
        host.run(image)
        assert image.meta.cal_step.gal_measure == "SKIPPED"
        assert files() == set()

    @pytest.mark.slow
    def test_pipeline_as_a_step(self, parameters, image, scene):
        host = HostPipeline(
            steps={
                "galaxy": galaxy_parameters() | {"save_results": True},
                "measure": {"skip": True},
            }
        )
        host.run(image)
        assert isinstance(host.found, GalaxyModel)
        assert host.found.bands["F150W"].shape == scene.data["F150W"].shape
        assert host.found.meta.cal_step.gal_loadcrop == "COMPLETE"
        assert "host_gal.asdf" in files(), "in our format, not in the host's"
        assert "gal_loadcrop" not in vars(image.meta.cal_step)

    def test_options_reach_down(self, parameters, image):
        steps = galaxy_parameters()
        steps["steps"]["loadcrop"]["min_crop_size"] = 17
        steps["steps"]["loadcrop"]["auto_crop_factor"] = 0.5
        host = HostPipeline(steps={"galaxy": steps, "measure": {"skip": True}})
        host.run(image)
        assert min(host.found.bands["F150W"].shape) < 41
