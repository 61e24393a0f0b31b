"""BaseFit alone: the truth, what it leaves, and what each parameter does."""

import logging

import numpy as np
import pytest
from galaxy_checks import (
    assert_same_fits,
    assert_untouched,
    check_flux,
    check_images,
    check_linear,
    check_shape,
    check_stars,
    check_turned,
    galaxy,
    multiplied,
    turned,
    without_data,
)
from numpy.linalg import LinAlgError

from galstep.core.engine.priors import ShapePrior
from galstep.core.engine.simplex import fit_simplex
from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import InputError, ParameterError
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import BaseFit, LoadCrop, PSFCalibrate, ScaleFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model


class TestTruth:
    def test_galaxy(self, based, scene):
        check_flux(based, scene, "F150W")
        check_shape(based, scene, "F150W")

    def test_sky(self, based, scene):
        sky = based.bands["F150W"].fit.sky
        assert sky.level == pytest.approx(scene.truth.sky["F150W"].level, abs=4 * sky.level_err)
        assert 0 < sky.level_err < 0.1 * scene.truth.noise_sigma["F150W"]

    def test_stars(self, based, scene):
        assert check_stars(based, scene, "F150W") == len(scene.truth.stars)

    def test_images(self, based):
        check_images(based.bands["F150W"])

    def test_without_an_error_plane(self, unfitted, based, scene):
        bare = unfitted.copy()
        for band in bare.bands.values():
            band.err = None
        result = BaseFit().run(bare)
        check_flux(result, scene, "F150W")
        assert check_stars(result, scene, "F150W") == len(scene.truth.stars)
        fit = result.bands["F150W"].fit
        assert fit.noise_sigma == pytest.approx(scene.truth.noise_sigma["F150W"], rel=0.05)
        own, known = galaxy(result, "F150W").flux_err, galaxy(based, "F150W").flux_err
        assert own == pytest.approx(known, rel=0.2)

    def test_a_blurred_psf_is_used_as_calibrated(self):
        sharp = make_scene(
            7,
            (121, 121),
            40,
            ("F150W",),
            star_snr=(12, 300),
            star_separation=7,
            psf_blur=0.9,
            psf_size=101,
        )
        calibrated = PSFCalibrate().run(unfitted_model(sharp))
        result = BaseFit().run(calibrated)
        check_flux(result, sharp, "F150W", relative=0.06)
        check_images(result.bands["F150W"])
        assert check_stars(result, sharp, "F150W") >= 37
        # a PSF that is too sharp takes a star for several
        without = BaseFit().run(unfitted_model(sharp)).bands["F150W"]
        assert len(without.fit.stars) > 50
        left = [np.mean((b.residual / b.err) ** 2) for b in (result.bands["F150W"], without)]
        assert left[1] > left[0] + 0.05


class TestWhatIsLeft:
    def test_status(self, based):
        assert based.meta.cal_step.gal_basefit == "COMPLETE"
        assert (based.meta.fit_step, based.meta.base_filter) == ("basefit", "F150W")
        assert based.meta.parameters["basefit"]["th_min"] == 5.0
        assert based.bands["F150W"].fit.step == "basefit"
        assert based.bands["F150W"].all_flags == 0

    def test_only_the_base_is_fitted(self, based):
        for name in ("F090W", "F277W"):
            band = based.bands[name]
            assert (band.fit, band.galaxy, band.stars, band.sky) == (None,) * 4

    def test_the_callers_model_is_unchanged(self, unfitted):
        before = unfitted.copy()
        BaseFit().run(unfitted)
        assert_untouched(unfitted, before)

    def test_earlier_results_are_dropped(self, joint, based):
        result = BaseFit().run(joint)
        assert_same_fits(based, result)
        assert result.joint is None
        assert result.meta.fit_step == "basefit"

    def test_one_line_with_numbers(self, unfitted, caplog):
        with caplog.at_level(logging.INFO, logger="stpipe.galstep.basefit"):
            result = BaseFit().run(unfitted)
        (line,) = [r.message for r in caplog.records if r.name == "stpipe.galstep.basefit"]
        assert line.startswith("basefit: filter F150W, flux ")
        assert f"stars {len(result.bands['F150W'].fit.stars)}," in line

    def test_saved_and_read_again(self, unfitted, based, tmp_path):
        path = unfitted.save(tmp_path / "small_loadcrop.asdf")
        result = BaseFit(save_results=True, output_dir=str(tmp_path)).run(path)
        assert_same_fits(based, result)
        again = GalaxyModel.open(tmp_path / "small_basefit.asdf")
        assert_same_fits(based, again)
        np.testing.assert_array_equal(again.bands["F150W"].residual, result.bands["F150W"].residual)


