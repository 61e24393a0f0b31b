"""Where the galaxy is, how large it looks, and the box to cut around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from scipy.optimize import least_squares

from galstep.core.imaging.background import pixel_noise
from galstep.exceptions import InputError, ParameterError

__all__ = ["SizeGuess", "central_box", "central_signal", "crop_box", "guess_size"]

MESH = 5  # pixels; the median of 25 removes a star of FWHM <= 4 px
CENTRAL_HALF_WIDTH = 0.2  # of the frame's side: where the centre is searched
MIN_PEAK_SNR = 3.0
PEAK_RADIUS = 2.5 * MESH  # pixels; a peak is the highest mesh within
MAX_SIGMA = 1 / 1.5  # of the frame's longer side


@dataclass(frozen=True)
class SizeGuess:
    """A Gaussian's place and width on the frame.

    ``sigma`` is the larger of the widths along x and y (pixels); ``reason``
    says why a fall-back stands here ("" if it was measured).
    """

    x: float
    y: float
    sigma: float
    reason: str = ""


def guess_size(
    data: np.ndarray,
    mask: np.ndarray,
    sigma_guess: float = 10.0,
    x_guess: float | None = None,
    y_guess: float | None = None,
) -> SizeGuess:
    """Centre and Gaussian width of the galaxy, in spite of stars and gaps.

    The image is reduced to the medians of 5 x 5 pixel meshes, median-filtered
    over 3 x 3 of them (photutils ``Background2D``), and a 2-D Gaussian with
    its axes along x and y plus a constant is fitted to the meshes with a
    soft-l1 loss. Stars hardly enter the medians. Nothing is raised when that
    fails: the fall-back is the guess, with a reason.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image, any unit; NaN allowed.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. Pixels that are not finite are bad in any case.
    sigma_guess : float, optional
        Start value, and the fall-back (pixels).
    x_guess, y_guess : float, optional
        The centre, if it is known to a few ``sigma_guess``: the peak nearest to it
        is where the fit starts. Otherwise the brightest mesh within 20 % of the
        sides from the frame's centre.

    Returns
    -------
    SizeGuess

    Raises
    ------
    ParameterError
        If ``sigma_guess`` is not positive, or only one coordinate is given.
    """
    if not sigma_guess > 0:
        raise ParameterError(f"sigma_guess must be > 0 pixels, got {sigma_guess}")
    if (x_guess is None) != (y_guess is None):
        raise ParameterError(
            f"x_guess and y_guess must be given together, got {x_guess} and {y_guess}"
        )
    bad = np.asarray(mask, dtype=bool) | ~np.isfinite(data)
    window = _window(data.shape, sigma_guess, x_guess, y_guess)
    fallback = SizeGuess(*window.mean(axis=1), sigma_guess)  # type: ignore[call-arg]
    meshes = _median_meshes(data, bad)
    if meshes is None:
        return _failed(fallback, "too few good pixels")
    return _fit_gaussian(meshes, window, fallback, max(data.shape), x_guess is not None)


def _failed(fallback, reason):
    return SizeGuess(fallback.x, fallback.y, fallback.sigma, reason)


def _window(shape, sigma_guess, x_guess, y_guess):
    """((x_low, x_high), (y_low, y_high)) that the centre may take."""
    side = np.array(shape[::-1], dtype=float)
    if x_guess is None:
        centre, half = (side - 1) / 2, CENTRAL_HALF_WIDTH * side
    else:
        centre, half = np.array([x_guess, y_guess], dtype=float), 3 * sigma_guess
    return np.stack([centre - half, centre + half], axis=1)


def _median_meshes(data, bad):
    """x, y and median of the meshes with more good pixels than bad, or None."""
    from photutils.background import Background2D, MedianBackground

    if bad.all() or min(data.shape) < 4 * MESH:
        return None
    background = Background2D(
        np.where(bad, 0.0, data),
        MESH,
        mask=bad,
        filter_size=3,
        # anything with a good pixel: what to fit is chosen below
        exclude_percentile=100 - 50 / MESH**2,
        sigma_clip=None,
        bkg_estimator=MedianBackground(),
    )
    rows, columns = np.nonzero(background.n_pixels_mesh > MESH**2 / 2)
    if len(rows) < 12:
        return None
    centre = (MESH - 1) / 2
    values = background.background_mesh[rows, columns]
    return columns * MESH + centre, rows * MESH + centre, values


def _start_peak(x, y, values, inside, fallback, nearest):
    """Index of the mesh where the fit starts: the nearest peak, or the brightest mesh."""
    brightest = np.flatnonzero(inside)[np.argmax(values[inside])]
    if not nearest:
        return brightest
    around = np.hypot(x[:, None] - x, y[:, None] - y) < PEAK_RADIUS
    highest = np.where(around, values, -np.inf).max(axis=1)
    peaks = inside & (values >= highest) & (values > MIN_PEAK_SNR)
    distance = np.hypot(x - fallback.x, y - fallback.y)
    return int(np.argmin(np.where(peaks, distance, np.inf))) if peaks.any() else brightest


def _fit_gaussian(meshes, window, fallback, side, nearest):
    x, y, values = meshes
    inside = _in_window(x, y, window)
    if not inside.any():
        return _failed(fallback, "no good pixels where the centre is looked for")
    level, scatter = np.percentile(values, 25), mad_std(values) or np.std(values)
    if not scatter > 0:
        return _failed(fallback, "the image is constant")
    values = (values - level) / scatter
    peak = _start_peak(x, y, values, inside, fallback, nearest)

    def residuals(p):
        r2 = ((x - p[0]) / np.exp(p[2])) ** 2 + ((y - p[1]) / np.exp(p[3])) ** 2
        return p[4] * np.exp(-0.5 * r2) + p[5] - values

    (x_low, x_high), (y_low, y_high) = window
    narrow, wide = np.log(0.5), np.log(2.0 * side)
    ln_sigma = np.clip(np.log(fallback.sigma), narrow, wide)
    low = np.array([x_low, y_low, narrow, narrow, -np.inf, -np.inf])
    high = np.array([x_high, y_high, wide, wide, np.inf, np.inf])
    start = [x[peak], y[peak], ln_sigma, ln_sigma, values[peak], 0.0]
    fit = least_squares(
        residuals,
        np.clip(start, low, high),
        bounds=(low, high),
        loss="soft_l1",
        x_scale=[MESH, MESH, 0.2, 0.2, 1, 1],
    )
    sigma = float(np.exp(fit.x[2:4].max()))
    reason = _objection(fit, sigma, side)
    if reason:
        return _failed(fallback, reason)
    place = fit.x[:2]
    if nearest and np.hypot(place[0] - x[peak], place[1] - y[peak]) > PEAK_RADIUS / 2:
        place = x[peak], y[peak]  # a brighter neighbour has drawn the Gaussian to itself
    return SizeGuess(*map(float, place), sigma)


def _objection(fit, sigma, side):
    """Why the fit is not to be believed, "" if it is."""
    if not fit.success:
        return f"the Gaussian fit did not converge: {fit.message}"
    if fit.x[4] < MIN_PEAK_SNR * mad_std(fit.fun):
        return f"no source stands out by {MIN_PEAK_SNR:g} times the scatter"
    if sigma > MAX_SIGMA * side:
        return f"the Gaussian is wider than the frame, sigma = {sigma:.0f} px"
    return ""


def _in_window(x, y, window):
    """Which positions lie in the window, or within a mesh of it."""
    (x_low, x_high), (y_low, y_high) = window
    return (x >= x_low - MESH) & (x <= x_high + MESH) & (y >= y_low - MESH) & (y <= y_high + MESH)


def central_signal(data: np.ndarray, mask: np.ndarray) -> float:
    """How well the galaxy in the middle of a frame is seen, to compare filters.

    The medians of 5 x 5 pixel meshes within 20 % of the sides from the centre,
    less the frame's lower quartile, are added in quadrature and divided by the
    noise of a mesh: the S/N of a matched filter with the galaxy's own shape,
    in white noise.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image, any unit; NaN allowed.
    mask : ndarray of bool, shape (ny, nx)
        True = bad.

    Returns
    -------
    float
        Dimensionless; 0 where too few pixels are good.
    """
    bad = np.asarray(mask, dtype=bool) | ~np.isfinite(data)
    meshes = _median_meshes(data, bad)
    noise = pixel_noise(data, bad)
    if meshes is None or not noise > 0:
        return 0.0
    x, y, values = meshes
    inside = _in_window(x, y, _window(data.shape, 1.0, None, None))
    excess = np.maximum(values[inside] - np.percentile(values, 25), 0.0)
    return float(np.linalg.norm(excess) / (noise / MESH))


def central_box(shape: tuple[int, ...], fraction: float) -> tuple[slice, ...]:
    """The central part of a frame.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    fraction : float
        Share of each side that is kept, in (0, 1].

    Returns
    -------
    tuple of slice
        (y, x); each side at least one pixel.

    Raises
    ------
    ParameterError
        If ``fraction`` is out of range.
    """
    if not 0 < fraction <= 1:
        raise ParameterError(f"fraction must be in (0, 1], got {fraction}")
    box = []
    for size in shape:
        kept = max(1, round(size * fraction))
        first = (size - kept) // 2
        box.append(slice(first, first + kept))
    return tuple(box)


def crop_box(
    shape: tuple[int, ...], x: float, y: float, half_size: float, min_size: int = 1
) -> tuple[slice, ...]:
    """The square around a point, clipped at the frame.

    The box is centred on the nearest pixel and is cut off, never shifted, at
    an edge: the point keeps its distance from the middle of what was asked
    for. An axis no longer than ``min_size`` is kept whole.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    x, y : float
        Centre (0-based pixels).
    half_size : float
        From the centre to the side (pixels); rounded up.
    min_size : int, optional
        The least side of the square before it is clipped (pixels).

    Returns
    -------
    tuple of slice
        (y, x).

    Raises
    ------
    InputError
        If the point is off the frame.
    ParameterError
        If ``half_size`` is negative or not finite.
    """
    if not np.isfinite(half_size) or half_size < 0:
        raise ParameterError(f"half_size must be a number >= 0, got {half_size}")
    half = max(int(np.ceil(half_size)), int(min_size) // 2)
    box = []
    for name, size, centre in (("y", shape[0], y), ("x", shape[1], x)):
        if not -0.5 <= centre < size - 0.5:
            raise InputError(
                f"crop centre must lie on the frame, {name} in [-0.5, {size - 0.5}), got {centre:g}"
            )
        pixel = int(np.floor(centre + 0.5))
        if size <= min_size:
            box.append(slice(0, size))
        else:
            box.append(slice(max(0, pixel - half), min(size, pixel + half + 1)))
    return tuple(box)
