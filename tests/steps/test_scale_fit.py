"""ScaleFit on a base fit: flux, stars and registration of the other filters."""

import logging
from dataclasses import replace

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
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.steps import BaseFit, ForcedScaleFit, LoadCrop, ScaleFit
from galstep.steps.scale_fit import next_star_id, scaled_filters
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model

OTHERS = ("F090W", "F277W")


@pytest.fixture(scope="module")
def from_truth(scene):
    """ScaleFit beside a base fit that is the truth."""
    model = fitted_model(scene)
    model.meta.fit_step = "basefit"
    return ScaleFit().run(model)


class TestTruth:
    @pytest.mark.parametrize("name", OTHERS)
    def test_flux(self, scaled, scene, name):
        truth = scene.truth.fluxes[name]
        assert galaxy(scaled, name).flux == pytest.approx(truth, rel=0.04)

    @pytest.mark.parametrize("name", OTHERS)
    def test_flux_where_the_shape_is_true(self, from_truth, scene, name):
        # the error is that of the flux for a given shape, so it is tested with the true one
        check_flux(from_truth, scene, name, relative=0.02)

    @pytest.mark.parametrize("name", OTHERS)
    def test_stars(self, scaled, scene, name):
        assert check_stars(scaled, scene, name) == len(scene.truth.stars)

    @pytest.mark.parametrize("name", OTHERS)
    def test_sky(self, from_truth, scene, name):
        sky = from_truth.bands[name].fit.sky
        assert sky.level == pytest.approx(scene.truth.sky[name].level, abs=4 * sky.level_err)
        assert 0 < sky.level_err < 0.1 * scene.truth.noise_sigma[name]

    @pytest.mark.parametrize("name", OTHERS)
    def test_registration(self, scaled, scene, name):
        fit = scaled.bands[name].fit
        for value, error, truth in zip(
            fit.offset, fit.offset_err, scene.truth.offsets[name], strict=True
        ):
            assert value == pytest.approx(truth, abs=min(0.03, 5 * error))
            assert 0 < error < 0.01

    @pytest.mark.parametrize("name", OTHERS)
    def test_images(self, scaled, name):
        check_images(scaled.bands[name])


class TestShapeIsThatOfTheBase:
    @pytest.mark.parametrize("name", OTHERS)
    def test_values_and_errors(self, scaled, based, name):
        own, base = galaxy(scaled, name), galaxy(based, "F150W")
        dx, dy = scaled.bands[name].fit.offset
        expected = base.params.moved(dx, dy)
        for key in SHAPE:
            assert getattr(own.params, key) == pytest.approx(getattr(expected, key), abs=1e-10)
            assert getattr(own, f"{key}_err") == getattr(base, f"{key}_err")

    def test_the_base_is_left_as_it_was(self, scaled, based):
        one, two = based.bands["F150W"], scaled.bands["F150W"]
        assert galaxy(scaled, "F150W").flux == galaxy(based, "F150W").flux
        np.testing.assert_array_equal(two.residual, one.residual)

    def test_without_registration(self, based):
        fit = ScaleFit(registration=False).run(based).bands["F277W"].fit
        assert fit.offset == (0.0, 0.0)
        assert np.isnan(fit.offset_err).all()


class TestStars:
    def test_a_star_of_the_base_keeps_its_number(self, scaled, based):
        base = based.bands["F150W"].fit.stars
        places = {int(i): (x, y) for i, x, y in zip(base.star_id, base.x, base.y, strict=True)}
        for name in OTHERS:
            fit = scaled.bands[name].fit
            assert set(fit.stars.star_id) == set(base.star_id)
            for star_id, x, y in zip(fit.stars.star_id, fit.stars.x, fit.stars.y, strict=True):
                known = np.add(places[int(star_id)], fit.offset)
                assert np.hypot(*(known - (x, y))) < 0.3

    def test_a_star_the_base_does_not_know_has_a_number_of_its_own(self, scene, based):
        lacking = based.copy()
        band = lacking.bands["F150W"]
        stars = band.fit.stars
        brightest = int(np.argmax(stars.flux))
        keep = np.arange(len(stars)) != brightest
        band.fit = replace(band.fit, stars=stars.select(keep))
        result = ScaleFit().run(lacking)
        new = []
        for name in OTHERS:
            own = result.bands[name].fit.stars
            new.append(set(own.star_id) - set(stars.star_id[keep]))
            assert check_stars(result, scene, name) == len(scene.truth.stars)
        # two filters do not give the same number to what each found by itself
        assert [len(ids) for ids in new] == [1, 1]
        assert not new[0] & new[1]
        assert min(new[0] | new[1]) > max(stars.star_id[keep])

    def test_numbers_go_on_above_the_highest(self, based, unfitted):
        assert next_star_id(based) == max(based.bands["F150W"].fit.stars.star_id) + 1
        assert next_star_id(unfitted) == 1

    def test_thresholds(self, based):
        # far below the noise of a star nothing is dropped, far above nearly all is
        few = ScaleFit(th_min=100.0, th_max=200.0).run(based).bands["F277W"].fit.stars
        assert 0 < len(few) < 10
        assert (few.flux / few.flux_err).min() > 50

    def test_the_density_bound(self, unfitted, based):
        lacking = based.copy()
        band = lacking.bands["F150W"]
        band.fit = replace(band.fit, stars=band.fit.stars.select(np.arange(3)))
        free = ScaleFit().run(lacking).bands["F277W"]
        bound = ScaleFit(star_density=0.01).run(lacking).bands["F277W"]
        assert len(free.fit.stars) == 14 > len(bound.fit.stars)
        assert bound.all_flags & BandFlag.STARS_LIMITED
        assert not free.all_flags & BandFlag.STARS_LIMITED


