"""Injected sources and what was measured of them, as rows of one record."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.injection.recovery import (
    completeness,
    galaxy_pulls,
    isolated,
    match_stars,
    purity,
    rate_by_snr,
    summarise,
)
from galstep.flags import BandFlag
from galstep.records import Injections

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from galstep.core.injection.sources import InjectedGalaxy, InjectedStars
    from galstep.records import SersicFit, StarList

__all__ = [
    "MATCH_FWHM",
    "SNR_EDGES",
    "collect",
    "galaxy_rows",
    "rounded",
    "star_rows",
    "summary_of",
]

# d mag / d ln flux.
MAG_PER_LN = 2.5 / np.log(10)
PULLS = ("flux", "r_eff", "n", "ellip", "color")
#: Bins of the stars' S/N; the last is open.
SNR_EDGES = (3.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf)
# A fit that says of itself that it went wrong is not part of the statistics.
FAILED = (
    BandFlag.NOT_FITTED | BandFlag.NOT_CONVERGED | BandFlag.AT_BOUND | BandFlag.CORE_CROWDED
)  # fmt: skip
#: A measured star is an injected one within this distance (FWHM).
MATCH_FWHM = 0.5
_INTEGERS = ("number", "found", "isolated", "flags")
_TEXTS = ("kind", "filter")


def galaxy_rows(
    number: int,
    names: Sequence[str],
    truth: InjectedGalaxy,
    offsets: Sequence[Sequence[float] | np.ndarray],
    fits: Sequence[tuple[SersicFit, Sequence[int]] | None],
    flags: Sequence[int],
    covariance: np.ndarray | None = None,
    base: int = 0,
) -> list[dict[str, Any]]:
    """One injected galaxy, a row per filter.

    Parameters
    ----------
    number : int
        Of the galaxy.
    names : sequence of str
        The filters.
    truth : `galstep.core.injection.sources.InjectedGalaxy`
        Its centre in the base filter's pixels of the frame.
    offsets : sequence of (dx, dy)
        Where each filter has it, minus that.
    fits : sequence of (`galstep.records.SersicFit`, (x, y)) or None
        What was measured, and the first pixel of the box; None where nothing was.
    flags : sequence of int
    covariance : (nb, nb) array, optional
        Of the fluxes; by default they count as independent.
    base : int, optional
        The filter that colours refer to.

    Returns
    -------
    list of dict
    """
    rows = []
    for i, name in enumerate(names):
        params = truth.params.moved(*offsets[i])
        row = {
            "kind": "galaxy",
            "number": number,
            "filter": name,
            "found": int(fits[i] is not None),
            "isolated": 1,
            "flags": flags[i],
            "x_true": params.x_0,
            "y_true": params.y_0,
            "flux_true": truth.flux[i],
            **{f"{key}_true": getattr(params, key) for key in ("r_eff", "n", "ellip")},
        }
        if fits[i] is not None:
            row |= _measured_galaxy(*fits[i], params, truth.flux[i])  # type: ignore[call-arg]
            if i != base and fits[base] is not None:
                row |= _colour(i, base, fits, truth.flux, covariance)
        rows.append(row)
    return rows


def _measured_galaxy(fit, corner, params, flux):
    own = fit.params.moved(*corner)
    pulls = galaxy_pulls(fit, params.moved(-corner[0], -corner[1]), flux)
    return {
        "x": own.x_0,
        "x_err": fit.x_0_err,
        "y": own.y_0,
        "y_err": fit.y_0_err,
        "flux": fit.flux,
        "flux_err": fit.flux_err,
        "snr": flux / fit.flux_err if fit.flux_err > 0 else np.nan,
        **{key: getattr(own, key) for key in ("r_eff", "n", "ellip")},
        **{f"{key}_err": getattr(fit, f"{key}_err") for key in ("r_eff", "n", "ellip")},
        **{f"pull_{key}": pulls[key] for key in ("flux", "r_eff", "n", "ellip")},
    }


def _colour(i, base, fits, true_flux, covariance):
    """Magnitude minus that of the base, to first order in the errors."""
    (own, _), (other, _) = fits[i], fits[base]
    if not true_flux[i] / true_flux[base] > 0:
        return {}
    row = {"color_true": -MAG_PER_LN * np.log(true_flux[i] / true_flux[base])}
    if not (own.flux > 0 and other.flux > 0):
        return row
    row["color"] = -MAG_PER_LN * np.log(own.flux / other.flux)
    variances, cross = (own.flux_err**2, other.flux_err**2), 0.0
    if covariance is not None:
        variances = covariance[i, i], covariance[base, base]
        cross = covariance[i, base]
    variance = (
        variances[0] / own.flux**2
        + variances[1] / other.flux**2
        - 2 * cross / (own.flux * other.flux)
    )
    row["color_err"] = MAG_PER_LN * np.sqrt(max(variance, 0.0))
    if row["color_err"] > 0:
        row["pull_color"] = (row["color"] - row["color_true"]) / row["color_err"]
    return row


def star_rows(
    first: int,
    names: Sequence[str],
    truth: InjectedStars,
    offsets: Sequence[Sequence[float] | np.ndarray],
    error: Sequence[float] | np.ndarray,
    measured: Sequence[StarList | None],
    frame_stars: Sequence[StarList | None],
    fwhm: Sequence[float] | np.ndarray,
) -> list[dict[str, Any]]:
    """Injected stars, a row per star and filter.

    Parameters
    ----------
    first : int
        Number of the first.
    names : sequence of str
    truth : `galstep.core.injection.sources.InjectedStars`
    offsets : sequence of (dx, dy)
        Where each filter has them, minus their positions.
    error : (nb,) array
        Flux error of a faint star.
    measured, frame_stars : sequences of `galstep.records.StarList` or None
        Per filter, with the injected stars and without.
    fwhm : (nb,) array
        Of the PSFs (pixels).

    Returns
    -------
    list of dict
    """
    rows, reach = [], MATCH_FWHM * min(fwhm)
    for i, name in enumerate(names):
        x, y, flux = truth.x + offsets[i][0], truth.y + offsets[i][1], truth.flux[i]
        stars = measured[i]
        match = np.full(len(x), -1)
        if stars is not None:
            match = match_stars(x, y, flux, stars, reach)
        alone = isolated(x, y, flux, frame_stars[i], fwhm[i])
        for k, m in enumerate(match):
            row = {
                "kind": "star",
                "number": first + k,
                "filter": name,
                "found": int(m >= 0),
                "isolated": int(alone[k]),
                "flags": 0,
                "snr": flux[k] / error[i],
                "x_true": x[k],
                "y_true": y[k],
                "flux_true": flux[k],
            }
            rows.append(row | (_measured_star(stars, m, flux[k]) if m >= 0 else {}))
    return rows


def _measured_star(stars, m, flux):
    row = {key: getattr(stars, key)[m] for key in ("x", "x_err", "y", "y_err", "flux", "flux_err")}
    row["flags"] = int(stars.flags[m])
    if row["flux_err"] > 0:
        row["pull_flux"] = (row["flux"] - flux) / row["flux_err"]
    return row


def rounded(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with eight digits of each number, six decimals of each pull.

    The last bits of a fit depend on where its arrays lie in memory; without
    them the same seed gives the same bytes.
    """
    return [{name: _rounded(name, value) for name, value in row.items()} for row in rows]


