"""Galaxies: a Sersic profile seen through an effective PSF.

The image of a galaxy of unit flux centred at (x_0, y_0) is the inverse
Fourier transform of

    F(kappa; n) P(f) exp(-i k . x_0),    kappa^2 = k^T S k,  k = 2 pi f

with F from `galstep.core.imaging.hankel`, S from `galstep.core.imaging.sersic.shape_matrix`
and P the transform of the effective PSF. Frequencies that the PSF passes
beyond the pixels' Nyquist frequency are folded back (`galstep.core.imaging.passband`),
which is what sampling at the pixels does. Neither the pixel's area nor the
cusp of the profile needs any subsampling: the first is part of the PSF, the
second is a power law in k that P cuts off. Derivatives are those of the
formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import ifft, irfft, next_fast_len

from galstep.core.imaging import _kernels
from galstep.core.imaging.hankel import hankel_table
from galstep.core.imaging.passband import Passband
from galstep.core.imaging.periodic import PeriodicCopies
from galstep.core.imaging.sersic import shape_matrix_derivatives
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from galstep.core.imaging.hankel import HankelTable

__all__ = ["GalaxyRenderer"]

# least periods in frame sides: copies that are any closer are not smooth in the frame
_CENTRAL_PERIOD, _WIDE_PERIOD = 1.27, 1.6
_FARTHEST = 4  # frame sides from a galaxy's centre to the far corner
_LEAST_SIDE = 64  # smaller frames are treated as of this size: it costs little


class GalaxyRenderer:
    """Renders galaxies of unit flux on one grid through one PSF.

    It owns its workspace: use one renderer per thread.

    Parameters
    ----------
    shape : (ny, nx)
        Of the images.
    psf : EffectivePSF
    table : HankelTable, optional
        Default: the shared one.
    """

    def __init__(self, shape: tuple[int, int], psf: Any, table: HankelTable | None = None) -> None:
        self.shape = tuple(int(size) for size in shape)
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ParameterError(f"shape must be two positive integers, not {shape}")
        self.psf = psf
        self._table = table or hankel_table()
        self._plans = {}
        self._periods = _periods(self.shape, psf)

    def image(
        self, z: np.ndarray, matrix: np.ndarray | None = None, tolerance: float = 0.0
    ) -> np.ndarray:
        """The image of a galaxy of unit total flux.

        Parameters
        ----------
        z : (6,) array
            (x_0, y_0, ln r_eff, e1, e2, ln n), see `SersicParams.to_vector`.
        matrix : (2, 2) array, optional
            Maps offsets in the scene (dx, dy) to this grid's pixels. r_eff,
            e1, e2 are then those of the scene; x_0, y_0 are pixels of this
            grid all the same.
        tolerance : float, optional
            Brightness per pixel up to which the periodic copies of the transform may stay in the
            image; 0: none.

        Returns
        -------
        (ny, nx) array
            Sums to 1 over the infinite plane (up to aliasing).

        Raises
        ------
        ParameterError
            If z is not six finite numbers, e1^2 + e2^2 >= 1, n is outside the
            table, or the centre is more than four frame sides away from a
            part of the frame.
        """
        return self._render(z, matrix, 1, tolerance=tolerance)[0]

    def image_and_derivatives(
        self,
        z: np.ndarray,
        matrix: np.ndarray | None = None,
        out: np.ndarray | None = None,
        tolerance: float = 0.0,
    ) -> np.ndarray:
        """The image and its derivatives with respect to z.

        Parameters
        ----------
        z, matrix, tolerance
            As in `image`.
        out : (7, ny, nx) float64 array, optional
            Where to put them; C-contiguous.

        Returns
        -------
        (7, ny, nx) array
            Image, d/dx_0, d/dy_0, d/d ln r_eff, d/de1, d/de2, d/d ln n. At
            e1 = e2 = 0 see `shape_matrix_derivatives`.

        Raises
        ------
        ParameterError
            As `image`, and if ``out`` is not such an array.
        """
        if out is not None:
            fits = out.shape == (7, *self.shape) and out.dtype == float
            if not (fits and out.flags.c_contiguous):
                raise ParameterError(
                    f"out must be a contiguous float64 array of shape {(7, *self.shape)}, "
                    f"got shape {out.shape}, {out.dtype}"
                )
        return self._render(z, matrix, 7, out, tolerance)

    def _render(self, z, matrix, n_images, out=None, tolerance=0.0):
        x_0, y_0, ln_r_eff, e1, e2, ln_n = _checked(z)
        n = np.exp(ln_n)
        shapes = shape_matrix_derivatives(ln_r_eff, e1, e2)
        if matrix is not None:
            matrix = np.asarray(matrix, dtype=float)
            shapes = matrix @ shapes @ matrix.T
        images = np.empty((n_images, *self.shape)) if out is None else out
        self._plan(x_0, y_0).render(images, (x_0, y_0), shapes, n, self._table, tolerance)
        return images

    def _plan(self, x_0, y_0):
        """The smallest plan that keeps the PSF's wings from wrapping around."""
        ny, nx = self.shape
        farthest = max(abs(x_0), abs(nx - 1 - x_0), abs(y_0), abs(ny - 1 - y_0))
        side = max(*self.shape, _LEAST_SIDE)
        if farthest > _FARTHEST * side:
            raise ParameterError(
                f"the centre must be within {_FARTHEST * side} pixels of all of the frame, "
                f"but is at ({x_0:g}, {y_0:g})"
            )
        central, period = self._periods
        if farthest < 0.75 * side and farthest + _reach(self.psf) <= central:
            period = central
        while period < farthest + _reach(self.psf):
            period = _fast_even(int(1.5 * period))
        if period not in self._plans:
            self._plans[period] = _Plan(self.shape, self.psf, period)
        return self._plans[period]


