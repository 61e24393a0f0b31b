"""The parameters of the stars: every key of a sphot configuration, and what it changes."""

import re
from dataclasses import replace

import numpy as np
import pytest

from galstep.configuration.sphot_keys import KEYS
from galstep.core.detection.finder import DaoFinder, MatchedFinder
from galstep.core.detection.ladder import LadderOptions
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import GalstepError, ParameterError
from galstep.flags import StarFlag
from galstep.steps import BaseFit, JointFit, ScaleFit
from galstep.steps.framework.option_spec import per_filter_spec
from galstep.steps.galaxy.per_filter import for_filter
from galstep.steps.galaxy.scenes import try_fit

PSF_KEYS = [key.name for key in KEYS if key.section == "psf"]


def ladder_options(step, options=None):
    """The options that the step hands to the fit."""
    if isinstance(step, BaseFit):
        return step._ladder_options()
    return step._ladder_options(for_filter(step, "F277W") if options is None else options)


SIGMA = 1 / np.sqrt(8 * np.log(2))

#: A value that is not the default, and what of the options it sets.
OTHER_VALUES = {
    "th_min": (4.0, lambda o: (o.keep, o.thresholds[-1]) == (4.0, 4.0)),
    "th_max": (50.0, lambda o: o.thresholds[0] == pytest.approx(50.0)),
    "th_iter": (5, lambda o: len(o.thresholds) == 5),
    "th_max_consec_empty": (1, lambda o: o.max_empty == 1),
    "bkg_refit_per_iteration": (False, lambda o: not o.measure_noise),
    "bkg_floor_factor": (0.7, lambda o: o.noise_floor == 0.7),
    "ladder_dedup_psfsigma": (1.0, lambda o: o.separation == pytest.approx(SIGMA)),
    "final_refit_method": ("nnls", lambda o: o.refit.method == "nnls"),
    "final_joint_refit": (False, lambda o: not o.refit.together),
    "final_refit_xy_bounds": (0.0, lambda o: o.refit.reach == 0.0),
    "final_refit_iterations": (2, lambda o: o.refit.iterations == 2),
    "final_refit_detect_th": (6.0, lambda o: o.refit.threshold == 6.0),
    "final_refit_dedup_psfsigma": (1.0, lambda o: o.refit.separation == pytest.approx(SIGMA)),
    "final_refit_residual_tol": (0.1, lambda o: o.refit.residual_tol == 0.1),
    "final_refit_catastrophic_flux_factor": (5.0, lambda o: o.refit.catastrophic_factor == 5),
    "final_refit_fit_shape": ([11, 11], lambda o: o.refit.window == 11),
    "leftover_max_iterations": (1, lambda o: o.refit.leftover_iterations == 1),
    "leftover_detect_k_sigma": (7.0, lambda o: o.refit.leftover_threshold == 7.0),
    "leftover_dedup_psfsigma": (1.0, lambda o: o.refit.leftover_separation == pytest.approx(SIGMA)),
    "leftover_box_size": (5, lambda o: o.refit.leftover_box == 5),
    "mask_aper_size_in_r_eff": (2.0, lambda o: o.clip_beyond == 2.0),
    "raise_error": (True, lambda o: o.raise_error),
    "residual_clip_sigma": (15.0, lambda o: o.clip == 15.0),
    "grouper_separation_in_psfsigma": (
        1.0, lambda o: o.group_separation == pytest.approx(SIGMA)
    ),
    "bkg_sigma_clip": (4.0, lambda o: o.background.sigma_clip == 4.0),
    "bkg_box_size": ([10, 12], lambda o: o.background.box_size == (10, 12)),
    "bkg_filter_size": ([3, 7], lambda o: o.background.filter_size == (3, 7)),
    "localbkg_bounds_in_psfsigma": (
        [2, 5], lambda o: o.background.annulus == pytest.approx((2 * SIGMA, 5 * SIGMA))
    ),
    "center_mask_r_in_fwhm": (1.5, lambda o: o.centre_mask == 1.5),
    "PSFPhotometry_aperture_radius": (3.0, lambda o: o.first_flux == 3.0),
    "PSFPhotometry_fitter_maxiters": (
        2, lambda o: (o.max_iterations, o.final_iterations) == (2, 2)
    ),
    "PSFPhotometry_fit_shape_in_fwhm": (1.5, lambda o: o.window == 1.5),
    "modelimg_render_shape": ([25, 25], lambda o: o.render_side == 25),
    "PSFPhotometry_group_warning_threshold": (3, lambda o: o.crowded == 3),
    "cuts_pos_err_max": (0.5, lambda o: o.cuts.position_error == 0.5),
    "cuts_res_cen_sigma_clip": (3.0, lambda o: o.cuts.central_residual == 3.0),
    "cuts_cfit_sigma_clip": (3.0, lambda o: o.cuts.cfit == 3.0),
    "cuts_chi2dof_median_factor": (3.0, lambda o: o.cuts.chi2 == 3.0),
    "cuts_pos_diff_median_factor": (2.0, lambda o: o.cuts.moved == 2.0),
    "cuts_flux_SNR_min": (5.0, lambda o: o.cuts.snr == 5.0),
}  # fmt: skip