def _rounded(name, value):
    if name in _TEXTS or name in _INTEGERS:
        return value
    return round(float(value), 6) if name.startswith("pull_") else float(f"{value:.8g}")


def collect(rows: Sequence[Mapping[str, Any]], summary: dict[str, Any]) -> Injections:
    """The record of all rows; what a row does not name is NaN."""
    columns: dict[str, Any] = {}
    for column in fields(Injections):
        name = column.name
        if name in _TEXTS:
            columns[name] = tuple(row[name] for row in rows)
        elif name in _INTEGERS:
            columns[name] = np.array([row[name] for row in rows], dtype=int)
        elif name != "summary":
            columns[name] = np.array([row.get(name, np.nan) for row in rows], dtype=float)
    return Injections(**columns, summary=summary)


def summary_of(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    listed: Mapping[str, np.ndarray],
    spurious: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """The statistics of each filter.

    Parameters
    ----------
    rows : list of dict
        From `galaxy_rows` and `star_rows`.
    names : sequence of str
    listed, spurious : dict of str to array
        S/N of the stars that the frame's own fit lists, and of those that it finds
        where there are none in a frame like it.

    Returns
    -------
    dict
        By filter: ``galaxies`` (count, failed, and per quantity a
        `galstep.core.injection.recovery.PullSummary` as a dict) and ``stars`` (S/N bins
        with injected, found, isolated, isolated_found, listed, spurious, and completeness
        and purity with their intervals; pulls of flux, x, y).
    """
    result = {}
    for name in names:
        own = [row for row in rows if row["filter"] == name]
        result[name] = {
            "galaxies": _galaxy_summary([row for row in own if row["kind"] == "galaxy"]),
            "stars": _star_summary(
                [row for row in own if row["kind"] == "star"], listed[name], spurious[name]
            ),
        }
    return result


def _galaxy_summary(rows):
    sound = [row for row in rows if row["found"] and not row["flags"] & int(FAILED)]
    pulls = {key: _plain([row.get(f"pull_{key}", np.nan) for row in sound]) for key in PULLS}
    return {"count": len(rows), "failed": len(rows) - len(sound), **pulls}


def _plain(pulls):
    return asdict(summarise(pulls))


def _bin(index, every, isolated, listed, spurious):
    """Counts and shares of one bin of S/N; pairs are (found, injected)."""
    shares = {
        "completeness": completeness(*every),
        "isolated_completeness": completeness(*isolated),
        "purity": purity(spurious, listed),
    }
    ends = ("", "_low", "_high")
    return {
        "snr_min": SNR_EDGES[index],
        "snr_max": SNR_EDGES[index + 1],
        "found": every[0],
        "injected": every[1],
        "isolated_found": isolated[0],
        "isolated": isolated[1],
        "listed": listed,
        "spurious": spurious,
        **{
            f"{name}{end}": v
            for name, own in shares.items()
            for end, v in zip(ends, own, strict=True)
        },
    }


def _star_summary(rows, listed, spurious):
    snr = np.array([row["snr"] for row in rows])
    found = np.array([row["found"] for row in rows], dtype=bool)
    alone = np.array([row["isolated"] for row in rows], dtype=bool)
    every = rate_by_snr(snr, found, SNR_EDGES)
    clear = rate_by_snr(snr[alone], found[alone], SNR_EDGES)
    counts = [
        [n for _, n in rate_by_snr(values, np.ones(len(values), bool), SNR_EDGES)]
        for values in (listed, spurious)
    ]
    bins = [_bin(k, every[k], clear[k], counts[0][k], counts[1][k]) for k in range(len(every))]
    hit = [row for row in rows if row["found"]]
    pulls = {"flux": _plain([row.get("pull_flux", np.nan) for row in hit])}
    for axis in ("x", "y"):
        pulls[axis] = _plain(
            [(row[axis] - row[f"{axis}_true"]) / (row[f"{axis}_err"] or np.nan) for row in hit]
        )
    return {"bins": bins, **pulls}
