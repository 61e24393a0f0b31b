"""Products beside the truth: measured, error, truth, pull."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Comparison", "compare", "format_comparison", "matched_stars"]

_SHAPE = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


@dataclass(frozen=True)
class Comparison:
    """One measured quantity and what it should have been.

    ``pull`` is (value - truth) / error, NaN where the error is not known or
    is zero.
    """

    group: str
    name: str
    value: float
    error: float
    truth: float

    @property
    def pull(self) -> float:
        """How many errors the value is off."""
        return (self.value - self.truth) / self.error if self.error > 0 else nan


def compare(
    sersic: Table, phot: Table, truth: Table, base_filter: str = "F150W"
) -> list[Comparison]:
    """Total fluxes, shape of the base filter, and colours against the truth.

    Parameters
    ----------
    sersic, phot : Table
        The products ``_sersic.ecsv`` and ``_phot.ecsv``.
    truth : Table
        As `SyntheticGalaxy.write_truth` writes it.
    base_filter : str, optional
        Whose shape is compared, and to which colours refer.

    Returns
    -------
    list of Comparison
        Groups ``"flux"``, ``"shape"`` and ``"color"``.
    """
    sersic, phot, truth = (_by_filter(table) for table in (sersic, phot, truth))
    result = [
        Comparison("flux", name, row["total_flux"], row["total_flux_err"], truth[name]["flux"])
        for name, row in phot.items()
    ]
    base = sersic[base_filter]
    for name in _SHAPE:
        true = truth[base_filter][name]
        value = base[name]
        if name == "theta":  # an axis has no direction
            value = true + (value - true + np.pi / 2) % np.pi - np.pi / 2
        result.append(Comparison("shape", name, value, base[f"{name}_err"], true))
    for name, row in phot.items():
        if name != base_filter:
            true = truth[name]["mag_ab"] - truth[base_filter]["mag_ab"]
            label = f"{name} - {base_filter}"
            result.append(Comparison("color", label, row["color"], row["color_err"], true))
    return result


def matched_stars(
    stars: Table, truth: Table, filters: Sequence[str], radius: float = 1.0, least_snr: float = 5.0
) -> dict[str, tuple[int, int, int, int]]:
    """How many stars were measured, and how many of them are stars.

    Parameters
    ----------
    stars : Table
        The product ``_stars.ecsv``.
    truth : Table
        As `SyntheticGalaxy.write_stars` writes it.
    filters : sequence of str
        The filters to count in.
    radius : float, optional
        Largest distance between a star and its true place (pixels).
    least_snr : float, optional
        S/N of the true stars, and of the measured ones, that count.

    Returns
    -------
    dict of str to (int, int, int, int)
        By filter: true stars, those found, stars measured, those without a
        true star nearby.
    """
    places = np.c_[np.asarray(truth["x"], float), np.asarray(truth["y"], float)]
    counts = {}
    for name in filters:
        measured = stars[(stars["filter"] == name) & (_plain(stars["snr"]) >= least_snr)]
        own = np.c_[_plain(measured["x"]), _plain(measured["y"])]
        bright = places[_plain(truth[f"snr_{name}"]) >= least_snr]
        found = _near(bright, own, radius)
        spurious = ~_near(own, places, radius)
        counts[name] = len(bright), int(found.sum()), len(own), int(spurious.sum())
    return counts


def format_comparison(comparisons: list[Comparison], counts: dict) -> str:
    """The comparison as text, for a terminal.

    Parameters
    ----------
    comparisons : list of Comparison
    counts : dict
        As `matched_stars` gives it.

    Returns
    -------
    str
    """
    titles = {
        "flux": "total flux (MJy/sr pix)",
        "shape": "shape (base filter; pixels, radians)",
        "color": "colour (AB mag)",
    }
    lines = []
    for group, title in titles.items():
        lines += ["", f"{title:<38}{'measured':>12}{'error':>11}{'truth':>11}{'pull':>8}"]
        for c in comparisons:
            if c.group == group:
                lines.append(
                    f"  {c.name:<36}{c.value:>12.5g}{c.error:>11.2g}{c.truth:>11.5g}{c.pull:>8.2f}"
                )
    lines.append("")
    lines.append(
        f"{'stars (S/N > 5)':<38}{'measured':>12}{'spurious':>11}{'truth':>11}{'found':>8}"
    )
    for name, (true, found, measured, spurious) in counts.items():
        lines.append(f"  {name:<36}{measured:>12}{spurious:>11}{true:>11}{found:>8}")
    return "\n".join(lines[1:])


def _by_filter(table):
    """The first row of each filter, as a dict of plain numbers."""
    rows = {}
    plain = Table(table, copy=False)
    for row in plain:
        numbers = {name: row[name] for name in plain.colnames if name != "filter"}
        rows.setdefault(str(row["filter"]), {k: getattr(v, "value", v) for k, v in numbers.items()})
    return rows


def _plain(column):
    return np.asarray(getattr(column, "value", column), dtype=float)


def _near(places, others, radius):
    """For each place, whether any of the others is within ``radius``."""
    if not len(places) or not len(others):
        return np.zeros(len(places), bool)
    return cKDTree(others).query(places)[0] <= radius