class _Plan:
    """Transforms of one period, with their workspace."""

    def __init__(self, shape, psf, period):
        self.shape = shape
        self.period = period
        self._copies = PeriodicCopies(shape, period, psf)
        band = psf.derived(("passband", period), lambda: Passband(psf, period))
        self._wave = 2 * np.pi / period
        self._band = (band.first, band.j_x, band.j_y, band.transform, self._wave)
        self._j = np.arange(-band.j_max, band.j_max + 1)
        self._workspace = np.empty((7, *band.shape), dtype=complex)

    def render(self, images, centre, shapes, n, table, tolerance=0.0):
        """Fill in the image, or the image and its derivatives, (1 or 7, ny, nx)."""
        x_0, y_0 = centre
        spectra = self._workspace[: len(images)]
        _kernels.fill_spectra(
            spectra,
            self._band,
            np.exp(-1j * self._wave * x_0 * self._j),
            np.exp(-1j * self._wave * y_0 * self._j),
            np.ascontiguousarray(shapes[[0, 2, 3]].reshape(3, 4)[:, [0, 1, 3]]),
            table.rows(n),
            (table.ln_kappa_0, table.ln_kappa_step),
            table.small_kappa(n),
        )
        self._inverse(spectra, images)
        self._copies.subtract(images, x_0, y_0, shapes, n, tolerance)

    def _inverse(self, spectra, images):
        """Inverse transforms of half-plane spectra, cut to the frame.

        Image by image in the reused workspace: fresh arrays of several
        megabytes would cost more than the transforms.
        """
        ny, nx = self.shape
        for spectrum, image in zip(spectra, images, strict=True):
            columns = ifft(spectrum, axis=0, overwrite_x=True)
            image[:] = irfft(columns[:ny], self.period, axis=1)[:, :nx]


def _reach(psf):
    return int(np.ceil(max(psf.centre) / psf.oversample))


def _periods(shape, psf):
    """Periods for galaxies centred in the middle half of the frame, and for all."""
    side, reach = max(*shape, _LEAST_SIDE), _reach(psf)
    central = max(0.75 * side + reach, _CENTRAL_PERIOD * side)
    wide = max(side + reach, _WIDE_PERIOD * side)
    return _fast_even(int(np.ceil(central))), _fast_even(int(np.ceil(wide)))


def _fast_even(size):
    while size % 2 or next_fast_len(size, real=True) != size:
        size += 1
    return size


def _checked(z):
    z = np.asarray(z, dtype=float)
    if z.shape != (6,) or not np.isfinite(z).all():
        raise ParameterError(
            f"z must be (x_0, y_0, ln r_eff, e1, e2, ln n), six finite numbers, not {z}"
        )
    if np.hypot(z[3], z[4]) >= 1:
        raise ParameterError(f"e1^2 + e2^2 must be below 1, not {z[3] ** 2 + z[4] ** 2:g}")
    return z