class TestKeys:
    @pytest.mark.parametrize("step", [BaseFit, ScaleFit])
    def test_every_key_is_a_parameter(self, step):
        assert set(PSF_KEYS) <= set(step.load_spec_file())
        assert set(PSF_KEYS) == {*OTHER_VALUES, "finder_kwargs"}

    @pytest.mark.parametrize("step", [BaseFit, ScaleFit])
    @pytest.mark.parametrize("name", OTHER_VALUES)
    def test_every_key_changes_the_ladder(self, step, name):
        value, is_set = OTHER_VALUES[name]
        usual = ladder_options(step())
        own = ladder_options(step(**{name: value}))
        assert is_set(own) and not is_set(usual)

    @pytest.mark.parametrize(
        "name", [name for name, (value, _) in OTHER_VALUES.items() if not isinstance(value, list)]
    )
    def test_every_single_value_may_differ_between_filters(self, name):
        value, is_set = OTHER_VALUES[name]
        step = ScaleFit(per_filter={"F277W": {name: value}})
        assert is_set(ladder_options(step, for_filter(step, "F277W")))
        assert not is_set(ladder_options(step, for_filter(step, "F090W")))

    def test_both_steps_have_the_same(self):
        base, scale = BaseFit.load_spec_file(), ScaleFit.load_spec_file()
        differing = {name for name in PSF_KEYS if base[name] != scale[name]}
        assert differing == {"th_max", "th_iter"}

    def test_single_defaults_of_a_spec_are_taken_out(self):
        lines = per_filter_spec(
            "    a = float(min=2, default=5)    # text\n"
            "    b = integer(default=1)  # text (unit)\n"
            "    c = int_list(min=2, max=2, default=list(0, 0))  # text\n"
        ).splitlines()
        assert lines == [
            "    a = float(min=2, default=None)  # a of this filter",
            "    b = integer(default=None)  # b of this filter (unit)",
        ]


class TestDefaults:
    def test_nothing_new_by_default(self):
        own = ladder_options(BaseFit())
        # core begins where the step does, which tells of each fit besides
        assert replace(own, fitter=own.fitter.__wrapped__) == LadderOptions()
        assert own.finder == MatchedFinder()
        assert own.refit.reach is None and own.refit.window == 0 and own.refit.together
        cuts = replace(own.cuts, position_error=0.0, snr=0.0)
        assert not cuts.any

    def test_thresholds(self):
        assert ladder_options(BaseFit()).thresholds == pytest.approx(np.geomspace(30, 5, 10))
        assert ladder_options(ScaleFit()).thresholds == (7.0, 5.0)
        assert ladder_options(ScaleFit(th_max=4.0)).thresholds == (5.0, 5.0)


