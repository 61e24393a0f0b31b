"""JointFit: one shape, one star list, and what all filters know together."""

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
    check_shape,
    check_stars,
    check_turned,
    galaxy,
    multiplied,
    turned,
    without_data,
)
from numpy.linalg import LinAlgError

from galstep.datamodels import GalaxyModel
from galstep.exceptions import ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import BaseFit, ForcedScaleFit, JointFit, ScaleFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

FILTERS = ("F090W", "F150W", "F277W")


class TestTruth:
    @pytest.mark.parametrize("name", FILTERS)
    def test_galaxy(self, joint, scene, name):
        check_flux(joint, scene, name)
        check_shape(joint, scene, name)

    @pytest.mark.parametrize("name", FILTERS)
    def test_stars(self, joint, scene, name):
        assert check_stars(joint, scene, name) == len(scene.truth.stars)

    @pytest.mark.parametrize("name", FILTERS)
    def test_images_and_sky(self, joint, scene, name):
        check_images(joint.bands[name])
        sky = joint.bands[name].fit.sky
        assert sky.level == pytest.approx(scene.truth.sky[name].level, abs=4 * sky.level_err)

    @pytest.mark.parametrize("name", ["F090W", "F277W"])
    def test_registration(self, joint, scene, name):
        fit = joint.bands[name].fit
        for value, error, truth in zip(
            fit.offset, fit.offset_err, scene.truth.offsets[name], strict=True
        ):
            assert value == pytest.approx(truth, abs=4 * error)
            assert 0 < error < 0.01
        assert joint.bands["F150W"].fit.offset == (0.0, 0.0)

    def test_from_forced_fits(self, forced, scene):
        result = JointFit().run(forced)
        for name in FILTERS:
            check_flux(result, scene, name)
            assert check_stars(result, scene, name) == len(scene.truth.stars)

    def test_a_star_too_faint_in_each_filter(self, unfitted, scene):
        # 4 sigma in each of three filters: no filter may claim it, together they may
        faint = unfitted.copy()
        x, y = 20.3, 71.6
        yy, xx = np.indices((91, 91))
        truth = scene.truth
        for name, band in faint.bands.items():
            psf, (dx, dy) = truth.psfs[name], truth.offsets[name]
            image = psf(xx - x - dx, yy - y - dy)
            band.data = band.data + 4.4 * truth.noise_sigma[name] * np.sqrt(psf.noise_area) * image
        single = ScaleFit().run(BaseFit().run(faint))
        together = JointFit().run(single)

        def near(model, name):
            stars, (dx, dy) = model.bands[name].fit.stars, truth.offsets[name]
            return np.hypot(stars.x - x - dx, stars.y - y - dy).min() < 0.6

        assert not near(single, "F150W")
        assert all(near(together, name) for name in FILTERS)


class TestShared:
    def test_one_shape(self, joint):
        base = galaxy(joint, "F150W")
        for name in FILTERS:
            own = galaxy(joint, name)
            expected = base.params.moved(*joint.bands[name].fit.offset)
            for key in SHAPE:
                assert getattr(own.params, key) == pytest.approx(getattr(expected, key), abs=1e-10)
                assert getattr(own, f"{key}_err") == pytest.approx(getattr(base, f"{key}_err"))

    def test_one_star_list(self, joint):
        base = joint.bands["F150W"].fit.stars
        assert len(set(base.star_id)) == len(base)
        for name in FILTERS:
            fit = joint.bands[name].fit
            np.testing.assert_array_equal(fit.stars.star_id, base.star_id)
            np.testing.assert_allclose(fit.stars.x - fit.offset[0], base.x, atol=1e-10)
            np.testing.assert_allclose(fit.stars.y - fit.offset[1], base.y, atol=1e-10)

    def test_stars_keep_the_numbers_of_the_base(self, joint, based):
        one, two = based.bands["F150W"].fit.stars, joint.bands["F150W"].fit.stars
        for star_id, x, y in zip(one.star_id, one.x, one.y, strict=True):
            place = np.flatnonzero(two.star_id == star_id)
            assert len(place) == 1
            assert np.hypot(two.x[place[0]] - x, two.y[place[0]] - y) < 0.3

    def test_the_shape_is_better_known_than_from_one_filter(self, joint, based):
        one, three = galaxy(based, "F150W"), galaxy(joint, "F150W")
        for key in ("r_eff_err", "ellip_err", "flux_err"):
            assert getattr(three, key) < getattr(one, key)


