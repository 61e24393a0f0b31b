"""The ways to find and refit stars beside each other, on galaxies with known stars.

    python benchmarks/star_refits.py TRUTH [GALAXY ...] [--only NAME ...] [--filter F150W]
    python benchmarks/star_refits.py --real FILE.h5 PSF.h5 [--only NAME ...] [--picture DIR]

The first form runs LoadCrop and BaseFit of one filter on galaxies of the truth set, and
the truth set's own score.py says how the stars compare with the true ones:
completeness of isolated stars, contamination and robust standard deviation of the pulls
of the flux by S/N, error of the galaxy's flux, CPU time of BaseFit. The second form
fits a real frame after PSFCalibrate: stars, scatter of the residual, time, and with
``--picture`` the QA picture of each.
"""

import argparse
import importlib.util
import logging
import time
from pathlib import Path

from astropy.stats import mad_std

from galstep.steps import BaseFit, LoadCrop, PSFCalibrate

WAYS = {
    "none": {"final_refit_method": "none"},
    "iterative": {"final_refit_method": "iterative"},
    "iterative, by groups": {"final_refit_method": "iterative", "final_joint_refit": False},
    "iterative, pinned": {"final_refit_method": "iterative", "final_refit_xy_bounds": 0.0},
    "iterative, 11 x 11": {
        "final_refit_method": "iterative",
        "final_refit_fit_shape": [11, 11],
    },
    "nnls": {"final_refit_method": "nnls"},
    "dao, none": {"finder": "dao", "final_refit_method": "none"},
    "dao, iterative": {"finder": "dao", "final_refit_method": "iterative"},
    "dao, nnls": {"finder": "dao", "final_refit_method": "nnls"},
}
BINS = ((5, 7), (7, 10), (10, 20), (20, 50))


def scorer(folder):
    """The module score.py of the truth set."""
    spec = importlib.util.spec_from_file_location("score", folder / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_truth(score, truth, folder, galaxy, filter_name, parameters):
    """Fit one galaxy: score.py's records of the stars, galaxy flux error, CPU seconds."""
    psf_file = str(folder / truth.man["galaxies"][galaxy]["given_psf"])
    loaded = LoadCrop(psf_file=psf_file, filters=[filter_name]).run(
        str(folder / "data" / f"{galaxy}.h5")
    )
    started = time.process_time()
    model = BaseFit(base_filter=filter_name, **parameters).run(loaded)
    seconds = time.process_time() - started
    band = model.bands[filter_name]
    stars, (x_0, y_0) = band.fit.stars, band.origin
    ny, nx = band.shape
    listed = dict(
        x=stars.x + x_0, y=stars.y + y_0, flux=stars.flux, flux_err=stars.flux_err,
        footprint=(x_0, x_0 + nx - 1, y_0, y_0 + ny - 1),
    )  # fmt: skip
    records, listed = score.score_stars(truth, galaxy, filter_name, listed)
    error = band.fit.flux / truth.galaxy(galaxy)[f"flux_{filter_name}"] - 1
    return records, listed, float(error), seconds


def truth_row(score, results):
    """The cells of a way's row."""
    records, listed = (sum((r[k] for r in results), []) for k in (0, 1))
    bins = {tuple(b["snr"]): b for b in score.summarise_stars(records, listed)}
    cells = []
    for limits in BINS:
        own = bins[limits]
        n_false = round((own["contamination"] or 0) * own["ndet"])
        cells.append(
            f"{100 * own['completeness_iso']:.0f} / {n_false} of {own['ndet']} / "
            f"{own['pull']['std']:.2f}"
        )
    errors = " ".join(f"{100 * r[2]:+.1f}" for r in results)
    seconds = " ".join(f"{r[3]:.1f}" for r in results)
    return [*cells, errors, seconds]


def real_row(path, psf_file, filter_name, parameters, picture):
    """Stars, residual and time of a real frame."""
    model = LoadCrop(psf_file=str(psf_file), filters=[filter_name]).run(str(path))
    model = PSFCalibrate(base_filter=filter_name).run(model)
    started = time.process_time()
    model = BaseFit(base_filter=filter_name, **parameters).run(model)
    seconds = time.process_time() - started
    band = model.bands[filter_name]
    residual = band.data - band.galaxy - band.stars - band.sky
    if picture is not None:
        from galstep.plotting import qa_figure

        qa_figure(model).savefig(picture, dpi=80)
    fit = band.fit
    return [
        str(len(fit.stars)), f"{mad_std(residual[~band.mask]):.4f}",
        f"{residual[~band.mask].std():.4f}", f"{fit.flux:.0f} ± {fit.flux_err:.0f}",
        f"{fit.sersic[0].params.r_eff:.1f}", f"{seconds:.1f}",
    ]  # fmt: skip


def main(arguments=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("galaxies", nargs="*")
    parser.add_argument("--real", type=Path, nargs=2, metavar=("FILE", "PSF"))
    parser.add_argument("--only", nargs="*", choices=WAYS)
    parser.add_argument("--filter", default="F150W")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args(arguments)
    logging.getLogger("stpipe").setLevel(logging.ERROR)
    names = options.only or list(WAYS)
    if options.real:
        print("| way | stars | residual MAD | std | galaxy flux | r_eff | CPU s |")
        print("|" + "---|" * 7)
    else:
        score = scorer(options.truth)
        truth = score.Truth(str(options.truth))
        bins = " | ".join(f"S/N {low} to {high}" for low, high in BINS)
        print(f"| way | {bins} | galaxy flux, error % | CPU s |")
        print("|" + "---|" * (len(BINS) + 3))
    for name in names:
        if options.real:
            picture = options.picture and options.picture / f"{name.replace(' ', '_')}.png"
            cells = real_row(*options.real, options.filter, WAYS[name], picture)
        else:
            cells = truth_row(score, [
                on_truth(score, truth, options.truth, galaxy, options.filter, WAYS[name])
                for galaxy in options.galaxies or ["t01", "t02", "t05"]
            ])  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
