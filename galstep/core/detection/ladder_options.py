"""What the threshold ladder may do, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.detection_background import DetectionBackground
from galstep.core.detection.final_refit import FinalRefit
from galstep.core.detection.finder import MatchedFinder
from galstep.core.detection.star_cuts import StarCuts
from galstep.core.engine.solve import fit_scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.core.detection.finder import DaoFinder
    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.solve import Solution

__all__ = ["LadderOptions", "LadderResult", "threshold_ladder"]


@dataclass(frozen=True)
class LadderOptions:
    """How stars are found. Lengths are in units of the sharpest band's FWHM.

    Parameters
    ----------
    thresholds : tuple of float
        Detection thresholds in units of the map's scatter, one per pass, from
        bright to faint.
    max_empty : int
        The descent ends after so many passes in a row without a new star.
    floor_passes : int
        Largest number of further passes at the lowest threshold.
    min_passes, patience, shape_tolerance
        The floor passes end when ``patience`` passes in a row changed no shape
        parameter by more than ``shape_tolerance`` (the centre in units of
        r_eff, ln r_eff, e1, e2, ln n), after at least ``min_passes``.
    keep : float
        A fitted star stays while its significance is above this.
    near_threshold : float
        Threshold within ``near_radius`` of a star with significance above
        ``near_significance``, from pass ``near_from`` (0 = first) on.
    separation, merge : float
        Smallest distance of a new peak from a known star; pairs closer than
        ``merge`` become one star.
    structure : float or None
        Least share of the galaxies' light that counts as noise of detection and pruning
        (`galstep.core.detection.structure`): what a galaxy departs from its model by is no
        star. More where the residuals show more; None: no such noise.
    modes : bool
        Whether the target's structure is modelled (`galstep.core.engine.structure_fit`).
    colour_prior : bool
        Whether what is probably a star in the target's core (``star_probability`` of the
        state) is held to the colours of the frame's stars; for three bands or more.
    final : bool
        Whether the ladder ends with its refit and at the optimum of the reported weights;
        otherwise with a fit to convergence, for a ladder that another one follows.
    centre_mask : float
        No new star within this distance of a galaxy's centre; 0: anywhere.
    density : float
        Largest number of stars per noise area of the sharpest band's PSF; a
        field of unresolved stars is left to the noise model beyond it.
    measure_noise : bool
        Measure the noise anew after every fit; otherwise that of the start is
        kept until the last fits.
    noise_floor : float
        The noise never falls below this share of that of the start.
    max_iterations, final_iterations : int
        Steps of the fit per pass, and at the end.
    tolerance, final_tolerance : float
        In chi2.
    robust, robust_scale
        Loss of the final fits and its scale (`galstep.core.engine.robust`).
    clip, clip_beyond : float
        In the last fits pixels with residuals of more than ``clip`` sigma have
        no weight where they are farther than ``clip_beyond`` r_eff from the
        galaxy's centre, along its isophotes; 0: none are left out.
    fitter : callable
        What fits the scene after each pass: `galstep.core.engine.solve.fit_scene`, or
        another with its arguments (`galstep.core.engine.simplex.fit_simplex`).
    window : float
        Side of the square in whose pixels each star is fitted in the passes; 0:
        all that its PSF reaches.
    render_side : int
        Side of the square in which each star is drawn (pixels of the band); 0:
        all that its PSF reaches.
    finder : `MatchedFinder` or `DaoFinder`
        Of `galstep.core.detection.finder`.
    background : `galstep.core.detection.detection_background.DetectionBackground`
    first_flux : float
        Radius (pixels of the band) of the aperture from which a new star's flux
        is taken before it is fitted; 0: from the matched filter.
    refit : `galstep.core.detection.final_refit.FinalRefit`
    cuts : `galstep.core.detection.star_cuts.StarCuts`
    group_separation : float
        Stars closer than this are in one group, which their list says.
    crowded : int
        Stars of a group of more than so many are flagged, and the log warns; 0:
        never.
    raise_error : bool
        Whether a fit of the stars that fails raises an error; otherwise the best
        that there was is kept, and said.
    """

    thresholds: tuple = (6.0, 4.5)
    max_empty: int = 3
    floor_passes: int = 1
    min_passes: int = 0
    patience: int = 1
    shape_tolerance: float = 1e-3
    keep: float = 4.5
    near_threshold: float = 2.5
    near_radius: float = 1.35
    near_significance: float = 10.0
    near_from: int = 1
    separation: float = 0.23
    merge: float = 0.15
    structure: float | None = None
    modes: bool = True
    colour_prior: bool = False
    final: bool = True
    centre_mask: float = 0.0
    density: float = 0.2
    measure_noise: bool = True
    noise_floor: float = 0.0
    max_iterations: int = 3
    final_iterations: int = 8
    tolerance: float = 5.0
    final_tolerance: float = 0.5
    robust: str = "none"
    robust_scale: float = 3.0
    clip: float = 0.0
    clip_beyond: float = 3.5
    fitter: Callable[..., Solution] = fit_scene
    window: float = 0.0
    render_side: int = 0
    finder: MatchedFinder | DaoFinder = MatchedFinder()
    background: DetectionBackground = DetectionBackground()
    first_flux: float = 0.0
    refit: FinalRefit = FinalRefit()
    cuts: StarCuts = StarCuts()
    group_separation: float = 0.85
    crowded: int = 0
    raise_error: bool = False


@dataclass(frozen=True, eq=False)
class LadderResult:
    """The fitted scene and its stars.

    ``bands`` carry the weights of the last noise estimate, ``covariance`` is
    the formal one, ``significance`` that of each star, ``limited`` says that
    the density bound cut the list. ``history`` has a dict per pass: threshold, n_found, n_stars,
    shape (of the first galaxy), chi2. ``failures`` says in words which of the
    final refits were given up, ``notes`` what else happened to the stars.
    """

    bands: list
    solution: Solution
    covariance: SceneCovariance
    significance: np.ndarray
    limited: bool
    history: list
    n_iterations: int
    failures: tuple = ()
    notes: tuple = ()


def threshold_ladder(highest: float, lowest: float, count: int) -> tuple[float, ...]:
    """``count`` thresholds in equal ratios from ``highest`` down to ``lowest``.

    The last is always ``lowest``; a ``highest`` below it counts as equal.
    """
    if count == 1:
        return (float(lowest),)
    return tuple(float(t) for t in np.geomspace(max(highest, lowest), lowest, count))