class TestSummary:
    def test_covariance_of_the_fluxes(self, joint):
        summary = joint.joint
        assert summary.filters == FILTERS
        covariance = summary.flux_covariance
        np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > 0
        errors = [joint.bands[name].fit.total_flux_err for name in FILTERS]
        # up to the error of structure that is too small to be modelled
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), errors, rtol=1e-4)
        # the wings, which are no part of the error along the profile
        assert (np.array([galaxy(joint, name).flux_err for name in FILTERS]) < errors).all()

    def test_colours_are_better_known_than_fluxes(self, joint, scene):
        flux = np.array([galaxy(joint, name).flux for name in FILTERS])
        truth = np.array([scene.truth.fluxes[name] for name in FILTERS])
        relative = joint.joint.flux_covariance / np.outer(flux, flux)
        for i in (0, 2):
            error = np.sqrt(relative[i, i] + relative[1, 1] - 2 * relative[i, 1])
            assert error < np.sqrt(relative[i, i])
            colour = np.log(flux[i] / flux[1] / (truth[i] / truth[1]))
            assert colour == pytest.approx(0, abs=4 * error)

    def test_counts(self, joint):
        assert joint.joint.n_iterations >= 1
        assert joint.joint.n_passes >= 1
        assert joint.joint.chi2 == pytest.approx(3 * 91**2, rel=0.03)

    def test_status_and_line(self, scaled, caplog):
        with caplog.at_level(logging.INFO, logger="stpipe.galstep.jointfit"):
            result = JointFit().run(scaled)
        assert result.meta.cal_step.gal_jointfit == "COMPLETE"
        assert result.meta.fit_step == "jointfit"
        assert {band.fit.step for band in result.bands.values()} == {"jointfit"}
        assert "jointfit: filters 3, stars 14, r_eff " in caplog.text


class TestFilters:
    def test_what_has_no_fit_stays_out(self, scaled, scene):
        result = JointFit().run(ScaleFit(filters=["F277W"]).run(BaseFit().run(scaled)))
        assert result.joint.filters == ("F150W", "F277W")
        assert not result.bands["F090W"].fitted
        check_flux(result, scene, "F277W")

    def test_the_base_alone(self, based, scene):
        result = JointFit().run(based)
        assert result.joint.filters == ("F150W",)
        check_flux(result, scene, "F150W")
        check_shape(result, scene, "F150W")

    def test_a_filter_without_data(self, unfitted, scene):
        model = BaseFit().run(without_data(unfitted, "F090W"))
        result = JointFit().run(ScaleFit().run(model))
        assert result.joint.filters == ("F150W", "F277W")
        assert result.bands["F090W"].all_flags == BandFlag.NO_DATA
        for name in ("F150W", "F277W"):
            check_flux(result, scene, name)

    def test_a_base_fit_is_needed(self, unfitted):
        with pytest.raises(PrerequisiteError, match="JointFit needs the base fit: run BaseFit"):
            JointFit().run(unfitted)


class TestParameters:
    @pytest.mark.parametrize(("order", "n_terms"), [("0", 1), ("1", 3), ("2", 6), ("auto", 3)])
    def test_sky_orders(self, scaled, order, n_terms):
        result = JointFit(sky_order=order).run(scaled)
        for name in FILTERS:
            assert len(result.bands[name].fit.sky.coefficients) == n_terms

    def test_auto_takes_the_highest_order_of_the_single_fits(self, based, scene):
        curved = ScaleFit(filters=["F277W"], sky_order="2").run(based)
        result = JointFit().run(curved)
        assert [result.bands[n].fit.sky.order for n in ("F150W", "F277W")] == [2, 2]
        check_flux(result, scene, "F150W")

    def test_without_registration(self, scaled):
        result = JointFit(registration=False).run(scaled)
        for name in FILTERS:
            fit = result.bands[name].fit
            # the offsets stay those of the single fits
            assert fit.offset == scaled.bands[name].fit.offset
            assert np.isnan(fit.offset_err).all()

    @pytest.mark.parametrize(
        ("parameters", "option", "expected"),
        [
            ({}, "thresholds", (6.0, 4.5)),
            ({"th_max": 16.0, "th_min": 4.0, "th_iter": 3}, "thresholds", (16.0, 8.0, 4.0)),
            ({"th_max": 3.0, "th_min": 5.0}, "thresholds", (5.0, 5.0)),
            ({"th_min": 5.5}, "keep", 5.5),
            ({"th_near": 3.5}, "near_threshold", 3.5),
            ({"iter_jointfit": 4}, "floor_passes", 4),
            ({"star_density": 0.4}, "density", 0.4),
        ],
    )
    def test_each_reaches_the_fit(self, scaled, monkeypatch, parameters, option, expected):
        given = []

        def recorded(bands, fits, base_index, options, register, **_):
            given.append(options)
            raise LinAlgError("not wanted")

        monkeypatch.setattr("galstep.steps.joint_fit.fit_joint", recorded)
        JointFit(**parameters).run(scaled)
        assert getattr(given[0], option) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"sky_order": "3"}, r"'sky_order': the value \"3\" is unacceptable"),
            ({"th_near": -1.0}, r"'th_near': the value \"-1.0\" is too small"),
            ({"iter_jontfit": 1}, r"unknown parameter iter_jontfit \(did you mean 'iter_jointfit'"),
        ],
    )
    def test_what_cannot_be(self, parameters, message):
        with pytest.raises(ParameterError, match=message):
            JointFit(**parameters)


