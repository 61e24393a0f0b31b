"""The inner loops, compiled by numba; see `_kernels_numpy` for what they do."""

import math

import numba
import numpy as np

from galstep.core.imaging import _kernels_numpy

__all__ = [
    "add_stamps",
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

# reassociation lets sums use vector registers; NaN and infinity keep their meaning
_compile = numba.njit(
    cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}
)
_axis_taps = _compile(_kernels_numpy.axis_taps)
_BLOCK = 256  # frequencies looked up at once
_PIXELS = 256  # of all images, so that their pieces stay in the cache


@_compile
def _frame_taps(shape, sizes, oversample, x, y, half, integers, floats):
    """`axis_taps` of both axes for a star in a frame -> (y0, y1, x0, x1)."""
    nearest_y, nearest_x = int(np.rint(y)), int(np.rint(x))
    low, high = max(nearest_y - half, 0), min(nearest_y + half + 1, shape[0])
    y0, y1 = _axis_taps(y, low, high, sizes[0], oversample, integers[:2], floats[:2])
    low, high = max(nearest_x - half, 0), min(nearest_x + half + 1, shape[1])
    x0, x1 = _axis_taps(x, low, high, sizes[1], oversample, integers[2:], floats[2:])
    return y0, y1, x0, x1


@_compile
def _add_row(row, phases, integers, weights, i):
    """row += sum of the 4 x 4 weighted blocks, at row i of the star's box."""
    n = row.size
    for a in range(4):
        k_y = integers[1, a] + i
        s0, s1, s2, s3 = integers[3, 0], integers[3, 1], integers[3, 2], integers[3, 3]
        c0 = phases[integers[0, a], integers[2, 0], k_y, s0 : s0 + n]
        c1 = phases[integers[0, a], integers[2, 1], k_y, s1 : s1 + n]
        c2 = phases[integers[0, a], integers[2, 2], k_y, s2 : s2 + n]
        c3 = phases[integers[0, a], integers[2, 3], k_y, s3 : s3 + n]
        w0, w1, w2, w3 = weights[a, 0], weights[a, 1], weights[a, 2], weights[a, 3]
        for j in range(n):
            row[j] += w0 * c0[j] + w1 * c1[j] + w2 * c2[j] + w3 * c3[j]


@_compile
def render_stars(image, phases, sizes, x, y, half, flux):
    oversample = phases.shape[0]
    integers = np.zeros((4, 4), dtype=np.int64)
    floats = np.zeros((4, 4))
    weights = np.zeros((4, 4))
    for k in range(x.size):
        y0, y1, x0, x1 = _frame_taps(
            image.shape, sizes, oversample, x[k], y[k], half[k], integers, floats
        )
        if x1 <= x0:
            continue
        for a in range(4):
            along_x = flux[k, 0] * floats[0, a] + flux[k, 2] * floats[1, a]
            for b in range(4):
                weights[a, b] = along_x * floats[2, b] + flux[k, 1] * floats[0, a] * floats[3, b]
        for i in range(y0, y1):
            _add_row(image[i, x0:x1], phases, integers, weights, i - y0)


@_compile
def project_stars(images, phases, sizes, x, y, half, out):
    oversample = phases.shape[0]
    integers = np.zeros((4, 4), dtype=np.int64)
    floats = np.zeros((4, 4))
    weights = np.zeros((4, 4))
    buffer = np.zeros(images.shape[2])
    for k in range(x.size):
        out[k] = 0.0
        y0, y1, x0, x1 = _frame_taps(
            images.shape[1:], sizes, oversample, x[k], y[k], half[k], integers, floats
        )
        if x1 <= x0:
            continue
        for a in range(4):
            for b in range(4):
                weights[a, b] = floats[0, a] * floats[2, b]
        row = buffer[: x1 - x0]
        for i in range(y0, y1):
            row[:] = 0.0
            _add_row(row, phases, integers, weights, i - y0)
            for q in range(images.shape[0]):
                values = images[q, i, x0:x1]
                total = 0.0
                for j in range(row.size):
                    total += values[j] * row[j]
                out[k, q] += total