class TestBaseFilter:
    def test_another_one(self, unfitted, scene):
        result = BaseFit(base_filter="F277W").run(unfitted)
        assert result.meta.base_filter == "F277W"
        check_flux(result, scene, "F277W")
        # the base is the frame of the scene: its own registration is nothing
        assert result.bands["F277W"].fit.offset == (0.0, 0.0)
        check_shape(result, scene, "F277W")

    def test_not_in_the_data(self, unfitted, caplog):
        with caplog.at_level(logging.INFO, logger="stpipe"):
            result = BaseFit(base_filter="F444W").run(unfitted)
        assert result.meta.base_filter in result.bands
        assert result.bands[result.meta.base_filter].fitted
        assert f"F444W is not in the data: {result.meta.base_filter} is used" in caplog.text

    def test_without_usable_pixels(self, unfitted, caplog):
        with caplog.at_level(logging.INFO, logger="stpipe"):
            result = BaseFit().run(without_data(unfitted, "F150W"))
        assert "base filter F150W has no usable pixels" in caplog.text
        assert result.meta.base_filter != "F150W"
        assert not result.bands["F150W"].fitted
        assert result.bands["F150W"].flags == BandFlag.NO_DATA

    def test_nothing_usable_at_all(self, unfitted):
        lost = unfitted
        for name in unfitted.bands:
            lost = without_data(lost, name)
        message = "base filter: none of F090W, F150W, F277W has a usable pixel"
        with pytest.raises(InputError, match=message) as caught:
            BaseFit().run(lost)
        assert caught.value.exit_status == 2


class TestSky:
    @pytest.mark.parametrize(("order", "n_terms"), [("0", 1), ("1", 3), ("2", 6), ("auto", 3)])
    def test_orders(self, unfitted, scene, order, n_terms):
        level = unfitted.copy()
        level.bands["F150W"].data -= scene.sky["F150W"] - 2.0
        result = BaseFit(sky_order=order).run(level)
        sky = result.bands["F150W"].fit.sky
        assert sky.level == pytest.approx(2.0, abs=4 * sky.level_err)
        assert len(sky.coefficients) == n_terms
        assert sky.order == {1: 0, 3: 1, 6: 2}[n_terms]
        check_flux(result, scene, "F150W")

    def test_a_constant_is_not_enough_for_a_plane(self, unfitted, scene):
        tilted = unfitted.copy()
        band = tilted.bands["F150W"]
        band.data += 3 * band.err * np.linspace(-1, 1, 91)
        flat, plane = (BaseFit(sky_order=order).run(tilted) for order in "01")
        check_flux(plane, scene, "F150W")
        check_images(plane.bands["F150W"])
        band = flat.bands["F150W"]
        assert np.mean((band.residual / band.err) ** 2) > 1.5

    def test_auto_sees_a_curved_sky(self):
        scene = make_scene(
            8,
            (161, 161),
            10,
            ("F150W",),
            snr=150.0,
            sersic=SersicParams(80.2, 79.5, 6.0, 1.0, 0.2, 0.4),
            psf_size=101,
        )
        model = unfitted_model(scene)
        yy, xx = np.indices((161, 161))
        bowl = (np.hypot(xx - 80, yy - 80) / 80) ** 2
        model.bands["F150W"].data += 3 * scene.truth.noise_sigma["F150W"] * bowl
        found = BaseFit().run(model)
        assert found.bands["F150W"].fit.sky.order == 2
        check_flux(found, scene, "F150W", relative=0.05)
        plane = BaseFit(sky_order="1").run(model)
        truth = scene.truth.fluxes["F150W"]
        off = abs(galaxy(plane, "F150W").flux - truth), abs(galaxy(found, "F150W").flux - truth)
        assert off[0] > 3 * off[1]

    def test_other_orders_are_refused(self):
        with pytest.raises(ParameterError, match=r"sky_order': the value \"3\" is unacceptable"):
            BaseFit(sky_order="3")


