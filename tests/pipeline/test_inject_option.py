"""Inject in the pipeline: left out unless asked for, then one more product."""

import pytest
from astropy.table import QTable

from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

GALAXY = SersicParams(44.3, 46.8, 5.0, 1.2, 0.3, 0.7)
SKIPPED = {key: {"skip": True} for key in ("loadcrop", "psfcalibrate", "aperphot")}


@pytest.fixture(scope="module")
def model():
    scene = make_scene(
        3, (91, 91), 8, ("F150W",), snr=200.0, sersic=GALAXY, star_separation=7, psf_size=101
    )
    return unfitted_model(scene, "small")


def run(model, folder, **parameters):
    steps = SKIPPED | {"inject": parameters}
    pipeline = GalPipeline(
        steps=steps, qa_figure=False, save_results=True, output_dir=str(folder)
    )  # fmt: skip
    return pipeline.run(model)


def test_left_out_by_default(model, tmp_path):
    result = run(model, tmp_path)
    assert result.injections is None
    assert result.meta.cal_step.gal_inject == "SKIPPED"
    assert not (tmp_path / "small_injection.ecsv").exists()


@pytest.mark.slow
def test_asked_for(model, tmp_path):
    result = run(model, tmp_path, skip=False, n_galaxies=2, n_stars=3, box=41)
    assert result.meta.cal_step.gal_inject == "COMPLETE"
    assert result.meta.parameters["inject"]["n_galaxies"] == 2
    table = QTable.read(tmp_path / "small_injection.ecsv")
    assert list(table["kind"]) == ["galaxy"] * 2 + ["star"] * 3
    assert table.meta["summary"]["F150W"]["galaxies"]["count"] == 2
    # the copy is measured by the steps that ran, so up to the joint fit
    assert result.meta.fit_step == "jointfit"
    assert abs(table["pull_flux"][table["kind"] == "galaxy"]).max() < 4.5
