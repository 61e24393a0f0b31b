"""Which clumps of a scene's stars are galaxies, tried one by one on cutouts.

A clump is a galaxy if

* one profile, of seven parameters, leaves a *lower* chi2 than all the stars it replaces, of
  three each. Stars that are stars do not let themselves be replaced: their light is in
  points. In 24 frames of known truth nothing outside the target did but galaxies;
* what the parameters must be worth is paid, by chi2 and by how improbable so many stars so
  close together are (both are logarithms of a probability);
* it is resolved, and neither a needle (two stars) nor all cusp or as large as the frame;
* it lies outside the target's own light: beyond 1.5 r_eff, and there it outshines the
  target. What the target has within, arms, rings and knots, is its structure. Up to 3 r_eff
  the target's outskirts may clump too, and the evidence must be beyond doubt: that of a
  galaxy as large as the pair's second is thirty times what is asked for there.

Two galaxies that touch are tried together: either by itself spreads over the other's light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.core_star import PER_STAR
from galstep.core.fitting.local_galaxy import galaxies_for_stars
from galstep.core.fitting.model_choice import PENALTY
from galstep.core.fitting.star_clumps import star_clumps, target_radius
from galstep.core.measurement.near_companions import REACH

if TYPE_CHECKING:
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution
    from galstep.core.fitting.local_galaxy import LocalFit

__all__ = ["MAX_COMPANIONS", "PRICE", "companion_clumps", "has_a_shape", "near_frame"]

# Radii of a clump in FWHM: of a galaxy of about that size, and of a large one.
RADII_FWHM = (2.5, 6.0)
# No clump so close to the target (r_eff): a ring, arms, a bar's ends.
OUTSIDE_R_EFF = 1.5
# So close the evidence must be worth more than a star.
NEAR_R_EFF, NEAR_EVIDENCE = REACH, PER_STAR
# A star in the middle of a clump that is tried has at least this S/N.
MIN_STAR_SNR = 6.0
# The least r_eff of a companion (FWHM): below it a galaxy is a pair of stars. One of two that
# touch may be all cusp, if it is resolved: what its neighbour hides bends its outer profile. The
# limit is chosen: the one real pair it was tried on (g232) has 0.9.
MIN_R_EFF_FWHM, MIN_CUSP_FWHM = 0.4, 0.7
# Mean light within the r_eff of a galaxy that fills the frame, in sigma of a pixel: chosen, so that
# no error of the sky comes near; one real galaxy was tried (g366).
BRIGHT_SIGMA = 3.0
# Modulus of (e1, e2): 0.8 is an axis ratio of 0.11.
MAX_ELLIPTICITY = 0.8
# Of a galaxy's flux by itself, in the trial.
MIN_SNR = 10.0
# Shape (six) and flux, and what they must be worth in chi2.
PRICE = PENALTY * 7
# A trial costs milliseconds; a cutout with more galaxies is a field.
MAX_TRIALS, MAX_COMPANIONS = 40, 8
# For so many galaxies a second one that touches them is looked for.
MAX_PAIRS = 3
# -2 ln of a probability per -log10 of it.
PER_DEX = 2 * np.log(10)


def companion_clumps(band: SceneBand, solution: Solution, bounds: ShapeBounds) -> list[LocalFit]:
    """Clumps of a scene's stars that are galaxies.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        In the scene's frame; the one in which companions are looked for.
    solution : `galstep.core.engine.solve.Solution`
    bounds : `galstep.core.engine.bounds.ShapeBounds`
        Of the galaxies.

    Returns
    -------
    list of `galstep.core.fitting.local_galaxy.LocalFit`
        What is clearest first, no star in two of them; of one galaxy each, or of two that
        touch.
    """
    own = bounds.of_companions
    trials = [
        _tried(band, solution, clump.members, [(clump.x, clump.y)], radius, own, clump.chance)
        for clump, radius in _clumps(band, solution.state)
    ]
    found = [trial for trial in trials if _are_galaxies(trial, band, solution, own)]
    found = _apart(sorted(found, key=_evidence, reverse=True))
    pairs = [_with_neighbour(one, trials, band, solution, own) for one in found[:MAX_PAIRS]]
    found += [pair for pair in pairs if pair is not None]
    return _apart(sorted(found, key=_evidence, reverse=True))


def _tried(band, solution, members, places, radius, bounds, chance):
    residual = solution.evaluation.residuals[0]
    return galaxies_for_stars(
        band, residual, solution.state, members, places, radius, bounds, chance
    )


def _clumps(band, state):
    """(clump, radius) to be tried, the least probable first."""
    noise = band.sigma * np.sqrt(band.noise_area_in_scene)
    bright = state.star_flux[0] > MIN_STAR_SNR * noise
    allowed = bright & (target_radius(state, state.x, state.y) > OUTSIDE_R_EFF)
    n_pixels = np.count_nonzero(~band.mask)
    found = {}
    for radius in RADII_FWHM:
        reach = radius * band.fwhm_in_scene
        for clump in star_clumps(state, allowed, n_pixels, reach):
            found.setdefault(clump.members.tobytes(), (clump, reach))
    return sorted(found.values(), key=lambda pair: -pair[0].chance)[:MAX_TRIALS]


def _evidence(trial):
    """What is left of the evidence when all parameters are paid, in chi2."""
    price = PRICE * len(trial) - PER_STAR * len(trial.replaced)
    return trial.gain - price + PER_DEX * trial.chance


def _with_neighbour(one, trials, band, solution, bounds):
    """A galaxy together with the clump beside it that is most like another, or None."""
    reach = RADII_FWHM[-1] * band.fwhm_in_scene
    place = one.shapes[0, :2]
    apart = max(np.exp(one.shapes[0, 2]), RADII_FWHM[0] * band.fwhm_in_scene)

    def beside(trial):
        distance = np.hypot(*(trial.shapes[0, :2] - place))
        return apart < distance < 2 * reach and _evidence(trial) > 0

    others = [
        trial
        for trial in trials
        if beside(trial) and not _are_galaxies(trial, band, solution, bounds)
    ]
    if not others:
        return None
    other = max(others, key=_evidence)
    members = np.union1d(one.replaced, other.replaced)
    places = [place, other.shapes[0, :2]]
    chance = max(one.chance, other.chance)
    pair = _tried(band, solution, members, places, reach, bounds, chance)
    taken = _are_galaxies(pair, band, solution, bounds) and _evidence(pair) > _evidence(one)
    return pair if taken else None


def _are_galaxies(trial, band, solution, bounds):
    """Whether all profiles of a trial are galaxies of their own."""
    if not trial.gain > 0:
        return False
    galaxies = solution.evaluation.images(0)
    light = np.tensordot(solution.state.galaxy_flux[0], galaxies, axes=1)
    ny, nx = band.shape
    each = zip(trial.shapes, trial.flux, trial.snr, trial.brightness, strict=True)
    for shape, flux, snr, brightness in each:
        if not (near_frame(shape, band) and snr > MIN_SNR):
            return False
        x, y = shape[:2]
        radius = float(target_radius(solution.state, x, y))
        least = 0.0 if radius > NEAR_R_EFF else NEAR_EVIDENCE
        ix, iy = (int(np.clip(np.rint(v), 0, n - 1)) for v, n in ((x, nx), (y, ny)))
        outshines = brightness > light[iy, ix]
        convincing = radius > OUTSIDE_R_EFF and outshines and _evidence(trial) > least
        cusp = shape[5] > np.log(bounds.n[1]) - 1e-3
        if len(trial) > 1:
            cusp = cusp and shape[2] < np.log(MIN_CUSP_FWHM * band.fwhm_in_scene)
        if not convincing or cusp or not has_a_shape(shape, flux, band, bounds):
            return False
    return True


def near_frame(shape: np.ndarray, band: SceneBand) -> bool:
    """Whether a profile's centre is on the frame, or off it by less than its r_eff.

    Parameters
    ----------
    shape : (6,) array
        Shape vector.
    band : `galstep.core.engine.scene.SceneBand`

    Returns
    -------
    bool
    """
    x, y, reach = shape[0], shape[1], np.exp(shape[2])
    ny, nx = band.shape
    return bool(-reach < x < nx - 1 + reach and -reach < y < ny - 1 + reach)


def has_a_shape(shape: np.ndarray, flux: float, band: SceneBand, bounds: ShapeBounds) -> bool:
    """Whether a profile is resolved, no needle, and does not play the sky.

    Parameters
    ----------
    shape : (6,) array
        Shape vector.
    flux : float
    band : `galstep.core.engine.scene.SceneBand`
    bounds : `galstep.core.engine.bounds.ShapeBounds`
        Of companions.

    Returns
    -------
    bool
        One of the largest r_eff allowed is no sky if half of its light is bright.
    """
    r_eff, e = np.exp(shape[2]), np.hypot(*shape[3:5])
    area = np.pi * r_eff**2 * (1 - e) / (1 + e)
    wide = shape[2] >= np.log(bounds.r_eff[1]) - 1e-3
    bright = flux / 2 > BRIGHT_SIGMA * band.sigma * area
    resolved = r_eff > MIN_R_EFF_FWHM * band.fwhm_in_scene
    return bool(resolved and (bright or not wide) and e < MAX_ELLIPTICITY)


def _apart(trials):
    """Of trials that share stars, or a centre, the first."""
    kept, taken = [], np.zeros(0, dtype=int)
    for trial in trials:
        places = [shape for other in kept for shape in other.shapes]
        near = any(
            np.hypot(*(own[:2] - place[:2])) < 2 * np.exp(place[2])
            for own in trial.shapes
            for place in places
        )
        if not near and not np.isin(trial.replaced, taken).any():
            kept.append(trial)
            taken = np.concatenate([taken, trial.replaced])
    return kept[:MAX_COMPANIONS]
