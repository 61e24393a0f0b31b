"""Pulls of the stars' fluxes in the truth set, with and without hidden companions.

    python benchmarks/star_pulls.py TRUTH PRODUCTS

TRUTH is the folder of the truth set, PRODUCTS that of the products of
``truth_set.py``. Two stars nearer than the PSF can part are one star in any
catalogue: it has the light of both, and its pull against the brighter of the two
says nothing about its error. So the table gives the pulls of all stars that were
matched, and of those without a hidden companion: the true stars within one FWHM
that no detection of their own within a pixel stands for have together less light
than one sigma of the star's white noise.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

BINS = ((5, 7), (7, 10), (10, 20), (20, 50), (50, 100), (100, np.inf))
FWHM = 2.6  # pixels
LIMIT = 10.0  # a pull beyond it counts as much


def scorer(truth):
    """The module score.py of the truth set."""
    spec = importlib.util.spec_from_file_location("score", truth / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def star_pulls(score, truth, name, products, band):
    """S/N, pull and hidden light (white sigma) of the matched stars of one band.

    Returns
    -------
    (n, 3) array
    """
    known = truth.stars[truth.stars["name"] == name]
    columns = ("x", "y", f"flux_{band}", f"snr_{band}")
    x, y, flux, snr = (np.asarray(known[column], float) for column in columns)
    stars = products["filters"][band]["stars"]
    own_x, own_y, own, error = (
        np.asarray(stars[key], float) for key in ("x", "y", "flux", "flux_err")
    )
    if not len(own_x):
        return np.zeros((0, 3))
    real = np.flatnonzero(snr >= 3)
    match = score.match(x[real], y[real], own_x, own_y)
    neighbours = cKDTree(np.column_stack([x, y])).query_ball_point(np.column_stack([x, y]), FWHM)
    rows = []
    for i, j in zip(real, match, strict=True):
        if j < 0 or not error[j] > 0:
            continue
        others = np.delete(np.arange(len(own_x)), j)
        hidden = sum(
            flux[k]
            for k in neighbours[i]
            if k != i and np.all(np.hypot(own_x - x[k], own_y - y[k])[others] >= 1)
        )
        rows.append((snr[i], (own[j] - flux[i]) / error[j], hidden / flux[i] * snr[i]))
    return np.array(rows).reshape(-1, 3)


def entry(pulls):
    """Mean, standard deviation and number, as a cell of the table."""
    if len(pulls) < 10:
        return "-"
    pulls = np.clip(pulls, -LIMIT, LIMIT)
    return f"{pulls.mean():+.2f} {pulls.std():.2f} ({len(pulls)})"


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("products", type=Path)
    options = parser.parse_args(arguments)
    score = scorer(options.truth)
    truth = score.Truth(str(options.truth))
    found = [name for name in truth.names if (options.products / f"{name}_gal.asdf").exists()]
    print(f"{len(found)} galaxies; mean, standard deviation (number) of (flux - truth) / error\n")
    print("| filter | stars |", " | ".join(f"S/N {low}-{high}" for low, high in BINS), "|")
    print("|---" * (len(BINS) + 2) + "|")
    products = {
        name: score.adapt_products(name, str(options.products), truth.filters) for name in found
    }
    for band in truth.filters:
        rows = np.concatenate(
            [star_pulls(score, truth, name, products[name], band) for name in found]
        )
        for label, chosen in (("all", rows), ("no hidden companion", rows[rows[:, 2] < 1])):
            cells = [
                entry(chosen[(chosen[:, 0] >= low) & (chosen[:, 0] < high), 1])
                for low, high in BINS
            ]
            print(f"| {band} | {label} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
