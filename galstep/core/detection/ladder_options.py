"""What the threshold ladder may do, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.detection_background import DetectionBackground
from galstep.core.detection.finder import FINDERS, finder_named
from galstep.core.detection.option_values import of_psf_sigma, square_side
from galstep.core.detection.refit_options import FinalRefit
from galstep.core.detection.star_cuts import NO_CUTS, StarCuts
from galstep.core.engine.robust import ROBUST_LOSSES
from galstep.core.engine.solve import fit_scene
from galstep.options import detail, option, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.core.detection.finder import DaoFinder, MatchedFinder
    from galstep.core.engine.covariance import LateCovariance, SceneCovariance
    from galstep.core.engine.solve import Solution

__all__ = ["ONE_PASS", "LadderOptions", "LadderResult", "Thresholds", "threshold_ladder"]

# Where a ladder ends (sigma of the detection map).
LOWEST = 5.0


def threshold_ladder(highest: float, lowest: float, count: int) -> tuple[float, ...]:
    """``count`` thresholds in equal ratios from ``highest`` down to ``lowest``.

    The last is always ``lowest``; a ``highest`` below it counts as equal.
    """
    if count == 1:
        return (float(lowest),)
    return tuple(float(t) for t in np.geomspace(max(highest, lowest), lowest, count))


@options
class Thresholds:
    """The thresholds of a descent from bright to faint."""

    search: bool = option(
        default=True,
        help="Look for stars; false: none are looked for, nor fitted but those that the base has",
        name="find_stars",
    )
    highest: float = option(
        default=30.0, help="Highest detection threshold (same unit)", name="th_max", least=2
    )
    count: int = option(
        default=10,
        help="Number of thresholds from th_max to th_min, in equal ratios",
        name="th_iter",
        least=1,
        most=50,
    )

    def down_to(self, lowest: float) -> tuple[float, ...]:
        """The thresholds; none without a search."""
        return threshold_ladder(self.highest, lowest, self.count) if self.search else ()


@options
class LadderOptions:
    """How stars are found. Lengths are in units of the sharpest band's FWHM."""

    thresholds: tuple[float, ...] = detail(
        default=Thresholds().down_to(LOWEST),
        help="Detection thresholds in units of the map's scatter, one per pass, from bright to "
        "faint.",
    )
    keep: float = option(
        default=LOWEST,
        help="Lowest detection threshold (sigma of the matched-filter map or of DAOFIND's, "
        "unresolved stars included); a fitted star stays while it is as significant",
        name="th_min",
        least=1,
    )
    max_empty: int = option(
        default=3,
        help="The descent ends after so many thresholds in a row without a new star",
        name="th_max_consec_empty",
        least=1,
    )
    near_threshold: float = option(
        default=2.5,
        help="Lowest threshold within 1.35 FWHM of a star of significance above 10, where the fit "
        "decides; nowhere else is any lower than th_min (same unit as th_min)",
        name="th_near",
        least=0,
    )
    near_radius: float = detail(default=1.35, help="How far ``near_threshold`` holds.")
    near_significance: float = detail(
        default=10.0, help="About stars of this significance or more."
    )
    near_from: int = detail(default=2, help="From this pass on (0 = the first).")
    modes: bool = option(
        default=True,
        help="Model what the galaxy departs from its profiles by (arms, bar, ring, dust), by "
        "modes on its own ellipse of which the data decide how strong they are; before "
        "stars are found in it",
        name="model_structure",
    )
    structure: float | None = detail(
        default=None,
        help="Least share of the galaxies' light that counts as noise of detection and pruning "
        "(`galstep.core.detection.structure`): what a galaxy departs from its model by is no "
        "star. More where the residuals show more; None: no such noise.",
    )
    finder: MatchedFinder | DaoFinder = option(
        default="matched",
        help="What finds stars on the residual: the matched-filter map, which misses least; or "
        "DAOFIND of photutils with finder_kwargs. The fit is the same",
        choices=tuple(FINDERS),
        read=finder_named,
    )
    density: float = option(
        default=0.2,
        help="Largest number of stars (per noise area of the PSF, 1 / sum of P squared); beyond it "
        "stars are left to the noise",
        name="star_density",
        least=0,
        most=1,
    )
    floor_passes: int = option(
        default=10,
        help="Largest number of passes (find stars, fit the scene) at the lowest threshold",
        name="iter_basefit",
        least=1,
        most=100,
    )
    shape_tolerance: float = option(
        default=1e-3,
        help="A pass is quiet if no shape parameter changed by more (centre in r_eff, ln "
        "r_eff, e1, e2, ln n)",
        name="mainloop_convergence_atol",
        least=0,
    )
    patience: int = option(
        default=2,
        help="Number of quiet passes in a row that end the loop",
        name="mainloop_convergence_patience",
        least=1,
    )
    min_passes: int = option(
        default=2,
        help="Least number of passes at the lowest threshold",
        name="mainloop_min_iter",
        least=0,
    )
    measure_noise: bool = option(
        default=True,
        help="Measure the noise anew after every fit; otherwise that of the start holds until "
        "the last fits",
        name="bkg_refit_per_iteration",
    )
    noise_floor: float = option(
        default=0.3,
        help="The noise never falls below this share of that of the start (0: no floor)",
        name="bkg_floor_factor",
        least=0,
        most=1,
    )
    separation: float = option(
        default=0.5,
        help="Smallest distance of a new star from a known one in the ladder (sigma of the PSF; 0: "
        "none)",
        name="ladder_dedup_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    merge: float = detail(default=0.15, help="Pairs closer than this become one star.")
    centre_mask: float = option(
        default=0.0,
        help="No new star within this distance of the galaxy's centre (FWHM of the PSF; 0: "
        "anywhere, a star on the core is found; sphot has 1.5)",
        name="center_mask_r_in_fwhm",
        least=0,
    )
    background: DetectionBackground = detail(
        default=DetectionBackground(), help="What is subtracted before stars are looked for."
    )
    first_flux: float = option(
        default=0.0,
        help="Radius of the aperture for a new star's first flux (pixels; 0: from the matched "
        "filter, sphot has 3). Fluxes are linear, the first one matters little",
        name="PSFPhotometry_aperture_radius",
        least=0,
    )
    max_iterations: int = detail(default=3, help="Largest number of steps of the fit of a pass.")
    final_iterations: int = option(
        default=8,
        help="Largest number of steps of a fit to convergence, all stars at once; in the ladder at "
        "most 3 (sphot has 300, star by star)",
        name="PSFPhotometry_fitter_maxiters",
        least=1,
    )
    tolerance: float = detail(default=5.0, help="Of the fit of a pass (chi2).")
    final_tolerance: float = detail(default=0.5, help="Of the fits at the end (chi2).")
    window: float = option(
        default=0.0,
        help="Side of the square in which a star is fitted in the ladder, galaxy and sky held "
        "meanwhile (FWHM of the PSF, rounded up to odd pixels, at least 3; 0: all that the PSF "
        "reaches, everything at once; sphot has 1.5)",
        name="PSFPhotometry_fit_shape_in_fwhm",
        least=0,
    )
    render_side: int = option(
        default=(0, 0),
        help="Square in which a star is drawn, two equal sides (pixels; 0, 0: all that the PSF "
        "reaches. 25, 25, as sphot has it, loses 7 to 9 percent of the light of JWST's PSFs)",
        name="modelimg_render_shape",
        least=2,
        most=2,
        read=square_side,
    )
    group_separation: float = option(
        default=2.0,
        help="Stars closer than this are in one group, see group_id in the star table (sigma "
        "of the PSF)",
        name="grouper_separation_in_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    crowded: int = option(
        default=10,
        help="The log warns of larger groups, and their stars have the flag crowded_group; none is "
        "dropped (0: never)",
        name="PSFPhotometry_group_warning_threshold",
        least=0,
    )
    refit: FinalRefit = detail(default=FinalRefit(), help="How the ladder ends.")
    clip: float = option(
        default=0.0,
        help="Pixels with larger residuals have no weight in the last fits (sigma of the pixel "
        "noise; 0: all count; sphot has 15)",
        name="residual_clip_sigma",
        least=0,
    )
    clip_beyond: float = option(
        default=3.5,
        help="No pixel is clipped within this ellipse of the galaxy (r_eff)",
        name="mask_aper_size_in_r_eff",
        least=0,
    )
    robust: str = option(
        default="none",
        help="Loss of the last fit, for data with bad pixels that no mask knows: huber discounts "
        "pixels beyond robust_scale sigma, student all as Student's t",
        choices=ROBUST_LOSSES,
    )
    robust_scale: float = option(
        default=3.0,
        help="Threshold of huber (sigma of the pixel noise), degrees of freedom of student",
        least=0.1,
    )
    cuts: StarCuts = detail(default=StarCuts(), help="Which stars are dropped at the end.")
    colour_prior: bool = option(
        default=False,
        help="Hold the stars within 2 r_eff of the galaxy to the colours of the frame's other "
        "stars, where there are 20 or more of these in three filters or more",
        name="star_colour_prior",
    )
    final: bool = detail(
        default=True,
        help="Whether the ladder ends with its refit and at the optimum of the reported weights; "
        "otherwise with a fit to convergence, for a ladder that another one follows.",
    )
    fitter: Callable[..., Solution] = detail(
        default=fit_scene,
        help="What fits the scene after each pass: `galstep.core.engine.solve.fit_scene`, or "
        "another with its arguments (`galstep.core.engine.simplex.fit_simplex`).",
    )
    raise_error: bool = option(
        default=False,
        help="Stop with an error where a fit is singular, does not converge or is undone; "
        "otherwise there is a flag and a reason, or a line in the log",
    )


#: A ladder for a scene whose stars are known, or that is not yet the last word: two
#: thresholds, one pass at the lower, and no refit or cut of its own.
ONE_PASS = LadderOptions(
    thresholds=(6.0, 4.5),
    keep=4.5,
    near_from=1,
    floor_passes=1,
    patience=1,
    min_passes=0,
    noise_floor=0.0,
    separation=0.23,
    group_separation=0.85,
    crowded=0,
    refit=FinalRefit("none"),
    cuts=NO_CUTS,
)


@dataclass(frozen=True, eq=False)
class LadderResult:
    """The fitted scene and its stars.

    ``bands`` carry the weights of the last noise estimate, ``late_covariance`` is
    the formal one, made when it is wanted, ``significance`` that of each star, ``limited``
    says that the density bound cut the list. ``history`` has a dict per pass: threshold,
    n_found, n_stars, shape (of the first galaxy), chi2. ``failures`` says in words which of the
    final refits were given up, ``notes`` what else happened to the stars.
    """

    bands: list
    solution: Solution
    late_covariance: LateCovariance
    significance: np.ndarray
    limited: bool
    history: list
    n_iterations: int
    failures: tuple = ()
    notes: tuple = ()

    @property
    def covariance(self) -> SceneCovariance:
        """The formal covariance of the last fit."""
        return self.late_covariance.value
