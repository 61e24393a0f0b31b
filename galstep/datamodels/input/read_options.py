"""`ReadOptions`: how images are read, checked once."""

from math import isfinite
from typing import Any

from galstep.datamodels.catalogs.angles import degrees_of
from galstep.exceptions import ParameterError
from galstep.options import check_bounds, option, options

__all__ = ["ReadOptions"]


@options
class ReadOptions:
    """How the door reads images and PSFs.

    From Python ``psf_file`` may also be a photutils PSF model, or a mapping of filter to
    anything that is a PSF (`galstep.datamodels.psf.psf_input`); ``ra`` and ``dec`` may be
    sexagesimal text or angles of astropy.

    Raises
    ------
    ParameterError
        If a value is out of range, or ``ra``, ``dec`` and ``size`` do not make
        a position.
    """

    psf_file: Any = option(
        default=None,
        kind="input_file",
        help="PSF of each filter: an HDF5 file with the root attribute oversample, a FITS file, "
        "or a folder of FITS files; needed for images",
    )
    filters: Any = option(
        default=None,
        kind="force_list",
        help="Names of the filters to load, in this order (default: every filter in the file)",
    )
    pixel_scale: float = option(
        default=0.03,
        least=1e-6,
        help="Side of a pixel where the file does not tell (arcsec)",
    )
    unit: str = option(default="MJy/sr", help="Unit of the images where the file does not tell")
    ra: float | None = option(
        default=None,
        kind="float",
        least=-360,
        most=360,
        help="Right ascension of the galaxy (ICRS, degrees); with dec the place where it is "
        "looked for",
    )
    dec: float | None = option(
        default=None,
        kind="float",
        least=-90,
        most=90,
        help="Declination of the galaxy (ICRS, degrees)",
    )
    size: float | None = option(
        default=None,
        kind="float",
        least=0,
        help="Side of the square about ra, dec that is cut out of each image on its own grid "
        "(arcsec; default: the whole image)",
    )
    bad_dq_bits: int = option(
        default=1,
        least=-1,
        help="Sum of the data quality bits that make a pixel bad; 1 is DO_NOT_USE of jwst and "
        "romancal, 0 none, -1 any",
    )
    weights: str = option(
        default="auto",
        choices=("auto", "inverse_variance", "relative", "ignore"),
        help="What a weight map is, where there are no errors; auto: inverse variance if the "
        "scatter of the pixels agrees",
    )
    ab_zero_point: float | None = option(
        default=None,
        kind="float",
        help="AB magnitude of one image unit, for images whose unit and keywords do not tell (mag)",
    )
    psf_oversample: int | None = option(
        default=None,
        kind="integer",
        least=1,
        help="Samples of the PSF per image pixel, where its file does not tell",
    )
    reproject_to: str | None = option(
        default=None,
        kind="string",
        help="Filter onto whose grid all images are resampled, which correlates their noise "
        "(needs reproject; default: each keeps its pixels)",
    )

    def __post_init__(self):
        for name, hours in (("ra", True), ("dec", False)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, degrees_of(value, hours, name))
        if (self.ra is None) != (self.dec is None):
            raise ParameterError(f"ra and dec must be given together, got {self.ra} and {self.dec}")
        if self.size is not None and self.ra is None:
            raise ParameterError(
                f"size {self.size:g} arcsec needs ra and dec to be cut out about; without a WCS "
                "custom_initial_crop keeps a part of the frame"
            )
        if self.ra is not None and not (isfinite(self.ra) and -90 <= self.dec <= 90):
            raise ParameterError(
                f"ra and dec must be degrees, dec in [-90, 90], got {self.ra} and {self.dec}"
            )
        if self.size is not None and not (isfinite(self.size) and self.size > 0):
            raise ParameterError(f"size must be a positive number of arcsec, got {self.size}")
        check_bounds(self)

    @property
    def wanted(self) -> list[str] | None:
        """The filters asked for as a list of str, None for all."""
        if self.filters is None or len(self.filters) == 0:
            return None
        return [self.filters] if isinstance(self.filters, str) else [str(f) for f in self.filters]