@_compile
def _add_stamp_row(rows, phases, integers, floats, i):
    """The same for the value and both derivatives: rows (3, n)."""
    value, by_x, by_y = rows[0], rows[1], rows[2]
    n = value.size
    for a in range(4):
        k_y = integers[1, a] + i
        s0, s1, s2, s3 = integers[3, 0], integers[3, 1], integers[3, 2], integers[3, 3]
        c0 = phases[integers[0, a], integers[2, 0], k_y, s0 : s0 + n]
        c1 = phases[integers[0, a], integers[2, 1], k_y, s1 : s1 + n]
        c2 = phases[integers[0, a], integers[2, 2], k_y, s2 : s2 + n]
        c3 = phases[integers[0, a], integers[2, 3], k_y, s3 : s3 + n]
        w, d = floats[2], floats[3]
        w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
        d0, d1, d2, d3 = d[0], d[1], d[2], d[3]
        weight_y, slope_y = floats[0, a], floats[1, a]
        for j in range(n):
            p = w0 * c0[j] + w1 * c1[j] + w2 * c2[j] + w3 * c3[j]
            value[j] += weight_y * p
            by_y[j] += slope_y * p
            by_x[j] += weight_y * (d0 * c0[j] + d1 * c1[j] + d2 * c2[j] + d3 * c3[j])


@_compile
def make_stamps(phases, sizes, star_x, star_y, ix, iy, share, target, stamps):
    oversample = phases.shape[0]
    side = stamps.shape[2]
    half = side // 2
    integers = np.zeros((4, 4), dtype=np.int64)
    floats = np.zeros((4, 4))
    for k in range(star_x.size):
        y, x = iy[k] - half, ix[k] - half
        y0, y1 = _axis_taps(star_y[k], y, y + side, sizes[0], oversample, integers[:2], floats[:2])
        x0, x1 = _axis_taps(star_x[k], x, x + side, sizes[1], oversample, integers[2:], floats[2:])
        if x1 <= x0:
            continue
        floats[:2] *= share[k]
        for i in range(y0, y1):
            rows = stamps[target[k], :, i - y, x0 - x : x1 - x]
            _add_stamp_row(rows, phases, integers, floats, i - y0)


@_compile
def _cut(image, y, x, patch):
    """Copy what lies under a patch at (x, y); beyond the image the patch stays as it is."""
    side = patch.shape[0]
    x0, x1 = max(x, 0), min(x + side, image.shape[1])
    n = x1 - x0
    if n <= 0:
        return
    for i in range(max(y, 0), min(y + side, image.shape[0])):
        row, own = image[i, x0:x1], patch[i - y, x0 - x : x1 - x]
        for j in range(n):
            own[j] = row[j]


@_compile
def project_stamps(images, stamps, ix, iy, out):
    side = stamps.shape[2]
    half = side // 2
    # one long sum is faster than many as short as a row of a stamp
    square = np.zeros((side, side))
    patch = square.reshape(side * side)
    flat = stamps.reshape(stamps.shape[0], 3, side * side)
    for k in range(stamps.shape[0]):
        value, by_x, by_y = flat[k, 0], flat[k, 1], flat[k, 2]
        patch[:] = 0.0
        for q in range(images.shape[0]):
            _cut(images[q], iy[k] - half, ix[k] - half, square)
            t0 = t1 = t2 = 0.0
            for p in range(patch.size):
                t0 += patch[p] * value[p]
                t1 += patch[p] * by_x[p]
                t2 += patch[p] * by_y[p]
            out[k, q, 0] = t0
            out[k, q, 1] = t1
            out[k, q, 2] = t2


