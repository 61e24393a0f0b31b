"""Filters with pixels of 0.03 and 0.063 arcsec, turned by 20 degrees, through all steps."""

import numpy as np
import pytest
from galaxy_checks import check_flux
from scipy.spatial import cKDTree

from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.flags import BandFlag, StarFlag
from galstep.records import SersicParams
from galstep.steps import (
    AperPhot,
    BaseFit,
    ForcedScaleFit,
    JointFit,
    LoadCrop,
    PSFCalibrate,
    ScaleFit,
)
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid
from galstep.testing.models import unfitted_model

FINE, COARSE = "F150W", "F277W"
RATIO = 0.03 / 0.063
GRID = PixelGrid((74, 72), 0.063, np.radians(20), (0.05, -0.03))
OFFSET = (0.4, -0.3)
SHAPE = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


def synthetic(grid):
    """The same sky, the second filter on a grid of its own or on that of the first."""
    ratio = RATIO if grid else 1.0
    return make_scene(
        3,
        (111, 111),
        16,
        (FINE, COARSE),
        snr=200.0,
        sersic=SersicParams(54.3, 56.8, 7.0, 1.4, 0.35, 0.7),
        fluxes={FINE: 45.0, COARSE: 60.0 * ratio**2},
        star_separation=7,
        star_snr=(25, 300),
        psf_size=101,
        psfs={FINE: default_psf(FINE), COARSE: default_psf(COARSE, 4.2 * ratio)},
        offsets={COARSE: OFFSET},
        grids={COARSE: grid} if grid else None,
    )


@pytest.fixture(scope="module")
def scene():
    return synthetic(GRID)


@pytest.fixture(scope="module")
def loaded(scene):
    return LoadCrop(min_crop_size=100, auto_crop_factor=4).run(unfitted_model(scene))


@pytest.fixture(scope="module")
def scaled(loaded):
    return ScaleFit().run(BaseFit().run(loaded))


@pytest.fixture(scope="module")
def measured(scaled):
    return AperPhot().run(JointFit().run(scaled))


@pytest.fixture(scope="module")
def one_grid():
    """The same on the pixels of the first filter only."""
    scene = synthetic(None)
    model = JointFit().run(ScaleFit().run(BaseFit().run(unfitted_model(scene))))
    return scene, model


def check_params(component, truth, sigmas=4.0):
    for key in SHAPE:
        value, error = getattr(component.params, key), getattr(component, f"{key}_err")
        assert value == pytest.approx(getattr(truth, key), abs=sigmas * error), key
        assert 0 < error < 0.05 * max(1.0, getattr(truth, key)), key


def check_images(band):
    """Data = galaxy + stars + sky + a residual that is noise, where there are data."""
    model = band.galaxy + band.stars + band.sky
    np.testing.assert_allclose(band.residual, np.where(band.mask, np.nan, band.data - model))
    assert np.nanmean((band.residual / band.err) ** 2) == pytest.approx(1.0, abs=0.08)
    assert band.fit.chi2_reduced == pytest.approx(1.0, abs=0.08)


def in_crop(model, truth, name):
    """The true galaxy in the pixels of a filter's crop."""
    x_min, y_min = model.bands[name].origin
    return truth.galaxy(name).moved(-x_min, -y_min)


class TestLoadCrop:
    def test_both_filters_show_the_same_sky(self, loaded, scene):
        fine, coarse = loaded.bands[FINE], loaded.bands[COARSE]
        assert loaded.meta.input_shape == (111, 111)
        assert coarse.input_shape == GRID.shape
        ny, nx = fine.shape
        corners = np.array([[-0.5, nx - 0.5], [-0.5, ny - 0.5]])
        x, y = np.meshgrid(*(corners + np.array(fine.origin)[:, None]))
        x, y = GRID.place(scene.truth.scene_grid, x, y)
        own_ny, own_nx = coarse.shape
        low, high = np.array(coarse.origin) - 0.5, np.add(coarse.origin, (own_nx, own_ny)) - 0.5
        # cut off where the input frame ends
        assert (low < np.maximum([x.min(), y.min()], 0) + 1).all()
        assert (high > np.minimum([x.max(), y.max()], np.array(GRID.shape[::-1]) - 1) - 1).all()

    def test_pixels_that_the_base_does_not_see_are_masked(self, loaded):
        coarse = loaded.bands[COARSE]
        assert 0.2 < coarse.mask.mean() < 0.5
        assert coarse.mask[0, 0] and coarse.mask[-1, -1]
        assert not coarse.mask[20:50, 20:50].any()
        assert not coarse.flags

    def test_a_second_time_changes_nothing(self, loaded):
        again = LoadCrop(auto_crop=False).run(loaded)
        for name, band in again.bands.items():
            np.testing.assert_array_equal(band.mask, loaded.bands[name].mask)


