"""Parameters of the stars that BaseFit and ScaleFit share, and their meaning.

The names are those of the section ``[psf]`` of a sphot configuration. Lengths in
``psfsigma`` are in units of the FWHM of the effective PSF / 2.3548.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from astropy.stats import gaussian_fwhm_to_sigma

from galstep.core.detection.detection_background import DetectionBackground
from galstep.core.detection.final_refit import FinalRefit
from galstep.core.detection.finder import DAO_KEYWORDS, DaoFinder, MatchedFinder
from galstep.core.detection.ladder import LadderOptions, threshold_ladder
from galstep.core.detection.star_cuts import StarCuts
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.steps.base import GalStep

__all__ = [
    "FINDER_SPEC",
    "cuts_of",
    "ladder_options",
    "per_filter_spec",
    "star_spec",
    "star_thresholds",
]

_STAR_SPEC = """
    find_stars = boolean(default=True)          # Look for stars; false: none are looked for, nor fitted but those that the base has
    th_near = float(min=0, default=2.5)         # Lowest threshold within 1.35 FWHM of a star of significance above 10, where the fit decides; nowhere else is any lower than th_min (same unit as th_min)
    model_structure = boolean(default=True)     # Model what the galaxy departs from its profiles by (arms, bar, ring, dust), by modes on its own ellipse of which the data decide how strong they are; before stars are found in it
    th_min = float(min=1, default=5)            # Lowest detection threshold (sigma of the matched-filter map or of DAOFIND's, unresolved stars included); a fitted star stays while it is as significant
    th_max = float(min=2, default={th_max})           # {th_max_text}
    th_iter = integer(min=1, max=50, default={th_iter})  # Number of thresholds from th_max to th_min, in equal ratios
    th_max_consec_empty = integer(min=1, default=3)  # The descent ends after so many thresholds in a row without a new star
    finder = option('matched', 'dao', default='matched')  # What finds stars on the residual: the matched-filter map, which misses least; or DAOFIND of photutils with finder_kwargs. The fit is the same
    star_density = float(min=0, max=1, default=0.2)  # Largest number of stars (per noise area of the PSF, 1 / sum of P squared); beyond it stars are left to the noise
    bkg_refit_per_iteration = boolean(default=True)  # Measure the noise anew after every fit; otherwise that of the start holds until the last fits
    bkg_floor_factor = float(min=0, max=1, default=0.3)  # The noise never falls below this share of that of the start (0: no floor)
    ladder_dedup_psfsigma = float(min=0, default=0.5)  # Smallest distance of a new star from a known one in the ladder (sigma of the PSF; 0: none)
    center_mask_r_in_fwhm = float(min=0, default=0)  # No new star within this distance of the galaxy's centre (FWHM of the PSF; 0: anywhere, a star on the core is found; sphot has 1.5)
    bkg_box_size = int_list(min=2, max=2, default=list(0, 0))  # Boxes of a background mesh that is taken off the image in which stars are looked for, not off the data that are fitted: y, x (pixels; 0, 0: none, the fitted sky is enough; sphot has 10, 10)
    bkg_filter_size = int_list(min=2, max=2, default=list(5, 5))  # Median filter over that mesh: y, x (boxes, odd)
    bkg_sigma_clip = float(min=1, default=3)    # Clipping of the pixels in a box of that mesh (sigma)
    localbkg_bounds_in_psfsigma = float_list(min=2, max=2, default=list(0, 0))  # Inner and outer radius of the annulus above whose median a peak must stand out by the threshold (sigma of the PSF; 0, 0: none; sphot has 2, 5)
    PSFPhotometry_aperture_radius = float(min=0, default=0)  # Radius of the aperture for a new star's first flux (pixels; 0: from the matched filter, sphot has 3). Fluxes are linear, the first one matters little
    PSFPhotometry_fitter_maxiters = integer(min=1, default=8)  # Largest number of steps of a fit to convergence, all stars at once; in the ladder at most 3 (sphot has 300, star by star)
    PSFPhotometry_fit_shape_in_fwhm = float(min=0, default=0)  # Side of the square in which a star is fitted in the ladder, galaxy and sky held meanwhile (FWHM of the PSF, rounded up to odd pixels, at least 3; 0: all that the PSF reaches, everything at once; sphot has 1.5)
    modelimg_render_shape = int_list(min=2, max=2, default=list(0, 0))  # Square in which a star is drawn, two equal sides (pixels; 0, 0: all that the PSF reaches. 25, 25, as sphot has it, loses 7 to 9 percent of the light of JWST's PSFs)
    grouper_separation_in_psfsigma = float(min=0, default=2)  # Stars closer than this are in one group, see group_id in the star table (sigma of the PSF)
    PSFPhotometry_group_warning_threshold = integer(min=0, default=10)  # The log warns of larger groups, and their stars have the flag crowded_group; none is dropped (0: never)
    final_refit_method = option('iterative', 'nnls', 'none', default='iterative')  # After the ladder: iterative, look for leftovers and fit everything again until the residual stops improving; nnls, positions held and fluxes not negative, then leftovers; none, only the fit to convergence
    final_joint_refit = boolean(default=True)   # iterative: all stars at once with galaxy and sky; otherwise group by group, the others held
    final_refit_xy_bounds = float(min=0, default=None)  # iterative: largest distance of a star from where the ladder has it (pixels; 0: positions are pinned, as sphot has it; default: free, as in the ladder)
    final_refit_iterations = integer(min=0, default=5)  # iterative: largest number of rounds
    final_refit_detect_th = float(min=1, default=4)  # iterative: threshold of leftovers (sigma of the matched-filter map); th_min decides which stay
    final_refit_dedup_psfsigma = float(min=0, default=2)  # iterative: smallest distance of a leftover from known stars and other leftovers (sigma of the PSF)
    final_refit_residual_tol = float(min=0, max=1, default=0.01)  # iterative: the rounds end when one lowers the residual's median absolute deviation by less than this share
    final_refit_catastrophic_flux_factor = float(min=0, default=20)  # iterative: a round in which a star's flux, counted as the noise of a lone star at least, changes by more than this factor is undone, and ends the refit (0: never)
    final_refit_fit_shape = int_list(min=2, max=2, default=list(0, 0))  # iterative: square in which stars are refitted, two equal odd sides, galaxy and sky held meanwhile (pixels; 0, 0: all that the PSF reaches, everything at once; sphot has 11, 11)
    leftover_max_iterations = integer(min=0, default=3)  # nnls: largest number of searches for leftovers
    leftover_detect_k_sigma = float(min=1, default=5)  # nnls: threshold of leftovers (sigma of the matched-filter map)
    leftover_dedup_psfsigma = float(min=0, default=1.5)  # nnls: smallest distance of a leftover from known stars and other leftovers (sigma of the PSF)
    leftover_box_size = integer(min=2, default=3)  # nnls: square in which a leftover is the highest pixel of the matched-filter map (pixels)
    residual_clip_sigma = float(min=0, default=0)  # Pixels with larger residuals have no weight in the last fits (sigma of the pixel noise; 0: all count; sphot has 15)
    mask_aper_size_in_r_eff = float(min=0, default=3.5)  # No pixel is clipped within this ellipse of the galaxy (r_eff)
    robust = option('none', 'huber', 'student', default='none')  # Loss of the last fit, for data with bad pixels that no mask knows: huber discounts pixels beyond robust_scale sigma, student all as Student's t
    robust_scale = float(min=0.1, default=3)    # Threshold of huber (sigma of the pixel noise), degrees of freedom of student
    cuts_pos_err_max = float(min=0, default=2)  # A star whose x or y has a larger error is dropped at the end (pixels; 0: no cut)
    cuts_res_cen_sigma_clip = float(min=0, default=0)  # Dropped if the residual at its centre differs from the stars' median by more than this (their scatter; 0: no cut, sphot has 3)
    cuts_cfit_sigma_clip = float(min=0, default=0)  # Dropped if the residual at its centre over its flux does (their scatter and its noise; 0: no cut, sphot has 3)
    cuts_chi2dof_median_factor = float(min=0, default=0)  # Dropped if chi-squared within one FWHM is larger than this (median of the stars, 1 at least; 0: no cut, sphot has 3: it drops bright stars where the PSF is not exact)
    cuts_pos_diff_median_factor = float(min=0, default=0)  # Dropped if it ended farther than this from its detection (median of the stars; 0: no cut, sphot has 2: it drops one good star in twenty)
    cuts_flux_SNR_min = float(min=0, default=1)  # Dropped if its flux is less than so many of its errors (sigma; 0: no cut)
    raise_error = boolean(default=False)        # Stop with an error where a fit is singular, does not converge or is undone; otherwise there is a flag and a reason, or a line in the log