@_compile
def weight_stamps(weight, stamps, ix, iy, out):
    side = stamps.shape[2]
    half = side // 2
    square = np.zeros((side, side))
    patch = square.reshape(side * side)
    flat = stamps.reshape(stamps.shape[0], 3, side * side)
    weighted = out.reshape(stamps.shape[0], 3, side * side)
    for k in range(stamps.shape[0]):
        patch[:] = 0.0
        _cut(weight, iy[k] - half, ix[k] - half, square)
        for a in range(3):
            values, own = flat[k, a], weighted[k, a]
            for p in range(patch.size):
                own[p] = patch[p] * values[p]


@_compile
def add_stamps(images, stamps, ix, iy, factors):
    side = stamps.shape[2]
    half = side // 2
    ny, nx = images.shape[1:]
    for k in range(stamps.shape[0]):
        y, x = iy[k] - half, ix[k] - half
        x0, x1 = max(x, 0), min(x + side, nx)
        n = x1 - x0
        if n <= 0:
            continue
        for q in range(images.shape[0]):
            f0, f1, f2 = factors[k, q, 0], factors[k, q, 1], factors[k, q, 2]
            for i in range(max(y, 0), min(y + side, ny)):
                row = images[q, i, x0:x1]
                value = stamps[k, 0, i - y, x0 - x : x1 - x]
                by_x = stamps[k, 1, i - y, x0 - x : x1 - x]
                by_y = stamps[k, 2, i - y, x0 - x : x1 - x]
                for j in range(n):
                    row[j] += f0 * value[j] + f1 * by_x[j] + f2 * by_y[j]


@_compile
def gram(weight, values, places, pairs_i, pairs_j, out):
    for p in range(pairs_i.size):
        s, t = places[pairs_i[p]], places[pairs_j[p]]
        y0, y1 = max(s[0], t[0]), min(s[1], t[1])
        x0, x1 = max(s[2], t[2]), min(s[3], t[3])
        n = x1 - x0
        g00 = g01 = g02 = g10 = g11 = g12 = g20 = g21 = g22 = 0.0
        if n > 0:
            for i in range(y0, y1):
                k = s[4] + i * s[5] + x0
                w = weight[k : k + n]
                k = s[6] + i * s[7] + x0
                a0 = values[k : k + n]
                a1 = values[k + s[8] : k + s[8] + n]
                a2 = values[k + 2 * s[8] : k + 2 * s[8] + n]
                k = t[6] + i * t[7] + x0
                b0 = values[k : k + n]
                b1 = values[k + t[8] : k + t[8] + n]
                b2 = values[k + 2 * t[8] : k + 2 * t[8] + n]
                for j in range(n):
                    u0, u1, u2 = w[j] * a0[j], w[j] * a1[j], w[j] * a2[j]
                    v0, v1, v2 = b0[j], b1[j], b2[j]
                    g00 += u0 * v0
                    g01 += u0 * v1
                    g02 += u0 * v2
                    g10 += u1 * v0
                    g11 += u1 * v1
                    g12 += u1 * v2
                    g20 += u2 * v0
                    g21 += u2 * v1
                    g22 += u2 * v2
        out[p, 0, 0], out[p, 0, 1], out[p, 0, 2] = g00, g01, g02
        out[p, 1, 0], out[p, 1, 1], out[p, 1, 2] = g10, g11, g12
        out[p, 2, 0], out[p, 2, 1], out[p, 2, 2] = g20, g21, g22