class TestParameters:
    def test_thresholds_decide_who_is_a_star(self, unfitted, based, scene):
        snr = np.sort(scene.truth.stars["snr_F150W"])
        cut = float(np.sqrt(snr[6] * snr[7]))
        result = BaseFit(th_min=cut, th_max=10 * cut).run(unfitted)
        stars = result.bands["F150W"].fit.stars
        assert 5 <= len(stars) <= 8
        known = based.bands["F150W"].fit.stars.flux
        assert stars.flux.min() > np.sort(known)[4]

    def test_the_density_bound_is_flagged(self, unfitted):
        band = BaseFit(star_density=0.005).run(unfitted).bands["F150W"]
        assert 0 < len(band.fit.stars) < 14
        assert band.all_flags & BandFlag.STARS_LIMITED
        assert "density bound" in band.fit.reason

    @pytest.mark.parametrize(
        ("parameters", "option", "expected"),
        [
            ({}, "thresholds", tuple(np.geomspace(30, 5, 10))),
            ({"th_max": 20.0, "th_min": 5.0, "th_iter": 3}, "thresholds", (20.0, 10.0, 5.0)),
            ({"th_min": 6.0}, "keep", 6.0),
            ({"th_max_consec_empty": 7}, "max_empty", 7),
            ({"iter_basefit": 4}, "floor_passes", 4),
            ({"mainloop_min_iter": 3}, "min_passes", 3),
            ({"mainloop_convergence_patience": 5}, "patience", 5),
            ({"mainloop_convergence_atol": 0.02}, "shape_tolerance", 0.02),
            ({"star_density": 0.4}, "density", 0.4),
            ({"use_final_polish": False}, "final_iterations", 1),
            ({"robust_scale": 2.5}, "robust_scale", 2.5),
        ],
    )
    def test_each_reaches_the_fit(self, unfitted, monkeypatch, parameters, option, expected):
        given = []

        def recorded(band, first, options, **_):
            given.append(options)
            raise LinAlgError("not wanted")

        monkeypatch.setattr("galstep.steps.base_fit.fit_base", recorded)
        BaseFit(**parameters).run(unfitted)
        assert getattr(given[0], option) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(
        ("parameters", "keyword", "expected"),
        [
            ({"fit_complex_model": "auto"}, "two", "auto"),
            ({"use_dual_annealing": True}, "annealing", True),
            ({"gls": True}, "gls", True),
            ({"prior_n": [1.5, 0.1]}, "priors", (ShapePrior("n", 1.5, 0.1),)),
        ],
    )
    def test_the_galaxys_model_reaches_the_fit(
        self, unfitted, monkeypatch, parameters, keyword, expected
    ):
        given = []

        def recorded(band, first, options, **keywords):
            given.append(keywords[keyword])
            raise LinAlgError("not wanted")

        monkeypatch.setattr("galstep.steps.base_fit.fit_base", recorded)
        BaseFit(**parameters).run(unfitted)
        assert given == [expected]

    def test_loss_and_fitter_reach_the_fit(self, unfitted, monkeypatch):
        given = []

        def recorded(band, first, options, **_):
            given.append((options.robust, options.fitter.__wrapped__))
            raise LinAlgError("not wanted")

        monkeypatch.setattr("galstep.steps.base_fit.fit_base", recorded)
        BaseFit(robust="huber", galaxy_fitter="iterative_nm").run(unfitted)
        assert given == [("huber", fit_simplex)]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "parameters",
        [
            {"use_final_polish": False},
            {"iter_basefit": 1, "mainloop_min_iter": 0},
            {"th_iter": 2},
            {"th_max_consec_empty": 1},
        ],
    )
    def test_none_harms(self, unfitted, scene, parameters):
        result = BaseFit(**parameters).run(unfitted)
        check_flux(result, scene, "F150W", sigmas=4.5)
        assert check_stars(result, scene, "F150W") >= 13

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"th_min": 0.5}, r"'th_min': the value \"0.5\" is too small"),
            ({"iter_basefit": 0}, r"'iter_basefit': the value \"0\" is too small"),
            ({"star_density": 2.0}, r"'star_density': the value \"2.0\" is too big"),
            ({"th_iter": "many"}, r"'th_iter': the value \"many\" is of the wrong type"),
            ({"iter_basfit": 3}, r"unknown parameter iter_basfit \(did you mean 'iter_basefit'\?"),
        ],
    )
    def test_what_cannot_be(self, parameters, message):
        with pytest.raises(ParameterError, match=message):
            BaseFit(**parameters)


