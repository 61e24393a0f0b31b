"""The noise of aperture sums as a curve of the aperture's size.

Measured aperture by aperture, the scatter of empty apertures jumps where one grows
past the last place that fits: it is then that of smaller ones, extrapolated, or that
of single pixels. So it is measured on a ladder of sizes, as far as they fit, and
read from there. The curve never falls: a larger sum has no smaller noise, and where the
residual says so (sky and galaxy have been fitted to the very same pixels) it tells
what the fit took up, not what the sum is uncertain by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.photometry.aperture_noise import fitting_apertures, growth_exponent
from galstep.core.photometry.apertures import scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.records import Aperture

__all__ = ["NoiseCurve", "noise_curve"]

RATIO = 2.0  # of the areas of neighbouring rungs
SMALLEST = 4.0  # pixels: where the ladder ends downwards
N_DOWN = 5  # rungs tried below the smallest aperture, if that fits nowhere


@dataclass(frozen=True, eq=False)
class NoiseCurve:
    """Noise of sums over apertures of one shape.

    Parameters
    ----------
    areas : (n,) array
        Pixels, increasing.
    scatter : (n,) array
        1 sigma of the sum (image unit x pixel), not falling.
    level : (n,) array
        1 sigma of the sum from the error of the level that is taken off, not falling.
    """

    areas: np.ndarray
    scatter: np.ndarray
    level: np.ndarray

    def noise(self, area: float) -> float:
        """1 sigma of the sum over an aperture of this area.

        Beyond the largest that fits it goes on as area^beta, beta that between
        the last and half its size, see
        `galstep.core.photometry.aperture_noise.growth_exponent`.
        """
        last = len(self.areas) - 1
        earlier = max(last - 2, 0)
        beta = 1.0
        if last:
            beta = growth_exponent(
                self.scatter[last], self.areas[last], self.scatter[earlier], self.areas[earlier]
            )
        return self._read(self.scatter, area, beta)

    def level_error(self, area: float) -> float:
        """1 sigma of the sum from the error of the sky's level; beyond the ladder as the area."""
        return self._read(self.level, area, 1.0)

    def _read(self, values, area, beta):
        inside = np.interp(np.log(area), np.log(self.areas), values)
        # below the ladder: as white noise
        below = min(area / self.areas[0], 1.0) ** 0.5
        return float(inside * max(area / self.areas[-1], 1.0) ** beta * below)


def noise_curve(
    residual: np.ndarray,
    mask: np.ndarray,
    apertures: Sequence[Aperture],
    center_mask: float = 4.0,
) -> NoiseCurve | None:
    """The curve for apertures of one family.

    Parameters
    ----------
    residual : ndarray, shape (ny, nx)
        NaN allowed where masked.
    mask : ndarray of bool, shape (ny, nx)
        True = bad.
    apertures : sequence of galstep.records.Aperture
        The first has the shape of the empty ones; the smallest and the largest say how far
        the ladder has to reach.
    center_mask : float, optional
        See `galstep.core.photometry.aperture_noise.empty_apertures`.

    Returns
    -------
    NoiseCurve or None
        None if none of any size fits often enough.
    """
    shape = apertures[0]
    own = np.pi * shape.a * shape.b
    areas = [np.pi * aperture.a * aperture.b for aperture in apertures]
    # the same rungs whatever is asked for
    low, high = (int(np.floor(np.log(area) / np.log(RATIO))) for area in (min(areas), max(areas)))

    def rung(k):
        area = RATIO**k
        if area < SMALLEST:
            return None
        aperture = scaled(shape, np.sqrt(area / own))
        empty = fitting_apertures(residual, mask, aperture, center_mask)
        return empty and (area, empty.scatter, area * empty.level_err)

    found = []
    for k in range(low - 2, high + 2):
        measured = rung(k)
        if measured is None and found:
            break
        found += [measured] if measured else []
    for k in range(low - 3, low - 3 - N_DOWN, -1):
        if len(found) > 2:
            break
        measured = rung(k)
        found[:0] = [measured] if measured else []
    if not found:
        return None
    areas, scatter, level = np.transpose(found)
    return NoiseCurve(areas, np.maximum.accumulate(scatter), np.maximum.accumulate(level))