@_compile
def correlate_small(image, kernel, out):
    ny, nx = image.shape
    n, half = kernel.shape[0], kernel.shape[0] // 2
    steps = (n + 5) // 6
    taps = np.zeros((n, 6 * steps), dtype=np.float32)
    taps[:, :n] = kernel
    # the rows under the kernel, zeros beside them, in units of about the largest value:
    # single precision is relative to the pixels under the kernel and to no others
    rows, total = np.zeros((n, nx + 6 * steps), dtype=np.float32), np.empty(nx, dtype=np.float32)
    largest = 0.0
    for y in range(ny):
        for x in range(nx):
            largest = max(largest, abs(image[y, x]))
    # a power of 2: the sums do not depend on how large it is
    unit = 2.0 ** max(math.floor(math.log2(largest)), -1000) if largest > 0 else 1.0
    for y in range(-half, ny):
        own = rows[(y + half) % n]
        if y + half < ny:
            for x in range(nx):
                own[half + x] = image[y + half, x] / unit
        else:
            own[:] = 0.0
        if y < 0:
            continue
        total[:] = 0.0
        for a in range(n):
            row = rows[(y - half + a) % n]
            for b in range(0, n, 6):
                t0, t1, t2 = taps[a, b], taps[a, b + 1], taps[a, b + 2]
                t3, t4, t5 = taps[a, b + 3], taps[a, b + 4], taps[a, b + 5]
                r = row[b:]
                for x in range(nx):
                    total[x] += (
                        t0 * r[x] + t1 * r[x + 1] + t2 * r[x + 2]
                        + t3 * r[x + 3] + t4 * r[x + 4] + t5 * r[x + 5]
                    )  # fmt: skip
        for x in range(nx):
            out[y, x] = total[x] * unit


@_compile
def peak_pixels(map_, threshold, found):
    ny, nx = map_.shape
    count = 0
    for y in range(ny):
        above, below = abs(y - 1), y + 1 if y + 1 < ny else max(y - 1, 0)
        above = min(above, ny - 1)
        for x in range(nx):
            value = map_[y, x]
            if not value > threshold:
                continue
            left, right = min(abs(x - 1), nx - 1), x + 1 if x + 1 < nx else max(x - 1, 0)
            if (
                value >= map_[y, left] and value >= map_[y, right]
                and value >= map_[above, x] and value >= map_[below, x]
                and value >= map_[above, left] and value >= map_[above, right]
                and value >= map_[below, left] and value >= map_[below, right]
            ):  # fmt: skip
                found[count] = y * nx + x
                count += 1
    return count


@_compile
def weighted_products(groups, weight, residual, out):
    n = out.shape[0]
    plain, scaled = np.zeros((n + 1, _PIXELS)), np.zeros((n, _PIXELS))
    out[:] = 0.0
    for start in range(0, weight.size, _PIXELS):
        m = min(_PIXELS, weight.size - start)
        own, k = weight[start : start + m], 0
        for group in groups:
            for row in range(group.shape[0]):
                image, as_is, times = group[row, start : start + m], plain[k], scaled[k]
                for j in range(m):
                    as_is[j] = image[j]
                    times[j] = image[j] * own[j]
                k += 1
        plain[n, :m] = residual[start : start + m]
        # two by two: each value that is read takes part in two products
        for a in range(0, n, 2):
            a_1 = min(a + 1, n - 1)
            first, first_1 = scaled[a], scaled[a_1]
            for b in range(a, n + 1, 2):
                b_1 = min(b + 1, n)
                second, second_1 = plain[b], plain[b_1]
                s_00 = s_01 = s_10 = s_11 = 0.0
                for j in range(m):
                    s_00 += first[j] * second[j]
                    s_01 += first[j] * second_1[j]
                    s_10 += first_1[j] * second[j]
                    s_11 += first_1[j] * second_1[j]
                out[a, b] += s_00
                if b_1 > b:
                    out[a, b_1] += s_01
                if a_1 > a:
                    out[a_1, b] += s_10
                    if b_1 > b:
                        out[a_1, b_1] += s_11


@_compile
def _block_product(first, second, blocks, vector, out):
    """out = matrix . vector, for `solve_blocks`."""
    n = vector.shape[0]
    for p in range(first.size):
        i, j, block = first[p], second[p], blocks[p]
        v0, v1, v2 = vector[j, 0], vector[j, 1], vector[j, 2]
        if p < n:
            for a in range(3):
                out[i, a] = block[a, 0] * v0 + block[a, 1] * v1 + block[a, 2] * v2
            continue
        u0, u1, u2 = vector[i, 0], vector[i, 1], vector[i, 2]
        for a in range(3):
            out[i, a] += block[a, 0] * v0 + block[a, 1] * v1 + block[a, 2] * v2
            out[j, a] += block[0, a] * u0 + block[1, a] * u1 + block[2, a] * u2


