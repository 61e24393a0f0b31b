"""Whether what was measured as a galaxy is any wider than a star."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.aperture_light import component_weights
from galstep.core.photometry.apertures import aperture_sum
from galstep.records import Aperture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import SersicFit

__all__ = ["half_light_excess", "unresolved_reason"]

# A PSF is rarely known better than to a tenth of its width: what is no wider than that
# may be a star.
LEAST_EXCESS = 0.1
WIDE = 3.0  # FWHM: a galaxy of larger r_eff needs no test
REACH = 8.0  # FWHM: half a side of the image in which light is counted
# Radii at which the galaxy is compared with a star, in equal ratios.
N_RADII = 24
# A line within one FWHM and without width (its half-light ellipse this many FWHM across, which
# widens a star by 2 %) is two stars rather than a disc seen from its edge.
NO_WIDTH = 0.1


def half_light_excess(components: Sequence[SersicFit], psf: EffectivePSF) -> float:
    """By how much the half-light radius of a galaxy exceeds that of a star, relatively.

    Both as seen through the PSF, in circles of up to `REACH` FWHM about the first
    component's centre.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
    psf : galstep.core.psf.effective.EffectivePSF

    Returns
    -------
    float
        Infinite where a component is wider than `WIDE` FWHM.
    """
    if max(c.params.r_eff for c in components) > WIDE * psf.fwhm:
        return np.inf
    half = int(np.ceil(REACH * psf.fwhm))
    renderer = GalaxyRenderer((2 * half + 1, 2 * half + 1), psf)
    first = components[0].params
    dx, dy = half - first.x_0, half - first.y_0
    galaxy = sum(
        weight * renderer.image(c.params.moved(dx, dy).to_vector())
        for weight, c in zip(component_weights(components), components, strict=True)
    )
    star = StarRenderer(psf).render(galaxy.shape, *np.array([[half], [half], [1.0]], dtype=float))
    wide, narrow = (_half_light(image, half, psf.fwhm) for image in (galaxy, star))
    return float(wide / narrow - 1)


def _half_light(image, half, fwhm):
    radii = np.geomspace(0.15 * fwhm, half, N_RADII)
    light = [aperture_sum(image, Aperture(half, half, r, r, 0.0))[0] for r in radii]
    return np.exp(np.interp(0.5 * light[-1], light, np.log(radii)))


def unresolved_reason(components: Sequence[SersicFit], psf: EffectivePSF) -> str:
    """Why a galaxy may be a star.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
    psf : galstep.core.psf.effective.EffectivePSF

    Returns
    -------
    str
        "" if its half-light radius exceeds a star's by more than a tenth, and it is no
        short line without a width, as two blended stars are.
    """
    excess = half_light_excess(components, psf)
    if excess > LEAST_EXCESS:
        return _line_reason(components, psf)
    return (
        f"half of the light lies within {100 * max(excess, 0):.0f} % more than a star's radius, "
        f"{100 * LEAST_EXCESS:.0f} % are needed to tell it from one"
    )


def _line_reason(components, psf):
    """Why a galaxy that is longer than a star may be two of them."""
    params = [c.params for c in components]
    long = max(p.r_eff for p in params) / psf.fwhm
    across = max(p.r_eff * (1 - p.ellip) for p in params) / psf.fwhm
    if long > 1 or across > NO_WIDTH:
        return ""
    return (
        f"a line of half-light radius {long:.2f} FWHM and {across:.2f} across, as two blended "
        "stars are"
    )
