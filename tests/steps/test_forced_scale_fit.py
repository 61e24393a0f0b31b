"""ForcedScaleFit: stars where the base has them, fluxes free."""

import logging

import numpy as np
import pytest
from galaxy_checks import (
    SHAPE,
    assert_same_fits,
    assert_untouched,
    check_flux,
    check_images,
    check_linear,
    check_stars,
    check_turned,
    galaxy,
    multiplied,
    turned,
    without_data,
)
from numpy.linalg import LinAlgError

from galstep.datamodels import GalaxyModel
from galstep.exceptions import PrerequisiteError
from galstep.flags import BandFlag, StarFlag
from galstep.pipeline import GalPipeline
from galstep.steps import BaseFit, ForcedScaleFit, ScaleFit
from galstep.testing.models import fitted_model

OTHERS = ("F090W", "F277W")


@pytest.fixture(scope="module")
def from_truth(scene):
    """ForcedScaleFit beside a base fit that is the truth."""
    model = fitted_model(scene)
    model.meta.fit_step = "basefit"
    return ForcedScaleFit(filters=list(OTHERS)).run(model)


class TestTruth:
    @pytest.mark.parametrize("name", OTHERS)
    def test_flux(self, forced, scene, name):
        truth = scene.truth.fluxes[name]
        assert galaxy(forced, name).flux == pytest.approx(truth, rel=0.04)

    @pytest.mark.parametrize("name", OTHERS)
    def test_flux_and_stars_where_the_base_is_true(self, from_truth, scene, name):
        check_flux(from_truth, scene, name, relative=0.02)
        assert check_stars(from_truth, scene, name) == len(scene.truth.stars)

    @pytest.mark.parametrize("name", OTHERS)
    def test_registration(self, forced, scene, name):
        fit = forced.bands[name].fit
        assert fit.offset == pytest.approx(scene.truth.offsets[name], abs=0.03)
        assert 0 < max(fit.offset_err) < 0.01

    @pytest.mark.parametrize("name", OTHERS)
    def test_images(self, forced, name):
        check_images(forced.bands[name])


class TestPinned:
    @pytest.mark.parametrize("name", OTHERS)
    def test_stars_are_exactly_those_of_the_base(self, forced, based, name):
        fit, base = forced.bands[name].fit, based.bands["F150W"].fit.stars
        np.testing.assert_array_equal(fit.stars.star_id, base.star_id)
        np.testing.assert_allclose(fit.stars.x, base.x + fit.offset[0], atol=1e-10)
        np.testing.assert_allclose(fit.stars.y, base.y + fit.offset[1], atol=1e-10)
        assert np.isnan(fit.stars.x_err).all()
        assert np.isfinite(fit.stars.flux_err).all()

    @pytest.mark.parametrize("name", OTHERS)
    def test_shape_is_that_of_the_base(self, forced, based, name):
        own, base = galaxy(forced, name), galaxy(based, "F150W")
        expected = base.params.moved(*forced.bands[name].fit.offset)
        for key in SHAPE:
            assert getattr(own.params, key) == pytest.approx(getattr(expected, key), abs=1e-10)

    def test_without_registration(self, based):
        result = ForcedScaleFit(filters=["F277W"], registration=False).run(based)
        fit = result.bands["F277W"].fit
        assert fit.offset == (0.0, 0.0)
        np.testing.assert_array_equal(fit.stars.x, based.bands["F150W"].fit.stars.x)

    def test_a_star_that_is_dark_there_has_a_flux_about_zero(self, based, scene):
        dark = based.copy()
        band = dark.bands["F277W"]
        band.data = band.data - scene.stars["F277W"]
        stars = ForcedScaleFit(filters=["F277W"]).run(dark).bands["F277W"].fit.stars
        assert len(stars) == 14
        assert np.abs(stars.flux / stars.flux_err).max() < 4
        negative = stars.flux < 0
        assert 1 <= negative.sum() <= 13
        np.testing.assert_array_equal((stars.flags & StarFlag.NEGATIVE) > 0, negative)


