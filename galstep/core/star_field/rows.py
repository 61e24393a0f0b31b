"""The catalogue of a star field as plain arrays, whichever engine measured it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.star_field.given import next_ids
from galstep.core.star_field.quality import group_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.table import QTable

    from galstep.core.star_field.given import GivenStars
    from galstep.core.star_field.photometry import StarField

__all__ = ["StarRows", "rows_of_field", "rows_of_photutils", "with_given"]

# What a fit leaves in a row.
_FITTED = (
    "x_fit", "y_fit", "flux_fit", "x_err", "y_err", "flux_err", "qfit", "cfit", "reduced_chi2",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StarRows:
    """Arrays of one length; names and meaning as in photutils' PSF photometry.

    Positions are 0-based pixels, fluxes image unit x pixel, errors 1 sigma (NaN
    where not known), ``flags`` the bits of `photutils.psf.PSF_FLAGS`.
    """

    id: np.ndarray
    group_id: np.ndarray
    group_size: np.ndarray
    iter_detected: np.ndarray
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
    """The rows of a `galstep.core.star_field.photometry.StarField`.

    Stars that were given come first, each in its place and under its id. What was
    not measured of them is NaN, with the flags that say why.
    """
    state, quality = field.state, field.quality
    rows = StarRows(
        np.arange(1, len(state) + 1),
        field.group_id, field.group_size, state.round, field.local_bkg(),
        state.x_init, state.y_init, state.flux_init,
        state.x, state.y, state.flux,
        field.errors[:, 1], field.errors[:, 2], field.errors[:, 0],
        quality.n_pixels_fit, quality.qfit, quality.cfit, quality.reduced_chi2,
        field.flags,
    )  # fmt: skip
    if field.measured is not None and not field.measured.all():
        rows = _without_numbers(rows, ~field.measured, field.held)
    if field.given is None:
        return rows
    return with_given(rows, field.given, state.number, field.model.image.shape)


def _without_numbers(rows, which, held):
    """NaN in place of what a fit without data has left; places that were held stay."""
    from photutils.psf import PSF_FLAGS

    changed = {name: np.array(getattr(rows, name)) for name in _FITTED}
    for name, values in changed.items():
        own = which & ~held if name in ("x_fit", "y_fit") else which
        values[own] = np.nan
    flags = rows.flags.copy()
    flags[which] &= ~PSF_FLAGS.NEGATIVE_FLUX
    flags[which] |= PSF_FLAGS.NON_FINITE_FLUX | PSF_FLAGS.NO_COVARIANCE
    flags[which & ~held] |= PSF_FLAGS.NON_FINITE_POSITION
    flags[which & (rows.n_pixels_fit > 0)] |= PSF_FLAGS.TOO_FEW_PIXELS
    return replace(rows, **changed, flags=flags)


def with_given(
    rows: StarRows, given: GivenStars, number: np.ndarray, shape: tuple[int, int]
) -> StarRows:
    """Rows in the order of the stars that were given, those not fitted among them.

    Parameters
    ----------
    rows : StarRows
        Of the fit.
    given : `galstep.core.star_field.given.GivenStars`
    number : (N,) int array
        Which given star each row is; -1 for those that were found.
    shape : (ny, nx)
        Of the image.

    Returns
    -------
    StarRows
    """
    from photutils.psf import PSF_FLAGS

    n_given, found = len(given), np.flatnonzero(number < 0)
    fitted = np.full(n_given, -1)
    fitted[number[number >= 0]] = np.flatnonzero(number >= 0)
    index = np.concatenate([fitted, found])
    lost = index < 0
    columns = {}
    for name in StarRows.__dataclass_fields__:
        values = np.asarray(getattr(rows, name))
        filler = np.nan if values.dtype.kind == "f" else 0
        columns[name] = np.where(lost, filler, values[index] if len(values) else filler)
        columns[name] = columns[name].astype(values.dtype)
    columns["id"] = np.concatenate([given.id, next_ids(given.id, len(found))])
    of_given = ("x_init", "x"), ("y_init", "y"), ("flux_init", "flux")
    for name, own in of_given:
        columns[name][:n_given][lost[:n_given]] = getattr(given, own)[lost[:n_given]]
    columns["iter_detected"][lost] = 1
    columns["group_size"][lost] = 1
    largest = int(columns["group_id"].max(initial=0))
    columns["group_id"][lost] = np.arange(largest + 1, largest + 1 + np.count_nonzero(lost))
    if given.group_id is not None:
        columns["group_id"][:n_given] = given.group_id
        columns["group_size"] = group_sizes(columns["group_id"])
    placed = np.append(given.placed(), np.ones(len(found), dtype=bool))
    flags = columns["flags"]
    flags[lost] = (
        PSF_FLAGS.NON_FINITE_FLUX | PSF_FLAGS.NON_FINITE_POSITION
        | PSF_FLAGS.NO_COVARIANCE | PSF_FLAGS.N_PIXELS_FIT_PARTIAL
    )  # fmt: skip
    flags[lost & placed] |= PSF_FLAGS.NO_OVERLAP | PSF_FLAGS.OUTSIDE_BOUNDS
    if given.local_bkg is not None:
        flags[:n_given][~np.isfinite(given.local_bkg)] |= PSF_FLAGS.NON_FINITE_LOCALBKG
    return StarRows(**columns)


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
    integers = ("id", "group_id", "group_size", "iter_detected", "n_pixels_fit", "flags")
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