class TestPSFCalibrate:
    def test_the_stars_of_the_base_are_known_in_the_other(self, loaded):
        model = PSFCalibrate().run(loaded)
        assert model.bands[COARSE].psf_kernel.n_anchors >= 5
        assert not model.bands[COARSE].psf_kernel.flags & BandFlag.PSF_NOT_CALIBRATED


class TestScaleFit:
    def test_the_galaxy_is_true_in_its_own_pixels(self, scaled, scene):
        check_flux(scaled, scene, COARSE)
        check_params(scaled.bands[COARSE].fit.sersic[0], in_crop(scaled, scene.truth, COARSE))
        check_images(scaled.bands[COARSE])

    def test_the_registration_is_in_pixels_of_the_base(self, scaled):
        fit = scaled.bands[COARSE].fit
        assert fit.offset == pytest.approx(OFFSET, abs=4 * max(fit.offset_err))
        assert 0 < max(fit.offset_err) < 0.03
        radius = scaled.bands[FINE].fit.sersic[0].params.r_eff
        assert fit.matched_radius == pytest.approx(radius, rel=1e-6)

    def test_forced(self, scaled, scene):
        model = ForcedScaleFit(filters=[COARSE]).run(scaled)
        check_flux(model, scene, COARSE)
        fit = model.bands[COARSE].fit
        assert fit.offset == pytest.approx(OFFSET, abs=4 * max(fit.offset_err))
        np.testing.assert_array_equal(fit.stars.star_id, scaled.bands[FINE].fit.stars.star_id)


class TestJointFit:
    def test_every_filter_is_true_in_its_own_pixels(self, measured, scene):
        for name in (FINE, COARSE):
            check_flux(measured, scene, name)
            check_params(measured.bands[name].fit.sersic[0], in_crop(measured, scene.truth, name))
            check_images(measured.bands[name])

    def test_shape_and_colour_are_as_good_as_on_one_grid(self, measured, one_grid, scene):
        other_scene, other = one_grid
        for model, truth in ((measured, scene.truth), (other, other_scene.truth)):
            tables = make_tables(model)
            row = tables["phot"][1]
            error = row["color_err"].value
            colour = truth.mag_ab(COARSE) - truth.mag_ab(FINE)
            assert row["color"].value == pytest.approx(colour, abs=4 * error)
        errors = [
            [make_tables(m)["sersic"][0][f"{key}_err"].value for key in SHAPE]
            + [make_tables(m)["phot"][1]["color_err"].value]
            for m in (measured, other)
        ]
        np.testing.assert_allclose(*errors, rtol=0.25)

    def test_stars_have_their_fluxes(self, measured, scene):
        for name in (FINE, COARSE):
            stars, band = measured.bands[name].fit.stars, measured.bands[name]
            table = scene.truth.stars
            x, y = scene.truth.place(name, table["x"], table["y"])
            places = np.column_stack([x, y]) - band.origin
            distance, nearest = cKDTree(places).query(np.column_stack([stars.x, stars.y]))
            seen = (
                stars.flags & (StarFlag.NO_DATA | StarFlag.MASKED_PIXELS | StarFlag.NEAR_EDGE) == 0
            )
            assert seen.mean() > 0.6
            assert distance[seen].max() < 0.3
            pull = (stars.flux - table[f"flux_{name}"][nearest])[seen] / stars.flux_err[seen]
            assert np.abs(pull).max() < 4.5


