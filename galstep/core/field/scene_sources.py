"""Rows of the catalogue as sources of a scene: types, freedom, boxes, priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.records import SourceType
from galstep.core.scene.source import N_SHAPE, SceneSource, SourceBounds, SourcePrior

if TYPE_CHECKING:
    from galstep.core.field.options import FieldOptions
    from galstep.core.field.records import FieldSources

__all__ = ["ellipticity", "scene_source", "shape_columns", "shape_vectors", "typed"]

# An exponential has n = 1, a de Vaucouleurs profile n = 4.
LN_N = {SourceType.EXP: 0.0, SourceType.DEV: np.log(4.0)}
# A source whose shape no catalogue knows has this of a typical galaxy until its light says more:
# sigma of ln r_eff about the start, of e1 and e2 about 0, of ln n about that of n = 1.5.
_SIZE_WIDTH, _E_WIDTH, _INDEX_WIDTH, _TYPICAL_N = 0.7, 0.35, 0.6, 1.5
# It is no larger than so many times the size that was measured.
_LARGEST_GROWTH, _LEAST_LIMIT = 5.0, 5.0
# Pixels, of a source whose size nobody has measured.
_LARGEST_R_EFF = 200.0
# Radians: a prior on an angle is no sharper.
_LEAST_ANGLE_WIDTH = 1e-3


def ellipticity(ellip: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(e1, e2) of 1 - b/a and an angle."""
    e = ellip / (2.0 - ellip)
    return e * np.cos(2 * theta), e * np.sin(2 * theta)


def shape_vectors(sources: FieldSources, options: FieldOptions) -> np.ndarray:
    """(N, 6) start vectors; what is not known has the options' start, and is round."""
    r_eff = np.where(sources.r_eff > 0, sources.r_eff, options.r_eff_init)
    ellip, theta = (np.nan_to_num(v, nan=0.0) for v in (sources.ellip, sources.theta))
    e1, e2 = ellipticity(np.clip(ellip, 0.0, 0.94), theta)
    ln_n = np.log(np.where(sources.n > 0, sources.n, options.n_init))
    for kind, value in LN_N.items():
        ln_n = np.where(sources.kind == kind, value, ln_n)
    z = np.column_stack([sources.x, sources.y, np.log(r_eff), e1, e2, ln_n])
    z[sources.kind == SourceType.STAR, 2:] = 0.0
    return z


def shape_columns(z: np.ndarray, kind: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `FieldSources` from vectors; NaN for what a star has not."""
    e, star = np.hypot(z[:, 3], z[:, 4]), kind == SourceType.STAR
    columns = {
        "r_eff": np.exp(z[:, 2]),
        "n": np.exp(z[:, 5]),
        "ellip": 2 * e / (1 + e),
        "theta": 0.5 * np.arctan2(z[:, 4], z[:, 3]) % np.pi,
    }
    columns = {name: np.where(star, np.nan, values) for name, values in columns.items()}
    return {"x": z[:, 0].copy(), "y": z[:, 1].copy(), **columns}


def typed(z: np.ndarray, kind: int) -> np.ndarray:
    """A vector with the index that its type has."""
    z = np.array(z, dtype=float)
    if kind in LN_N:
        z[5] = LN_N[SourceType(kind)]
    return z


def scene_source(
    sources: FieldSources, row: int, kind: int, z: np.ndarray, measured: bool, options: FieldOptions
) -> SceneSource:
    """One row as a source of a scene.

    Parameters
    ----------
    sources : FieldSources
        The catalogue: places and shapes to start from, boxes, priors.
    row : int
    kind : int
        `SourceType`, not AUTO.
    z : (6,) array
        The start vector of the row: priors and boxes are about it.
    measured : bool
        Whether the shape was measured from the image: no catalogue knows it.
    options : FieldOptions
    """
    position = not (sources.fixed_position[row] or options.forced != "none")
    shape = not (sources.fixed_shape[row] or options.forced == "shape")
    free = np.array([position] * 2 + [shape] * 4)
    free[5] &= kind == SourceType.SERSIC
    shift = sources.max_shift[row]
    shift = options.pos_max_shift if np.isnan(shift) else float(shift)
    largest = _LARGEST_R_EFF
    if measured:
        largest = max(_LARGEST_GROWTH * np.exp(z[2]), _LEAST_LIMIT)
    bounds = SourceBounds(
        x=(float(z[0]) - shift, float(z[0]) + shift),
        y=(float(z[1]) - shift, float(z[1]) + shift),
        r_eff=(0.3, float(max(largest, np.exp(z[2])))),
    )
    point = kind == SourceType.STAR
    return SceneSource(point, free, bounds, _prior(sources, row, z, point, measured, options))


def _prior(sources, row, z, point, measured, options):
    precision, mean = np.zeros((N_SHAPE, N_SHAPE)), z.copy()
    n_bands = sources.n_bands
    flux_mean, flux_precision = np.zeros(n_bands), np.zeros(n_bands)
    if options.use_priors:
        priors = sources.priors
        precision[[0, 1], [0, 1]] = _inverse_square(priors.position[row])
        known = np.isfinite(sources.flux[row])
        flux_mean = np.where(known, sources.flux[row], 0.0)
        flux_precision = np.where(known, _inverse_square(priors.flux[row]), 0.0)
        if not point:
            precision[2, 2] = _inverse_square(priors.r_eff[row] / np.exp(z[2]))
            precision[5, 5] = _inverse_square(priors.n[row] / np.exp(z[5]))
            precision[3:5, 3:5] = _angle_precision(priors.ellip[row], priors.theta[row], z)
    if options.shape_priors and measured and not point:
        if not precision[2, 2]:
            precision[2, 2] = 1 / _SIZE_WIDTH**2
        if not precision[3:5, 3:5].any():
            mean[3:5], precision[[3, 4], [3, 4]] = 0.0, 1 / _E_WIDTH**2
        if not precision[5, 5]:
            mean[5], precision[5, 5] = np.log(_TYPICAL_N), 1 / _INDEX_WIDTH**2
    if not precision.any() and not flux_precision.any():
        return None
    return SourcePrior(mean, precision, flux_mean, flux_precision)


def _inverse_square(width):
    """1 / width^2; 0 for what is no width."""
    width = np.asarray(width, dtype=float)
    good = np.isfinite(width) & (width > 0)
    return np.where(good, 1.0 / np.where(good, width, 1.0) ** 2, 0.0)


def _angle_precision(ellip_width, theta_width, z):
    """Precision of (e1, e2) from widths of 1 - b/a and of the angle."""
    e = np.hypot(z[3], z[4])
    along = np.array([z[3], z[4]]) / e if e > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    ellip = 2 * e / (1 + e)
    radial = _inverse_square(ellip_width * 2 / (2 - ellip) ** 2)
    width = 2 * e * theta_width
    tangential = _inverse_square(max(width, _LEAST_ANGLE_WIDTH) if width > 0 else np.nan)
    return radial * np.outer(along, along) + tangential * np.outer(across, across)