class TestFinder:
    def test_keywords(self):
        step = BaseFit(finder="dao", finder_kwargs={"sharpness_range": [0.1, 2.0], "theta": 30.0})
        finder = ladder_options(step).finder
        assert finder == DaoFinder(sharpness_range=(0.1, 2.0), theta=30.0)
        assert finder.roundness_range == (-1.0, 1.0) and finder.n_brightest is None

    def test_unknown_keyword(self):
        with pytest.raises(ParameterError, match=r"finder_kwargs/sharplo"):
            BaseFit(finder_kwargs={"sharplo": 0.2})

    def test_unknown_finder(self):
        with pytest.raises(ParameterError, match="'finder': the value \"iraf\" is unacceptable"):
            ScaleFit(finder="iraf")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"modelimg_render_shape": [25, 21]}, "modelimg_render_shape must be two equal sides in"),
        ({"modelimg_render_shape": [-1, -1]}, "modelimg_render_shape must be .* got [-1, -1]"),
        ({"final_refit_fit_shape": [11, 9]}, "final_refit_fit_shape must be two equal odd sides"),
        ({"final_refit_fit_shape": [10, 10]}, "final_refit_fit_shape must be .* got [10, 10]"),
        ({"bkg_box_size": [10, 0]}, "bkg_box_size must be two positive sizes"),
        ({"bkg_filter_size": [4, 4]}, "bkg_filter_size must be two odd positive sizes"),
        ({"localbkg_bounds_in_psfsigma": [5, 2]}, "localbkg_bounds_in_psfsigma must be an inner"),
    ],
)
def test_pairs_that_cannot_be(parameters, message):
    with pytest.raises(ParameterError, match=re.escape(message).replace(r"\.\*", ".*")):
        ladder_options(BaseFit(**parameters))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"final_refit_method": "lm"}, "'final_refit_method': the value \"lm\" is unacceptable"),
        ({"bkg_floor_factor": 2.0}, "'bkg_floor_factor': the value \"2.0\" is too big"),
        ({"cuts_flux_SNR_min": -1.0}, "'cuts_flux_SNR_min': the value \"-1.0\" is too small"),
        ({"leftover_box_size": 1}, "'leftover_box_size': the value \"1\" is too small"),
    ],
)
def test_values_out_of_range(parameters, message):
    for step in (BaseFit, ScaleFit):
        with pytest.raises(ParameterError, match=message):
            step(**parameters)


class TestSteps:
    @pytest.mark.slow
    def test_windows_need_the_own_fitter(self, unfitted):
        step = BaseFit(galaxy_fitter="iterative_nm", PSFPhotometry_fit_shape_in_fwhm=1.5)
        with pytest.raises(ParameterError, match="galaxy_fitter must be varpro"):
            step.run(unfitted)

    def test_groups_are_in_the_table(self, unfitted, based):
        stars = based.bands["F150W"].fit.stars
        assert stars.group_size.min() == 1 and not (stars.flags & StarFlag.CROWDED_GROUP).any()
        wide = BaseFit(
            grouper_separation_in_psfsigma=1000.0, PSFPhotometry_group_warning_threshold=2
        )
        model = wide.run(unfitted)
        table = make_tables(model)["stars"]
        assert set(table["group_size"]) == {len(table)} and set(table["group_id"]) == {1}
        assert np.all(table["flags"] & StarFlag.CROWDED_GROUP)
        assert len(table) == len(stars)  # none was dropped

    def test_a_failed_fit_is_an_error_if_asked(self, unfitted):
        band = unfitted.bands["F150W"]

        def fails(band):
            raise np.linalg.LinAlgError("singular")

        message = r"basefit: fit of F150W failed: the normal equations are singular \(singular\)"
        with pytest.raises(GalstepError, match=message):
            try_fit("basefit", [band], fails, band, raise_error=True)

    @pytest.mark.parametrize("step", [BaseFit, ScaleFit])
    def test_the_steps_ask(self, based, monkeypatch, step):
        def fails(*args, **kwargs):
            raise np.linalg.LinAlgError("singular")

        name = step.__name__.lower().replace("fit", "")
        for module, fit in (("base_fit", "fit_base"), ("scale_fit", "fit_scaled")):
            monkeypatch.setattr(f"galstep.steps.{module}.{fit}", fails)
        with pytest.raises(GalstepError, match=f"{name}fit: fit of .* failed: the normal"):
            step(raise_error=True).run(based)
        model = step().run(based)
        assert any("singular" in r for band in model.bands.values() for r in band.reasons)

    def test_refits_give_the_same_galaxy(self, unfitted, based):
        best = based.bands["F150W"].fit
        for method in ("none", "nnls"):
            fit = BaseFit(final_refit_method=method).run(unfitted).bands["F150W"].fit
            assert fit.flux == pytest.approx(best.flux, abs=best.flux_err)
            assert len(fit.stars) <= len(best.stars)


class TestNoStars:
    def test_none_is_looked_for(self, unfitted):
        """Neither by the ladder nor by the rounds of the final refit."""
        band = BaseFit(find_stars=False).run(unfitted).bands["F150W"]
        assert len(band.fit.stars) == len(band.fit.knots) == 0
        assert not band.stars.any()

    def test_nor_in_the_whole_pipeline(self, unfitted):
        model = unfitted
        for step in (BaseFit, ScaleFit, JointFit):
            model = step(find_stars=False).run(model)
        assert [len(band.fit.stars) for band in model.bands.values()] == [0] * len(model.bands)
