"""The keys of a sphot configuration, and which parameter each has become.

One place feeds the converter, the migration page of the documentation and the
tests. Whether a parameter is there is not written here: it is looked up in the
specs, so that this table cannot promise what no step has.
"""

from dataclasses import dataclass

from galstep.configuration.parameters import pipeline_parameters

__all__ = ["KEYS", "SphotKey", "found_targets", "key_table"]

#: Steps in which the keys of a section are looked for, under the same name.
SECTIONS = {
    "prep": ("loadcrop",),
    "core": ("basefit",),
    "psf-calib": ("psfcalibrate",),
    "psf": ("basefit", "scalefit", "forcedscalefit"),
    "aperture": ("aperphot",),
}


@dataclass(frozen=True)
class SphotKey:
    """One key.

    Parameters
    ----------
    section, name : str
        As in ``sphot_config.toml``.
    default : object
        What sphot's documentation gives.
    note : str, optional
        What is different here, in one sentence.
    targets : tuple of str, optional
        ``step.parameter``, where that is not the key's name in the steps of its
        section.
    """

    section: str
    name: str
    default: object
    note: str = ""
    targets: tuple = ()

    @property
    def full_name(self):
        """``[section] name``."""
        return f"[{self.section}] {self.name}"

    @property
    def candidates(self):
        """The parameters it would be, whether they are there or not."""
        return self.targets or tuple(f"{step}.{self.name}" for step in SECTIONS[self.section])


def _keys(section, *keys):
    return tuple(SphotKey(section, *key) for key in keys)


_MATCHED_FILTER = "sigma are those of the matched-filter map, unresolved stars included"
_TOGETHER = "all stars are fitted together with galaxy and sky"
_EVERY_PIXEL = "every star is fitted and drawn over its whole PSF"
_SKY = "the sky is a polynomial of the scene (sky_order) and is fitted with it"
_IN_THE_SCENE = "what the fit leaves is searched for stars after every threshold"
_FLAGGED = "no star is dropped after the fit: it is flagged (galstep.flags.StarFlag)"
_NO_SCAN = "the matched filter is the calibrated PSF itself: nothing is scanned"

