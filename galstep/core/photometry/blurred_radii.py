"""How much larger than a galaxy's own radii those are that are seen through the PSF.

Petrosian and Kron radii are measured on the image, as everywhere, and the PSF, the pixel's own
width within it, has a part in them: little where they are large beside it, most of it where not.
The model tells how much, for its own radii are known without any image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from galstep.core.imaging.sersic import enclosed_fraction
from galstep.core.photometry.aperture_light import component_weights
from galstep.core.photometry.kron import KRON_FACTOR, sersic_beyond

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.records import SersicFit

__all__ = ["NOTED", "blur_text", "own_kron_radius", "own_petrosian_radius"]

# Share by which the PSF changes a radius, from which on it is told.
NOTED = 0.01
# Where the ratio is looked at, in half-light radii and equal ratios; it is solved for within.
INNERMOST, OUTERMOST, N_SCAN = 1e-4, 30.0, 60
STEP = 1e-3  # of the radius, for the slope of the curve of growth


def own_petrosian_radius(components: Sequence[SersicFit], eta: float) -> float:
    """Petrosian radius of concentric Sersic profiles without a PSF.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
        Taken as of one shape: a is counted along each one's major axis.
    eta : float

    Returns
    -------
    float
        Semi-major axis (pixels); NaN where the ratio does not reach ``eta``.
    """
    weights = component_weights(components)
    sizes = np.array([c.params.r_eff for c in components])
    indices = [c.params.n for c in components]

    def light(a):
        shares = [enclosed_fraction(a / r, n) for r, n in zip(sizes, indices, strict=True)]
        return weights @ np.array(shares, dtype=float)

    def excess(ln_a):
        a = np.exp(ln_a)
        slope = (light(a * (1 + STEP)) - light(a * (1 - STEP))) / (2 * STEP)
        return slope / (2 * light(a)) - eta

    scan = np.log(np.geomspace(INNERMOST * sizes.min(), OUTERMOST * sizes.max(), N_SCAN))
    values = np.array([excess(ln_a) for ln_a in scan])
    below = np.flatnonzero(values <= 0)
    if not len(below) or below[0] == 0:
        return np.nan
    return float(np.exp(brentq(excess, scan[below[0] - 1], scan[below[0]], xtol=1e-6)))


def own_kron_radius(components: Sequence[SersicFit]) -> float:
    """Kron radius of concentric Sersic profiles without a PSF, pixels."""
    weights = component_weights(components)
    moments = [sersic_beyond(c.params, 0.0)[1] for c in components]
    return float(KRON_FACTOR * (weights @ np.array(moments)))


def blur_text(seen: dict[str, float], own: dict[str, float]) -> str:
    """What the PSF does to radii, "" where it is less than `NOTED`.

    Parameters
    ----------
    seen, own : dict of str to float
        Radii by name, with the PSF and without it; NaN where there is none.

    Returns
    -------
    str
    """
    shares = {name: seen[name] / own[name] - 1 for name in seen}
    told = [
        f"the {name} radius by {100 * share:+.0f} %"
        for name, share in shares.items()
        if abs(share) > NOTED
    ]
    return f"the PSF changes {' and '.join(told)}" if told else ""
