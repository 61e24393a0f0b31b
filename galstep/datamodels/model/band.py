"""`BandData`: everything known of the galaxy in one filter."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import radians
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.sky_frame import pixels_of_sky, sky_of_pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from galstep.records import ApertureFlux, BandFit, ForcedStars, PsfKernel, Registration

__all__ = ["MODEL_IMAGES", "BandData"]

#: The images that a fit leaves, by attribute: the parts that the data are made of.
MODEL_IMAGES = ("sky", "galaxy", "stars", "knots", "companions")


@dataclass(eq=False)
class BandData:
    """Image, PSF and results of one filter.

    All images have the shape of ``data``; pixels are 0-based with centres at
    integers, arrays are [y, x].

    Parameters
    ----------
    name : str
        The filter, such as ``"F150W"``.
    data : 2-D array
        Image in ``unit``. Kept as float64; pixels that are not finite become
        NaN and are masked.
    psf : 2-D array
        The library PSF as given, sum 1, sampled ``oversample`` times finer
        than the image. The pixel response is part of it; a star sits at the
        geometric centre of the array.
    oversample : int
        Samples of ``psf`` per pixel.
    err : 2-D array, optional
        1-sigma error of ``data``. Where it is not finite or not positive it
        becomes NaN and the pixel is masked.
    mask : 2-D bool array, optional
        True = bad, not to be used.
    psf_kernel : `galstep.records.PsfKernel`, optional
        What the library PSF is convolved with; None before it is calibrated.
    unit : str, optional
        Unit of ``data``.
    pixel_scale : float, optional
        Side of a pixel, arcsec.
    wcs : `astropy.wcs.WCS`, optional
        Of this array, so of the crop once there is one.
    origin : tuple of int, optional
        (x, y) in the input frame of this array's first pixel.
    input_shape : tuple of int, optional
        (ny, nx) of the input frame; by default that of ``data``.
    sky, galaxy, stars, knots, companions : 2-D array, optional
        Model images in ``unit``; None before a fit. ``galaxy`` is that of the target's
        Sersic components, ``knots`` that of point-like sources that count as the target's
        light, ``companions`` that of other galaxies, ``stars`` that of stars alone. A fit of
        an earlier version has no ``knots`` and ``companions``: None, and there were none.
    fit : `galstep.records.BandFit`, optional
    aperture : `galstep.records.ApertureFlux`, optional
    forced : `galstep.records.ForcedStars`, optional
        Forced photometry at positions that were given.
    registration : `galstep.records.Registration`, optional
        How the filter lies against the base, if TweakReg has measured it.
    flags : int, optional
        `galstep.flags.BandFlag` bits that belong to no single result; see
        `all_flags`.
    reasons : list of str, optional
        One sentence for each thing worth saying about this filter.

    Raises
    ------
    InputError
        If an image is not 2-D or differs in shape from ``data``.
    """

    name: str
    data: np.ndarray
    psf: np.ndarray
    oversample: int = 1
    err: np.ndarray | None = None
    mask: np.ndarray | None = None
    psf_kernel: PsfKernel | None = None
    unit: str = "MJy/sr"
    pixel_scale: float = 0.03
    wcs: Any = None
    origin: tuple = (0, 0)
    input_shape: tuple | None = None
    sky: np.ndarray | None = None
    galaxy: np.ndarray | None = None
    stars: np.ndarray | None = None
    knots: np.ndarray | None = None
    companions: np.ndarray | None = None
    fit: BandFit | None = None
    aperture: ApertureFlux | None = None
    forced: ForcedStars | None = None
    registration: Registration | None = None
    flags: int = 0
    reasons: list = field(default_factory=list)

    def __post_init__(self):
        self.data = _float_image(self.data, f"data of filter {self.name!r}")
        self.psf = _float_image(self.psf, f"psf of filter {self.name!r}")
        self.oversample = int(self.oversample)
        self.origin = tuple(int(v) for v in self.origin)
        self.input_shape = tuple(int(v) for v in self.input_shape or self.data.shape)
        self.mask = self._checked_mask()
        if self.err is not None:
            self._take_error()
        for attribute in MODEL_IMAGES:
            if getattr(self, attribute) is not None:
                setattr(self, attribute, self._same_shape(attribute))

    def _same_shape(self, attribute):
        image = _float_image(getattr(self, attribute), f"{attribute} of filter {self.name!r}")
        self._check_shape(attribute, image)
        return image

    def _check_shape(self, attribute, image):
        if image.shape != self.data.shape:
            raise InputError(
                f"{attribute} of filter {self.name!r} must have the shape of data "
                f"{self.data.shape}, got {image.shape}"
            )

    def _checked_mask(self):
        bad = ~np.isfinite(self.data)
        self.data[bad] = np.nan
        if self.mask is None:
            return bad
        mask = np.array(self.mask, dtype=bool)
        self._check_shape("mask", mask)
        return mask | bad

    def _take_error(self):
        self.err = self._same_shape("err")
        unknown = ~(np.isfinite(self.err) & (self.err > 0))
        self.err[unknown] = np.nan
        self.mask |= unknown

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the image."""
        return self.data.shape

    @property
    def fitted(self) -> bool:
        """Whether a fit step has left a result here."""
        return self.fit is not None

    @property
    def usable(self) -> bool:
        """Whether any pixel is not masked."""
        return not self.mask.all()

    @property
    def constant(self) -> bool:
        """Whether all good pixels have one value: an image with nothing in it."""
        good = self.data[~self.mask]
        return bool(good.size) and bool(good.min() == good.max())

    @property
    def pixel_area_sr(self) -> float:
        """Solid angle of a pixel, sr."""
        return radians(self.pixel_scale / 3600.0) ** 2

    @property
    def all_flags(self) -> int:
        """Bits of this filter, its kernel, its fit and its aperture together."""
        flags = BandFlag(self.flags)
        for result in (self.psf_kernel, self.fit, self.aperture):
            if result is not None:
                flags |= BandFlag(result.flags)
        return int(flags)

    @property
    def residual(self) -> np.ndarray | None:
        """data - galaxy - knots - companions - stars - sky, NaN where masked; None before a fit."""
        model = self.scene_image
        return None if model is None else np.where(self.mask, np.nan, self.data - model)

    @property
    def scene_image(self) -> np.ndarray | None:
        """The model of everything in the image, sky included; None before a fit."""
        if any(part is None for part in (self.galaxy, self.stars, self.sky)):
            return None
        return sum(part for name in MODEL_IMAGES if (part := getattr(self, name)) is not None)

    @property
    def target_image(self) -> np.ndarray | None:
        """The model of all the target's light, galaxy + knots; None before a fit."""
        if self.galaxy is None or self.knots is None:
            return self.galaxy
        return self.galaxy + self.knots

    @property
    def star_subtracted(self) -> np.ndarray | None:
        """data - stars, NaN where there are no data; None before a fit.

        Knots and companions stay in: they are galaxies' light.
        """
        return None if self.stars is None else self.data - self.stars

    @property
    def target_data(self) -> np.ndarray | None:
        """data - stars - sky - companions: what the image holds of the target; None before a fit.

        NaN where there are no data.
        """
        if self.stars is None or self.sky is None:
            return None
        own = self.data - self.stars - self.sky
        return own if self.companions is None else own - self.companions

    def clear_results(self) -> None:
        """Forget what the fits and measurements found; PSF, flags and reasons stay."""
        for name in (*MODEL_IMAGES, "fit", "aperture", "forced"):
            setattr(self, name, None)

    def sky_position(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """ICRS right ascension and declination of pixels of this array.

        Parameters
        ----------
        x, y : array_like

        Returns
        -------
        ra, dec : ndarray
            Degrees; NaN without a WCS.
        """
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if self.wcs is None or not x.size:
            return np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        return sky_of_pixels(self.wcs, x, y)

    def pixel_position(self, ra: float, dec: float) -> tuple[float, float]:
        """Pixels of this array at an ICRS position; the inverse of `sky_position`.

        Parameters
        ----------
        ra, dec : float
            Degrees.

        Returns
        -------
        x, y : float

        Raises
        ------
        InputError
            If there is no WCS, or the position is not on the frame.
        """
        x, y = (float(v) for v in self.pixels_of_sky(ra, dec))
        ny, nx = self.shape
        if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
            raise InputError(
                f"filter {self.name!r}: ra {ra:g}, dec {dec:g} is off the image, at "
                f"x = {x:.0f}, y = {y:.0f} of {nx} x {ny} pixels"
            )
        return x, y

    def pixels_of_sky(self, ra: ArrayLike, dec: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of this array at ICRS positions, on the frame or off it.

        Parameters
        ----------
        ra, dec : (n,) arrays
            Degrees.

        Returns
        -------
        x, y : (n,) arrays
            NaN for what is not finite or has no place on this projection.

        Raises
        ------
        InputError
            If there is no WCS.
        """
        if self.wcs is None:
            raise InputError(f"filter {self.name!r}: ra and dec need a WCS, and the image has none")
        return pixels_of_sky(self.wcs, ra, dec, self.shape)

    def crop(self, x_min: int, y_min: int, nx: int, ny: int) -> BandData:
        """The same filter on a part of its pixels.

        Parameters
        ----------
        x_min, y_min : int
            First pixel of the part, in this array's pixels.
        nx, ny : int
            Its size.

        Returns
        -------
        BandData
            Data, error, mask, WCS and origin of the part, without any fit;
            PSF, flags and reasons as they were.

        Raises
        ------
        InputError
            If the part is empty or reaches over the edge.
        """
        full_ny, full_nx = self.shape
        inside = 0 <= x_min < x_min + nx <= full_nx and 0 <= y_min < y_min + ny <= full_ny
        if not inside:
            raise InputError(
                f"crop of filter {self.name!r} must lie inside the frame of {full_nx} x {full_ny} "
                f"pixels, got x {x_min} to {x_min + nx - 1}, y {y_min} to {y_min + ny - 1}"
            )
        part = np.s_[y_min : y_min + ny, x_min : x_min + nx]
        return BandData(
            self.name,
            self.data[part],
            self.psf,
            self.oversample,
            err=None if self.err is None else self.err[part],
            mask=self.mask[part],
            psf_kernel=self.psf_kernel,
            unit=self.unit,
            pixel_scale=self.pixel_scale,
            wcs=None if self.wcs is None else self.wcs[part],
            origin=(self.origin[0] + x_min, self.origin[1] + y_min),
            input_shape=self.input_shape,
            registration=self.registration,
            flags=self.flags,
            reasons=list(self.reasons),
        )


def _float_image(array, what):
    """A float64 copy in native byte order; two dimensions are required."""
    image = np.array(array, dtype=np.float64)
    if image.ndim != 2:
        raise InputError(f"{what} must be a 2-D image, got shape {image.shape}")
    return image
