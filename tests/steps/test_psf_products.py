"""PSFCalibrate on its own: files of PSFs that can be given back; its empirical correction."""

from importlib.util import find_spec

import asdf
import numpy as np
import pytest

from galstep.core.psf.kernel_families import variance
from galstep.datamodels import GalaxyModel
from galstep.pipeline import GalPipeline
from galstep.steps.galaxy.scenes import effective_psf
from galstep.steps.psf_calibrate import PSFCalibrate
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

FILTERS = ("F090W", "F150W")
SKIPPED = ("loadcrop", "tweakreg", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
NAMES = ("x_psf.asdf", "x_psf.h5", "x_psf.png")


def saved(folder):
    """PSF products in a folder; the picture needs matplotlib."""
    return sorted(path.name for path in folder.glob("*_psf.*"))


def expected(*names):
    return sorted(name for name in names if find_spec("matplotlib") or not name.endswith(".png"))


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        4, (121, 121), 30, FILTERS, star_snr=(20.0, 300.0), psf_blur={"F150W": 0.9}, psf_size=81
    )


@pytest.fixture(scope="module")
def model_file(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "x_loadcrop.asdf"
    unfitted_model(scene).save(path)
    return path


@pytest.fixture
def single(model_file):
    """The blurred filter alone."""
    model = GalaxyModel.open(model_file)
    model.bands = {"F150W": model.bands["F150W"]}
    return model


@pytest.fixture(scope="module")
def alone(model_file, tmp_path_factory):
    """Its folder and result, run as ``strun`` does with a file."""
    folder = tmp_path_factory.mktemp("alone")
    result = PSFCalibrate.call(
        str(model_file), output_dir=str(folder), save_results=True, configure_log=False
    )
    return folder, result


def test_alone_it_writes_psfs_and_picture(alone):
    folder, _ = alone
    assert saved(folder) == expected(*NAMES)
    assert (folder / "x_psfcalibrate.asdf").exists()


def test_written_psfs_are_right_without_a_kernel(alone, model_file):
    """Given back as psf_file: the same effective PSF, and nothing left to find."""
    folder, first = alone
    model = GalaxyModel.open(model_file)
    again = unfitted_with(model, folder / "x_psf.h5")
    for name, band in again.bands.items():
        old, new = effective_psf(first.bands[name]), effective_psf(band)
        assert band.psf_kernel is None
        np.testing.assert_allclose(new.array, old.array, rtol=1e-5, atol=1e-9 * old.array.max())
    second = PSFCalibrate().run(again)
    for band in second.bands.values():
        kernel = band.psf_kernel
        error = kernel.errors[0] if kernel.errors else 0.0
        assert variance(kernel) <= 3 * error
    assert second.bands["F150W"].psf_kernel.family == "none"


def unfitted_with(model, psf_file):
    """The same images with other PSFs."""
    from galstep.datamodels.psf.psf_library import read_psfs

    for name, (array, oversample) in read_psfs(psf_file, list(model.bands)).items():
        model.bands[name].psf, model.bands[name].oversample = array, oversample
    return model


def test_asdf_tells_the_stars_beside_the_psf(alone):
    folder, result = alone
    with asdf.open(folder / "x_psf.asdf") as file:
        stack = file["filters"]["F150W"]["stack"]
        assert stack["n_stars"] == result.bands["F150W"].psf_kernel.n_anchors
        assert stack["rms_after"] < 0.5 * stack["rms_before"]
        fwhm = result.bands["F150W"].psf_kernel.fwhm
        assert stack["fwhm"] == pytest.approx(fwhm, rel=0.05)


def test_nothing_is_written_unasked(single, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PSFCalibrate().run(single)
    own = dict(output_dir=str(tmp_path), max_loops=1)
    PSFCalibrate(save_results=True, save_psfs=False, save_figure=False, **own).run(single)
    assert saved(tmp_path) == []
    PSFCalibrate(save_psfs=True, **own).run(single)
    assert saved(tmp_path) == ["synthetic_psf.asdf", "synthetic_psf.h5"]


@pytest.mark.parametrize("asked", [None, True])
def test_pipeline_writes_them_only_if_asked(single, tmp_path, asked):
    steps = {key: {"skip": True} for key in SKIPPED}
    steps["psfcalibrate"] = {"save_psfs": asked, "max_loops": 1}
    GalPipeline.call(
        single, steps=steps, output_dir=str(tmp_path), save_results=False, configure_log=False
    )
    assert saved(tmp_path) == (["synthetic_psf.asdf", "synthetic_psf.h5"] if asked else [])


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_picture_without_stars(single, tmp_path):
    """No anchors anywhere: the picture is drawn all the same."""
    step = PSFCalibrate(output_dir=str(tmp_path), save_figure=True, min_anchors=99)
    step.run(single)
    assert saved(tmp_path) == ["synthetic_psf.png"]


def test_correction_survives_saving(single, tmp_path):
    model = PSFCalibrate(empirical_correction="always").run(single)
    kernel = model.bands["F150W"].psf_kernel
    assert kernel.correction is not None
    model.save(tmp_path / "x.asdf")
    again = GalaxyModel.open(tmp_path / "x.asdf").bands["F150W"]
    assert again.psf_kernel == kernel
    psf = effective_psf(model.bands["F150W"])
    np.testing.assert_array_equal(effective_psf(again).array, psf.array)


def test_none_is_no_correction_and_auto_needs_a_reason(alone, single):
    _, automatic = alone
    model = PSFCalibrate(empirical_correction="none").run(single)
    for result in (automatic, model):
        assert all(band.psf_kernel.correction is None for band in result.bands.values())


def test_scene_knows_the_kernel_better(alone, model_file):
    _, anchors = alone
    model = PSFCalibrate(kernel_fit_objective="scene").run(GalaxyModel.open(model_file))
    kernel, before = (m.bands["F150W"].psf_kernel for m in (model, anchors))
    assert kernel.errors[0] < before.errors[0]
    assert abs(kernel.parameters[0] - 0.81) < 3.5 * kernel.errors[0]
    assert kernel.n_anchors == before.n_anchors
    # no blur in the other filter: nothing to fit
    assert model.bands["F090W"].psf_kernel.family == "none"
