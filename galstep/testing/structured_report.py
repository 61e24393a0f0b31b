"""Scores of structured galaxies as text: a line per galaxy and filter, and summaries."""

from __future__ import annotations

import numpy as np

from galstep.testing.structured_score import VERDICTS

__all__ = ["format_galaxy", "format_scores", "summary"]


def format_galaxy(title: str, rows: dict) -> str:
    """One galaxy, a line per filter; ``rows`` as `score_galaxy` gives them."""
    return "\n".join([title, *(_line(name, row) for name, row in rows.items())])


def _line(name, r):
    """Per cent, but for the pull, numbers of stars, and colours (mmag)."""
    text = (
        f"  {name} S/N {r['snr']:5.0f}  dF {100 * r['dF']:+7.1f} ({r['pull']:+7.1f} sigma) "
        f"n={r['n_components']}  e1 {100 * r['e1']:+6.1f} e2 {100 * r['e2']:+6.1f} "
        f"(sky {100 * r['s2']:+5.1f} noise {100 * r['noise2']:4.1f})  "
        f"false {r['false']:3d} (knots {r['false_knots']} core {r['false_core']}) "
        f"{100 * r['false_flux']:5.1f} excess {100 * r['excess']:+6.1f}  "
        f"missed {r['missed']}/{r['true_inside']}  "
        f"dcol {r.get('dcol', 0):+6.0f} {r.get('dcol1', 0):+6.0f}  "
        f"{r['verdict']:7s} aper {r['verdict_aper']:7s} {','.join(r['flags'])}"
    )
    return text + (f"  [covered {r['covered']:.2f}]" if r["covered"] < 0.995 else "")


def format_scores(scores: dict, galaxies: dict) -> str:
    """All galaxies, and summaries of all, by filter, by galaxy, by condition and by flag.

    Parameters
    ----------
    scores : dict of dict
        By name, as `score_galaxy` gives them.
    galaxies : dict of KnownGalaxy

    Returns
    -------
    str
    """
    lines = [
        format_galaxy(f"{name} {' '.join(galaxies[name].tags)}", rows)
        for name, rows in scores.items()
    ]
    every = [(name, f, row) for name, rows in scores.items() for f, row in rows.items()]
    lines += ["", "SUMMARY (per galaxy and filter; per cent)"]
    lines.append(summary("all", [row for _, _, row in every]))
    for f in dict.fromkeys(f for _, f, _ in every):
        lines.append(summary(f, [row for _, own, row in every if own == f]))
    for name, rows in scores.items():
        lines.append(summary(f"{name} {galaxies[name].kind}", list(rows.values())))
    for tag in ("sigma", "no_sigma", "none", "sparse", "medium", "dense"):
        rows = [row for name, _, row in every if tag in galaxies[name].tags]
        if rows:
            lines.append(summary(tag, rows))
    bright = [abs(row["e2"]) for _, _, row in every if row["snr"] > 100 and row["e2"] == row["e2"]]
    if bright:
        lines.append(f"worst |e2| of the filters with S/N > 100: {100 * max(bright):.1f}")
    lines.append(_by_flag([row for _, _, row in every]))
    return "\n".join(lines)


def _by_flag(rows):
    words = {}
    for row in rows:
        for word in row["flags"] or ["(none)"]:
            words.setdefault(word, []).append(row["verdict"])
    counts = [f"{word} {len(v)}, {v.count('right')}" for word, v in sorted(words.items())]
    return "flags (bands with it, of them right): " + "; ".join(counts)


def summary(label: str, rows: list) -> str:
    """Verdicts and medians of rows, one line."""
    return (
        f"{label:22s} n={len(rows):3d}  total: {_verdicts(rows, 'verdict')}  "
        f"aper: {_verdicts(rows, 'verdict_aper')}  "
        f"|dF| {_median(rows, 'dF', 100):5.1f} dF {_median(rows, 'dF', 100, False):+5.1f} "
        f"|pull| {_median(rows, 'pull'):5.1f}  |e1| {_median(rows, 'e1', 100):5.1f} "
        f"|e2| {_median(rows, 'e2', 100):5.1f} e2 {_median(rows, 'e2', 100, False):+5.1f}  "
        f"false {np.mean([row['false'] for row in rows]):4.1f} "
        f"flux {_median(rows, 'false_flux', 100):5.1f} "
        f"excess {_median(rows, 'excess', 100, False):+5.1f}  "
        f"missed {sum(row['missed'] for row in rows)}/{sum(row['true_inside'] for row in rows)}  "
        f"|dcol| {_median(rows, 'dcol'):4.0f} |dcol1| {_median(rows, 'dcol1'):4.0f} mmag"
    )


def _verdicts(rows, key):
    return " ".join(f"{word} {sum(row[key] == word for row in rows):2d}" for word in VERDICTS)


def _median(rows, key, scale=1.0, absolute=True):
    values = np.array([row[key] for row in rows if key in row and np.isfinite(row[key])])
    if not len(values):
        return np.nan
    return scale * float(np.median(np.abs(values) if absolute else values))
