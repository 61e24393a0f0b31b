"""The inner loops in numpy: slower than ``_kernels_numba``, the same numbers.

Star kernels work on the cubic B-spline coefficients of the oversampled PSF in
polyphase order, ``phases[p_y, p_x, k_y, k_x]`` = coefficient at sample
(oversample * k_y + p_y - PAD, oversample * k_x + p_x - PAD): for one star all
pixels lie at the same fraction of a sample, so each of the 4 x 4 spline
weights multiplies one contiguous block.
"""

import math

import numpy as np
from scipy.ndimage import maximum_filter

__all__ = [
    "PAD",
    "add_stamps",
    "axis_taps",
    "correlate_small",
    "fill_spectra",
    "gram",
    "make_stamps",
    "peak_pixels",
    "project_stamps",
    "project_stars",
    "render_stars",
    "solve_blocks",
    "sum_profiles",
    "weight_stamps",
    "weighted_products",
]

PAD = 2  # samples of mirrored coefficients before the first
_PIECE = 8192  # frequencies worked on at once
_PIXELS = 2048  # of all images, so that their pieces stay in the cache


def axis_taps(position, lower, upper, n_samples, oversample, integers, floats):
    """Where one star's spline weights apply along one axis.

    Cubic B-spline weights of the four coefficients about each pixel (Unser
    1999, IEEE Signal Proc. Mag. 16, 22, eq. 4) and their derivatives with
    respect to the star's position.

    Parameters
    ----------
    position : float
        Of the star, native pixels.
    lower, upper : int
        The pixels wanted: lower <= pixel < upper.
    n_samples : int
        Size of the PSF array; its centre is at (n_samples - 1) / 2.
    oversample : int
    integers : (2, 4) int array
        Output: phase and start. Coefficient a of pixel ``first + i`` is at
        [phase[a], start[a] + i].
    floats : (2, 4) array
        Output: the weights of the value and of the derivative (per native
        pixel).

    Returns
    -------
    first, last : int
        The pixels that lie on the array: first <= pixel < last.
    """
    centre = 0.5 * (n_samples - 1)
    first = max(lower, math.ceil(position - centre / oversample))
    last = min(upper, math.floor(position + centre / oversample) + 1)
    sample = (first - position) * oversample + centre
    base = math.floor(sample)
    t = sample - base
    floats[0, 0] = (1 - t) ** 3 / 6
    floats[0, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
    floats[0, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    floats[0, 3] = t**3 / 6
    floats[1, 0] = oversample * (1 - t) ** 2 / 2
    floats[1, 1] = oversample * (2 * t - 1.5 * t**2)
    floats[1, 2] = oversample * (1.5 * t**2 - t - 0.5)
    floats[1, 3] = -oversample * t**2 / 2
    for a in range(4):
        index = int(base) - 1 + a + PAD
        integers[0, a] = index % oversample
        integers[1, a] = index // oversample
    return int(first), int(last)


class _Taps:
    """`axis_taps` of both axes, as slices into the phases."""

    def __init__(self, phases, sizes, x, y, bounds):
        oversample = phases.shape[0]
        self._axes = []
        for position, (lower, upper), size in zip((y, x), bounds, sizes, strict=True):
            integers = np.zeros((2, 4), dtype=np.int64)
            floats = np.zeros((2, 4))
            span = axis_taps(position, lower, upper, size, oversample, integers, floats)
            self._axes.append((span, integers, floats))
        self.rows, self.columns = (slice(*axis[0]) for axis in self._axes)
        self.shape = tuple(axis[0][1] - axis[0][0] for axis in self._axes)
        self.empty = min(self.shape) <= 0
        self._phases = phases

    def combine(self, weights):
        """Sum of the blocks times ``weights`` (..., 4, 4) -> (..., ny, nx)."""
        (_, (phase_y, start_y), _), (_, (phase_x, start_x), _) = self._axes
        blocks = np.empty((4, 4, *self.shape))
        for a in range(4):
            rows = slice(start_y[a], start_y[a] + self.shape[0])
            for b in range(4):
                columns = slice(start_x[b], start_x[b] + self.shape[1])
                blocks[a, b] = self._phases[phase_y[a], phase_x[b], rows, columns]
        return np.tensordot(weights, blocks, axes=2)

    def weights(self):
        """(3, 4, 4): value, d/dx, d/dy."""
        (_, _, (weight_y, slope_y)), (_, _, (weight_x, slope_x)) = self._axes
        return np.array(
            [
                np.outer(weight_y, weight_x),
                np.outer(weight_y, slope_x),
                np.outer(slope_y, weight_x),
            ]
        )


def _frame_bounds(shape, x, y, half):
    bounds = []
    for position, size in zip((y, x), shape, strict=True):
        nearest = int(np.rint(position))
        bounds.append((max(nearest - half, 0), min(nearest + half + 1, size)))
    return bounds


def render_stars(image, phases, sizes, x, y, half, flux):
    """Add stars to an image, in place.

    Parameters
    ----------
    image : (ny, nx) array
    phases : (oversample, oversample, k_y, k_x) array
        Spline coefficients times oversample^2, polyphase.
    sizes : (2,) int array
        Shape of the PSF array, (y, x).
    x, y : (N,) array
        Positions in pixels; may be off the frame.
    half : (N,) int array
        Half-size of the box that each star is rendered in.
    flux : (N, 3) array
        Factors of P, dP/dx_i, dP/dy_i.
    """
    for k in range(len(x)):
        taps = _Taps(phases, sizes, x[k], y[k], _frame_bounds(image.shape, x[k], y[k], half[k]))
        if not taps.empty:
            weights = np.tensordot(flux[k], taps.weights(), axes=1)
            image[taps.rows, taps.columns] += taps.combine(weights)


def project_stars(images, phases, sizes, x, y, half, out):
    """out[k, q] = sum over pixels of P_k * images[q]; arguments as above.

    ``images`` is (nq, ny, nx), ``out`` (N, nq).
    """
    for k in range(len(x)):
        bounds = _frame_bounds(images.shape[1:], x[k], y[k], half[k])
        taps = _Taps(phases, sizes, x[k], y[k], bounds)
        if taps.empty:
            out[k] = 0.0
            continue
        star = taps.combine(taps.weights()[0])
        out[k] = np.tensordot(images[:, taps.rows, taps.columns], star, axes=2)


def make_stamps(phases, sizes, x, y, ix, iy, share, target, stamps):
    """Add to stamps (N, 3, 2h+1, 2h+1): value, d/dx_i, d/dy_i about (ix, iy), times ``share``.

    ``target`` has the stamp of each star.
    """
    side = stamps.shape[2]
    half = side // 2
    for k in range(len(x)):
        corner_y, corner_x = int(iy[k]) - half, int(ix[k]) - half
        bounds = [(corner_y, corner_y + side), (corner_x, corner_x + side)]
        taps = _Taps(phases, sizes, x[k], y[k], bounds)
        if taps.empty:
            continue
        rows = slice(taps.rows.start - corner_y, taps.rows.stop - corner_y)
        columns = slice(taps.columns.start - corner_x, taps.columns.stop - corner_x)
        stamps[target[k], :, rows, columns] += share[k] * taps.combine(taps.weights())


def _overlap(corners, side, size):
    low = max(max(corners), 0)
    return low, min(min(corners) + side, size)


def _inside(shape, stamps, ix, iy):
    """(k, slices in the frame, slices in the stamp) of the stamps that meet a frame."""
    side = stamps.shape[2]
    half = side // 2
    for k in range(len(stamps)):
        y, x = int(iy[k]) - half, int(ix[k]) - half
        y0, y1 = _overlap((y,), side, shape[0])
        x0, x1 = _overlap((x,), side, shape[1])
        if y1 > y0 and x1 > x0:
            in_stamp = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
            yield k, (slice(y0, y1), slice(x0, x1)), in_stamp


def project_stamps(images, stamps, ix, iy, out):
    """out[k, q, a] = sum of images[q] * stamps[k, a] inside the frame."""
    out[:] = 0.0
    for k, in_frame, in_stamp in _inside(images.shape[1:], stamps, ix, iy):
        image, stamp = images[:, *in_frame], stamps[k, :, *in_stamp]
        out[k] = np.tensordot(image, stamp, axes=((1, 2), (1, 2)))


def weight_stamps(weight, stamps, ix, iy, out):
    """out = stamps times the weights under them, 0 outside the frame."""
    out[:] = 0.0
    for k, in_frame, in_stamp in _inside(weight.shape, stamps, ix, iy):
        out[k, :, *in_stamp] = stamps[k, :, *in_stamp] * weight[in_frame]


def add_stamps(images, stamps, ix, iy, factors):
    """images[q] += sum over k, a of factors[k, q, a] * stamps[k, a], in place."""
    for k, in_frame, in_stamp in _inside(images.shape[1:], stamps, ix, iy):
        images[:, *in_frame] += np.tensordot(factors[k], stamps[k, :, *in_stamp], axes=1)


def gram(weight, values, places, pairs_i, pairs_j, out):
    """Weighted products of the three images of stamps, over what two stamps share.

    Parameters
    ----------
    weight, values : flat float arrays
    places : (N, 9) int64 array
        Of each stamp: y0, y1, x0, x1, the pixels that it covers; where the weight of pixel
        (y, x) stands is [4] + y [5] + x, the value of image a [6] + y [7] + x + a [8].
    pairs_i, pairs_j : (npairs,) int64 arrays
        The weights are those of the first.
    out : (npairs, 3, 3) array
        Output.
    """
    images = np.arange(3)[:, None, None]
    for p, (i, j) in enumerate(zip(pairs_i, pairs_j, strict=True)):
        s, t = places[i], places[j]
        y = np.arange(max(s[0], t[0]), min(s[1], t[1]))[:, None]
        x = np.arange(max(s[2], t[2]), min(s[3], t[3]))
        if not (y.size and x.size):
            out[p] = 0.0
            continue
        first, second = (values[own[6] + y * own[7] + x + images * own[8]] for own in (s, t))
        first = first * weight[s[4] + y * s[5] + x]
        out[p] = first.reshape(3, -1) @ second.reshape(3, -1).T


def correlate_small(image, kernel, out):
    """Sums of an image times a small kernel about each pixel, in single precision.

    Parameters
    ----------
    image : (ny, nx) array
        0 outside.
    kernel : (k, k) array
        k odd.
    out : (ny, nx) array
        Output.
    """
    (ny, nx), half = image.shape, len(kernel) // 2
    largest = np.abs(image).max(initial=0.0)
    unit = 2.0 ** max(math.floor(math.log2(largest)), -1000) if largest > 0 else 1.0
    padded = np.pad((image / unit).astype(np.float32), half)
    out[:] = 0.0
    for (a, b), tap in np.ndenumerate(kernel.astype(np.float32)):
        out += tap * padded[a : a + ny, b : b + nx]
    out *= unit


def peak_pixels(map_, threshold, found):
    """The pixels above a threshold that are the highest of their 3 x 3.

    Parameters
    ----------
    map_ : (ny, nx) array
        Mirrored beyond its edge.
    threshold : float
    found : int64 array
        Output: flat indices, in order.

    Returns
    -------
    int
        How many.
    """
    high = (map_ > threshold) & (map_ == maximum_filter(map_, 3, mode="mirror"))
    index = np.flatnonzero(high)
    found[: len(index)] = index
    return len(index)


def weighted_products(groups, weight, residual, out):
    """Sums over pixels of products of images, two by two and with a residual.

    Parameters
    ----------
    groups : tuple of (k, n_pixels) arrays
        The images, as they lie in memory.
    weight, residual : (n_pixels,) arrays
    out : (n, n + 1) array
        Output: of images i and j >= i in column j, with the residual in the last one.
        What lies below the diagonal means nothing.
    """
    out[:] = 0.0
    for start in range(0, weight.size, _PIXELS):
        own = slice(start, start + _PIXELS)
        images = np.concatenate([group[:, own] for group in groups])
        weighted = images * weight[own]
        out[:, :-1] += weighted @ images.T
        out[:, -1] += weighted @ residual[own]


def solve_blocks(first, second, blocks, inverse, right, solution, accuracy, max_steps):
    """Solve a symmetric system of 3 x 3 blocks, by preconditioned conjugate gradients.

    Parameters
    ----------
    first, second : (npairs,) int64 arrays
        Places of the blocks, each with itself first, in order; of other pairs one of two.
    blocks : (npairs, 3, 3) array
    inverse : (n, 3, 3) array
        The preconditioner: the inverses of the blocks on the diagonal.
    right : (n, 3) array
    solution : (n, 3) array
        Output.
    accuracy : float
        Norm of the residual at which to stop.
    max_steps : int
    """
    n = len(right)
    i, j, cross = first[n:], second[n:], blocks[n:]

    def times(vector):
        product = np.einsum("nab,nb->na", blocks[:n], vector)
        np.add.at(product, i, np.einsum("nab,nb->na", cross, vector[j]))
        np.add.at(product, j, np.einsum("nba,nb->na", cross, vector[i]))
        return product

    solution[:] = 0.0
    residual, direction, before = right.copy(), np.zeros_like(right), 1.0
    for _ in range(max_steps):
        if not np.vdot(residual, residual) > accuracy**2:
            return
        conditioned = np.einsum("nab,nb->na", inverse, residual)
        size = np.vdot(residual, conditioned)
        direction = conditioned + (size / before) * direction
        before = size
        product = times(direction)
        length = size / np.vdot(direction, product)
        solution += length * direction
        residual -= length * product


def fill_spectra(out, band, phase_x, phase_y, shape, rows, grid, series):
    """Fill the half-plane spectra of a PSF-convolved galaxy of unit flux.

    Parameters
    ----------
    out : (1 or 7, n_rows, n_columns) complex array
        Output: the image; and its derivatives with respect to x_0, y_0,
        ln r_eff, e1, e2, ln n.
    band : tuple
        (first, j_x, j_y, transform, wave): frequency i has the wave number
        ``wave * (j_x[i], j_y[i])`` and the PSF transform ``transform[i]``;
        those from first[c] to first[c + 1] fold onto cell c of a spectrum.
    phase_x, phase_y : (2 j_max + 1,) complex array
        exp(-i wave j x_0) for j = -j_max ... j_max.
    shape : (3, 3) array
        (xx, xy, yy) of the shape matrix S, dS/de1, dS/de2.
    rows : (n, 4) array
        `HankelTable.rows`.
    grid : (ln_kappa_0, ln_kappa_step)
    series : (c, dc/d ln n)
        `HankelTable.small_kappa`.
    """
    first, *frequencies, wave = band
    flat = out.reshape(len(out), -1)
    flat[:] = 0.0
    filled = np.flatnonzero(np.diff(first))
    # in pieces that stay in the cache, cut between cells
    edges = np.searchsorted(first[filled], np.arange(0, first[-1], _PIECE))
    for cells in np.split(filled, edges[1:]):
        if not len(cells):
            continue
        low, high = first[cells[0]], first[cells[-1] + 1]
        piece = tuple(values[low:high] for values in frequencies)
        spectra = _spectra(piece, wave, phase_x, phase_y, shape, rows, grid, series, len(out))
        for spectrum, values in zip(flat, spectra, strict=True):
            spectrum[cells] = np.add.reduceat(values, first[cells] - low)


def _spectra(frequencies, wave, phase_x, phase_y, shape, rows, grid, series, n_images):
    """The list of values, one array per image, at the given frequencies."""
    j_x, j_y, transform = frequencies
    k_x, k_y = wave * j_x, wave * j_y
    quadratic = (k_x * k_x, 2 * k_x * k_y, k_y * k_y)
    kappa2 = sum(s * q for s, q in zip(shape[0], quadratic, strict=True))
    profile, slope, by_n = _look_up(kappa2, rows, grid, series)
    phased = transform * phase_x[j_x + (len(phase_x) - 1) // 2]
    phased *= phase_y[j_y + (len(phase_y) - 1) // 2]
    model = profile * phased
    if n_images == 1:
        return [model]
    turned = -1j * model
    slope_phased = slope * phased
    by_e1, by_e2 = (
        sum(s * q for s, q in zip(row, quadratic, strict=True)) * slope_phased for row in shape[1:]
    )
    by_size = 2 * kappa2 * slope_phased
    return [model, k_x * turned, k_y * turned, by_size, by_e1, by_e2, by_n * phased]


def _look_up(kappa2, rows, grid, series):
    """F, dF/d(kappa^2), dF/d ln n at kappa^2, by cubic Hermite polynomials."""
    ln_kappa_0, step = grid
    small = kappa2 < math.exp(2 * ln_kappa_0)
    t = (0.5 * np.log(np.where(small, 1.0, kappa2)) - ln_kappa_0) / step
    index = np.minimum(t.astype(np.int64), len(rows) - 2)
    t = np.minimum(t - index, 1.0)
    low, high = rows[index].T, rows[index + 1].T
    h_01 = t * t * (3 - 2 * t)
    h_10 = t * (t - 1) ** 2
    h_11 = t * t * (t - 1)
    profile = low[0] + h_01 * (high[0] - low[0]) + h_10 * low[1] + h_11 * high[1]
    by_n = low[2] + h_01 * (high[2] - low[2]) + h_10 * low[3] + h_11 * high[3]
    by_ln = 6 * t * (1 - t) * (high[0] - low[0])
    by_ln += (1 - t) * (1 - 3 * t) * low[1] + t * (3 * t - 2) * high[1]
    slope = by_ln / (2 * step * np.where(small, 1.0, kappa2))
    profile = np.where(small, 1 - series[0] * kappa2, profile)
    by_n = np.where(small, -series[1] * kappa2, by_n)
    return profile, np.where(small, -series[0], slope), by_n


def sum_profiles(out, x, y, copies_x, copies_y, constants):
    """Sums of displaced copies of a Sersic profile on a grid.

    Parameters
    ----------
    out : (1 or 7, n_y, n_x) array
        Output: the surface brightness; and its derivatives with respect to
        x_0, y_0, three shape parameters, ln n.
    x, y : (n_x,), (n_y,) arrays
        The grid, relative to the centre (pixels).
    copies_x, copies_y : (m,) arrays
        Displacements of the copies.
    constants : (20,) array
        n; b_n; ln of the central brightness; the derivatives of these two with
        respect to ln n; (xx, xy, yy) of S^-1 and of the derivatives S_p of
        the shape matrix S; the traces of S^-1 S_p. Within half of r_eff the
        profile is held constant: a node on the cusp of a copy must not stand
        for its whole cell.
    """
    n, b, ln_centre, b_by_n, ln_centre_by_n, i_xx, i_xy, i_yy = constants[:8]
    dx = x[:, None] - copies_x
    dy = y[:, None, None] - copies_y
    v_x = i_xx * dx + i_xy * dy
    v_y = i_xy * dx + i_yy * dy
    radius2 = np.maximum(dx * v_x + dy * v_y, 0.25)
    ln_radius = 0.5 * np.log(radius2)
    power = np.exp(ln_radius / n)
    value = np.exp(ln_centre - b * power)
    out[0] = value.sum(axis=2)
    if len(out) == 1:
        return
    by_radius2 = -b / (2 * n) * value * power / radius2
    out[1] = -2 * np.sum(by_radius2 * v_x, axis=2)
    out[2] = -2 * np.sum(by_radius2 * v_y, axis=2)
    moments = [np.sum(by_radius2 * v, axis=2) for v in (v_x * v_x, 2 * v_x * v_y, v_y * v_y)]
    for k in range(3):
        m_xx, m_xy, m_yy = constants[8 + 3 * k : 11 + 3 * k]
        change = m_xx * moments[0] + m_xy * moments[1] + m_yy * moments[2]
        out[3 + k] = -change - 0.5 * constants[17 + k] * out[0]
    by_ln_n = ln_centre_by_n + power * (b / n * ln_radius - b_by_n)
    out[6] = np.sum(value * by_ln_n, axis=2)