class TestInvariance:
    def test_the_callers_model_is_unchanged(self, scaled):
        before = scaled.copy()
        JointFit().run(scaled)
        assert_untouched(scaled, before)

    def test_saved_and_read_again(self, scaled, joint, tmp_path):
        path = scaled.save(tmp_path / "small_scalefit.asdf")
        result = JointFit(save_results=True, output_dir=str(tmp_path)).run(path)
        assert_same_fits(joint, result)
        again = GalaxyModel.open(tmp_path / "small_jointfit.asdf")
        assert_same_fits(joint, again)
        np.testing.assert_array_equal(again.joint.flux_covariance, result.joint.flux_covariance)

    def test_running_again_changes_little(self, joint):
        again = JointFit().run(joint)
        for name in FILTERS:
            own = galaxy(joint, name)
            assert galaxy(again, name).flux == pytest.approx(own.flux, abs=0.1 * own.flux_err)

    def test_order_of_the_filters(self, scaled, joint):
        other = scaled.copy()
        other.bands = dict(reversed(other.bands.items()))
        result = JointFit().run(other)
        assert result.joint.filters == FILTERS[::-1]
        # the draws behind the quoted errors go by the order of the filters
        assert_same_fits(joint, result, flux=1e-6, error=0.05)

    @pytest.mark.parametrize("factor", [1e-12, 1e12])
    def test_unit_of_the_data(self, unfitted, joint, factor):
        result = JointFit().run(ScaleFit().run(BaseFit().run(multiplied(unfitted, factor))))
        check_linear(joint, result, factor)
        np.testing.assert_allclose(
            result.joint.flux_covariance, factor**2 * joint.joint.flux_covariance, rtol=1e-8
        )

    def test_turned_by_90_degrees(self, unfitted, joint):
        check_turned(joint, JointFit().run(ScaleFit().run(BaseFit().run(turned(unfitted)))))


class TestSingular:
    @pytest.fixture
    def failed(self, scaled, monkeypatch):
        """The result of a joint fit that cannot be made."""

        def fails(*args, **_):
            raise LinAlgError("matrix is singular")

        monkeypatch.setattr("galstep.steps.joint_fit.fit_joint", fails)
        return JointFit().run(scaled)

    def test_the_single_fits_stay_and_all_are_flagged(self, failed, scaled):
        assert_same_fits(scaled, failed)
        assert failed.meta.cal_step.gal_jointfit == "SKIPPED"
        assert failed.meta.fit_step == "scalefit"
        assert failed.joint is None
        for band in failed.bands.values():
            assert band.flags == BandFlag.NOT_FITTED
            assert band.reasons == [
                "jointfit: the normal equations are singular (matrix is singular)"
            ]


def test_a_single_fit_afterwards_drops_the_joint_summary(joint):
    assert joint.joint is not None
    assert ScaleFit(filters=["F277W"]).run(joint).joint is None
    assert ForcedScaleFit(filters=["F277W"]).run(joint).joint is None


@pytest.mark.slow
def test_errors_are_true_over_many_galaxies():
    shape = SersicParams(44.3, 46.8, 6.0, 1.2, 0.3, 0.7)
    pulls = {key: [] for key in (*SHAPE, "flux", "sky")}
    for seed in range(100, 130):
        scene = make_scene(
            seed, (91, 91), 14, FILTERS, snr=200.0, sersic=shape, star_separation=7,
            star_snr=(25, 300), psf_size=101,
        )  # fmt: skip
        model = JointFit().run(ScaleFit().run(BaseFit().run(unfitted_model(scene))))
        for key in SHAPE:
            own = galaxy(model, "F150W")
            error = getattr(own, f"{key}_err")
            pulls[key].append((getattr(own.params, key) - getattr(shape, key)) / error)
        for name in FILTERS:
            own, sky = galaxy(model, name), model.bands[name].fit.sky
            pulls["flux"].append((own.flux - scene.truth.fluxes[name]) / own.flux_err)
            pulls["sky"].append((sky.level - scene.truth.sky[name].level) / sky.level_err)
    # the scatter of 30 pulls is itself known to 13 per cent
    for key, values in pulls.items():
        assert 0.65 < np.std(values) < 1.4, key
        assert abs(np.mean(values)) < 0.6, key
