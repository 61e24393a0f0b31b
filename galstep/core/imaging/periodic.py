"""The images next door: what a periodic rendering has too much.

A galaxy rendered by a discrete Fourier transform of period L appears at its
centre and at every m L from it, m any pair of integers but (0, 0). Inside the
frame those copies show only their smooth wings. They are computed here in real
space and subtracted:

- the eight nearest on a coarse grid, convolved there with the PSF, binned on
  the same grid by the cubic convolution kernel of Keys (1981, IEEE Trans.
  ASSP 29, 1153), then spline-interpolated to the pixels;
- those up to ``_FAR_COPIES`` periods away at Chebyshev nodes of the frame;
- the rest as a constant, their light spread evenly over the period.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.interpolate import BarycentricInterpolator, CubicSpline
from scipy.linalg.blas import dgemm

from galstep.core.imaging import _kernels
from galstep.core.imaging.sersic import enclosed_fraction, log_central_brightness, sersic_bn

__all__ = ["PeriodicCopies"]

_SPACINGS = (14.0, 10.0, 7.0, 5.0, 3.5)  # of the coarse grid, pixels
_SPACING_PER_SCALE = 0.4  # largest spacing over the scale length of the nearest copy
_FAR_COPIES = 8
_FAR_NODES = 5
_FAINT, _NEGLIGIBLE = 10.0, 20.0  # e-folds below the brightness at r_eff
_LN_N_STEP = 1e-4  # of central differences in ln n


class PeriodicCopies:
    """Subtracts the periodic copies of galaxies from a frame.

    Parameters
    ----------
    shape : (ny, nx)
        Of the frame.
    period : int
        L, pixels.
    psf : EffectivePSF
    """

    def __init__(self, shape: tuple[int, int], period: int, psf: Any) -> None:
        self.shape = shape
        self.period = period
        self.psf = psf
        self.reach = max(psf.centre) / psf.oversample
        m = np.arange(-_FAR_COPIES, _FAR_COPIES + 1) * float(period)
        m_y, m_x = (v.ravel() for v in np.meshgrid(m, m, indexing="ij"))
        near = np.maximum(np.abs(m_y), np.abs(m_x)) < 1.5 * period
        centre = (m_y == 0) & (m_x == 0)
        self._near = m_x[near & ~centre], m_y[near & ~centre]
        self._far = m_x[~near], m_y[~near]

    def subtract(
        self,
        images: np.ndarray,
        x_0: float,
        y_0: float,
        shape_matrices: np.ndarray,
        n: float,
        tolerance: float = 0.0,
    ) -> None:
        """Take the copies out of images, in place.

        Parameters
        ----------
        images : (1 or 7, ny, nx) array
            Contiguous float64. The image; and its derivatives with respect to x_0, y_0, ln r_eff,
            e1, e2, ln n.
        x_0, y_0 : float
            Centre (pixels).
        shape_matrices : (4, 2, 2) array
            S, dS/d ln r_eff, dS/de1, dS/de2 (order x, y).
        n : float
            Sersic index.
        tolerance : float, optional
            Copies that are nowhere brighter than this (unit flux per pixel) stay.
        """
        profile = _Profile(shape_matrices, n)
        distance = self._nearest(x_0, y_0)
        if distance > self.reach:
            e_folds = profile.e_folds(distance - self.reach)
            if e_folds > _NEGLIGIBLE or profile.ln_at_r_eff - e_folds < _ln(tolerance):
                return
        grid = self._grid(profile, max(distance, 1.0))
        constants = profile.constants()
        copies = np.empty((len(images), len(grid.y), len(grid.x)))
        _kernels.sum_profiles(copies, grid.x - x_0, grid.y - y_0, *self._near, constants)
        far = np.empty((len(images), len(grid.far_y), len(grid.far_x)))
        _kernels.sum_profiles(far, grid.far_x - x_0, grid.far_y - y_0, *self._far, constants)
        radius = (2 * _FAR_COPIES + 1) * self.period / np.sqrt(np.pi)
        rest = profile.light_outside(radius, len(images)) / self.period**2
        copies = grid.convolve(copies)
        copies += grid.far_to_y @ (far + rest[:, None, None]) @ grid.far_to_x.T
        columns = grid.to_pixels_y @ copies
        # images -= columns @ to_pixels_x.T in one pass over them; transposed, as
        # BLAS has it, they are contiguous and changed in place
        dgemm(
            -1.0,
            grid.to_pixels_x,
            columns.reshape(-1, columns.shape[2]).T,
            beta=1.0,
            c=images.reshape(-1, self.shape[1]).T,
            overwrite_c=True,
        )

    def _nearest(self, x_0, y_0):
        """Distance from the frame to the centre of the nearest copy."""
        ny, nx = self.shape
        return self.period - max(abs(x_0), abs(nx - 1 - x_0), abs(y_0), abs(ny - 1 - y_0))

    def _grid(self, profile, distance):
        # the error of cubic interpolation goes with the fourth power of the
        # spacing: where the copies are faint it may be larger
        largest = _SPACING_PER_SCALE * profile.scale_length(distance)
        largest *= np.exp(0.25 * max(profile.e_folds(distance) - _FAINT, 0.0))
        spacing = next((s for s in _SPACINGS if s <= largest), _SPACINGS[-1])
        # the same for every renderer of such frames: kept with the PSF, as its passbands are
        key = "coarse grid", self.shape, spacing
        return self.psf.derived(key, lambda: _CoarseGrid(self.shape, self.psf, spacing))


def _ln(value):
    return np.log(value) if value > 0 else -np.inf


class _Profile:
    """A unit-flux Sersic profile as the kernel ``sum_profiles`` wants it."""

    def __init__(self, shape_matrices, n):
        self.n = n
        self.matrices = shape_matrices
        self.inverse = np.linalg.inv(shape_matrices[0])
        self.determinant = np.linalg.det(shape_matrices[0])
        self.traces = [float(np.sum(self.inverse * m)) for m in shape_matrices[1:]]
        self.b = sersic_bn(n)
        minor, major = np.sqrt(np.linalg.eigvalsh(shape_matrices[0]))
        self.major_axis, self.axis_ratio = major, minor / major

    def constants(self):
        """(20,) array, see ``sum_profiles``."""
        low, high = (self.n * np.exp(s) for s in (-_LN_N_STEP, _LN_N_STEP))
        b_by_n = (sersic_bn(high) - sersic_bn(low)) / (2 * _LN_N_STEP)
        ln_centre_by_n = log_central_brightness(high) - log_central_brightness(low)
        ln_centre_by_n /= 2 * _LN_N_STEP
        ln_centre = log_central_brightness(self.n) - 0.5 * np.log(self.determinant)
        triangle = [m.ravel()[[0, 1, 3]] for m in (self.inverse, *self.matrices[1:])]
        numbers = [self.n, self.b, ln_centre, b_by_n, ln_centre_by_n]
        return np.concatenate([numbers, *triangle, self.traces])

    @property
    def ln_at_r_eff(self):
        """ln of the brightness at r_eff."""
        return log_central_brightness(self.n) - 0.5 * np.log(self.determinant) - self.b

    def e_folds(self, distance):
        """ln of I(r_eff) / I at a distance along the major axis."""
        return self.b * ((distance / self.major_axis) ** (1 / self.n) - 1)

    def scale_length(self, distance):
        """The shortest length over which the profile changes at a distance.

        That is across the major axis: I falls with the slope
        s = -d ln I / d ln R, and R by y^2 / (2 q^2 distance^2) of itself.
        """
        slope = self.b / self.n * (distance / self.major_axis) ** (1 / self.n)
        return self.axis_ratio * distance / np.sqrt(1 + slope)

    def light_outside(self, radius, n_images):
        """(n_images,) Light outside a circle, the ellipse taken as a circle."""
        x = radius / self.determinant**0.25
        outside = 1 - enclosed_fraction(x, self.n)
        if n_images == 1:
            return np.array([outside])
        ln_brightness = log_central_brightness(self.n) - self.b * x ** (1 / self.n)
        by_ln_radius = -2 * np.pi * x**2 * np.exp(ln_brightness)
        high, low = (enclosed_fraction(x, self.n * np.exp(s)) for s in (_LN_N_STEP, -_LN_N_STEP))
        by_shape = [-0.25 * trace * by_ln_radius for trace in self.traces]
        return np.array([outside, 0.0, 0.0, *by_shape, (low - high) / (2 * _LN_N_STEP)])


class _CoarseGrid:
    """A coarse grid over the frame and the PSF's reach around it."""

    def __init__(self, shape, psf, spacing):
        margin = int(np.ceil(max(psf.centre) / psf.oversample / spacing)) + 2
        self._margin = margin
        kernel = [
            _cubic_convolution(
                (np.arange(size) - centre)[:, None] / (psf.oversample * spacing)
                - np.arange(-margin, margin + 1)
            )
            for size, centre in zip(psf.array.shape, psf.centre, strict=True)
        ]
        (self.y, self.to_pixels_y), (self.x, self.to_pixels_x) = (
            _axis(size, spacing, margin) for size in shape
        )
        full = len(self.y), len(self.x)
        self._padded = tuple(next_fast_len(size, real=True) for size in full)
        self._psf = rfft2(kernel[0].T @ psf.array @ kernel[1], self._padded)
        inner_y, inner_x = self.y[margin:-margin], self.x[margin:-margin]
        self.far_y, self.far_to_y = _chebyshev(inner_y)
        self.far_x, self.far_to_x = _chebyshev(inner_x)

    def convolve(self, values):
        """(k, n_y, n_x) on the grid -> convolved, on the nodes inside the frame."""
        product = rfft2(values, self._padded) * self._psf
        low = 2 * self._margin
        return irfft2(product, self._padded)[:, low : len(self.y), low : len(self.x)]


