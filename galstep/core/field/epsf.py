"""The PSF of a band from the field's own stars, smooth in place: the door.

Which stars: `galstep.core.field.epsf_stars`; the fit: `galstep.core.field.epsf_fit`; its error:
`galstep.core.field.epsf_errors`. Few stars have a formula alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.epsf_errors import jackknifed_errors
from galstep.core.field.epsf_fit import EpsfFit
from galstep.core.field.epsf_law import PolynomialLaw
from galstep.core.field.epsf_stars import read_stars
from galstep.core.field.keys import content_key
from galstep.core.field.psf_flux_errors import PsfFluxErrors
from galstep.core.scene.psf_map import PsfMap
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.core.field.epsf_light import FieldLight
    from galstep.core.field.epsf_options import EpsfOptions
    from galstep.core.field.records import FieldBand

__all__ = ["EpsfResult", "EpsfTask", "PolynomialLaw", "epsf_of_band"]

# Half the side of the stamps: beyond, the wings of single stars are lost in the noise.
_HALF = 27


@dataclass(frozen=True, eq=False)
class EpsfTask:
    """What is needed to measure the PSF of a band.

    Attributes
    ----------
    band : FieldBand
        Needs no PSF, unless ``known`` is given.
    x, y : (n,) arrays
        Candidates, reference pixels.
    other_x, other_y : (m,) arrays
        All sources, the candidates among them.
    options : EpsfOptions
    known : FieldLight, optional
        The field as it was fitted with the band's PSF: the light about a star is then taken off,
        not masked.
    """

    band: FieldBand
    x: np.ndarray
    y: np.ndarray
    other_x: np.ndarray
    other_y: np.ndarray
    options: EpsfOptions
    known: FieldLight | None = None

    @property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        band = (self.band.name, self.band.pixels.identity, self.band.sigma,
                self.band.variance_per_unit, str(self.band.pixel_map))  # fmt: skip
        known = "" if self.known is None else self.known.identity + self.band.psf.identity
        return content_key(
            band, self.x, self.y, self.other_x, self.other_y, self.options, known
        )  # fmt: skip

    @property
    def cost(self) -> float:
        """Relative."""
        return float(min(len(self.x), self.options.max_stars) * (1 + self.options.psf_order) ** 2)


@dataclass(frozen=True, eq=False)
class EpsfResult:
    """The PSF of a band.

    Attributes
    ----------
    law : PolynomialLaw
    n_stars : int
    fwhm : float
        In the middle of the image, pixels.
    fallback : bool
        Whether there were too few stars for more than a profile.
    chi2 : float
        Reduced, median of the stars.
    stars : (n_stars, 2) array
        x and y, pixels of the band.
    errors : PsfFluxErrors
        What is not known of the PSF does to fluxes.
    """

    law: PolynomialLaw
    n_stars: int
    fwhm: float
    fallback: bool
    chi2: float
    stars: np.ndarray
    errors: PsfFluxErrors


def epsf_of_band(task: EpsfTask) -> EpsfResult:
    """Measure the PSF of a band.

    Parameters
    ----------
    task : EpsfTask

    Returns
    -------
    EpsfResult

    Raises
    ------
    InputError
        If there is no star at all.
    """
    band, options = task.band, task.options
    half = min(_HALF, (options.psf_size - 1) // 2)
    x, y = band.pixel_map.points(task.x, task.y)
    others = band.pixel_map.points(task.other_x, task.other_y)
    stars = read_stars(band, x, y, others, half, options, task.known)
    if not stars:
        raise InputError(
            f"band {band.name}: no star for the PSF among {len(task.x)} candidates (S/N above "
            f"{options.star_snr:g}, unsaturated, {options.star_edge} pixels from the edge): give "
            "psf_file"
        )
    fallback = len(stars) < options.min_stars
    fit = EpsfFit(band, stars, half, options, "moffat" if not fallback else options.psf_fallback)
    fit.fit_profile()
    if not fallback:
        fit.fit_modes()
    law = fit.law
    ny, nx = band.pixels.shape
    return EpsfResult(
        law=law,
        n_stars=len(fit.stars),
        fwhm=float(PsfMap(law).at((nx - 1) / 2, (ny - 1) / 2).fwhm),
        fallback=fallback,
        chi2=float(np.median([star.chi2 for star in fit.stars])),
        stars=np.array([(star.x, star.y) for star in fit.stars]),
        errors=jackknifed_errors(fit),
    )
