"""The keys of a tract7dt configuration (0.7.0), and which parameter each has become.

One place feeds the converter, the page "From tract7dt" of the documentation and the tests. A key
is mapped, by a rule if its value means something else here, or superseded for a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["TRACT7DT_KEYS", "Tract7dtKey", "tract7dt_table"]


@dataclass(frozen=True)
class Tract7dtKey:
    """One key.

    Parameters
    ----------
    name : str
        ``section.key``, as the file nests them.
    default : object
        tract7dt's own.
    targets : tuple of str
        ``step.parameter``; empty: superseded.
    note : str
        What is different here, or why there is no such parameter.
    rule : callable, optional
        From the value to that of the parameter; by default as it is. None: not set.
    """

    name: str
    default: Any
    targets: tuple[str, ...] = ()
    note: str = ""
    rule: Callable[[Any], Any] | None = None

    @property
    def is_superseded(self) -> bool:
        """Whether no parameter takes the value."""
        return not self.targets


def _order(cells):
    """Cells along a side become a polynomial: one is constant, few a plane, many a parabola."""
    return 0 if cells <= 1 else 1 if cells <= 3 else 2


def _margin_of(enabled):
    return None if enabled else 0


def _saturation(enabled):
    return None if enabled else 0.0


def _tolerance(dlnp):
    # chi2 falls by twice as much; less than a hundredth of a unit is no step of any source
    return max(2.0 * dlnp, 0.01)


def _fallback(model):
    return "moffat" if model == "moffat" else "gaussian"


def _not(value):
    return not value


_PICTURE = "one picture <name>_field.png shows the field; qa_figure=false leaves it out"
_FOLDER = "all products are in one folder and called after the list of images"
_NO_CUTOUTS = "residual and model images come with save_fits=true"
_SUBTRACTED = "the sky of each star is fitted with it, and its neighbours are subtracted"
_NO_SEP = "stars are those of the catalogue and the reference, not detections"
_NO_PATCHES = "blocks hold a number of sources (fieldfit.block_size), not a piece of the image"
_NO_PAYLOADS = "workers read their own part of the images: nothing is written to be read again"
_NOT_BUILDER = "the PSF is a linear fit to all pixels of all stars, not photutils' EPSFBuilder"
_LINEAR = "fluxes start from a linear fit of all sources together"
_ONE_PSF = "the PSF is used as it is sampled, for stars and galaxies alike"
_LOG = "strun has --log-level and --log-file"
_WORKERS = "pipeline.workers is for all steps"
_PIXELS = "grids are compared in pixels over the whole image: loadfield.wcs_tolerance"
_FORMULA = "the formula that stands in is fitted to the stars that there are"


def _keys(section, *keys):
    return tuple(Tract7dtKey(f"{section}.{name}", *rest) for name, *rest in keys)


#: Every key of tract7dt's configuration, in its order.
TRACT7DT_KEYS = (
    *_keys(
        "inputs",
        ("tile_name", "your_tile_name", (), f"informational there too; {_FOLDER}"),
        ("input_catalog", "path/to/input_catalog.csv", ("pipeline.catalog",)),
        ("image_list_file", "path/to/image_list.txt", ("pipeline.input_file",)),
        ("gaiaxp_synphot_csv", "path/to/gaiaxp_synphot.csv", ("pipeline.reference",)),
    ),
    *_keys(
        "outputs",
        ("work_dir", "path/to/work_dir", ("pipeline.output_dir",)),
        ("epsf_dir", "EPSFs", (), _FOLDER),
        ("patches_dir", "patches", (), _FOLDER),
        ("patch_inputs_dir", "patch_payloads", (), _NO_PAYLOADS),
        ("tractor_out_dir", "outputs", (), _FOLDER),
        ("final_catalog", "output_catalog.csv", (), "<name>_field.ecsv and <name>_field.fits"),
        ("cropped_images_dir", "cropped_images", (), _PICTURE),
        ("overlay_dir", "overlay", (), _PICTURE),
    ),
    *_keys("image_scaling", ("zp_ref", 25.0, ("loadfield.zp_ref",))),
    *_keys(
        "crop",
        ("enabled", True, ("loadfield.crop_margin",), "false: no margin", _margin_of),
        ("margin", 500, ("loadfield.crop_margin",), "images are not cut: pixel positions stay"),
        ("plot_pre_crop", True, (), _PICTURE),
        ("plot_post_crop", True, (), _PICTURE),
        ("display_downsample", 4, (), _PICTURE),
        ("post_crop_display_downsample", 4, (), _PICTURE),
    ),
    *_keys(
        "overlay",
        ("enabled", True, (), _PICTURE),
        ("downsample_full", 4, (), _PICTURE),
        ("zoom_enabled", True, (), _PICTURE),
        ("zoom_box", [4000, 5000, 4000, 5000], (), f"{_PICTURE}; <name>_field.reg for ds9"),
    ),
    *_keys(
        "checks",
        ("require_wcs_alignment", True, ("loadfield.grids",),
         "false: bands on other pixels are mapped", lambda on: "same" if on else "map"),
        ("wcs_tolerance.crval", 1e-6, (), _PIXELS),
        ("wcs_tolerance.crpix", 1e-6, (), _PIXELS),
        ("wcs_tolerance.cd", 1e-9, (), _PIXELS),
        ("wcs_tolerance.cdelt", 1e-9, (), _PIXELS),
        ("require_same_shape", True, (), "a part of require_wcs_alignment: loadfield.grids=same"),
    ),
    *_keys(
        "source_saturation_cut",
        ("enabled", True, ("maskfield.saturation_radius",), "false: a radius of 0", _saturation),
        ("radius_pix", 20.0, ("maskfield.saturation_radius",),
         "such sources are flagged and fitted where not saturated: saturation_exclude=true "
         "leaves them out"),
        ("require_all_bands", False, ("maskfield.saturation_all_bands",)),
        ("saturation_divisor", 1.3, ("maskfield.saturation_divisor",)),
    ),
    *_keys(
        "bright_mask",
        ("enabled", True, ("maskfield.bright",),
         "not masked, such light is found by FieldFit, added and fitted",
         lambda on: "mask" if on else "none"),
        ("thresh_sigma", 5.0, ("maskfield.bright_threshold",)),
        ("minarea", 20, ("maskfield.bright_min_area",)),
        ("deblend_nthresh", 32, (), "the detection has levels of its own"),
        ("deblend_cont", 0.005, (), "the detection has a contrast of its own"),
        ("clean", True, (), "no detection is taken for the wing of another by a profile"),
        ("clean_param", 1.0, (), "no detection is taken for the wing of another by a profile"),
        ("match_radius_pix", 3.0, ("maskfield.bright_match",)),
        ("ellipse_scale", 3.0, ("maskfield.bright_scale",)),
        ("min_radius_pix", 6.0, ("maskfield.bright_min_radius",)),
        ("dilate_pix", 1, ("maskfield.bright_dilate",)),
    ),
    *_keys(
        "logging",
        ("ignore_warnings", True, (), "warnings are shown"),
        ("level", "INFO", (), _LOG),
        ("file", "auto", (), _LOG),
        ("format", "%(asctime)s | %(name)s | %(levelname)s | %(message)s", (), _LOG),
    ),
    *_keys("plotting", ("dpi", 300, (), _PICTURE)),
    *_keys(
        "performance",
        ("frame_prep_workers", "auto", (), _WORKERS),
        ("white_stack_workers", "auto", (), _WORKERS),
    ),
    *_keys(
        "epsf",
        ("use_gaiaxp", True, (), "reference stars count as stars of the PSF whenever given"),
        ("epsf_ngrid", 7, ("fieldpsf.psf_order",),
         "cells become a polynomial in place: 1 constant, 2 and 3 a plane, more a parabola",
         _order),
        ("ngrid", 6, (), _NO_PATCHES),
        ("skip_empty_epsf_patches", True, (), _NO_PATCHES),
        ("thresh_sigma", 10.0, (), _NO_SEP),
        ("minarea", 25, (), _NO_SEP),
        ("cutout_size", 61, (), "the stamp of a star follows fieldpsf.psf_size"),
        ("edge_pad", 10, ("fieldpsf.star_edge",)),
        ("min_sep", 30.0, (), f"{_SUBTRACTED}; fieldpsf.star_min_separation masks what is closer"),
        ("max_stars", 30, ("fieldpsf.max_stars",), "of the whole image, not of a cell"),
        ("q_range", [0.7, 1.3], ("fieldpsf.q_range",)),
        ("psfstar_mode", "sep+gaia", (), _NO_SEP),
        ("gaia_mag_min", 10.0, (), "maskfield.reference_mag is for all uses of reference stars"),
        ("gaia_mag_max", 30.0, (), "maskfield.reference_mag is for all uses of reference stars"),
        ("gaia_snap_to_sep", True, (), "centres are fitted"),
        ("gaia_forced_k_fwhm", 1.5, (), "centres and fluxes are fitted"),
        ("gaia_forced_rmin_pix", 3.0, (), "centres and fluxes are fitted"),
        ("gaia_forced_rmax_pix", 15.0, (), "centres and fluxes are fitted"),
        ("gaia_snr_min", 20.0, ("fieldpsf.star_snr",), "for all stars"),
        ("gaia_match_r_pix", 5.0, (), "maskfield.reference_match, arcsec, and mutual"),
        ("star_sat_check_r", "auto", (), "stars flagged as saturated are not taken"),
        ("oversamp", 1, ("fieldpsf.psf_oversample",), "and it is used so in the fit"),
        ("maxiters", 30, (), _NOT_BUILDER),
        ("do_clip", True, (), "pixels beyond 4 sigma are always clipped"),
        ("recenter_boxsize", 9, (), _NOT_BUILDER),
        ("final_psf_size", 55, ("fieldpsf.psf_size",)),
        ("save_star_montage_max", 100, (), _PICTURE),
        ("background_subtract_patch", True, (), _SUBTRACTED),
        ("background_boxsize", 96, (), _SUBTRACTED),
        ("background_filtersize", 9, (), _SUBTRACTED),
        ("background_source_mask_sigma", 3.0, (), _SUBTRACTED),
        ("background_mask_dilate", 1, (), _SUBTRACTED),
        ("star_local_bkg_subtract", True, (), _SUBTRACTED),
        ("star_local_bkg_annulus_rin_pix", 20.0, (), _SUBTRACTED),
        ("star_local_bkg_annulus_rout_pix", 30.0, (), _SUBTRACTED),
        ("star_local_bkg_sigma", 3.0, (), _SUBTRACTED),
        ("star_local_bkg_minpix", 30, (), _SUBTRACTED),
        ("save_patch_background_diagnostics", True, (), _PICTURE),
        ("save_star_local_background_diagnostics", True, (), _PICTURE),
        ("diagnostics_show_colorbar", True, (), _PICTURE),
        ("save_growth_curve", True, (), _PICTURE),
        ("save_residual_diagnostics", True, (), _PICTURE),
        ("residual_diag_max_stars", 100, (), _PICTURE),
        ("parallel_bands", True, (), _WORKERS),
        ("max_workers", "auto", (), _WORKERS),
    ),
    *_keys("patches", ("halo_pix_min", 20, (), "neighbours outside a block have their models")),
    *_keys(
        "patch_inputs",
        ("save_patch_inputs", True, (), _NO_PAYLOADS),
        ("skip_empty_patch", True, (), _NO_PATCHES),
        ("include_wcs_in_payload", False, (), _NO_PAYLOADS),
        ("max_workers", 16, (), _WORKERS),
        ("gzip_compresslevel", 1, (), _NO_PAYLOADS),
        ("keep_payloads_in_memory", False, (), _NO_PAYLOADS),
    ),
    *_keys(
        "patch_run",
        ("enable_multi_band_simultaneous_fitting", True, ("fieldfit.joint",)),
        ("python_exe", "python", (), "workers run the Python that runs the pipeline"),
        ("resume", False, ("fieldfit.resume",),
         "by content: a block is done again if images, PSF, parameters or neighbours changed"),
        ("max_workers", 32, ("pipeline.workers",)),
        ("threads_per_process", 1, (), "always 1: more cost more and gain nothing"),
        ("gal_model", "exp", ("fieldfit.default_type",),
         "auto chooses by chi2", lambda model: str(model).lower()),
        ("n_opt_iters", 20, ("fieldfit.max_iterations",), "of a block in a round; no stages"),
        ("dlnp_stop", 1e-12, ("fieldfit.tolerance",),
         "in chi2, twice as much; at least 0.01: sources are frozen when they stand still",
         _tolerance),
        ("r_ap", 5.0, (), _LINEAR),
        ("eps_flux", 1e-4, (), _LINEAR),
        ("sersic_n_init", 3.0, ("fieldfit.n_init",)),
        ("re_fallback_pix", 3.0, ("fieldfit.r_eff_init",), "where it cannot be measured"),
        ("psf_model", "pixelized", (), _ONE_PSF),
        ("psf_fallback_model", "moffat", ("fieldpsf.psf_fallback",),
         "sums of Gaussians become gaussian", _fallback),
        ("min_epsf_nstars_for_use", 2, ("fieldpsf.min_stars",)),
        ("ncircular_gaussian_n", 3, (), _FORMULA),
        ("hybrid_psf_n", 9, (), _ONE_PSF),
        ("gaussian_mixture_n", 4, (), _FORMULA),
        ("fallback_default_fwhm_pix", 4.0, (), _FORMULA),
        ("fallback_stamp_radius_pix", 25.0, (), _FORMULA),
        ("cutout_size", 100, (), _NO_CUTOUTS),
        ("cutout_max_sources", None, (), _NO_CUTOUTS),
        ("cutout_start", 0, (), _NO_CUTOUTS),
        ("cutout_data_p_lo", 1, (), _NO_CUTOUTS),
        ("cutout_data_p_hi", 99, (), _NO_CUTOUTS),
        ("cutout_model_p_lo", 1, (), _NO_CUTOUTS),
        ("cutout_model_p_hi", 99, (), _NO_CUTOUTS),
        ("cutout_resid_p_abs", 99, (), _NO_CUTOUTS),
        ("no_cutouts", False, (), _NO_CUTOUTS),
        ("no_patch_overview", False, (), _PICTURE),
        ("flag_maxiter_margin", 0, (), "each source has its own flag not_converged"),
        ("pos_max_shift_pix", 5.0, ("fieldfit.pos_max_shift",),
         "null: no box, which is 1000 pixels here", lambda v: 1000.0 if v is None else v),
        ("enable_staged_fit", True, (), "no stages are needed: each source has its own damping"),
    ),
    *_keys(
        "moffat_psf",
        ("fwhm_default_pix", 4.0, (), _FORMULA),
        ("beta", 3.5, (), _FORMULA),
        ("radius_pix", 25.0, (), "fieldpsf.psf_size"),
        ("module_path", None, (), "a PSF of your own: fieldpsf.psf_file"),
    ),
    *_keys("merge", ("pattern", "*_cat_fit.csv", (), "the table never leaves the pipeline")),
    *_keys(
        "zp",
        ("enabled", True, ("zeropoint.skip",), "exclusion flags stay", _not),
        ("inject_gaia_sources", True, ("maskfield.reference_add",)),
        ("gaia_mag_min", 8.0, ("maskfield.reference_mag",), "with gaia_mag_max"),
        ("gaia_mag_max", 18.0, ("maskfield.reference_mag",), "with gaia_mag_min"),
        ("match_radius_arcsec", 3.0, ("maskfield.reference_match",), "mutual, one to one"),
        ("min_box_size_pix", 3000, (), "all reference stars on the image count"),
        ("clip_sigma", 3.0, ("zeropoint.clip_sigma",), "robust standard deviations, not MAD"),
        ("clip_max_iters", 10, ("zeropoint.clip_iterations",)),
        ("gaia_pos_err_pix", 0.1, ("maskfield.reference_pos_err",),
         "null: no prior, which is 0 here", lambda v: 0.0 if v is None else v),
        ("plot_mag_lo", 10.0, (), _PICTURE),
        ("plot_mag_hi", 20.0, (), _PICTURE),
        ("plot_zp_offset", 0.25, (), _PICTURE),
        ("zp_err_method", "all_mad", ("zeropoint.error",),
         "both become scatter; mean is the error of the zero point itself", lambda _: "scatter"),
        ("zp_err_snr_min", 100.0, (), "the scatter beyond the stars' own errors is estimated"),
    ),
)  # fmt: skip


def tract7dt_table() -> Iterator[tuple[str, str, str, str]]:
    """Rows for the documentation: key, default, parameter or none, what is different or why."""
    for key in TRACT7DT_KEYS:
        names = ", ".join(f"``{name}``" for name in key.targets) or "superseded"
        default = str(key.default).replace("|", "\\|")
        yield f"``{key.name}``", f"``{default}``", names, key.note
