"""The state of a fitted field as the record that leaves core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.field.records import SourceType
from galstep.core.field.results import BandSky, BlockRecord, FieldResult, SourceErrors
from galstep.core.field.scene_sources import shape_columns
from galstep.core.field.tasks import noise_scales, scaled_errors
from galstep.flags import FieldFlag

if TYPE_CHECKING:
    from galstep.core.field.state import FieldState

__all__ = ["field_result"]

# A source counts as moving beyond so many times what ends the rounds.
_MOVING = 3.0
# Coupling, masked share and chi2 per pixel beyond which a row is flagged.
_BLENDED, _MOSTLY_MASKED, _POOR = 0.2, 0.5, 1.5
# a source whose ln r_eff has this error or a larger one has the shape of its prior
_PRIOR_ERROR = 0.45


def field_result(field: Any) -> FieldResult:
    """Gather everything, in the order of the rows.

    Parameters
    ----------
    field : the field that `galstep.core.field.rounds.fit_field` works on
    """
    state: FieldState = field.state
    n, n_bands = len(state), len(field.bands)
    columns = _Columns(n, n_bands)
    for row in state.active:
        if row in state.results:
            columns.fill(row, *state.results[row])
    sources = _sources(state)
    columns.enlarge(field, sources)
    moved = state.moved
    fitted = np.isin(np.arange(n), list(state.results))
    failed = np.isin(np.arange(n), list(state.failed))
    converged = fitted & ~failed & (moved <= _MOVING * state.options.still)
    blend = _blends(state)
    block = np.full(n, -1)
    for own in field.blocks:
        block[own.rows] = own.number
    result = FieldResult(
        sources=sources,
        errors=_errors(columns, state, n_bands),
        covariance=columns.covariance,
        free=columns.free,
        at_bound=columns.at_bound,
        issues=[state.failed.get(row, "") for row in range(n)],
        n_iterations=state.n_iterations,
        converged=converged,
        chi2=columns.chi2,
        sky=_sky_at(field, sources),
        frac_masked=columns.frac_masked,
        blend=blend,
        type_chi2=state.type_chi2,
        block=block,
        flux_psf_err=columns.flux_psf_err,
        noise=field.noise,
        skies=[BandSky(s.mesh.shape, s.mesh.scale, s.factors()) for s in field.skies],
        blocks=_blocks(field),
        rounds=field.rounds,
    )
    flags = _flags(result, state, columns.seen, fitted & ~failed)
    return replace(result, sources=sources.with_columns(flags=flags))


class _Columns:
    """Results source by source, NaN where there is none."""

    def __init__(self, n, n_bands):
        self.covariance = [np.zeros((0, 0)) for _ in range(n)]
        self.free = np.zeros((n, 6), dtype=bool)
        self.at_bound = [""] * n
        self.chi2, self.frac_masked = (np.full((n, n_bands), np.nan) for _ in range(2))
        self.seen = np.zeros((n, n_bands), dtype=bool)
        self.flux_psf_err = np.full((n, n_bands), np.nan)

    def enlarge(self, field, sources):
        """Errors by correlated noise, then those of fluxes by what is not known of the PSF."""
        point = sources.kind == SourceType.STAR
        r_eff = np.where(point, 0.0, sources.r_eff * np.sqrt(1 - sources.ellip))
        sizes = np.stack([r_eff * band.pixel_map.scale for band in field.bands], axis=1)
        factors = noise_scales(field.noise.at(np.nan_to_num(sizes)), field.state.flux)
        for b, band in enumerate(field.bands):
            if band.psf_errors is None:
                self.flux_psf_err[:, b] = 0.0
            else:
                relative = band.psf_errors.at(sizes[:, b], point)
                self.flux_psf_err[:, b] = np.abs(field.state.flux[:, b]) * relative
        for row, covariance in enumerate(self.covariance):
            if not len(covariance):
                self.flux_psf_err[row] = np.nan
                continue
            n_free = len(covariance) - len(field.bands)
            scaled = scaled_errors(covariance, n_free, *factors[row])
            own = np.arange(n_free, len(covariance))
            scaled[own, own] += np.nan_to_num(self.flux_psf_err[row]) ** 2
            self.covariance[row] = scaled

    def fill(self, row, result, k):
        """Take over what a block says of one of its own."""
        n_free = int(np.count_nonzero(result.free[k]))
        covariance = np.array(result.covariance[k])
        blind = np.concatenate([np.zeros(n_free, dtype=bool), ~result.seen[k]])
        covariance[blind], covariance[:, blind] = np.nan, np.nan
        self.covariance[row], self.free[row] = covariance, result.free[k]
        self.at_bound[row] = result.at_bound[k]
        pixels = np.where(result.own_pixels[k] > 0, result.own_pixels[k], np.nan)
        self.chi2[row] = result.own_chi2[k] / pixels
        self.frac_masked[row], self.seen[row] = result.frac_masked[k], result.seen[k]


def _sources(state):
    """The rows with their fitted values."""
    fitted = state.sources.fit
    columns = shape_columns(state.z, state.kind)
    flux = np.where(fitted[:, None], state.flux, state.sources.flux)
    for row, (result, k) in state.results.items():
        flux[row, ~result.seen[k]] = np.nan
    own = {
        name: np.where(fitted, values, getattr(state.sources, name))
        for name, values in columns.items()
    }
    return state.sources.with_columns(flux=flux, kind=state.kind.copy(), **own)


def _errors(columns, state, n_bands):
    n = len(state)
    out = {name: np.full(n, np.nan) for name in ("x", "y", "r_eff", "n", "ellip", "theta")}
    flux = np.full((n, n_bands), np.nan)
    for row, covariance in enumerate(columns.covariance):
        if not len(covariance):
            continue
        free = columns.free[row]
        n_free = int(np.count_nonzero(free))
        flux[row] = np.sqrt(np.diag(covariance)[n_free:])
        shape = np.zeros((6, 6))
        shape[np.ix_(free, free)] = covariance[:n_free, :n_free]
        sigma = np.where(free, np.sqrt(np.diag(shape)), np.nan)
        z = state.z[row]
        out["x"][row], out["y"][row] = sigma[:2]
        if free[2]:
            out["r_eff"][row] = np.exp(z[2]) * sigma[2]
        if free[5]:
            out["n"][row] = np.exp(z[5]) * sigma[5]
        if free[3] and free[4]:
            out["ellip"][row], out["theta"][row] = _ellipse_errors(z[3:5], shape[3:5, 3:5])
    return SourceErrors(flux=flux, **out)


def _ellipse_errors(e, covariance):
    """Errors of 1 - b/a and of the angle; that of a round source is any."""
    size = float(np.hypot(*e))
    along = e / size if size > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    radial = np.sqrt(max(along @ covariance @ along, 0.0))
    tangential = np.sqrt(max(across @ covariance @ across, 0.0))
    # the error of a uniform angle is the most that there is
    most = np.pi / np.sqrt(12)
    angle = min(tangential / (2 * size), most) if size > 0 else most
    return radial * 2 / (1 + size) ** 2, angle


def _blends(state):
    blend = np.zeros(len(state))
    np.maximum.at(blend, state.links.i, state.links.coupling)
    np.maximum.at(blend, state.links.j, state.links.coupling)
    return np.where(state.sources.fit, blend, np.nan)


def _sky_at(field, sources):
    sky = np.full((len(sources), len(field.bands)), np.nan)
    for b, (band, own) in enumerate(zip(field.bands, field.skies, strict=True)):
        if own.mesh.n_terms:
            x, y = band.pixel_map.points(sources.x, sources.y)
            sky[:, b] = own.mesh.values(x, y, own.factors())
        else:
            sky[:, b] = 0.0
    return sky


def _blocks(field):
    records = []
    for block in field.blocks:
        if block.number not in field.records:
            continue
        task, result, reason = field.records[block.number]
        n_bands = len(field.bands)
        records.append(
            BlockRecord(
                block=block.number,
                box=task.box,
                rows=block.rows,
                n_iterations=0 if result is None else result.n_iterations,
                chi2=np.full(n_bands, np.nan) if result is None else result.chi2,
                n_pixels=np.zeros(n_bands, dtype=int) if result is None else result.n_pixels,
                sky=[] if result is None else result.sky,
                seconds=field.spent.get(block.number, 0.0),
                reason=reason,
            )
        )
    return records


def _flags(result, state, seen, fitted):
    flags = np.array(result.sources.flags, dtype=np.int64)
    profile = fitted & (result.sources.kind != SourceType.STAR)
    uncertain = np.nan_to_num(result.errors.r_eff / result.sources.r_eff, nan=0.0) > _PRIOR_ERROR
    with np.errstate(invalid="ignore"):
        conditions = {
            FieldFlag.AT_BOUND: np.array([bool(text) for text in result.at_bound], dtype=bool),
            FieldFlag.NOT_CONVERGED: fitted & ~result.converged,
            FieldFlag.FAILED: np.array([bool(text) for text in result.issues], dtype=bool),
            FieldFlag.NO_DATA: fitted & ~seen.all(axis=1),
            FieldFlag.MOSTLY_MASKED: fitted & (result.frac_masked > _MOSTLY_MASKED).any(axis=1),
            FieldFlag.BLENDED: fitted & (result.blend > _BLENDED),
            FieldFlag.TYPE_CHOSEN: fitted & state.chosen,
            FieldFlag.SHAPE_FROM_PRIOR: profile & state.measured & uncertain,
            FieldFlag.POOR_FIT: fitted & (result.chi2 > _POOR).any(axis=1),
        }
    for flag, where in conditions.items():
        flags[where] |= int(flag)
    return flags