#: Every key of sphot's documentation, in its order.
KEYS = (
    *_keys(
        "prep",
        ("filters", ["F555W", "F814W", "F090W", "F150W", "F160W", "F277W"],
         "by default all filters in the file"),
        ("PSF_file", "PSFdata.h5", "", ("loadcrop.psf_file",)),
        ("blur_psf", {}, "start and prior of the calibrated kernel, not a fixed blur",
         ("psfcalibrate.blur_psf",)),
        ("custom_initial_crop", 1),
        ("sigma_guess", 10),
        ("auto_crop", True),
        ("auto_crop_factor", 8, "the square is never smaller than min_crop_size"),
    ),
    *_keys(
        "core",
        ("base_filter", "F150W", "",
         ("loadcrop.base_filter", "psfcalibrate.base_filter", "basefit.base_filter")),
        ("iter_basefit", 10, "counts the passes at the lowest threshold"),
        ("iter_scalefit", 3, "counts the passes at the lowest threshold",
         ("scalefit.iter_scalefit",)),
        ("fit_complex_model", False, "auto decides by whether a second component is needed"),
        ("allow_refit", False),
        ("mainloop_convergence_atol", 1e-3,
         "changes are counted in r_eff (centre), ln r_eff, e1, e2 and ln n"),
        ("mainloop_convergence_patience", 2),
        ("mainloop_min_iter", 2),
        ("use_dual_annealing", True),
        ("use_final_polish", True, "a fit of the whole scene to full convergence"),
    ),
    *_keys(
        "psf-calib",
        ("in_mainloop", False),
        ("kernel_family", "gaussian"),
        ("kernel_anchor_K", 30),
        ("kernel_fit_skip_on_convergence", False,
         "the calibration ends by itself when the kernel stands still (max_loops)"),
        ("kernel_skip_threshold", 1e-3),
        ("kernel_fit_objective", "multi_source",
         "with single_source the neighbours are drawn and held"),
        ("kernel_fit_stamp_half_min", 8),
        ("kernel_fit_stamp_half_in_sigmaeff", 3.0,
         "the pixels fitted are those of a disc, at least 3.5 pixels in radius"),
        ("kernel_fit_max_neighbors", 15),
        ("kernel_fit_neighbor_pad_pix", 4.0),
        ("center_mask_r_in_fwhm", 2.5, "in FWHM of the library PSF"),
        ("scan_method", "lm", _NO_SCAN),
        ("scan_metric", "sum_snr", _NO_SCAN),
        ("scan_top_k", 100, _NO_SCAN),
        ("fwhm_method", "empirical", _NO_SCAN),
    ),
    *_keys(
        "psf",
        ("th_min", 5, _MATCHED_FILTER, ("basefit.th_min", "scalefit.th_min")),
        ("th_max", 30, f"{_MATCHED_FILTER}; scalefit.th_max is a threshold of its own",
         ("basefit.th_max",)),
        ("th_iter", 10),
        ("th_max_consec_empty", 3),
        ("bkg_refit_per_iteration", True, "the noise is measured anew after every fit"),
        ("bkg_floor_factor", 0.3),
        ("ladder_dedup_psfsigma", 0.5),
        ("final_refit_method", "iterative", _TOGETHER),
        ("final_joint_refit", True, _TOGETHER),
        ("final_refit_xy_bounds", 0.0, "positions are fitted, except in ForcedScaleFit"),
        ("final_refit_iterations", 5, _TOGETHER),
        ("final_refit_detect_th", 4.0, _IN_THE_SCENE),
        ("final_refit_dedup_psfsigma", 2.0, _IN_THE_SCENE),
        ("final_refit_residual_tol", 0.01, _TOGETHER),
        ("final_refit_catastrophic_flux_factor", 20.0, _TOGETHER),
        ("final_refit_fit_shape", [11, 11], _EVERY_PIXEL),
        ("leftover_max_iterations", 3, _IN_THE_SCENE),
        ("leftover_detect_k_sigma", 5.0, _IN_THE_SCENE),
        ("leftover_dedup_psfsigma", 1.5, _IN_THE_SCENE),
        ("leftover_box_size", 3, _IN_THE_SCENE),
        ("mask_aper_size_in_r_eff", 3.5, "nothing is masked: the fit decides what is a star"),
        ("raise_error", False, "a fit that fails is a flag and a reason"),
        ("residual_clip_sigma", 15.0),
        ("finder_kwargs", {"roundness_range": [-1.0, 1.0], "sharpness_range": [0.2, 1.0]}),
        ("grouper_separation_in_psfsigma", 2, _TOGETHER),
        ("bkg_sigma_clip", 3.0, _SKY),
        ("bkg_box_size", [10, 10], _SKY),
        ("bkg_filter_size", [5, 5], _SKY),
        ("localbkg_bounds_in_psfsigma", [2, 5], _SKY),
        ("center_mask_r_in_fwhm", 1.5),
        ("PSFPhotometry_aperture_radius", 3, "fluxes are linear and need no first guess"),
        ("PSFPhotometry_fitter_maxiters", 300, _TOGETHER),
        ("PSFPhotometry_fit_shape_in_fwhm", 1.5, _EVERY_PIXEL),
        ("modelimg_render_shape", [25, 25], _EVERY_PIXEL),
        ("PSFPhotometry_group_warning_threshold", 10, _TOGETHER),
        ("cuts_pos_err_max", 2, _FLAGGED),
        ("cuts_res_cen_sigma_clip", 3.0, _FLAGGED),
        ("cuts_cfit_sigma_clip", 3.0, _FLAGGED),
        ("cuts_chi2dof_median_factor", 3.0, _FLAGGED),
        ("cuts_pos_diff_median_factor", 2.0, _FLAGGED),
        ("cuts_flux_SNR_min", 1.0, _FLAGGED),
    ),
    *_keys(
        "aperture",
        ("petro", 0.5),
        ("center_mask", 4.0, "in semi-axes of the aperture, not in pixels"),
        ("plot", True, "one picture shows all"),
        ("isophot_base_filter", "F150W", "if it has no fit, the base filter of the fit"),
        ("isophot_frac_min", 0.05),
        ("isophot_frac_max", 0.95),
        ("fit_isophot_to", "sersic_modelimg"),
        ("measure_on", "psf_sub_data"),
        ("error_on", "psf_sub_data_error", "noise of empty apertures, correlations included"),
        ("measure_sky_on", "residual_masked", "empty apertures all over the frame"),
        ("fill_max_nan_frac", 0.7),
        ("fill_replace_with", "median"),
        ("PSF_corr_base_filter", "F090W"),
    ),
)  # fmt: skip


def found_targets(key):
    """The parameters of the pipeline that a key has become; none if it is not there.

    Parameters
    ----------
    key : SphotKey

    Returns
    -------
    list of Parameter
    """
    # what is one mapping in sphot may be a section of parameters
    return [
        parameter
        for candidate in key.candidates
        for parameter in pipeline_parameters()
        if f"{parameter.name}.".startswith(f"{candidate}.")
    ]


def key_table():
    """Rows for the documentation: section, key, default, parameter, its default, difference."""
    for key in KEYS:
        targets = found_targets(key)
        names = ", ".join(f"``{target.name}``" for target in targets) or "not there"
        default = f"``{targets[0].default}``" if targets else ""
        yield key.section, f"``{key.name}``", f"``{key.default}``", names, default, key.note