def _cubic_convolution(t):
    # Keys (1981), eq. 15
    t = np.abs(t)
    inner = (1.5 * t - 2.5) * t * t + 1
    outer = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, inner, np.where(t < 2, outer, 0.0))


def _axis(size, spacing, margin):
    """Nodes with margins (pixels), and the matrix from inner nodes to pixels."""
    n_inner = max(int(np.ceil((size - 1) / spacing)) + 1, 4)
    start = 0.5 * (size - 1) - 0.5 * (n_inner - 1) * spacing
    nodes = start + np.arange(n_inner) * spacing
    to_pixels = CubicSpline(nodes, np.eye(n_inner), axis=0)(np.arange(size))
    return start + np.arange(-margin, n_inner + margin) * spacing, to_pixels


def _chebyshev(nodes):
    """Chebyshev points over the nodes' range, and the matrix from them to the nodes."""
    angle = np.pi * (np.arange(_FAR_NODES) + 0.5) / _FAR_NODES
    centre, half = 0.5 * (nodes[0] + nodes[-1]), 0.5 * (nodes[-1] - nodes[0])
    points = centre + half * np.cos(angle)
    # Berrut & Trefethen (2004), eq. 5.3; scipy would find the weights in random order, and
    # the last bits would change from run to run
    weights = (-1.0) ** np.arange(_FAR_NODES) * np.sin(angle)
    return points, BarycentricInterpolator(points, np.eye(_FAR_NODES), wi=weights)(nodes)