class TestFilters:
    def test_none_by_default(self, based):
        result = ForcedScaleFit().run(based)
        assert_same_fits(based, result)
        assert result.meta.fit_step == "basefit"
        assert result.meta.cal_step.gal_forcedscalefit == "COMPLETE"

    def test_none_needs_no_base(self, unfitted):
        assert not any(band.fitted for band in ForcedScaleFit().run(unfitted).bands.values())

    def test_what_is_named(self, based):
        result = ForcedScaleFit(filters=["F277W"]).run(based)
        steps = [band.fit.step if band.fitted else None for band in result.bands.values()]
        assert steps == [None, "basefit", "forcedscalefit"]
        assert result.meta.fit_step == "forcedscalefit"

    def test_without_data(self, based, forced):
        filters = list(OTHERS)
        result = ForcedScaleFit(filters=filters).run(without_data(based, "F277W"))
        assert not result.bands["F277W"].fitted
        assert result.bands["F277W"].all_flags == BandFlag.NO_DATA
        assert galaxy(result, "F090W").flux == galaxy(forced, "F090W").flux

    @pytest.mark.slow
    def test_in_a_pipeline_scalefit_leaves_them_to_it(self, unfitted, caplog):
        ran = ("basefit", "scalefit", "forcedscalefit")
        steps = {key: {"skip": key not in ran} for key in GalPipeline.step_defs}
        steps["forcedscalefit"]["filters"] = ["F277W"]
        with caplog.at_level(logging.INFO, logger="stpipe.galstep"):
            result = GalPipeline(steps=steps, qa_figure=False).run(unfitted)
        for line in ("scalefit: fitted F090W 14 stars", "forcedscalefit: fitted F277W 14 stars"):
            assert any(said.startswith(line) for said in caplog.messages)
        assert [band.fit.step for band in result.bands.values()] == [
            "scalefit", "basefit", "forcedscalefit"
        ]  # fmt: skip
        steps["forcedscalefit"]["skip"] = True
        result = GalPipeline(steps=steps, qa_figure=False).run(unfitted)
        assert result.bands["F277W"].fit.step == "scalefit"


@pytest.mark.parametrize(("order", "n_terms"), [("0", 1), ("1", 3), ("2", 6), ("auto", 3)])
def test_sky_orders(based, scene, order, n_terms):
    level = based.copy()
    level.bands["F277W"].data -= scene.sky["F277W"] - 2.0
    result = ForcedScaleFit(filters=["F277W"], sky_order=order).run(level)
    assert len(result.bands["F277W"].fit.sky.coefficients) == n_terms
    assert galaxy(result, "F277W").flux == pytest.approx(scene.truth.fluxes["F277W"], rel=0.04)


def test_a_base_fit_is_needed(unfitted):
    with pytest.raises(PrerequisiteError, match="ForcedScaleFit needs the base fit: run BaseFit"):
        ForcedScaleFit(filters=["F277W"]).run(unfitted)


class TestInvariance:
    def test_the_callers_model_is_unchanged(self, based):
        before = based.copy()
        ForcedScaleFit(filters=["F277W"]).run(based)
        assert_untouched(based, before)

    def test_an_earlier_fit_of_the_filter_does_not_matter(self, scaled, forced):
        assert_same_fits(forced, ForcedScaleFit(filters=list(OTHERS)).run(scaled))

    def test_saved_and_read_again(self, based, forced, tmp_path):
        path = based.save(tmp_path / "small_basefit.asdf")
        step = ForcedScaleFit(filters=list(OTHERS), save_results=True, output_dir=str(tmp_path))
        assert_same_fits(forced, step.run(path))
        assert_same_fits(forced, GalaxyModel.open(tmp_path / "small_forcedscalefit.asdf"))

    def test_order_of_the_filters(self, based, forced):
        result = ForcedScaleFit(filters=["F277W", "F090W"]).run(based)
        assert_same_fits(forced, result, flux=1e-12, error=1e-12)

    @pytest.mark.parametrize("factor", [1e-12, 1e12])
    def test_unit_of_the_data(self, unfitted, forced, factor):
        base = BaseFit().run(multiplied(unfitted, factor))
        check_linear(forced, ForcedScaleFit(filters=list(OTHERS)).run(base), factor)

    def test_turned_by_90_degrees(self, unfitted, forced):
        base = BaseFit().run(turned(unfitted))
        check_turned(forced, ForcedScaleFit(filters=list(OTHERS)).run(base))


def test_singular_equations_leave_the_earlier_fit(scaled, monkeypatch):
    def fails(*args):
        raise LinAlgError("matrix is singular")

    monkeypatch.setattr("galstep.steps.forced_scale_fit.fit_forced", fails)
    result = ForcedScaleFit(filters=["F277W"]).run(scaled)
    band = result.bands["F277W"]
    assert band.flags == BandFlag.NOT_FITTED
    assert band.reasons == [
        "forcedscalefit: the normal equations are singular (matrix is singular)"
    ]
    assert band.fit.step == "scalefit"
    assert_same_fits(ScaleFit().run(scaled), result)
