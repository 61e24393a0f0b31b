"""`ReadOptions`: how images are read, checked once."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from galstep.datamodels.catalogs.angles import degrees_of
from galstep.exceptions import ParameterError

__all__ = ["ReadOptions"]

WEIGHTS = ("auto", "inverse_variance", "relative", "ignore")


@dataclass(frozen=True)
class ReadOptions:
    """How the door reads images and PSFs.

    Parameters
    ----------
    psf_file : object, optional
        PSFs: a file, a folder of files, a photutils PSF model, or a mapping of
        filter to any of these or to ``(array, oversample)``; see
        `galstep.datamodels.psf.psf_input`.
    filters : sequence of str, optional
        The filters to take, in this order. By default all.
    pixel_scale : float, optional
        Side of a pixel (arcsec) where the input does not tell.
    unit : str, optional
        Unit of the images where the input does not tell.
    ra, dec : float, str, Quantity or Angle, optional
        ICRS position of the galaxy: degrees, sexagesimal text, or an angle of astropy.
    size : float, optional
        Side of the square about it that is cut out of each image on that
        image's own grid (arcsec). By default the whole image is taken.
    bad_dq_bits : int, optional
        Sum of the data quality bits that make a pixel bad: 1 is DO_NOT_USE of
        jwst and romancal, 0 none, -1 any bit.
    weights : {"auto", "inverse_variance", "relative", "ignore"}, optional
        What a weight map is, where there is no error; see
        `galstep.datamodels.images.weights`.
    ab_zero_point : float, optional
        AB magnitude of one image unit, for images whose unit and keywords do
        not tell.
    psf_oversample : int, optional
        Samples of the PSF per image pixel, where its file does not tell.
    reproject_to : str, optional
        Filter onto whose grid all images are resampled (needs the package
        ``reproject``). By default every image keeps its pixels.

    Raises
    ------
    ParameterError
        If a value is out of range, or ``ra``, ``dec`` and ``size`` do not make
        a position.
    """

    psf_file: Any = None
    filters: Any = None
    pixel_scale: float = 0.03
    unit: str = "MJy/sr"
    ra: float | None = None
    dec: float | None = None
    size: float | None = None
    bad_dq_bits: int = 1
    weights: str = "auto"
    ab_zero_point: float | None = None
    psf_oversample: int | None = None
    reproject_to: str | None = None

    def __post_init__(self):
        for name, hours in (("ra", True), ("dec", False)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, degrees_of(value, hours, name))
        if (self.ra is None) != (self.dec is None):
            raise ParameterError(f"ra and dec must be given together, got {self.ra} and {self.dec}")
        if self.size is not None and self.ra is None:
            raise ParameterError(f"size {self.size:g} arcsec needs ra and dec to be cut out about")
        if self.ra is not None and not (isfinite(self.ra) and -90 <= self.dec <= 90):
            raise ParameterError(
                f"ra and dec must be degrees, dec in [-90, 90], got {self.ra} and {self.dec}"
            )
        if self.size is not None and not (isfinite(self.size) and self.size > 0):
            raise ParameterError(f"size must be a positive number of arcsec, got {self.size}")
        if self.weights not in WEIGHTS:
            raise ParameterError(f"weights must be one of {WEIGHTS}, got {self.weights!r}")

    @property
    def wanted(self) -> list[str] | None:
        """The filters asked for as a list of str, None for all."""
        if self.filters is None or len(self.filters) == 0:
            return None
        return [self.filters] if isinstance(self.filters, str) else [str(f) for f in self.filters]
