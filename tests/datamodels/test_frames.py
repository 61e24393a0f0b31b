"""Where the tables say that things are, for filters with pixels of their own."""

import numpy as np
import pytest

from galstep.datamodels import BandData
from galstep.datamodels.tables.frames import to_table_frame
from galstep.datamodels.tables.galaxy_tables import sersic_table, star_table
from galstep.records import SersicParams
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid
from galstep.testing.models import fitted_model

GRID = PixelGrid((40, 44), 0.063, np.radians(20))
OFFSET = (0.4, -0.3)


@pytest.fixture(scope="module", name="scene")
def _scene():
    return make_scene(
        2, (61, 71), 6, ("F150W", "F277W"), sersic=SersicParams(34.2, 30.8, 5.0, 1.0, 0.3, 0.6),
        psfs={"F277W": default_psf("F277W", 2.0)}, offsets={"F277W": OFFSET},
        grids={"F277W": GRID}, psf_size=41,
    )  # fmt: skip


@pytest.fixture(name="model")
def _model(scene):
    """The truth as if it were fitted, each filter in its own pixels."""
    return fitted_model(scene)


def test_from_the_pixels_of_a_filter_to_those_of_the_base(model, scene):
    truth = scene.truth.galaxy("F277W")
    frame = to_table_frame(model, model.bands["F277W"])
    assert frame.points(truth.x_0, truth.y_0) == pytest.approx((34.6, 30.5))
    assert frame.scale == pytest.approx(0.063 / 0.03)


def test_the_base_s_own_crop(model):
    base = model.bands["F150W"]
    base.origin = (100, 50)
    assert to_table_frame(model, base).points(3, 4) == (103, 54)
    x, y = to_table_frame(model, model.bands["F277W"]).points(21.5, 19.5)
    assert (x, y) == pytest.approx((135, 80))


def test_without_the_base_in_the_model_it_is_the_filter_s_own_frame(model):
    model.meta.base_filter = None
    model.bands["F277W"].origin = (7, 9)
    frame = to_table_frame(model, model.bands["F277W"])
    assert frame.is_translation and frame.origin == (7, 9)


def test_both_filters_have_one_galaxy(model):
    fine, coarse = sersic_table(model)
    for key in ("r_eff", "n", "ellip", "theta"):
        assert coarse[key].value == pytest.approx(fine[key].value)
    assert coarse["x_0"].value - fine["x_0"].value == pytest.approx(OFFSET[0])
    # the one magnitude that the truth has, by the area of each filter's pixels
    assert coarse["x_0_err"].value > 0


def test_magnitudes_go_by_the_filter_s_own_pixels(model, scene):
    for row in sersic_table(model):
        assert row["mag_ab"].value == pytest.approx(scene.truth.mag_ab(row["filter"]))


def test_sky_positions_of_the_stars(model, scene):
    table, wcs = star_table(model), scene.truth.scene_grid.wcs()
    ra, dec = wcs.pixel_to_world_values(table["x"].value, table["y"].value)
    np.testing.assert_allclose(table["ra"].value, ra, atol=1e-9)
    np.testing.assert_allclose(table["dec"].value, dec, atol=1e-9)
    assert str(table["ra"].unit) == "deg"


def test_without_a_wcs_there_are_none():
    band = BandData("F150W", np.zeros((20, 30)), np.ones((5, 5)) / 25)
    ra, dec = band.sky_position(np.arange(3), np.arange(3))
    assert np.isnan(ra).all() and np.isnan(dec).all() and ra.shape == (3,)
    empty, _ = band.sky_position([], [])
    assert empty.shape == (0,)


def test_a_crop_remembers_its_frame():
    band = BandData("F150W", np.zeros((20, 30)), np.ones((5, 5)) / 25)
    part = band.crop(3, 2, 17, 16).crop(1, 1, 16, 15)
    assert band.input_shape == part.input_shape == (20, 30)
    assert part.origin == (4, 3)
