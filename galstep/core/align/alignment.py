"""What is aligned, how, and what became of it: plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.align.match import MatchQuality
from galstep.core.align.tangent_plane import make_corrector

if TYPE_CHECKING:
    from galstep.core.align.catalog import Positions

__all__ = ["AlignImage", "Alignment"]


@dataclass(frozen=True, eq=False)
class AlignImage:
    """One image to be aligned.

    Parameters
    ----------
    name : str
        No two images share one.
    shape : (ny, nx)
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    stars : `galstep.core.align.catalog.Positions`
    wcsinfo : dict, optional
        v2_ref, v3_ref and roll_ref for a gwcs of an exposure.
    group : str, optional
        Images of one group, such as the chips of one exposure, keep their
        places to one another and move together. None: the image is alone.
    """

    name: str
    shape: tuple
    wcs: Any
    stars: Positions
    wcsinfo: dict | None = None
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Alignment:
    """What became of one image.

    Parameters
    ----------
    name : str
    status : str
        reference, aligned or failed.
    wcs : WCS
        Corrected, or as it came.
    reason : str
        Why it failed.
    shift : (2,) array
        Motion of the image's centre on the sky, to the east and to the north (arcsec).
    pixel_shift : (2,) array
        How far, in pixels of the image, its content was from where the WCS
        said, at the centre: position in the image minus position expected.
    rotation, scale : float
        Of the correction: degrees counter-clockwise in the plane, ratio.
    n_stars, n_matches : int
        Stars in the catalogue of the image, and those of them that the fit used.
    rms : float
        Of the fit on one axis, arcsec; of a group the fit is common.
    quality : `galstep.core.align.match.MatchQuality`
    correction : tuple
        The tangent plane's corrector, and matrix and shift (arcsec) in it.
    """

    name: str
    status: str
    wcs: Any
    reason: str = ""
    shift: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    pixel_shift: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    rotation: float = np.nan
    scale: float = np.nan
    n_stars: int = 0
    n_matches: int = 0
    rms: float = np.nan
    quality: MatchQuality = MatchQuality()  # noqa: RUF009
    correction: tuple = ()

    def correct(self, wcs: Any, shape: tuple[int, int], wcsinfo: dict | None = None) -> Any:
        """Another WCS of the same pixels or the same exposure, with the same correction.

        Parameters
        ----------
        wcs : `astropy.wcs.WCS` or `gwcs.WCS`
        shape : (ny, nx)
        wcsinfo : dict, optional
            As in `AlignImage`.

        Returns
        -------
        `astropy.wcs.WCS` or `gwcs.WCS`
        """
        plane, matrix, shift = self.correction
        corrector = make_corrector(self.name, wcs, shape, plane, wcsinfo)
        corrector.set_correction(matrix, shift, ref_tpwcs=plane)
        return corrector.wcs