class TestFilters:
    def test_all_but_the_base_by_default(self, scaled):
        assert [band.fit.step for band in scaled.bands.values()] == [
            "scalefit", "basefit", "scalefit"
        ]  # fmt: skip
        assert scaled.meta.fit_step == "scalefit"
        assert scaled.meta.cal_step.gal_scalefit == "COMPLETE"

    def test_those_that_are_named(self, based, scaled):
        result = ScaleFit(filters=["F277W"]).run(based)
        assert not result.bands["F090W"].fitted
        assert galaxy(result, "F277W").flux == galaxy(scaled, "F277W").flux

    def test_the_base_is_never_fitted_again(self, based):
        result = ScaleFit(filters=["F150W", "F277W"]).run(based)
        assert result.bands["F150W"].fit.step == "basefit"

    @pytest.mark.parametrize("step", [ScaleFit, ForcedScaleFit])
    def test_one_that_is_not_there(self, based, step):
        message = r"filters: F444W, F999W not in the model, which has F090W, F150W, F277W"
        with pytest.raises(ParameterError, match=message) as caught:
            step(filters=["F444W", "F090W", "F999W"]).run(based)
        assert caught.value.exit_status == 1

    def test_without_data_is_left_out_and_the_others_are_measured(self, based, scaled, caplog):
        with caplog.at_level(logging.INFO, logger="stpipe.galstep.scalefit"):
            result = ScaleFit().run(without_data(based, "F090W"))
        assert not result.bands["F090W"].fitted
        assert result.bands["F090W"].all_flags == BandFlag.NO_DATA
        assert galaxy(result, "F277W").flux == galaxy(scaled, "F277W").flux
        assert "fitted F277W 14 stars" in caplog.text

    def test_a_constant_image_is_flagged_and_the_others_are_measured(self, unfitted, scene):
        model = unfitted.copy()
        model.bands["F090W"].data[:] = 3.0
        result = ScaleFit().run(BaseFit().run(LoadCrop().run(model)))
        assert not result.bands["F090W"].fitted
        assert result.bands["F090W"].all_flags == BandFlag.NO_DATA
        assert result.bands["F090W"].reasons == ["all pixels have the same value"]
        assert galaxy(result, "F277W").flux == pytest.approx(scene.truth.fluxes["F277W"], rel=0.04)

    def test_scaled_filters(self, based):
        assert [b.name for b in scaled_filters(based, ["F277W", "F150W", "F090W"])] == [
            "F277W", "F090W"
        ]  # fmt: skip
        assert scaled_filters(without_data(based, "F277W"), ["F277W"]) == []


class TestSky:
    @pytest.mark.parametrize(("order", "n_terms"), [("0", 1), ("1", 3), ("2", 6), ("auto", 3)])
    def test_orders(self, based, scene, order, n_terms):
        level = based.copy()
        for name in OTHERS:
            level.bands[name].data -= scene.sky[name] - 2.0
        result = ScaleFit(sky_order=order).run(level)
        for name in OTHERS:
            sky = result.bands[name].fit.sky
            assert len(sky.coefficients) == n_terms
            assert galaxy(result, name).flux == pytest.approx(scene.truth.fluxes[name], rel=0.04)

    def test_auto_is_decided_filter_by_filter(self):
        scene = make_scene(
            8, (161, 161), 10, ("F150W", "F277W"), snr=150.0, psf_size=101, star_separation=8
        )
        model = unfitted_model(scene)
        yy, xx = np.indices((161, 161))
        bowl = (np.hypot(xx - 80, yy - 80) / 80) ** 2
        model.bands["F277W"].data += 3 * scene.truth.noise_sigma["F277W"] * bowl
        result = ScaleFit().run(BaseFit().run(model))
        assert [band.fit.sky.order for band in result.bands.values()] == [1, 2]


