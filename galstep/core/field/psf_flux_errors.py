"""What is not known of a PSF does to the fluxes of a band: a table by the size of the source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PsfFluxErrors"]


@dataclass(frozen=True, eq=False)
class PsfFluxErrors:
    """Relative errors of fluxes from what is not known of the PSF, by the size of the source.

    Attributes
    ----------
    sizes : (k,) array
        Half-light radii, pixels of the band, ascending from 0.
    relative : (k,) array
        1 sigma; NaN where it cannot be told (a single star).
    """

    sizes: np.ndarray
    relative: np.ndarray

    @classmethod
    def none(cls) -> PsfFluxErrors:
        """Of a PSF that is taken as exact."""
        return cls(np.zeros(1), np.zeros(1))

    def at(self, r_eff: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Relative errors of the fluxes of sources.

        Parameters
        ----------
        r_eff : (n,) array
            Half-light radii, pixels of the band.
        point : (n,) bool array
        """
        size = np.where(point, 0.0, np.nan_to_num(r_eff, nan=0.0))
        return np.interp(size, self.sizes, self.relative)
