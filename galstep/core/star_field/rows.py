"""The catalogue of a star field as plain arrays, whichever engine measured it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.table import QTable

    from galstep.core.star_field.photometry import StarField

__all__ = ["StarRows", "rows_of_field", "rows_of_photutils"]


@dataclass(frozen=True, eq=False)
class StarRows:
    """Arrays of one length; names and meaning as in photutils' PSF photometry.

    Positions are 0-based pixels, fluxes image unit x pixel, errors 1 sigma (NaN
    where not known), ``flags`` the bits of `photutils.psf.PSF_FLAGS`.
    """

    id: np.ndarray
    group_id: np.ndarray
    group_size: np.ndarray
    local_bkg: np.ndarray
    x_init: np.ndarray
    y_init: np.ndarray
    flux_init: np.ndarray
    x_fit: np.ndarray
    y_fit: np.ndarray
    flux_fit: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    flux_err: np.ndarray
    n_pixels_fit: np.ndarray
    qfit: np.ndarray
    cfit: np.ndarray
    reduced_chi2: np.ndarray
    flags: np.ndarray

    def __len__(self) -> int:
        return len(self.id)


def rows_of_field(field: StarField) -> StarRows:
    """The rows of a `galstep.core.star_field.StarField`."""
    state, quality = field.state, field.quality
    return StarRows(
        np.arange(1, len(state) + 1),
        field.group_id, field.group_size, field.local_bkg(),
        state.x_init, state.y_init, state.flux_init,
        state.x, state.y, state.flux,
        field.errors[:, 1], field.errors[:, 2], field.errors[:, 0],
        quality.n_pixels_fit, quality.qfit, quality.cfit, quality.reduced_chi2,
        field.flags,
    )  # fmt: skip


def rows_of_photutils(
    table: QTable | None, level: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> StarRows:
    """The rows of a table of `photutils.psf.PSFPhotometry`.

    Parameters
    ----------
    table : `astropy.table.QTable` or None
    level : callable
        ``level(x, y)``: the sky that was subtracted before.
    """
    integers = ("id", "group_id", "group_size", "n_pixels_fit", "flags")
    columns = {}
    for name in StarRows.__dataclass_fields__:
        kind = int if name in integers else float
        if table is None:
            columns[name] = np.zeros(0, dtype=kind)
        elif name in table.colnames:
            column = np.ma.asarray(table[name])
            columns[name] = np.asarray(column.filled(0 if kind is int else np.nan), dtype=kind)
        else:
            columns[name] = np.full(len(table), 1 if kind is int else np.nan, dtype=kind)
    columns["local_bkg"] = columns["local_bkg"] + level(columns["x_fit"], columns["y_fit"])
    return StarRows(**columns)