class TestInvariance:
    def test_order_of_the_filters(self, unfitted, based):
        other = unfitted.copy()
        other.bands = dict(reversed(other.bands.items()))
        assert_same_fits(based, BaseFit().run(other), flux=1e-12, error=1e-12)

    @pytest.mark.parametrize("factor", [1e-12, 1e12])
    def test_unit_of_the_data(self, unfitted, based, factor):
        check_linear(based, BaseFit().run(multiplied(unfitted, factor)), factor)

    def test_turned_by_90_degrees(self, unfitted, based):
        check_turned(based, BaseFit().run(turned(unfitted)))

    def test_a_constant_more_is_sky(self, unfitted, based):
        other = unfitted.copy()
        added = 50 * other.bands["F150W"].err[0, 0]
        other.bands["F150W"].data += added
        result = BaseFit().run(other)
        assert galaxy(result, "F150W").flux == pytest.approx(galaxy(based, "F150W").flux, rel=1e-5)
        levels = [m.bands["F150W"].fit.sky.level for m in (result, based)]
        assert levels[0] - levels[1] == pytest.approx(added, rel=1e-6)


def test_positions_in_the_tables_are_those_of_the_input_frame():
    truth = SersicParams(78.4, 52.3, 5.0, 1.0, 0.2, 0.5)
    scene = make_scene(
        9, (110, 150), 25, ("F150W",), sersic=truth, star_separation=6, star_snr=(30, 300),
        psf_size=101,
    )  # fmt: skip
    cropped = LoadCrop(min_crop_size=32, auto_crop_factor=8).run(unfitted_model(scene))
    x_min, y_min = cropped.bands["F150W"].origin
    assert x_min > 0 and y_min > 0
    model = BaseFit().run(cropped)
    tables = make_tables(model)
    row = tables["sersic"][0]
    for key in ("x_0", "y_0"):
        error = row[f"{key}_err"].value
        assert row[key].value == pytest.approx(getattr(truth, key), abs=4 * error)
        assert error < 0.1
    own = model.bands["F150W"].fit
    assert row["x_0"].value == own.sersic[0].params.x_0 + x_min
    x, y = tables["stars"]["x"].value, tables["stars"]["y"].value
    table = scene.truth.stars
    distance = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
    inside = np.abs(distance.min(axis=0)) < 0.5
    assert inside.all() and len(x) >= 5


class TestSingular:
    def singular(self, *args, **kwargs):
        raise LinAlgError("matrix is singular")

    def test_flag_reason_and_status(self, unfitted, monkeypatch, caplog):
        monkeypatch.setattr("galstep.steps.base_fit.fit_base", self.singular)
        result = BaseFit().run(unfitted)
        band = result.bands["F150W"]
        assert band.flags == BandFlag.NOT_FITTED
        assert band.reasons == ["basefit: the normal equations are singular (matrix is singular)"]
        assert not band.fitted
        assert result.meta.cal_step.gal_basefit == "SKIPPED"
        assert "basefit: skipped: basefit: the normal equations are singular" in caplog.text

    def test_what_rests_on_it_says_so(self, unfitted, monkeypatch):
        monkeypatch.setattr("galstep.steps.base_fit.fit_base", self.singular)
        result = BaseFit().run(unfitted)
        with pytest.raises(ValueError, match="ScaleFit needs the base fit: run BaseFit"):
            ScaleFit().run(result)


def test_a_galaxy_that_is_not_there(unfitted):
    noise = unfitted.copy()
    rng = np.random.default_rng(3)
    for band in noise.bands.values():
        band.data = rng.normal(size=band.shape) * band.err
    band = BaseFit().run(noise).bands["F150W"]
    own = band.fit.sersic[0]
    assert abs(own.flux) < 5 * own.flux_err
    assert band.all_flags & BandFlag.FAINT
    assert len(band.fit.stars) <= 2
