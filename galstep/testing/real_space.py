"""Galaxies and stars drawn in real space: a witness for `galstep.core`.

Nothing here is shared with the renderer that is fitted. The Sersic profile is
integrated over fine cells (its cusp by subdivision), convolved with the
analytic PSF by FFT on a padded grid, and read off at the pixel centres. Stars
are the analytic PSF, evaluated. An effective PSF holds the pixel response, so
there is no second integration over pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.special import gamma, gammaincinv

from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.records import SersicParams
    from galstep.testing.psfs import GaussianMixturePSF

__all__ = ["CellImage", "SersicImage", "star_image"]

# a cell is split while it is closer to the cusp than this many of its widths;
# two-point Gauss quadrature then errs by less than 1e-6 of the cell
_NEAR = 12
_LEVELS = 16


class CellImage:
    """Light integrated over fine cells, to be seen through any PSF.

    Parameters
    ----------
    density : callable
        ``density(x, y)``: light per pixel area at positions of the frame
        (broadcasting arrays).
    cusp : (float, float)
        Where the light is steepest: there the cells are subdivided.
    shape : (int, int)
        (ny, nx) of the frame.
    reach : float
        Radius (native pixels) of the widest PSF it will be seen through, plus
        the largest offset: the frame is padded by it.
    subsample : int
        Cells per native pixel along each axis; odd, so that a cell is centred
        on every pixel centre. The error falls as its fourth power.
    radius : callable, optional
        ``radius(x, y)``: distance from the cusp, in the direction in which the
        light falls fastest. Round by default.

    Raises
    ------
    ParameterError
        If ``subsample`` is not odd.
    """

    def __init__(
        self,
        density: Callable,
        cusp: tuple[float, float],
        shape: tuple[int, int],
        reach: float,
        subsample: int = 7,
        radius: Callable | None = None,
    ) -> None:
        if subsample < 1 or subsample % 2 == 0:
            raise ParameterError(f"subsample must be an odd number, got {subsample}")
        self.shape = tuple(shape)
        self.subsample = subsample
        self._pad = int(np.ceil(reach)) + 1
        self._size = tuple(
            fft.next_fast_len(side + 2 * self._pad, real=True) * subsample for side in shape
        )
        # a cusp on a cell's centre: what aliases from one side cancels the other's
        self._shift = tuple(value - _nearest(value, 1 / subsample) for value in cusp)
        radius = radius or (lambda x, y: np.hypot(x - cusp[0], y - cusp[1]))
        self._spectrum = self._make_spectrum(self._drawn(density), self._drawn(radius))

    def seen_through(
        self, psf: GaussianMixturePSF, offset: tuple[float, float] = (0.0, 0.0)
    ) -> np.ndarray:
        """The light convolved with ``psf``, sampled at the pixel centres.

        Parameters
        ----------
        psf : GaussianMixturePSF
            Any object with ``transform(kx, ky)``.
        offset : (float, float)
            (dx, dy) by which the light is moved, pixels.

        Returns
        -------
        ndarray, shape (ny, nx)
            Light per pixel.
        """
        kx, ky = self._wave_numbers()
        dx, dy = self._shift[0] + offset[0], self._shift[1] + offset[1]
        shifted = self._spectrum * np.exp(-1j * (kx * dx + ky * dy))
        fine = fft.irfft2(shifted * psf.transform(kx, ky), s=self._size)
        first = self.subsample * self._pad + (self.subsample - 1) // 2
        rows, columns = (slice(first, None, self.subsample),) * 2
        return fine[rows, columns][: self.shape[0], : self.shape[1]].copy()

    def _drawn(self, function):
        """``function`` of the frame as one of the cells, whose cusp is on a cell."""
        dx, dy = self._shift
        return lambda x, y: function(x + dx, y + dy)

    def _wave_numbers(self):
        step = 2 * np.pi * self.subsample
        kx = step * fft.rfftfreq(self._size[1])
        ky = step * fft.fftfreq(self._size[0])
        return kx[np.newaxis, :], ky[:, np.newaxis]

    def _make_spectrum(self, density, radius):
        """Transform of the light itself: of its cells, the cell's own box taken out."""
        width = 1 / self.subsample
        y, x = (
            (np.arange(side) - (self.subsample - 1) / 2) * width - self._pad for side in self._size
        )
        cells = np.empty(self._size)
        for row, y_row in enumerate(y):
            cells[row] = _cell_means(density, x, y_row, width)
        near = radius(x[np.newaxis, :], y[:, np.newaxis]) < _NEAR * width
        rows, columns = np.nonzero(near)
        cells[rows, columns] = _subdivided_means(density, radius, x[columns], y[rows], width)
        kx, ky = self._wave_numbers()
        box = np.sinc(kx * width / (2 * np.pi)) * np.sinc(ky * width / (2 * np.pi))
        return fft.rfft2(cells) / box


