"""What is written beside the model, by the pipeline and by AperPhot on its own."""

import numpy as np
import pytest
from astropy.table import QTable, Table

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError, ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import AperPhot
from galstep.steps.galaxy.products import PICTURES
from galstep.testing import make_scene
from galstep.testing.models import fitted_model

TABLES = {"sersic", "phot", "apertures", "stars", "knots"}


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A fitted galaxy in a file."""
    folder = tmp_path_factory.mktemp("product")
    scene = make_scene(seed=5, shape=(81, 81), filters=("F150W", "F277W"), n_stars=8, psf_size=81)
    return fitted_model(scene, "galaxy").save(folder / "galaxy_gal.asdf")


def pipeline(product, folder, **options):
    """Run AperPhot alone of the steps; names of the files that are left."""
    steps = {key: {"skip": True} for key in GalPipeline.step_defs if key != "aperphot"}
    steps["aperphot"] = options.pop("aperphot", {})
    GalPipeline.call(
        product, steps=steps, output_dir=str(folder), save_results=True, configure_log=False,
        **options,
    )  # fmt: skip
    return {path.name.removeprefix("galaxy_") for path in folder.iterdir()}


def test_tables_regions_and_overview_are_usual(product, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    names = pipeline(product, tmp_path)
    tables = {f"{kind}.ecsv" for kind in TABLES}
    assert names - {"aper.reg"} == {"gal.asdf", "qa.png", *tables}


@pytest.mark.parametrize("options", [{"qa_figure": False}, {"aperphot": {"plot": False}}])
def test_the_overview_can_be_left_out(product, tmp_path, options):
    assert "qa.png" not in pipeline(product, tmp_path, **options)


def test_all_pictures_and_images(product, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    names = pipeline(product, tmp_path, figures=["all"], save_fits=True)
    drawn = set(PICTURES) - {"completeness"}  # of what Inject has not put in there is none
    assert {f"{picture}.png" for picture in drawn} <= names
    assert "completeness.png" not in names
    assert {"F150W.fits", "F277W.fits"} <= names


def test_given_magnitudes_make_the_picture_of_the_sed(product, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    table = tmp_path / "mags.ecsv"
    Table({"filter": ["F150W"], "mag_ab": [20.0], "mag_ab_err": [0.1]}).write(table)
    folder = tmp_path / "out"
    assert "sed.png" in pipeline(product, folder, magnitudes=str(table), qa_figure=False)


def test_wrong_options_are_told_before_the_work(product, tmp_path):
    with pytest.raises(ParameterError, match="figures must be of qa, profiles, .* got portrait"):
        pipeline(product, tmp_path, figures=["portrait"])
    bad = tmp_path / "mags.ecsv"
    Table({"filter": ["F150W"]}).write(bad)
    with pytest.raises(InputError, match="needs the columns mag_ab, mag_ab_err"):
        pipeline(product, tmp_path, magnitudes=str(bad))
    assert [path.name for path in tmp_path.iterdir()] == ["mags.ecsv"]


def test_measured_alone_it_is_as_in_the_pipeline(product, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("regions", reason="regions is not installed")
    options = {"petro": 0.2, "circles": [0.3]}
    together, alone = tmp_path / "together", tmp_path / "alone"
    pipeline(product, together, aperphot=options)
    AperPhot.call(product, output_dir=str(alone), save_results=True, configure_log=False, **options)
    names = {path.name for path in alone.iterdir()} - {"galaxy_aperphot_aper.reg"}
    expected = {f"galaxy_aperphot_{kind}.ecsv" for kind in TABLES}
    assert names == {"galaxy_aperphot.asdf", "galaxy_aperphot_qa.png", *expected}
    for kind in TABLES:
        first = QTable.read(together / f"galaxy_{kind}.ecsv")
        second = QTable.read(alone / f"galaxy_aperphot_{kind}.ecsv")
        for name in first.colnames:
            if first[name].dtype.kind == "f":
                np.testing.assert_allclose(second[name], first[name], rtol=1e-9, atol=1e-12)
            else:
                np.testing.assert_array_equal(second[name], first[name])
    assert GalaxyModel.open(alone / "galaxy_aperphot.asdf").meta.cal_step.gal_aperphot
