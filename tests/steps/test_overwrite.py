"""Products that are there already are never replaced without a word."""

import logging

import pytest
from astropy.table import Table

from galstep.exceptions import GalstepError
from galstep.pipeline import GalPipeline
from galstep.steps import LoadCrop, StarPhot
from galstep.testing import make_scene

SKIPPED = {
    key: {"skip": True}
    for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
}


@pytest.fixture
def files(tmp_path):
    scene = make_scene(1, (41, 41), 0, ("F150W",), snr=100.0, psf_size=41)
    scene.write_hdf5(tmp_path / "g.h5"), scene.write_psf(tmp_path / "psf.h5")
    return tmp_path


def run(files, steps=None, step_class=GalPipeline, **parameters):
    loading = {"psf_file": str(files / "psf.h5")}
    if step_class is GalPipeline:
        parameters["steps"] = {**SKIPPED, "loadcrop": loading, **(steps or {})}
        parameters["qa_figure"] = False
    elif step_class is LoadCrop:
        parameters |= loading
    return step_class.call(
        str(files / "g.h5"), output_dir=str(files / "out"), save_results=True,
        configure_log=False, **parameters,
    )  # fmt: skip


@pytest.mark.parametrize("step_class", [GalPipeline, LoadCrop], ids=lambda c: c.__name__)
class TestTwice:
    def test_default_warns_before_the_work(self, files, caplog, step_class):
        with caplog.at_level(logging.WARNING):
            run(files, step_class=step_class)
            assert "will be replaced" not in caplog.text
            run(files, step_class=step_class)
        assert "will be replaced" in caplog.text and "overwrite=false" in caplog.text

    def test_refused_before_the_work(self, files, step_class, monkeypatch):
        run(files, step_class=step_class)
        (product,) = (files / "out").glob("*.asdf")
        before = product.stat().st_mtime_ns
        monkeypatch.setattr(step_class, "process", lambda *args: pytest.fail("it has worked"))
        with pytest.raises(GalstepError, match="is there already: .* overwrite=true") as caught:
            run(files, step_class=step_class, overwrite=False)
        assert product.name in str(caught.value) and "\n" not in str(caught.value)
        assert product.stat().st_mtime_ns == before

    def test_first_time_and_elsewhere(self, files, step_class):
        run(files, step_class=step_class, overwrite=False)
        run(files, step_class=step_class, overwrite=False, output_file=str(files / "out" / "x"))
        assert len(list((files / "out").glob("*.asdf"))) == 2


@pytest.mark.slow
def test_products_of_single_steps_count(files):
    saved = {"loadcrop": {"save_results": True, "psf_file": str(files / "psf.h5")}}
    run(files, saved)
    (files / "out" / "g_gal.asdf").unlink()
    with pytest.raises(GalstepError, match="g_loadcrop.asdf is there already"):
        run(files, saved, overwrite=False)
    run(files, overwrite=False)


def test_what_is_not_saved_replaces_nothing(files):
    model = run(files, step_class=LoadCrop)
    LoadCrop.call(model, overwrite=False, output_dir=str(files / "out"), configure_log=False)


def test_tables_of_star_fields(files, tmp_path):
    step = StarPhot(overwrite=False, save_results=True, output_dir=str(tmp_path))
    Table({"a": [1]}).write(tmp_path / "image_starphot.ecsv")
    step.set_primary_input("image_gal.fits", exclusive=False)
    with pytest.raises(GalstepError, match="image_starphot.ecsv is there already"):
        step._check_replaced()
