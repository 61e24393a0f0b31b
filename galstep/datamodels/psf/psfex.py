"""PSFs as PSFEx writes them: a polynomial of the place on the image.

A ``.psf`` file is a FITS table ``PSF_DATA`` (PSFEx manual, "PSF model files"; Bertin
2011, ASP Conf. 442, 435): its one cell ``PSF_MASK`` holds a cube of components, the
header the polynomial that multiplies them,

    PSF(x, y) = sum_i u^j v^k component_i, j + k <= POLDEG1, j running fastest,
    u = (x - POLZERO1) / POLSCAL1, v likewise, x, y counted from 1.

A component has a sample every ``PSF_SAMP`` pixels, its star on sample n // 2 of an
axis, and the pixel's response in it. Files in which these keywords are columns (in any
letter case) are read as well.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import map_coordinates

from galstep.datamodels.files.image_bounds import check_pixels
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["PsfexPSF", "psfex_model"]

LEAST_OVERSAMPLE = 2  # the engine interpolates with four samples: one per pixel is coarse
MOST_OVERSAMPLE = 20
MAX_DEGREE = 8
MAX_SAMPLES = 50_000_000  # in all components
_ROUNDING = 1e-3


class PsfexPSF:
    """A PSF that is a polynomial of the place, as a PSF model of photutils.

    Parameters
    ----------
    components : (n, ny, nx) array
        In the order of the powers: 1, u, u^2, ..., v, uv, ...
    degree : int
        n = (degree + 1) (degree + 2) / 2.
    zero, scale : (2,) arrays
        Of x and y: u = (x - zero) / scale, x counted from 1.
    step : float
        Pixels per sample.

    Raises
    ------
    InputError
        If the numbers do not fit together.
    """

    def __init__(
        self,
        components: np.ndarray,
        degree: int,
        zero: np.ndarray,
        scale: np.ndarray,
        step: float,
    ) -> None:
        self._zero, self._scale = np.asarray(zero, float), np.asarray(scale, float)
        self._powers = [(j, k) for k in range(degree + 1) for j in range(degree + 1 - k)]
        if len(components) != len(self._powers):
            raise InputError(
                f"a polynomial of degree {degree} needs {len(self._powers)} components, "
                f"got {len(components)}"
            )
        if not (0 < step <= MOST_OVERSAMPLE and 1 / step <= MOST_OVERSAMPLE):
            raise InputError(
                f"PSF_SAMP must lie in 1/{MOST_OVERSAMPLE} to {MOST_OVERSAMPLE}, got {step:g}"
            )
        # the star in the geometric centre: of an even side the first sample goes
        ny, nx = components.shape[1:]
        components = components[:, 1 - ny % 2 :, 1 - nx % 2 :]
        factor = max(LEAST_OVERSAMPLE, int(np.ceil(1 / step - _ROUNDING)))
        self.oversampling = (factor, factor)
        self._components = [_resampled(part, 1 / (factor * step)) for part in components]

    @cached_property
    def grid_xypos(self) -> list[tuple[float, float]]:
        """Places, 0-based pixels, between which the PSF is nearly bilinear.

        The range of the stars that PSFEx used: u from -1/2 to 1/2. For a degree d
        above 1 in 2d steps, which leave at most 1/16 d^-2 of the change from the
        middle to the edge.
        """
        degree = max(j for j, _ in self._powers)
        number = degree + 1 if degree < 2 else 2 * degree + 1
        u = np.linspace(-0.5, 0.5, number) if degree else np.zeros(1)
        x, y = (self._zero + self._scale * u[:, None] - 1).T
        return [(float(a), float(b)) for b in y for a in x]

    @cached_property
    def data(self) -> np.ndarray:
        """(n, ny, nx) array: the PSF at each of `grid_xypos`."""
        return np.array([self.at(*place) for place in self.grid_xypos])

    def at(self, x: float, y: float) -> np.ndarray:
        """The PSF at a place.

        Parameters
        ----------
        x, y : float
            0-based pixels. Beyond the stars that PSFEx used the nearest place within
            counts: a polynomial runs away there.

        Returns
        -------
        2-D array
            Sum oversampling^2.
        """
        u, v = np.clip((np.array([x, y]) + 1 - self._zero) / self._scale, -0.5, 0.5)
        terms = zip(self._powers, self._components, strict=True)
        array = sum(u**j * v**k * part for (j, k), part in terms)
        total = array.sum()
        if not total > 0:
            raise InputError(f"the PSF at ({x:g}, {y:g}) has no light, its sum is {total:g}")
        return array * (self.oversampling[0] ** 2 / total)

    def evaluate(
        self, x: np.ndarray, y: np.ndarray, flux: float, x_0: float, y_0: float
    ) -> np.ndarray:
        """Light at points of a star of this flux at (x_0, y_0), as photutils' models.

        Cubic splines between the samples; 0 beyond them.
        """
        array, factor = self.at(float(x_0), float(y_0)), self.oversampling[0]
        middle = (np.array(array.shape) - 1) / 2
        points = [
            factor * (np.asarray(y) - y_0) + middle[0],
            factor * (np.asarray(x) - x_0) + middle[1],
        ]
        return flux * map_coordinates(array, points, order=3, mode="constant")


def _resampled(array, step):
    """Samples at other steps about the same centre, as many as there is room for."""
    if abs(step - 1) < 1e-9:
        return array
    halves = [int((size - 1) / 2 / step + 1e-9) for size in array.shape]
    points = np.meshgrid(
        *(
            (size - 1) / 2 + step * np.arange(-half, half + 1)
            for size, half in zip(array.shape, halves, strict=True)
        ),
        indexing="ij",
    )
    return map_coordinates(array, points, order=5, mode="nearest")


def psfex_model(hdus: Iterable[Any], where: str) -> PsfexPSF | None:
    """The PSF of a PSFEx file.

    Parameters
    ----------
    hdus : iterable of astropy.io.fits HDUs
    where : str
        What messages call the file.

    Returns
    -------
    PsfexPSF or None
        None if no table has a column ``PSF_MASK``.

    Raises
    ------
    InputError
        If there are several, or what is there makes no PSF of the place.
    """
    tables = [hdu for hdu in hdus if _has_mask(hdu)]
    if not tables:
        return None
    if len(tables) > 1 or len(tables[0].data) != 1:
        count = sum(len(table.data) for table in tables)
        raise InputError(f"{where}: one PSFEx model is needed (one chip), it has {count}")
    row = {name.upper(): tables[0].data[name][0] for name in tables[0].columns.names}
    header = tables[0].header

    def value(name, default=None):
        found = row.get(name, header.get(name, default))
        if found is None:
            raise InputError(f"{where}: the keyword {name} of PSFEx is missing")
        return found.strip() if isinstance(found, str) else found

    try:
        return PsfexPSF(_components(row["PSF_MASK"], where), *_polynomial(value, where))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(where) else f"{where}: {text}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: no PSF model of PSFEx ({error})") from error


def _has_mask(hdu):
    columns = getattr(hdu, "columns", None)
    return columns is not None and "PSF_MASK" in (name.upper() for name in columns.names)


def _components(mask, where):
    check_pixels(np.shape(mask), f"{where}: PSF_MASK", most=MAX_SAMPLES)
    mask = np.array(mask, dtype=float)
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or min(mask.shape[1:]) < 4:
        raise InputError(f"{where}: PSF_MASK must be a cube of images, got shape {mask.shape}")
    if not np.isfinite(mask).all():
        raise InputError(f"{where}: PSF_MASK must be finite")
    return mask


def _polynomial(value: Callable[..., Any], where: str) -> tuple:
    """(degree, zero, scale, step)."""
    step, n_axes = float(value("PSF_SAMP")), int(value("POLNAXIS", 0))
    if n_axes == 0:
        return 0, np.zeros(2), np.ones(2), step
    names = [str(value(f"POLNAME{i + 1}")).upper() for i in range(n_axes)]
    # X_IMAGE, XWIN_IMAGE, XPSF_IMAGE, X_IMAGE_DBL
    axes = [
        next((i for i, n in enumerate(names) if n[:1] == a and "IMAGE" in n), None) for a in "XY"
    ]
    if n_axes != 2 or None in axes:
        raise InputError(
            f"{where}: the PSF must depend on the place alone (X_IMAGE, Y_IMAGE), "
            f"got {', '.join(names)}"
        )
    if int(value("POLNGRP", 1)) != 1:
        raise InputError(f"{where}: both axes must be in one group (POLNGRP 1)")
    degree = int(value("POLDEG1"))
    if not 0 <= degree <= MAX_DEGREE:
        raise InputError(f"{where}: POLDEG1 must be 0 to {MAX_DEGREE}, got {degree}")
    zero, scale = (
        np.array([float(value(f"{name}{axis + 1}")) for axis in axes])
        for name in ("POLZERO", "POLSCAL")
    )
    if axes != [0, 1]:
        raise InputError(f"{where}: X_IMAGE must come before Y_IMAGE, got {', '.join(names)}")
    if not (np.isfinite(zero).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError(f"{where}: POLZERO must be finite and POLSCAL positive")
    return degree, zero, scale, step
