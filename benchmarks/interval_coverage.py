"""How often the quoted intervals hold the truth, beside how often they say.

    python benchmarks/interval_coverage.py [--n 120] [--jobs 1] [--rows FILE]

Fresh synthetic scenes (`galstep.testing.make_scene`), each with its own seed: a galaxy
in three filters among stars, 141 x 141 pixels. S/N 20 to 500 in every filter, r_eff 4 to 10
pixels, n 0.8 to 4, all drawn evenly in the logarithm; 15, 60 and 150 stars; white
noise and noise correlated over 2 pixels (FWHM) in turn; with an error plane and
without, in turn. Each is measured by the steps BaseFit, ScaleFit and JointFit with
their defaults. Counted is how often |measured - true| is below 1 and below 2 errors: of
the fluxes, the colours against F150W, ln r_eff and ln n. Fits that flag themselves
(not_fitted, not_converged, at_bound, core_crowded) are counted and left out.

With ``--rows`` every scene's result is added to a file (JSON, a line per
scene), and scenes that are in it are not run again.
"""

import argparse
import itertools
import json
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from galstep.core.injection.rows import FAILED, galaxy_rows
from galstep.core.injection.sources import InjectedGalaxy
from galstep.records import SersicParams
from galstep.steps.refit import refit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

FILTERS, BASE, SIDE = ("F150W", "F555W", "F277W"), "F150W", 141
CROWDING = {15: "sparse", 60: "medium", 150: "dense"}
SNR, R_EFF, N = (20.0, 500.0), (4.0, 10.0), (0.8, 4.0)
QUANTITIES = ("flux", "color", "r_eff", "n", "ellip")
# What 1 and 2 sigma of a Gaussian hold.
EXPECTED = (0.683, 0.954)


def log_uniform(rng, limits):
    """A number drawn evenly in the logarithm."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def drawn_scene(seed):
    """A scene and what is special about it."""
    rng = np.random.default_rng([1, seed])
    n_stars = tuple(CROWDING)[seed % 3]
    noise = ("white", "correlated")[seed // 3 % 2]
    with_error = bool(seed // 6 % 2)
    middle = (SIDE - 1) / 2
    sersic = SersicParams(
        middle + rng.uniform(-2, 2),
        middle + rng.uniform(-2, 2),
        log_uniform(rng, R_EFF),
        log_uniform(rng, N),
        rng.uniform(0.1, 0.6),
        rng.uniform(0, np.pi),
    )
    snr = {name: log_uniform(rng, SNR) for name in FILTERS}
    scene = make_scene(
        seed, (SIDE, SIDE), n_stars, FILTERS, snr, sersic=sersic, noise=noise, psf_size=161
    )
    kind = {"seed": seed, "n_stars": n_stars, "noise": noise, "error_plane": with_error}
    return scene, kind | {"snr": snr}


def measured(seed):
    """The result of one scene: its kind, flags, and pulls by filter."""
    logging.disable(logging.WARNING)
    scene, kind = drawn_scene(seed)
    model = unfitted_model(scene)
    if not kind["error_plane"]:
        for band in model.bands.values():
            band.err = None
    fitted = refit(model, {}, BASE)
    own = [fitted.bands[name] for name in FILTERS]
    truth = InjectedGalaxy(scene.truth.sersic, tuple(scene.truth.fluxes[n] for n in FILTERS))
    joint = fitted.joint
    covariance = None
    if joint is not None:
        order = [joint.filters.index(name) for name in FILTERS]
        covariance = joint.flux_covariance[np.ix_(order, order)]
    fits = [(band.fit.sersic[0], (0, 0)) if band.fitted else None for band in own]
    flags = [band.all_flags for band in own]
    rows = galaxy_rows(0, FILTERS, truth, [(0.0, 0.0)] * 3, fits, flags, covariance)
    pulls = {
        key: [float(row.get(f"pull_{key}", np.nan)) for row in rows] for key in QUANTITIES
    }  # fmt: skip
    return kind | {"flags": [int(f) for f in flags], "pulls": pulls}


def usable(result):
    """Whether no filter says that its fit went wrong."""
    return not any(flag & int(FAILED) for flag in result["flags"])


def pulls_of(results, key):
    """All finite pulls; the shape, which is shared, once per scene."""
    shared = key in ("r_eff", "n", "ellip")
    pulls = [r["pulls"][key][:1] if shared else r["pulls"][key] for r in results]
    pulls = np.array([p for own in pulls for p in own], dtype=float)
    return pulls[np.isfinite(pulls)]


def line(label, results):
    """A row of the table: shares within 1 and 2 sigma with their binomial errors."""
    sound = [result for result in results if usable(result)]
    cells = [label, f"{len(results)}", f"{len(results) - len(sound)}"]
    for key in QUANTITIES:
        pulls = pulls_of(sound, key)
        if not len(pulls):
            cells.append("")
            continue
        # the filters of a scene are no independent trials
        trials = min(len(pulls), len(sound)) if len(pulls) else 1
        shares = [np.mean(np.abs(pulls) < k) for k in (1, 2)]
        errors = [np.sqrt(p * (1 - p) / trials) for p in EXPECTED]
        cells.append(
            " / ".join(
                f"{100 * s:.0f} ± {100 * e:.0f}" for s, e in zip(shares, errors, strict=True)
            )
            + f"; {np.median(pulls):+.2f}"
        )
    return "| " + " | ".join(cells) + " |"


def table(results):
    """The results as Markdown."""
    lines = [
        "| scenes | number | flagged | flux | colour | r_eff | n | ellipticity |",
        "|---|---|---|---|---|---|---|---|",
        line("all", results),
    ]
    for n_stars, name in CROWDING.items():
        lines.append(line(f"{name} ({n_stars} stars)", _where(results, n_stars=n_stars)))
    for noise in ("white", "correlated"):
        lines.append(line(f"{noise} noise", _where(results, noise=noise)))
    for with_error, name in ((True, "with error plane"), (False, "without")):
        lines.append(line(name, _where(results, error_plane=with_error)))
    edges = np.geomspace(*SNR, 4)
    for low, high in itertools.pairwise(edges):
        own = [r for r in results if low <= r["snr"][BASE] < high]
        lines.append(line(f"{BASE} at S/N {low:.0f} to {high:.0f}", own))
    return "\n".join(lines)


def _where(results, **wanted):
    return [r for r in results if all(r[key] == value for key, value in wanted.items())]


def known_results(path):
    """Results that an earlier run has left, by seed."""
    if path is None or not path.exists():
        return {}
    lines = (json.loads(text) for text in path.read_text().splitlines())
    return {result["seed"]: result for result in lines}


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=120, help="number of scenes")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--rows", type=Path, help="file to keep results in, and to go on from")
    options = parser.parse_args()
    results = known_results(options.rows)
    seeds = range(options.first, options.first + options.n)
    missing = [seed for seed in seeds if seed not in results]
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in pool.map(measured, missing):
            results[result["seed"]] = result
            if options.rows:
                with options.rows.open("a") as file:
                    file.write(json.dumps(result) + "\n")
    print(table([results[seed] for seed in seeds]))


if __name__ == "__main__":
    main()
