"""What goes into the fit of a field: bands, pixels and sources as arrays.

Positions are 0-based pixels of the *reference grid* (the first band's, unless the caller has
another), pixel centres at integers; angles are radians counter-clockwise from +x; ``r_eff`` is
the semi-major half-light radius in reference pixels, ``ellip`` is 1 - b/a; mask True = not used;
NaN = not known. Fluxes are in image unit x pixel of the common scale and total to infinity.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from galstep.core.scene.box import Box
from galstep.exceptions import InputError
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from galstep.core.field.psf_flux_errors import PsfFluxErrors
    from galstep.core.scene.psf_map import PsfMap

__all__ = [
    "ArrayPixels",
    "BandPixels",
    "Box",
    "FieldBand",
    "FieldSources",
    "PixelSource",
    "SourcePriors",
    "SourceType",
]


class SourceType(IntEnum):
    """What a source is drawn as."""

    AUTO = 0  # chosen by the fit
    STAR = 1
    EXP = 2  # Sersic, n = 1
    DEV = 3  # Sersic, n = 4
    SERSIC = 4  # n free


@dataclass(frozen=True, eq=False)
class BandPixels:
    """A part of one image.

    Attributes
    ----------
    data : (ny, nx) float64 array
        Scaled to the common zero point; any value where masked.
    mask : (ny, nx) bool array
        True = not used.
    sigma : (ny, nx) array, optional
        1-sigma noise of the sky, without that of the sources; None: `FieldBand.sigma`.
    """

    data: np.ndarray
    mask: np.ndarray
    sigma: np.ndarray | None = None


class PixelSource(Protocol):
    """Where the pixels of a band come from: picklable and small, read part by part.

    ``shape`` is (ny, nx); ``identity`` changes whenever a pixel, its mask, its noise or its scale
    does: results that are kept are found by it.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ...

    @property
    def identity(self) -> str:
        """Of the pixels, their mask, noise and scale."""
        ...

    def read(self, box: Box) -> BandPixels:
        """The pixels of a box that lies inside the image."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """A `PixelSource` in memory; NaN data are masked.

    Parameters
    ----------
    data : (ny, nx) array
    mask : (ny, nx) bool array, optional
        True = not used.
    sigma : (ny, nx) array, optional
    """

    data: np.ndarray
    mask: np.ndarray | None = None
    sigma: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape

    @cached_property
    def identity(self) -> str:
        """Of the contents."""
        digest = hashlib.sha256(np.ascontiguousarray(self.data).data)
        for plane in (self.mask, self.sigma):
            digest.update(b"-" if plane is None else np.ascontiguousarray(plane).data)
        return digest.hexdigest()[:16]

    def read(self, box: Box) -> BandPixels:
        """The pixels of a box that lies inside the image."""
        data = np.array(self.data[box.part], dtype=float)
        mask = ~np.isfinite(data)
        if self.mask is not None:
            mask |= np.asarray(self.mask[box.part], dtype=bool)
        sigma = None if self.sigma is None else np.array(self.sigma[box.part], dtype=float)
        return BandPixels(data, mask, sigma)


@dataclass(frozen=True, eq=False)
class FieldBand:
    """One image of the field.

    Parameters
    ----------
    name : str
        The filter.
    pixels : `PixelSource`
    sigma : float
        Typical noise of the sky per pixel, on the common scale.
    variance_per_unit : float
        Variance that a unit of light adds to a pixel: scale / gain; 0 without a gain.
    psf : `galstep.core.scene.psf_map.PsfMap`
        The effective PSF by position (pixels of this band).
    pixel_map : `galstep.pixel_map.PixelMap`
        From pixels of the reference grid to those of this band.
    noise_factor : float
        By how much correlated noise makes the error of a point source larger than that of
        white noise; 1: white. Not used where the fit measures it.
    psf_errors : `galstep.core.field.psf_flux_errors.PsfFluxErrors`, optional
        What is not known of the PSF does to fluxes; None: nothing.
    """

    name: str
    pixels: PixelSource
    sigma: float
    variance_per_unit: float
    psf: PsfMap
    pixel_map: PixelMap = field(default_factory=PixelMap)
    noise_factor: float = 1.0
    psf_errors: PsfFluxErrors | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"sigma of band {self.name} must be above 0, got {self.sigma}")
        if not (np.isfinite(self.variance_per_unit) and self.variance_per_unit >= 0):
            raise InputError(
                f"variance_per_unit of band {self.name} must be 0 or more, "
                f"got {self.variance_per_unit}"
            )

    @property
    def identity(self) -> str:
        """Changes whenever anything of the band does."""
        own = (self.pixels.identity, self.psf.identity, self.sigma, self.variance_per_unit)
        return f"{self.name} {own} {self.pixel_map} {self.noise_factor}"


@dataclass(frozen=True, eq=False)
class SourcePriors:
    """1-sigma widths about the start values; NaN or 0 = no prior.

    Parameters
    ----------
    position : (N,) array
        Of x and y each, reference pixels.
    flux : (N, n_bands) array
    r_eff : (N,) array
        Reference pixels; the prior acts on ln r_eff with this over r_eff.
    n : (N,) array
        Acts on ln n with this over n.
    ellip, theta : (N,) arrays
        theta in radians; together they act on (e1, e2). One alone leaves the other direction free.
    """

    position: np.ndarray
    flux: np.ndarray
    r_eff: np.ndarray
    n: np.ndarray
    ellip: np.ndarray
    theta: np.ndarray

    @classmethod
    def none(cls, size: int, n_bands: int) -> SourcePriors:
        """No priors for ``size`` sources."""
        one = [np.full(size, np.nan) for _ in range(5)]
        return cls(one[0], np.full((size, n_bands), np.nan), *one[1:])


@dataclass(frozen=True, eq=False)
class FieldSources:
    """The catalogue: every row in input order, struct of arrays.

    Make it with `make`, which fills in what is not given.

    Parameters
    ----------
    x, y : (N,) arrays
        Start positions, reference pixels.
    kind : (N,) int array
        `SourceType`.
    flux : (N, n_bands) array
        Start fluxes; NaN: from a linear fit.
    r_eff, n, ellip, theta : (N,) arrays
        Start shapes; NaN: measured from the image.
    priors : `SourcePriors`
    max_shift : (N,) array
        Half the side of the position box, reference pixels; NaN: that of the options;
        infinite: none.
    fit : (N,) bool array
        False: the row stays as it is and has no part in the model (outside the image, say). A
        saturated star has a part: its wings carry its flux.
    fixed_position, fixed_shape : (N,) bool arrays
        What does not move: forced photometry, row by row.
    flags : (N,) int64 array
        Bits of `galstep.flags.FieldFlag` that are known before the fit; kept.
    """

    x: np.ndarray
    y: np.ndarray
    kind: np.ndarray
    flux: np.ndarray
    r_eff: np.ndarray
    n: np.ndarray
    ellip: np.ndarray
    theta: np.ndarray
    priors: SourcePriors
    max_shift: np.ndarray
    fit: np.ndarray
    fixed_position: np.ndarray
    fixed_shape: np.ndarray
    flags: np.ndarray

    @classmethod
    def make(cls, x: np.ndarray, y: np.ndarray, n_bands: int, **columns) -> FieldSources:
        """A catalogue from what is known of it.

        Parameters
        ----------
        x, y : (N,) arrays
        n_bands : int
        **columns
            Any other parameter of the class, an array or one value for all.

        Raises
        ------
        InputError
            If a column is unknown or has another length.
        """
        size = len(np.atleast_1d(x))
        defaults = {
            "kind": SourceType.AUTO, "flux": np.nan, "r_eff": np.nan, "n": np.nan,
            "ellip": np.nan, "theta": np.nan, "max_shift": np.nan, "fit": True,
            "fixed_position": False, "fixed_shape": False, "flags": 0,
        }  # fmt: skip
        unknown = set(columns) - set(defaults) - {"priors"}
        if unknown:
            raise InputError(f"unknown columns of FieldSources: {', '.join(sorted(unknown))}")
        priors = columns.pop("priors", None) or SourcePriors.none(size, n_bands)
        made = {}
        for name, default in defaults.items():
            kind = {"kind": np.int64, "flags": np.int64, "fit": bool}.get(name, float)
            kind = bool if name.startswith("fixed") else kind
            shape = (size, n_bands) if name == "flux" else (size,)
            try:
                values = np.broadcast_to(np.asarray(columns.get(name, default), kind), shape)
            except ValueError as error:
                raise InputError(f"column {name} must have shape {shape}: {error}") from error
            made[name] = values.copy()
        x, y = (np.array(v, dtype=float, ndmin=1) for v in (x, y))
        if x.shape != y.shape:
            raise InputError(f"x and y must have one length, got {x.shape} and {y.shape}")
        return cls(x, y, priors=priors, **made)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n_bands(self) -> int:
        """Number of bands that fluxes are given for."""
        return self.flux.shape[1]

    def rows(self, index: np.ndarray) -> FieldSources:
        """Some of the rows."""
        own = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "priors"}
        priors = {f.name: getattr(self.priors, f.name)[index] for f in fields(self.priors)}
        return FieldSources(priors=SourcePriors(**priors), **own)

    def followed_by(self, other: FieldSources) -> FieldSources:
        """These rows and then those of another list."""

        def joined(one, two, cls):
            return {
                f.name: np.concatenate([getattr(one, f.name), getattr(two, f.name)])
                for f in fields(cls)
                if f.name != "priors"
            }

        priors = SourcePriors(**joined(self.priors, other.priors, SourcePriors))
        return FieldSources(priors=priors, **joined(self, other, FieldSources))

    def with_columns(self, **columns) -> FieldSources:
        """The same rows, some columns replaced."""
        return replace(self, **columns)