class TestProducts:
    def test_positions_and_shapes_are_in_the_frame_of_the_base(self, measured, scene):
        fine, coarse = make_tables(measured)["sersic"]
        for key in ("r_eff", "n", "ellip", "theta"):
            assert coarse[key].value == pytest.approx(fine[key].value, rel=1e-9)
            assert coarse[f"{key}_err"].value == pytest.approx(fine[f"{key}_err"].value, rel=1e-6)
        offset = measured.bands[COARSE].fit.offset
        assert coarse["x_0"].value - fine["x_0"].value == pytest.approx(offset[0], abs=1e-6)
        assert coarse["y_0"].value - fine["y_0"].value == pytest.approx(offset[1], abs=1e-6)
        assert fine["x_0"].value == pytest.approx(54.3, abs=4 * fine["x_0_err"].value)

    def test_a_star_is_at_one_place_in_all_filters(self, measured):
        table, (dx, dy) = make_tables(measured)["stars"], measured.bands[COARSE].fit.offset
        fine, coarse = (table[table["filter"] == name] for name in (FINE, COARSE))
        np.testing.assert_array_equal(fine["star_id"], coarse["star_id"])
        np.testing.assert_allclose(coarse["x"].value - fine["x"].value, dx, atol=1e-6)
        np.testing.assert_allclose(coarse["y"].value - fine["y"].value, dy, atol=1e-6)

    def test_sky_positions_are_those_of_the_truth(self, measured, scene):
        wcs, tables = scene.truth.scene_grid.wcs(), make_tables(measured)
        for row in (*tables["sersic"], *tables["stars"]):
            x, y = (row[k].value for k in (("x_0", "y_0") if "x_0" in row.colnames else "xy"))
            ra, dec = wcs.pixel_to_world_values(x, y)
            assert row["ra"].value == pytest.approx(float(ra), abs=1e-9)
            assert row["dec"].value == pytest.approx(float(dec), abs=1e-9)

    def test_magnitudes_know_the_size_of_a_pixel(self, measured, scene):
        for row in make_tables(measured)["sersic"]:
            truth = scene.truth.mag_ab(row["filter"])
            assert row["mag_ab"].value == pytest.approx(truth, abs=4 * row["mag_ab_err"].value)

    def test_the_colour_inside_one_ellipse_is_that_of_the_galaxy(self, measured, scene):
        row = make_tables(measured)["phot"][1]
        colour = scene.truth.mag_ab(COARSE) - scene.truth.mag_ab(FINE)
        error = row["color_matched_err"].value
        assert row["color_matched"].value == pytest.approx(colour, abs=4 * error)
        assert 0 < error < 0.02

    def test_brightness_does_not(self, measured, scene):
        fine, coarse = (r["amplitude"].value for r in make_tables(measured)["sersic"])
        ratio = scene.truth.fluxes[COARSE] / scene.truth.fluxes[FINE] / RATIO**2
        assert coarse / fine == pytest.approx(ratio, rel=0.05)

    def test_one_aperture_on_the_sky(self, measured):
        fine, coarse = make_tables(measured)["phot"]
        for key in ("aper_a", "aper_b", "aper_theta", "petrosian_radius"):
            assert coarse[key].value == pytest.approx(fine[key].value, rel=1e-6)
        own = measured.bands[COARSE].aperture.aperture
        assert own.a == pytest.approx(fine["aper_a"].value * RATIO, rel=1e-6)
        colour, error = coarse["aper_color"].value, coarse["aper_color_err"].value
        assert colour == pytest.approx(coarse["color"].value, abs=4 * error + 0.03)

    def test_the_product_file_has_the_relation(self, measured, tmp_path):
        again = GalaxyModel.open(measured.save(tmp_path / "two.asdf"))
        for name, band in measured.bands.items():
            assert again.bands[name].fit.pixel_map == band.fit.pixel_map
            assert again.bands[name].input_shape == band.input_shape
        repeated = JointFit().run(again)
        for name, band in JointFit().run(measured).bands.items():
            other = repeated.bands[name].fit.sersic[0]
            assert other.flux == pytest.approx(band.fit.sersic[0].flux, rel=1e-6)


def test_three_filters_of_which_two_share_their_pixels():
    scene = make_scene(
        4,
        (101, 101),
        10,
        ("F090W", FINE, COARSE),
        snr=150.0,
        sersic=SersicParams(50.3, 49.8, 6.0, 1.1, 0.3, 0.7),
        star_separation=8,
        star_snr=(25, 300),
        psf_size=81,
        psfs={COARSE: default_psf(COARSE, 2.0)},
        grids={COARSE: PixelGrid((52, 52), 0.063, np.radians(-35))},
    )
    model = LoadCrop(auto_crop=False).run(unfitted_model(scene))
    model = JointFit().run(ScaleFit().run(BaseFit().run(model)))
    assert model.meta.fit_step == "jointfit"
    for name, band in model.bands.items():
        check_flux(model, scene, name, relative=0.06)
        check_params(band.fit.sersic[0], in_crop(model, scene.truth, name))
    values = np.linalg.eigvalsh(model.joint.flux_covariance)
    assert values.min() > 0


def test_the_coarse_filter_as_the_base(scene):
    model = LoadCrop(auto_crop=False, base_filter=COARSE).run(unfitted_model(scene))
    model = JointFit().run(ScaleFit().run(BaseFit(base_filter=COARSE).run(model)))
    for name in (FINE, COARSE):
        check_flux(model, scene, name)
        check_params(model.bands[name].fit.sersic[0], in_crop(model, scene.truth, name))


def test_without_a_wcs_cutouts_of_one_field_share_their_centre():
    grid = PixelGrid((54, 54), 0.06)
    scene = make_scene(
        6,
        (108, 108),
        12,
        (FINE, COARSE),
        snr=200.0,
        sersic=SersicParams(54.3, 52.8, 7.0, 1.4, 0.35, 0.7),
        star_separation=8,
        star_snr=(25, 300),
        psf_size=101,
        psfs={COARSE: default_psf(COARSE, 2.0)},
        offsets={COARSE: (1.2, -0.9)},
        grids={COARSE: grid},
    )
    model = unfitted_model(scene)
    for band in model.bands.values():
        band.wcs = None
    model = LoadCrop(auto_crop=False).run(model)
    model = JointFit().run(ScaleFit().run(BaseFit().run(model)))
    assert model.bands[COARSE].fit.offset == pytest.approx((1.2, -0.9), abs=0.1)
    for name in (FINE, COARSE):
        check_flux(model, scene, name)
    assert np.isnan(make_tables(model)["sersic"]["ra"].value).all()