class TestNeeds:
    def test_a_base_fit(self, unfitted):
        message = "ScaleFit needs the base fit: run BaseFit, or give a file that contains it"
        with pytest.raises(PrerequisiteError, match=message) as caught:
            ScaleFit().run(unfitted)
        assert caught.value.exit_status == 1

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"sky_order": "plane"}, r"'sky_order': the value \"plane\" is unacceptable"),
            ({"th_max": 1.0}, r"'th_max': the value \"1.0\" is too small"),
            ({"iter_scalefit": -1}, r"'iter_scalefit': the value \"-1\" is too small"),
            ({"registration": "perhaps"}, r"'registration': the value \"perhaps\" is of the wrong"),
            ({"filter": "F090W"}, r"unknown parameter filter \(did you mean 'filters'\?\)"),
        ],
    )
    def test_parameters_that_cannot_be(self, parameters, message):
        with pytest.raises(ParameterError, match=message):
            ScaleFit(**parameters)


class TestInvariance:
    def test_the_callers_model_is_unchanged(self, based):
        before = based.copy()
        ScaleFit().run(based)
        assert_untouched(based, before)

    def test_running_again_gives_the_same(self, scaled):
        assert_same_fits(scaled, ScaleFit().run(scaled))

    def test_saved_and_read_again(self, based, scaled, tmp_path):
        path = based.save(tmp_path / "small_basefit.asdf")
        result = ScaleFit(save_results=True, output_dir=str(tmp_path)).run(path)
        assert_same_fits(scaled, result)
        again = GalaxyModel.open(tmp_path / "small_scalefit.asdf")
        assert_same_fits(scaled, again)
        assert again.bands["F277W"].fit.offset == result.bands["F277W"].fit.offset

    def test_order_of_the_filters(self, based, scaled):
        other = based.copy()
        other.bands = dict(reversed(other.bands.items()))
        assert_same_fits(scaled, ScaleFit().run(other), flux=1e-12, error=1e-12)

    @pytest.mark.parametrize("factor", [1e-12, 1e12])
    def test_unit_of_the_data(self, unfitted, scaled, factor):
        result = ScaleFit().run(BaseFit().run(multiplied(unfitted, factor)))
        check_linear(scaled, result, factor)

    def test_one_filter_in_another_unit(self, based, scaled):
        other = based.copy()
        band = other.bands["F277W"]
        band.data, band.err = 1e6 * band.data, 1e6 * band.err
        result = ScaleFit().run(other)
        own = galaxy(scaled, "F277W")
        assert galaxy(result, "F277W").flux == pytest.approx(1e6 * own.flux, rel=1e-4)
        assert galaxy(result, "F090W").flux == galaxy(scaled, "F090W").flux

    def test_turned_by_90_degrees(self, unfitted, scaled):
        check_turned(scaled, ScaleFit().run(BaseFit().run(turned(unfitted))))


def test_positions_in_the_tables_are_those_of_the_input_frame(unfitted, scene):
    cropped = unfitted.copy()
    cropped.bands = {name: band.crop(9, 13, 75, 70) for name, band in cropped.bands.items()}
    model = ScaleFit().run(BaseFit().run(cropped))
    assert model.bands["F277W"].origin == (9, 13)
    tables = make_tables(model)
    truth = scene.truth.sersic
    for row in tables["sersic"]:
        dx, dy = scene.truth.offsets[row["filter"]]
        assert row["x_0"].value == pytest.approx(truth.x_0 + dx, abs=0.1)
        assert row["y_0"].value == pytest.approx(truth.y_0 + dy, abs=0.1)
    for name in OTHERS:
        own = tables["stars"][tables["stars"]["filter"] == name]
        dx, dy = scene.truth.offsets[name]
        table = scene.truth.stars
        distance = np.hypot(
            table["x"][:, None] + dx - own["x"].value, table["y"][:, None] + dy - own["y"].value
        )
        assert len(own) >= 5
        assert distance.min(axis=0).max() < 0.5


class TestSingular:
    def test_one_filter_is_flagged_and_the_rest_measured(self, based, scaled, monkeypatch):
        from galstep.core.fitting.fits import fit_scaled

        def fails_once(band, *args):
            if band.name == "F090W":
                raise LinAlgError("matrix is singular")
            return fit_scaled(band, *args)

        monkeypatch.setattr("galstep.steps.scale_fit.fit_scaled", fails_once)
        result = ScaleFit().run(based)
        band = result.bands["F090W"]
        assert not band.fitted
        assert band.flags == BandFlag.NOT_FITTED
        assert band.reasons == ["scalefit: the normal equations are singular (matrix is singular)"]
        assert galaxy(result, "F277W").flux == galaxy(scaled, "F277W").flux
        assert result.meta.cal_step.gal_scalefit == "COMPLETE"
