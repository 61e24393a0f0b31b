"""What is not known of a PSF does to the fluxes of a band: a table by the size of the source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PsfFluxErrors"]

# The widths of PSFs of a camera's bands differ by a tenth or so; a Gaussian star fitted with a
# width s times too large has 2 / (1 + s^2) of its flux: 0.905 for s = 1.1.
OF_ANOTHER_BAND = 0.1


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

    @classmethod
    def of_another_band(cls) -> PsfFluxErrors:
        """Of a PSF that was measured in another band."""
        return cls(np.zeros(1), np.full(1, OF_ANOTHER_BAND))

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