"""

#: Section of a spec, to stand after all single parameters.
FINDER_SPEC = """
    [finder_kwargs]                             # Keywords of photutils' DAOStarFinder, for finder = dao
    sharpness_range = float_list(min=2, max=2, default=list(0.2, 1.0))  # Least and largest sharpness: a star's peak over its surroundings (-inf, inf: no bound)
    roundness_range = float_list(min=2, max=2, default=list(-1.0, 1.0))  # Least and largest roundness, 0 = round (-inf, inf: no bound)
    ratio = float(min=0.01, max=1, default=1)   # Minor over major axis of the Gaussian kernel, whose FWHM is that of the PSF
    theta = float(default=0)                    # Angle of its major axis, counter-clockwise from +x (degrees)
    sigma_radius = float(min=0.1, default=1.5)  # Where the kernel ends (its sigma)
    exclude_border = boolean(default=False)     # No star within half a kernel of the frame's border
    n_brightest = integer(min=1, default=None)  # Keep only so many in each pass (default: all)
    peak_max = float(default=None)              # No star whose peak is higher, saturated ones say (image unit; default, or inf: any)
    min_separation = float(min=0, default=0)    # Smallest distance between two stars of a pass (pixels)
"""

_LINE = re.compile(r"^ *(\w+) = (\w+)\((.*)\) +# (.*)$")


def star_spec(th_max: float, th_max_text: str, th_iter: int) -> str:
    """The parameters of the stars, with the defaults that differ between steps.

    Parameters
    ----------
    th_max : float
    th_max_text : str
        What the first threshold is.
    th_iter : int

    Returns
    -------
    str
        Lines of a ``spec``.
    """
    return _STAR_SPEC.format(th_max=th_max, th_max_text=th_max_text, th_iter=th_iter)


def per_filter_spec(spec: str) -> str:
    """Lines for a section ``[per_filter]`` with ``[[__many__]]``: without defaults.

    Parameters that are lists are the same in all filters.
    """
    lines = []
    for line in filter(None, spec.splitlines()):
        found = _LINE.match(line)
        if found is None or found[2].endswith("_list"):
            continue
        name, kind, arguments, text = found.groups()
        check = re.sub(r"default=.*$", "default=None", arguments)
        unit = re.findall(r" \([^()]+\)", text)
        text = unit[0] if unit else f": {text[:1].lower()}{text[1:]}"
        lines.append(f"    {name} = {kind}({check})  # {name} of this filter{text}")
    return "\n".join(lines) + "\n"


def ladder_options(step: GalStep, options: Any = None, **others: Any) -> LadderOptions:
    """The ladder that a step's parameters ask for.

    Parameters
    ----------
    step : GalStep
        With the parameters of `star_spec` and `FINDER_SPEC`.
    options : object, optional
        Where single values are taken from instead (`galstep.steps.per_filter.for_filter`).
    **others
        Further fields of `galstep.core.detection.ladder.LadderOptions`.

    Returns
    -------
    LadderOptions

    Raises
    ------
    ParameterError
        If a pair of numbers is not what its parameter needs.
    """
    own = step if options is None else options
    sigma = gaussian_fwhm_to_sigma
    return LadderOptions(
        **{
            "thresholds": star_thresholds(own),
            "near_threshold": own.th_near,
            "modes": own.model_structure,
            "max_empty": own.th_max_consec_empty,
            "keep": own.th_min,
            "separation": own.ladder_dedup_psfsigma * sigma,
            "centre_mask": own.center_mask_r_in_fwhm,
            "density": own.star_density,
            "measure_noise": own.bkg_refit_per_iteration,
            "noise_floor": own.bkg_floor_factor,
            "max_iterations": min(3, own.PSFPhotometry_fitter_maxiters),
            "final_iterations": own.PSFPhotometry_fitter_maxiters,
            "robust": own.robust,
            "robust_scale": own.robust_scale,
            "clip": own.residual_clip_sigma,
            "clip_beyond": own.mask_aper_size_in_r_eff,
            "window": own.PSFPhotometry_fit_shape_in_fwhm,
            "render_side": _square("modelimg_render_shape", step.modelimg_render_shape),
            "finder": _finder(own.finder, step.finder_kwargs),
            "background": _background(step, own, sigma),
            "first_flux": own.PSFPhotometry_aperture_radius,
            "refit": _refit(step, own, sigma),
            "cuts": _cuts(own),
            "group_separation": own.grouper_separation_in_psfsigma * sigma,
            "crowded": own.PSFPhotometry_group_warning_threshold,
            "raise_error": own.raise_error,
            **others,
        }
    )


def star_thresholds(own: Any) -> tuple[float, ...]:
    """The thresholds that the parameters ask for; none without a search."""
    return threshold_ladder(own.th_max, own.th_min, own.th_iter) if own.find_stars else ()


def cuts_of(parameters: Mapping[str, Any]) -> StarCuts:
    """The cuts that the parameters of a step which has run ask for; none if it has no such."""
    names = [name for name in parameters if name.startswith("cuts_")]
    return _cuts(SimpleNamespace(**parameters)) if names else StarCuts()


def _finder(name, keywords):
    if name == "matched":
        return MatchedFinder()
    given = [(key, keywords[key]) for key in DAO_KEYWORDS if key in keywords]
    return DaoFinder(tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in given))


def _background(step, own, sigma):
    inner, outer = step.localbkg_bounds_in_psfsigma
    return DetectionBackground(
        box_size=tuple(step.bkg_box_size),
        filter_size=tuple(step.bkg_filter_size),
        sigma_clip=own.bkg_sigma_clip,
        annulus=(inner * sigma, outer * sigma),
    )


def _refit(step, own, sigma):
    search = own.find_stars  # rounds of the refit look for stars as well
    return FinalRefit(
        method=own.final_refit_method,
        together=own.final_joint_refit,
        reach=own.final_refit_xy_bounds,
        window=_square("final_refit_fit_shape", step.final_refit_fit_shape, odd=True),
        iterations=own.final_refit_iterations if search else 0,
        threshold=own.final_refit_detect_th,
        separation=own.final_refit_dedup_psfsigma * sigma,
        residual_tol=own.final_refit_residual_tol,
        catastrophic_factor=own.final_refit_catastrophic_flux_factor,
        leftover_iterations=own.leftover_max_iterations if search else 0,
        leftover_threshold=own.leftover_detect_k_sigma,
        leftover_separation=own.leftover_dedup_psfsigma * sigma,
        leftover_box=own.leftover_box_size,
    )


def _cuts(own):
    return StarCuts(
        position_error=own.cuts_pos_err_max,
        central_residual=own.cuts_res_cen_sigma_clip,
        cfit=own.cuts_cfit_sigma_clip,
        chi2=own.cuts_chi2dof_median_factor,
        moved=own.cuts_pos_diff_median_factor,
        snr=own.cuts_flux_SNR_min,
    )


def _square(name, sides, odd=False):
    """The side of a square that is given as two."""
    first, second = sides
    kind = "equal odd sides" if odd else "equal sides"
    if first != second or first < 0 or (odd and first and first % 2 == 0):
        raise ParameterError(f"{name} must be two {kind} in pixels, or 0, 0, got {list(sides)}")
    return first
