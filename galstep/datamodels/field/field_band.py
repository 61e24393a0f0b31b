"""`FieldBand`: one image of a field, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.field.field_pixels import FieldPixels
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["FieldBand", "FieldPsf"]


@dataclass
class FieldPsf:
    """The effective PSF of a band, by position.

    Parameters
    ----------
    law : dict
        What it is by place: the name of its class under ``law`` and the class's fields.
    n_stars : int
        Stars it was made of; 0 if it was given.
    fwhm : float
        In the middle of the image, pixels.
    fallback : bool
        Whether a formula stands in, for lack of stars.
    source : str
        Where it came from, in words.
    chi2 : float
        Reduced, over the stars' pixels; NaN if it was given.
    stars : (n, 2) array
        x and y of the stars it was made of, pixels of the band.
    """

    law: dict
    n_stars: int = 0
    fwhm: float = np.nan
    fallback: bool = False
    source: str = ""
    chi2: float = np.nan
    stars: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


@dataclass
class FieldBand:
    """One image of a field.

    Parameters
    ----------
    name : str
        The filter.
    source : str or `galstep.datamodels.sky.sky_image.SkyImage`
        The file, absolute; or the image, where it never was in one.
    shape : (ny, nx)
    choose : str, optional
        Which image of a file with several.
    zero_point : float
        AB magnitude of one image unit by the header.
    scale : float
        10^(-0.4 (zero_point - zp_ref)).
    sky_sigma : float
        Noise of the sky in a pixel, image unit.
    gain : float
        Electrons per image unit; NaN where not known.
    saturate : float
        What the header gives as the value of full pixels, image unit; infinite where not known.
    saturation : float
        Image unit: pixels from here on are not used; by default ``saturate``.
    use_error : bool
        Whether the error plane that comes with the image is used in place of ``sky_sigma``.
    error_is_total : bool
        Whether that plane holds the photon noise of the sources as well.
    wcs : `astropy.wcs.WCS`, optional
    pixel_map : `galstep.pixel_map.PixelMap`
        From the first band's grid to this one.
    pixel_side : float
        Arcsec; NaN without a WCS.
    noise_factor : float
        Noise of a point source's flux over that of white noise.
    psf : `FieldPsf`, optional
    sky_scale : float
        Distance of the knots of the fitted sky, pixels; 0: none, infinite: a constant.
    sky_factors : (n,) array
        Its values at the knots, row by row, on the common scale.
    zp, zp_err : float
        Zero point of the scaled fluxes as the reference stars have it, and its error; NaN until
        it is measured.
    zp_scatter : float
    zp_n_stars : int
        Stars kept.
    reasons : list of str
        What is to be said of the band.
    """

    name: str
    source: Any
    shape: tuple[int, int]
    choose: str | None = None
    zero_point: float = np.nan
    scale: float = 1.0
    sky_sigma: float = np.nan
    gain: float = np.nan
    saturate: float = np.inf
    saturation: float = np.inf
    use_error: bool = False
    error_is_total: bool = True
    wcs: WCS | None = None
    pixel_map: PixelMap = field(default_factory=PixelMap)
    pixel_side: float = np.nan
    noise_factor: float = 1.0
    psf: FieldPsf | None = None
    sky_scale: float = 0.0
    sky_factors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    zp: float = np.nan
    zp_err: float = np.nan
    zp_scatter: float = np.nan
    zp_n_stars: int = 0
    reasons: list = field(default_factory=list)

    @property
    def path(self) -> str | None:
        """The file; None for an image in memory."""
        return None if isinstance(self.source, SkyImage) else self.source

    @property
    def sigma(self) -> float:
        """Noise of the sky in a pixel on the common scale."""
        return self.sky_sigma * self.scale

    @property
    def variance_per_unit(self) -> float:
        """Variance that a unit of light adds to a pixel, on the common scale; 0 without a gain."""
        counted = np.isfinite(self.gain) and self.gain > 0
        if not counted or (self.use_error and self.error_is_total):
            return 0.0
        return self.scale / self.gain

    def pixels(self, ellipses: np.ndarray | None = None) -> FieldPixels:
        """The pixels to be fitted, under a mask of bright light.

        Parameters
        ----------
        ellipses : (n, 5) array, optional
            See `FieldPixels`.
        """
        return FieldPixels(
            self.source, (self.shape[0], self.shape[1]), self.choose, self.scale, self.saturation,
            self.use_error, np.zeros((0, 5)) if ellipses is None else ellipses, self.pixel_map,
        )  # fmt: skip