class SersicImage(CellImage):
    """A Sersic profile of unit total flux, to be seen through any PSF.

    Parameters
    ----------
    params : galstep.records.SersicParams
        Shape and place, native pixels of the frame.
    shape, reach, subsample
        As of `CellImage`. At 7 cells per pixel the error is 2e-5 of the peak
        for n = 4 and a PSF of 2.2 pixels FWHM.

    Raises
    ------
    ParameterError
        If the profile is not one, or ``subsample`` is even.
    """

    def __init__(
        self, params: SersicParams, shape: tuple[int, int], reach: float, subsample: int = 7
    ) -> None:
        if not (params.r_eff > 0 and params.n > 0 and 0 <= params.ellip < 1):
            raise ParameterError(f"params must have r_eff > 0, n > 0, 0 <= ellip < 1: {params}")
        self.params = params
        super().__init__(
            lambda x, y: _density(params, x, y),
            (params.x_0, params.y_0),
            shape,
            reach,
            subsample,
            lambda x, y: _minor_radius(params, x, y),
        )


def star_image(
    shape: tuple[int, int], psf: GaussianMixturePSF, x: np.ndarray, y: np.ndarray, flux: np.ndarray
) -> np.ndarray:
    """Stars drawn by evaluating the PSF at the pixel centres.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx) of the frame.
    psf : GaussianMixturePSF
        The true effective PSF.
    x, y, flux : array_like, shape (N,)
        Positions (0-based pixels; may lie outside) and total fluxes.

    Returns
    -------
    ndarray, shape (ny, nx)
    """
    image = np.zeros(shape)
    reach = psf.reach(1e-12)
    for x_star, y_star, f_star in zip(x, y, flux, strict=True):
        columns = _span(x_star, reach, shape[1])
        rows = _span(y_star, reach, shape[0])
        image[rows[0] : rows[1], columns[0] : columns[1]] += f_star * psf(
            np.arange(*columns)[np.newaxis, :] - x_star, np.arange(*rows)[:, np.newaxis] - y_star
        )
    return image


def _nearest(position, cell):
    return cell * np.round(position / cell)


def _span(centre, reach, side):
    first = min(max(int(np.floor(centre - reach)), 0), side)
    return first, max(min(int(np.ceil(centre + reach)) + 1, side), first)


def _minor_radius(params, x, y):
    """Elliptical radius, measured along the minor axis (pixels)."""
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    dx, dy = x - params.x_0, y - params.y_0
    return np.hypot((1 - params.ellip) * (dx * cos + dy * sin), dy * cos - dx * sin)


def _density(params, x, y):
    """Surface density of unit total flux.

    Graham & Driver (2005, PASA 22, 118), equations 1-4: b_n from
    gamma(2n, b_n) = Gamma(2n) / 2, and the total of the profile to infinity.
    """
    n, q = params.n, 1 - params.ellip
    b = gammaincinv(2 * n, 0.5)
    total = 2 * np.pi * n * q * params.r_eff**2 * gamma(2 * n) / b ** (2 * n)
    scaled = _minor_radius(params, x, y) / (q * params.r_eff)
    return np.exp(-b * scaled ** (1 / n)) / total


def _cell_means(density, x, y, width):
    """Means over square cells centred on (x, y): two-point Gauss along each axis."""
    step = width / (2 * np.sqrt(3))
    return 0.25 * sum(density(x + sx, y + sy) for sx in (-step, step) for sy in (-step, step))


def _subdivided_means(density, radius, x, y, width):
    """As `_cell_means`, cells near the cusp split into four again and again."""
    means = np.zeros(len(x))
    owner, share = np.arange(len(x)), 1.0
    for _ in range(_LEVELS):
        near = radius(x, y) < _NEAR * width
        done = share * _cell_means(density, x[~near], y[~near], width)
        means += np.bincount(owner[~near], done, minlength=len(means))
        quarter = width / 4 * np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]])
        x = (x[near, np.newaxis] + quarter[0]).ravel()
        y = (y[near, np.newaxis] + quarter[1]).ravel()
        owner, share, width = np.repeat(owner[near], 4), share / 4, width / 2
    rest = share * _cell_means(density, x, y, width)
    return means + np.bincount(owner, rest, minlength=len(means))
