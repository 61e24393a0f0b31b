"""How far a source's light counts: the sizes of its stamps.

A source has two stamps in each band. The *fit* stamp carries the derivatives: it ends where the
source's light falls below 0.05 sigma of the sky per pixel in its best band. The *model* stamp
carries the value alone and ends at 0.02 sigma: residuals use model stamps, gradient and matrix
use fit stamps. A fit stamp that is cut short loses information, not truth: the gradient is that
of an estimating equation whose residual is whole. One size for both would bias neighbours by
about their own error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.sersic import log_central_brightness, sersic_bn
from galstep.core.imaging.stars import StarRenderer

if TYPE_CHECKING:
    from galstep.core.psf.effective import EffectivePSF

__all__ = ["FIT_LEVEL", "MODEL_LEVEL", "NEGLIGIBLE", "SIDES", "ladder_half", "light_reach"]

# Of the sky's sigma per pixel. A fit level of 0.10 loses up to 13 % of the error of a galaxy's
# r_eff and moves faint ones by half an error when a stamp changes its size, 0.05 less than 5 %;
# below, nothing changes. The time is the same.
FIT_LEVEL, MODEL_LEVEL = 0.05, 0.02
# What the transform's periodic copies may leave in a corner of a stamp, of the same.
NEGLIGIBLE = 0.002
# Few sizes, so that sources share rendering plans; each is sqrt(2) times the one before.
SIDES = (25, 35, 49, 69, 97, 137, 193, 273, 385, 545, 769)
# Largest half-sizes, pixels and half-light radii: what is beyond is less than 1 % of n = 4.
FIT_CAP, MODEL_CAP = (68.0, 3.0), (136.0, 8.0)
# Half-size of the smallest stamp (pixels).
_LEAST = 8.0


def light_reach(
    flux: float, sigma: float, level: float, psf: EffectivePSF, z: np.ndarray | None
) -> float:
    """Radius (pixels) where a source's light falls below ``level`` x ``sigma`` per pixel.

    Parameters
    ----------
    flux, sigma : float
        Total flux, and the noise of a pixel.
    level : float
    psf : EffectivePSF
    z : (6,) array or None
        A profile's vector in the band's pixels; None: a point.

    Returns
    -------
    float
        At least 8.
    """
    limit = level * sigma
    # a source that is not seen yet has the stamp of its core
    flux = max(abs(flux), sigma)
    reach = float(np.count_nonzero(flux * _profile(psf) > limit))
    if z is not None:
        r_eff, n, e = np.exp(z[2]), np.exp(z[5]), np.hypot(z[3], z[4])
        q = (1 - e) / (1 + e)
        e_folds = np.log(flux / limit) + log_central_brightness(n) - np.log(r_eff**2 * q)
        if e_folds > 0:
            reach = max(reach, r_eff * (e_folds / sersic_bn(n)) ** n)
    return max(reach, _LEAST)


def ladder_half(reach: float, cap: tuple[float, float], r_eff: float) -> int:
    """Half of the smallest side of the ladder that holds a reach, as far as the cap allows."""
    reach = min(reach, max(cap[0], cap[1] * r_eff))
    half = np.array(SIDES) // 2
    place = int(np.searchsorted(half, reach))
    return int(half[min(place, len(half) - 1)])


def _profile(psf):
    """Azimuthal mean of the PSF per native pixel by whole radius, falling."""

    def make():
        half = psf.half_size
        centre = np.array([float(half)])
        star = StarRenderer(psf).render((2 * half + 1,) * 2, centre, centre, np.ones(1))
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        ring = np.rint(np.hypot(x, y)).astype(int).ravel()
        mean = np.bincount(ring, star.ravel()) / np.bincount(ring)
        return np.maximum.accumulate(mean[::-1])[::-1]

    return psf.derived("scene profile", make)