@_compile
def solve_blocks(first, second, blocks, inverse, right, solution, accuracy, max_steps):
    n = right.shape[0]
    residual, direction, product = right.copy(), np.zeros((n, 3)), np.empty((n, 3))
    conditioned = np.empty((n, 3))
    solution[:] = 0.0
    before = 1.0
    for _ in range(max_steps):
        left = size = step = 0.0
        for i in range(n):
            r0, r1, r2 = residual[i, 0], residual[i, 1], residual[i, 2]
            for a in range(3):
                conditioned[i, a] = (
                    inverse[i, a, 0] * r0 + inverse[i, a, 1] * r1 + inverse[i, a, 2] * r2
                )
            left += r0 * r0 + r1 * r1 + r2 * r2
            size += r0 * conditioned[i, 0] + r1 * conditioned[i, 1] + r2 * conditioned[i, 2]
        if not left > accuracy * accuracy:
            return
        for i in range(n):
            for a in range(3):
                direction[i, a] = conditioned[i, a] + size / before * direction[i, a]
        before = size
        _block_product(first, second, blocks, direction, product)
        for i in range(n):
            for a in range(3):
                step += direction[i, a] * product[i, a]
        length = size / step
        for i in range(n):
            for a in range(3):
                solution[i, a] += length * direction[i, a]
                residual[i, a] -= length * product[i, a]


@_compile
def _cubics(rows):
    """Hermite nodes to the coefficients of F and dF/d ln n per interval, (n - 1, 8)."""
    out = np.empty((rows.shape[0] - 1, 8))
    for r in range(out.shape[0]):
        for k in range(2):
            value, slope = rows[r, 2 * k], rows[r, 2 * k + 1]
            rise, other = rows[r + 1, 2 * k] - value, rows[r + 1, 2 * k + 1]
            out[r, 4 * k] = value
            out[r, 4 * k + 1] = slope
            out[r, 4 * k + 2] = 3 * rise - 2 * slope - other
            out[r, 4 * k + 3] = slope + other - 2 * rise
    return out


@_compile
def _look_up(block, band, shape, cubics, grid, series, work, index):
    """Profile, slope and dF/d ln n of the frequencies block[0] to block[1].

    In loops of one thing each, so that they use vector registers; ``work`` is
    (5, n): kappa^2, a scratch, and the three results.
    """
    low, n = block[0], block[1] - block[0]
    j_x, j_y, wave = band[1], band[2], band[4]
    ln_kappa_0, step = grid
    last, smallest = cubics.shape[0] - 1, math.exp(2 * ln_kappa_0)
    xx, xy, yy = shape[0, 0] * wave**2, shape[0, 1] * wave**2, shape[0, 2] * wave**2
    kappa2, t, profile, slope, by_n = work[0], work[1], work[2], work[3], work[4]
    for i in range(n):
        x, y = float(j_x[low + i]), float(j_y[low + i])
        kappa2[i] = xx * x * x + 2 * xy * x * y + yy * y * y
    for i in range(n):
        t[i] = math.log(max(kappa2[i], smallest))
    for i in range(n):
        t[i] = (0.5 * t[i] - ln_kappa_0) / step
        index[i] = min(int(t[i]), last)
        t[i] = min(t[i] - index[i], 1.0)
    for i in range(n):
        c, u = cubics[index[i]], t[i]
        profile[i] = c[0] + u * (c[1] + u * (c[2] + u * c[3]))
        slope[i] = (c[1] + u * (2 * c[2] + 3 * u * c[3])) / (2 * step * kappa2[i])
        by_n[i] = c[4] + u * (c[5] + u * (c[6] + u * c[7]))
    for i in range(n):
        if kappa2[i] < smallest:
            profile[i] = 1 - series[0] * kappa2[i]
            slope[i] = -series[0]
            by_n[i] = -series[1] * kappa2[i]


