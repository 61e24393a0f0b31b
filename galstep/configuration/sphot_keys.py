"""The keys of a sphot configuration, and which parameter each has become.

One place feeds the converter, the migration page of the documentation and the
tests. Whether a parameter is there is not written here: it is looked up in the
specs, so that this table cannot promise what no step has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from galstep.configuration.parameters import pipeline_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.configuration.parameters import Parameter

__all__ = ["ALWAYS_WRITTEN", "KEYS", "SphotKey", "found_targets", "key_table"]

#: Keys whose default decides what a number is, and is another one here: a file that leaves them
#: to sphot's default is given it.
ALWAYS_WRITTEN = ("[aperture] petro",)

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
    def full_name(self) -> str:
        """``[section] name``."""
        return f"[{self.section}] {self.name}"

    @property
    def candidates(self) -> tuple[str, ...]:
        """The parameters it would be, whether they are there or not."""
        return self.targets or tuple(f"{step}.{self.name}" for step in SECTIONS[self.section])


def _keys(section, *keys):
    return tuple(SphotKey(section, *key) for key in keys)


_MATCHED_FILTER = "sigma are those of the matched-filter map, unresolved stars included"
_WHOLE_PSF = "by default every star is fitted and drawn over its whole PSF"
_DETECTION = "off the image in which stars are looked for, not off the data"
_OFF = "off by default"
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
        ("allow_refit", False, "a fit that did not converge or is at a bound counts as degenerate"),
        ("mainloop_convergence_atol", 1e-3,
         "changes are counted in r_eff (centre), ln r_eff, e1, e2 and ln n"),
        ("mainloop_convergence_patience", 2),
        ("mainloop_min_iter", 2),
        ("use_dual_annealing", True),
        ("use_final_polish", True, "a fit of the whole scene to full convergence"),
    ),
    *_keys(
        "psf-calib",
        ("in_mainloop", False,
         "true: kernels and fits in turn, at most mainloop_calibrations times"),
        ("kernel_family", "gaussian"),
        ("kernel_anchor_K", 30),
        ("kernel_fit_skip_on_convergence", False,
         "such a kernel stays as it was; the main loop ends when all do"),
        ("kernel_skip_threshold", 1e-3, "in square pixels, as the kernel's parameters are"),
        ("kernel_fit_objective", "multi_source",
         "with single_source the neighbours are drawn and held"),
        ("kernel_fit_stamp_half_min", 8),
        ("kernel_fit_stamp_half_in_sigmaeff", 3.0,
         "the pixels fitted are those of a disc, at least 3.5 pixels in radius"),
        ("kernel_fit_max_neighbors", 15),
        ("kernel_fit_neighbor_pad_pix", 4.0),
        ("center_mask_r_in_fwhm", 2.5, "in FWHM of the library PSF"),
        # in the configuration that sphot ships, not in its documentation
        ("center_mask_r_in_galaxy_size", 1.5, "",
         ("psfcalibrate.center_mask_r_in_r_eff",)),
        ("calib_xy_bounds", 3.0, "of a step: values above 0.4 pixels bind nothing",
         ("psfcalibrate.calib_xy_bounds",)),
        ("scan_method", "lm", "with lm, too, scan_metric ranks the widths"),
        ("scan_metric", "sum_snr"),
        ("scan_top_k", 100),
        ("fwhm_method", "empirical",
         "the filter is the calibrated PSF drawn filter_width times as wide"),
    ),
    *_keys(
        "psf",
        ("th_min", 5, f"{_MATCHED_FILTER}; it also decides which fitted stars stay",
         ("basefit.th_min", "scalefit.th_min", "jointfit.th_min")),
        ("th_max", 30, f"{_MATCHED_FILTER}; scalefit.th_max is a threshold of its own",
         ("basefit.th_max",)),
        ("th_iter", 10, "scalefit.th_iter starts from the stars of the base", ("basefit.th_iter",)),
        ("th_max_consec_empty", 3),
        ("bkg_refit_per_iteration", True, "the noise is that of the whole scene's residual"),
        ("bkg_floor_factor", 0.3),
        ("ladder_dedup_psfsigma", 0.5),
        ("final_refit_method", "iterative", "galaxy and sky take part"),
        ("final_joint_refit", True, "by groups, galaxy and sky are fitted between the rounds"),
        ("final_refit_xy_bounds", 0.0, "without a value positions are free, as in the ladder"),
        ("final_refit_iterations", 5),
        ("final_refit_detect_th", 4.0, _MATCHED_FILTER),
        ("final_refit_dedup_psfsigma", 2.0),
        ("final_refit_residual_tol", 0.01),
        ("final_refit_catastrophic_flux_factor", 20.0,
         "the change from round to round counts, and the round is undone"),
        ("final_refit_fit_shape", [11, 11], _WHOLE_PSF),
        ("leftover_max_iterations", 3),
        ("leftover_detect_k_sigma", 5.0, _MATCHED_FILTER),
        ("leftover_dedup_psfsigma", 1.5, "also between leftovers"),
        ("leftover_box_size", 3, "of the matched-filter map"),
        ("mask_aper_size_in_r_eff", 3.5, "within it no pixel is clipped"),
        ("raise_error", False),
        ("residual_clip_sigma", 15.0, f"pixels without weight in the last fits; {_OFF}"),
        ("finder_kwargs", {"roundness_range": [-1.0, 1.0], "sharpness_range": [0.2, 1.0]},
         "used where finder = dao"),
        ("grouper_separation_in_psfsigma", 2),
        ("bkg_sigma_clip", 3.0, _DETECTION),
        ("bkg_box_size", [10, 10], f"{_DETECTION}; {_OFF}"),
        ("bkg_filter_size", [5, 5], _DETECTION),
        ("localbkg_bounds_in_psfsigma", [2, 5], f"a peak must stand out of it; {_OFF}"),
        ("center_mask_r_in_fwhm", 1.5, f"hides new stars only; {_OFF}"),
        ("PSFPhotometry_aperture_radius", 3, f"fluxes are linear and need no first guess; {_OFF}"),
        ("PSFPhotometry_fitter_maxiters", 300, "steps of all stars together"),
        ("PSFPhotometry_fit_shape_in_fwhm", 1.5, _WHOLE_PSF),
        ("modelimg_render_shape", [25, 25], _WHOLE_PSF),
        ("PSFPhotometry_group_warning_threshold", 10, "no star is dropped"),
        ("cuts_pos_err_max", 2),
        ("cuts_res_cen_sigma_clip", 3.0, f"in units of the noise, both signs; {_OFF}"),
        ("cuts_cfit_sigma_clip", 3.0, f"both signs, the star's own noise allowed for; {_OFF}"),
        ("cuts_chi2dof_median_factor", 3.0, _OFF),
        ("cuts_pos_diff_median_factor", 2.0, f"from where it was detected; {_OFF}"),
        ("cuts_flux_SNR_min", 1.0),
    ),
    *_keys(
        "aperture",
        ("petro", 0.5, "written also where the file does not name it"),
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


def found_targets(key: SphotKey) -> list[Parameter]:
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


def key_table() -> Iterator[tuple[str, ...]]:
    """Rows for the documentation: section, key, default, parameter, its default, difference."""
    for key in KEYS:
        targets = found_targets(key)
        names = ", ".join(f"``{target.name}``" for target in targets) or "not there"
        default = f"``{targets[0].default}``" if targets else ""
        yield key.section, f"``{key.name}``", f"``{key.default}``", names, default, key.note
