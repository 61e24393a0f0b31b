"""``strun gal_... --help`` shows the parameters one touches; the others by ``galstep params``.

stpipe makes its help of everything in the ``spec``: some 2000 lines for the pipeline. Where
the command line asks for help, and for nothing else, the spec is cut down to those below.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from configobj import ConfigObj

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stpipe import Step

__all__ = ["MOST_USED", "asks_for_help", "shortened"]

_COMMON = ("output_dir", "output_file", "save_results")
_FITS = ("sky_order", "th_min", "find_stars", "model_structure")

#: Parameters shown first, by the alias of the class; in a pipeline with the step in front.
MOST_USED = {
    "gal_pipeline": (
        "input_file",
        "output_dir",
        "filters",
        "figures",
        "save_fits",
        "steps.loadcrop.psf_file",
        "steps.loadcrop.base_filter",
        "steps.loadcrop.ra",
        "steps.loadcrop.dec",
        "steps.loadcrop.size",
        "steps.loadcrop.x_guess",
        "steps.loadcrop.y_guess",
        "steps.loadcrop.unit",
        "steps.loadcrop.pixel_scale",
        "steps.psfcalibrate.skip",
        "steps.basefit.th_min",
        "steps.basefit.fit_complex_model",
        "steps.basefit.companions",
        "steps.forcedscalefit.filters",
        "steps.jointfit.skip",
        "steps.inject.skip",
        "steps.aperphot.petro",
        "steps.aperphot.radii",
        "steps.aperphot.circles",
    ),
    "gal_loadcrop": (
        *_COMMON, "psf_file", "filters", "base_filter", "ra", "dec", "size", "x_guess",
        "y_guess", "auto_crop", "auto_crop_factor", "unit", "pixel_scale", "mask_regions",
        "bad_dq_bits",
    ),
    "gal_psfcalibrate": (
        *_COMMON, "base_filter", "kernel_family", "kernel_anchor_K", "empirical_correction",
        "save_psfs", "save_figure",
    ),
    "gal_basefit": (
        *_COMMON, "base_filter", *_FITS, "fit_complex_model", "companions", "find_companions",
        "allow_refit", "prior_r_eff", "prior_n",
    ),
    "gal_scalefit": (*_COMMON, "filters", *_FITS, "registration"),
    "gal_forcedscalefit": (
        *_COMMON, "filters", "positions_from", "catalog", "mode", "xy_bounds", "n_sigma_limit",
    ),
    "gal_jointfit": (
        *_COMMON, *_FITS, "shape_freedom", "fit_complex_model", "robust", "prior_r_eff", "prior_n",
    ),
    "gal_inject": (*_COMMON, "n_galaxies", "n_stars", "filters", "flux_factor", "star_snr", "seed"),
    "gal_aperphot": (
        *_COMMON, "petro", "kron", "radii", "circles", "growth", "measure_on", "plot",
    ),
    "gal_tweakreg": (
        *_COMMON, "images", "save_catalogs", "snr_threshold", "searchrad", "tolerance",
        "fitgeometry", "abs_refcat",
    ),
    "gal_starphot": (
        *_COMMON, "psf_file", "oversample", "threshold", "init_params", "fixed_positions",
        "engine",
    ),
    "gal_field": (
        "output_dir",
        "catalog",
        "reference",
        "psf_file",
        "save_fits",
        "steps.loadfield.filters",
        "steps.loadfield.zp_ref",
        "steps.maskfield.detect",
        "steps.maskfield.bright",
        "steps.fieldpsf.psf_order",
        "steps.fieldfit.joint",
        "steps.fieldfit.default_type",
        "steps.fieldfit.forced",
        "steps.fieldfit.executor",
        "steps.fieldfit.workers",
        "steps.zeropoint.skip",
    ),
    "gal_loadfield": (
        *_COMMON, "catalog", "filters", "zp_ref", "filter_key", "zp_key", "sky_sigma_key",
        "gain_key", "saturate_key", "crop_margin",
    ),
    "gal_maskfield": (
        *_COMMON, "bright", "detect", "detect_threshold", "reference", "reference_mag",
        "saturation_radius",
    ),
    "gal_fieldpsf": (*_COMMON, "psf_file", "psf_order", "max_stars", "star_snr"),
    "gal_fieldfit": (
        *_COMMON, "joint", "default_type", "forced", "catalog_priors", "executor", "workers",
        "resume",
    ),
    "gal_zeropoint": (*_COMMON, "clip_sigma", "snr_min", "error", "limit_sigma"),
}  # fmt: skip


def asks_for_help(step_class: type[Step], arguments: Sequence[str] | None = None) -> bool:
    """Whether the command line is ``strun``'s, asks for help, and for that of this class.

    Parameters
    ----------
    step_class : type
        A Step.
    arguments : sequence of str, optional
        By default those of the process, the program first.

    Returns
    -------
    bool
    """
    program, *options = sys.argv if arguments is None else arguments
    if not os.path.basename(program).startswith("strun"):
        return False
    if not {"-h", "--help"} & set(options):
        return False
    asked = next((option for option in options if not option.startswith("-")), "")
    dotted = f"{step_class.__module__}.{step_class.__name__}"
    if asked in (step_class.class_alias, dotted) or asked.endswith(f".{step_class.__name__}"):
        return True
    # a parameter file: of a pipeline, as a rule; a step's own help stays as stpipe has it
    return os.path.isfile(asked) and bool(getattr(step_class, "step_defs", None))


def shortened(spec: Any, alias: str | None) -> Any:
    """A spec with the most used parameters only; as it is, where none are named.

    Parameters
    ----------
    spec : `configobj.ConfigObj`
        Of ``load_spec_file``.
    alias : str or None
        Of the class.

    Returns
    -------
    `configobj.ConfigObj`
    """
    if alias not in MOST_USED:
        return spec
    short = ConfigObj()
    for name in MOST_USED[alias]:
        *sections, last = name.split(".")
        source, target = spec, short
        for section in sections:
            source = source[section]
            if section not in target:
                target[section] = {}
            target = target[section]
        target[last] = source[last]
        target.inline_comments[last] = source.inline_comments.get(last)
    return short