@_compile
def fill_spectra(out, band, phase_x, phase_y, shape, rows, grid, series):
    first, j_x, j_y, transform, wave = band
    derivatives = out.shape[0] > 1
    flat = out.reshape(out.shape[0], -1)
    shift_x, shift_y = (phase_x.size - 1) // 2, (phase_y.size - 1) // 2
    cubics = _cubics(rows)
    work, index = np.empty((5, _BLOCK)), np.empty(_BLOCK, dtype=np.int64)
    low = high = 0
    for cell in range(first.size - 1):
        model = by_x = by_y = by_size = by_e1 = by_e2 = by_n = 0j
        for i in range(first[cell], first[cell + 1]):
            if i >= high:
                low, high = i, min(i + _BLOCK, j_x.size)
                _look_up((low, high), band, shape, cubics, grid, series, work, index)
            phased = transform[i] * (phase_x[j_x[i] + shift_x] * phase_y[j_y[i] + shift_y])
            value = work[2, i - low] * phased
            model += value
            if derivatives:
                k_x, k_y = wave * j_x[i], wave * j_y[i]
                xx, xy, yy = k_x * k_x, 2 * k_x * k_y, k_y * k_y
                turned = complex(value.imag, -value.real)
                by_x += k_x * turned
                by_y += k_y * turned
                sloped = work[3, i - low] * phased
                by_size += 2 * work[0, i - low] * sloped
                by_e1 += (shape[1, 0] * xx + shape[1, 1] * xy + shape[1, 2] * yy) * sloped
                by_e2 += (shape[2, 0] * xx + shape[2, 1] * xy + shape[2, 2] * yy) * sloped
                by_n += work[4, i - low] * phased
        flat[0, cell] = model
        if derivatives:
            flat[1, cell] = by_x
            flat[2, cell] = by_y
            flat[3, cell] = by_size
            flat[4, cell] = by_e1
            flat[5, cell] = by_e2
            flat[6, cell] = by_n


@_compile
def sum_profiles(out, x, y, copies_x, copies_y, constants):
    n, b, ln_centre = constants[0], constants[1], constants[2]
    b_by_n, ln_centre_by_n = constants[3], constants[4]
    i_xx, i_xy, i_yy = constants[5], constants[6], constants[7]
    derivatives = out.shape[0] > 1
    for i in range(y.size):
        for j in range(x.size):
            total = by_x = by_y = by_n = m_xx = m_xy = m_yy = 0.0
            for k in range(copies_x.size):
                dx, dy = x[j] - copies_x[k], y[i] - copies_y[k]
                v_x = i_xx * dx + i_xy * dy
                v_y = i_xy * dx + i_yy * dy
                radius2 = max(dx * v_x + dy * v_y, 0.25)
                ln_radius = 0.5 * math.log(radius2)
                power = math.exp(ln_radius / n)
                value = math.exp(ln_centre - b * power)
                total += value
                if derivatives:
                    by_radius2 = value * power / radius2
                    by_x += by_radius2 * v_x
                    by_y += by_radius2 * v_y
                    m_xx += by_radius2 * v_x * v_x
                    m_xy += by_radius2 * v_x * v_y
                    m_yy += by_radius2 * v_y * v_y
                    by_n += value * power * (b / n * ln_radius - b_by_n)
            out[0, i, j] = total
            if derivatives:
                scale = b / (2 * n)
                out[1, i, j] = 2 * scale * by_x
                out[2, i, j] = 2 * scale * by_y
                for p in range(3):
                    q = 8 + 3 * p
                    s_xx, s_xy, s_yy = constants[q], constants[q + 1], constants[q + 2]
                    change = s_xx * m_xx + 2 * s_xy * m_xy + s_yy * m_yy
                    out[3 + p, i, j] = scale * change - 0.5 * constants[17 + p] * total
                out[6, i, j] = by_n + ln_centre_by_n * total
