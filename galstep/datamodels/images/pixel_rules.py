"""Which pixels have no data though nothing masks them, and which errors cannot be true.

Zeros. Pipelines fill with zeros beyond the edge of a detector; photon counts are zero
where no photon came. A zero by itself tells nothing: what is filled is a solid area that
reaches the border, too large to be chance among pixels that are zero as often as those
beside pixels that are not, and that ends at a full step: a model without noise fades.

Errors. One that is a hundredth of what the best pixels have is a flaw of the error plane:
its pixel would decide the fit alone. Errors below the rounding of the data are none.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, binary_opening, label

from galstep.exceptions import InputError

__all__ = ["check_error_scale", "filled_border", "flawed_errors", "least_error"]

# What is filled makes up at least this share of the frame.
LEAST_SHARE = 1e-3
# Such areas come about by chance in one of so many frames.
ONE_IN = 1e3
# Beside a value, a zero as rare as this is the edge of a filled area and no measured value:
# a circle of 45 pixels has a share of 0.014.
RARE = 0.03
# Where nearly all is zero, nothing tells a border from the dark between two photons.
MOST = 0.98
# The smallest solid area (pixels a side).
LEAST_SIDE = 3
# At a fade the pixels beside the area are this faint beside the others.
FADE = 0.01
# An error this far below that of the best pixels is none; who they are.
FLAW, BEST = 0.01, 1.0
# Values that a percentile is taken of.
MOST_SAMPLES = 250_000


def filled_border(data: np.ndarray) -> np.ndarray | None:
    """The pixels that were filled with zeros beyond the edge of the data.

    Parameters
    ----------
    data : (ny, nx) array
        NaN counts as no value.

    Returns
    -------
    (ny, nx) bool array or None
        None if there are none.
    """
    zero = np.asarray(data) == 0
    if np.count_nonzero(zero) < LEAST_SHARE * zero.size:
        return None
    share = _chance_of_zero(data, zero)
    if share > MOST:
        return None
    if share < RARE:
        filled = _at_border(zero, LEAST_SHARE * zero.size)
    else:
        # a solid square of zeros somewhere in the frame by chance: once in ONE_IN frames
        side = max(LEAST_SIDE, int(np.ceil(np.sqrt(np.log(ONE_IN * zero.size) / -np.log(share)))))
        if side > min(zero.shape):
            return None
        filled = _at_border(binary_opening(zero, np.ones((side, side), dtype=bool)))
    if np.count_nonzero(filled) < LEAST_SHARE * zero.size:
        return None
    return None if _fades(data, filled) else filled


def _chance_of_zero(data, zero):
    """How often the neighbour of a pixel with a value is zero."""
    other = np.isfinite(data) & ~zero
    pairs = zeros = 0
    for axis in (0, 1):
        one, two = (np.moveaxis(a, axis, 0) for a in (other, zero))
        for value, beside in ((one[:-1], two[1:]), (one[1:], two[:-1])):
            pairs += np.count_nonzero(value)
            zeros += np.count_nonzero(value & beside)
    return zeros / max(pairs, 1)


def _at_border(mask, least=0.0):
    """The connected parts of a mask that touch the border and have so many pixels."""
    parts, _ = label(mask)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    large = np.flatnonzero(np.bincount(parts.ravel()) >= least)
    return np.isin(parts, np.intersect1d(border[border > 0], large))


def _fades(data, filled):
    """Whether the light goes out before the area begins: there is no edge."""
    beside = binary_dilation(filled) & ~filled & np.isfinite(data)
    others = np.abs(data[np.isfinite(data) & ~filled])
    if not beside.any():
        return True
    return np.median(np.abs(data[beside])) < FADE * np.median(others)


def least_error(err: np.ndarray, data: np.ndarray) -> float:
    """What an error is at least, to be one.

    Parameters
    ----------
    err : (ny, nx) array
        1-sigma errors; what is not positive and finite does not count.
    data : (ny, nx) array

    Returns
    -------
    float
        A hundredth of what the best per cent of the pixels have; 0 without any.
    """
    values = _sample(err)[np.isfinite(_sample(data))]
    values = values[np.isfinite(values) & (values > 0)]
    return FLAW * float(np.percentile(values, BEST)) if len(values) else 0.0


def flawed_errors(count: int) -> str:
    """What is said of pixels whose errors are below `least_error`."""
    return f"pixels with an error below {FLAW:g} of that of the best ones, taken as bad: {count}"


def check_error_scale(err: np.ndarray, data: np.ndarray, where: str) -> None:
    """Raise `InputError` for errors that are below the rounding of the data.

    Parameters
    ----------
    err, data : (ny, nx) arrays
    where : str
        What messages call the image.
    """
    errors, values = _sample(err), np.abs(_sample(data))
    known = np.isfinite(errors) & (errors > 0) & np.isfinite(values)
    if not known.any():
        return
    typical, largest = np.median(errors[known]), values[known].max()
    if typical < np.finfo(float).eps * largest:
        raise InputError(
            f"{where}: errors must be in the unit of the image: they are {typical:.3g} where "
            f"values go up to {largest:.3g}, less than these are rounded by"
        )


def _sample(plane):
    """Some hundred thousand values on a lattice."""
    ny, nx = plane.shape
    step = max(1, int(np.sqrt(ny * nx / MOST_SAMPLES)))
    return np.asarray(plane[::step, ::step], dtype=float)
