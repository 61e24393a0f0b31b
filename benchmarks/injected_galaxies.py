"""Galaxies put into real frames and measured again: pulls and biases.

    python benchmarks/injected_galaxies.py DIR [--n 64] [--filters F150W F277W F555W]

DIR has frames ``g*.h5`` and ``psf_library.h5``. Each frame is calibrated and fitted
(PSFCalibrate, BaseFit, ScaleFit, JointFit). Then galaxies of known flux and
shape go into it at random places away from other galaxies; its own is subtracted, its core
masked; the stars stay. Each is fitted, one filter at a time, by BaseFit with its defaults,
in a box of its own. The PSF of injection and of fit is the calibrated one. Drawn evenly in
the logarithm: S/N 15 to 500, of the flux at known shape, in the noise of the
frame (`galstep.core.injection.sources.template_error`), r_eff 4 to 15 pixels, n 0.8 to 4;
ellipticity 0.1 to 0.6. Fits that flag themselves (not_fitted, not_converged, at_bound,
core_crowded)
are counted and left out. ``--rows`` keeps every fit in a table. ``--joint`` puts each galaxy
into all filters, with a S/N of its own in each, and fits them by the whole chain up to JointFit;
the shape is then in the table once per filter.
"""

import argparse
import itertools
import logging
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from galstep.core.injection.recovery import summarise
from galstep.core.injection.rows import FAILED, galaxy_rows
from galstep.core.injection.sources import (
    InjectedGalaxy,
    clear_corners,
    extended_sources,
    galaxy_image,
    template_error,
)
from galstep.datamodels import GalaxyModel
from galstep.datamodels.galaxy import Meta
from galstep.flags import decode
from galstep.records import SersicParams
from galstep.steps import PSFCalibrate
from galstep.steps.galaxy.scenes import effective_psf
from galstep.steps.refit import refit, with_exact_psf

FILTERS = ("F150W", "F277W", "F555W")
QUANTITIES = ("flux", "r_eff", "n", "ellip", "color")
SNR, R_EFF, N = (15.0, 500.0), (4.0, 15.0), (0.8, 4.0)
FROM_GALAXY = 55.0
CORE_IN_R_EFF, MAX_CORE = 1.5, 30.0


def fitted_frame(path, psf_file, filters):
    """The frame, calibrated and fitted in all filters."""
    model = PSFCalibrate().run(GalaxyModel.open(path, psf_file=psf_file, filters=list(filters)))
    return refit(model, {}, model.meta.base_filter)


def log_uniform(rng, limits):
    """A number drawn evenly in the logarithm."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def drawn_shape(side, rng):
    """A galaxy in the middle of a box."""
    middle = (side - 1) / 2
    return SersicParams(
        middle + rng.uniform(-0.5, 0.5),
        middle + rng.uniform(-0.5, 0.5),
        log_uniform(rng, R_EFF),
        log_uniform(rng, N),
        rng.uniform(0.1, 0.6),
        rng.uniform(0, np.pi),
    )


def own_core(model):
    """Centre of the frame's own galaxy, and the pixels of its core."""
    base = model.bands[model.meta.base_filter]
    params = base.fit.sersic[0].params
    yy, xx = np.indices(base.shape)
    radius = min(CORE_IN_R_EFF * params.r_eff, MAX_CORE)
    return (params.x_0, params.y_0), np.hypot(xx - params.x_0, yy - params.y_0) < radius


def other_galaxies(model, core):
    """Pixels of galaxies that happen to be in the frame, seen in any filter."""
    found = [
        extended_sources(b.data - b.galaxy - b.sky, b.mask | core, effective_psf(b).fwhm)
        for b in model.bands.values()
    ]
    return np.any(found, axis=0)


def measured(model, names, count, side, rng):
    """Rows of all galaxies injected into a frame, into all of these filters at once."""
    centre, core = own_core(model)
    avoid = other_galaxies(model, core)
    bands = [model.bands[name] for name in names]
    mask, rows = np.any([band.mask for band in bands], axis=0), []
    for corner in clear_corners(mask, centre, FROM_GALAXY, side, count, rng, avoid=avoid):
        corner, params = tuple(int(v) for v in corner), drawn_shape(side, rng)
        snr = [log_uniform(rng, SNR) for _ in bands]
        filled = [
            box_with(*pair, params, corner, side, core) for pair in zip(bands, snr, strict=True)
        ]
        started = time.process_time()
        alone = GalaxyModel(Meta(model.meta.name), {b.name: with_exact_psf(b) for b, _ in filled})
        fitted = refit(alone, {}, names[0], joint=len(names) > 1)
        seconds = (time.process_time() - started) / len(names)
        truth = InjectedGalaxy(params, tuple(flux for _, flux in filled), corner)
        rows += rows_of(model.meta.name, names, truth, snr, fitted, seconds)
    return rows


def box_with(band, snr, params, corner, side, core):
    """The filter in a box with the galaxy in it, and the galaxy's flux."""
    psf, place = effective_psf(band), InjectedGalaxy(params, (), corner)
    image = galaxy_image((side, side), psf, params, 1.0)
    good = ~band.mask & ~core
    flux = snr * template_error(np.nan_to_num(band.residual), good, image)
    box, part = band.crop(*corner, side, side), place.part(side)
    # where this filter has it, by the registration that the frame was found to have
    placed = galaxy_image((side, side), psf, params.moved(*band.fit.offset), flux)
    box.data = (band.data - band.galaxy)[part] + placed
    box.mask = box.mask | core[part]
    return box, flux


def rows_of(frame, names, truth, snr, fitted, seconds):
    """The measurements of one galaxy beside its truth."""
    bands = [fitted.bands[name] for name in names]
    joint = fitted.joint
    fits = [(b.fit.sersic[0], (0, 0)) if b.fitted else None for b in bands]
    covariance = joint.flux_covariance if joint is not None and all(fits) else None
    rows = galaxy_rows(
        0, names, truth, [(0, 0)] * len(names), fits, [b.all_flags for b in bands], covariance
    )
    return [
        {
            "frame": frame,
            "filter": name,
            "corner_x": truth.corner[0],
            "corner_y": truth.corner[1],
            "snr": snr[i],
            "r_eff": truth.params.r_eff,
            "n": truth.params.n,
            "flux": truth.flux[i],
            "flags": row["flags"],
            "n_stars": len(bands[i].fit.stars) if bands[i].fitted else 0,
            "flux_ratio": row.get("flux", np.nan) / truth.flux[i],
            "flux_err_ratio": row.get("flux_err", np.nan) / truth.flux[i],
            **{f"pull_{key}": row.get(f"pull_{key}", np.nan) for key in QUANTITIES},
            "seconds": seconds,
        }
        for i, (name, row) in enumerate(zip(names, rows, strict=True))
    ]


def frame_error(rows, key):
    """Error of a bias from the scatter of the frames: boxes of one frame share its structure."""
    own = [
        [row[key] for row in rows if row["frame"] == frame and np.isfinite(row[key])]
        for frame in sorted({row["frame"] for row in rows})
    ]
    medians = [np.median(pulls) for pulls in own if len(pulls) > 1]
    return np.std(medians, ddof=1) / np.sqrt(len(medians)) if len(medians) > 1 else np.nan


def line(label, rows):
    """A row of the table: per quantity bias +- its error; std (MAD); number beyond 5 sigma."""
    sound = [row for row in rows if not row["flags"] & int(FAILED)]
    cells = [label, f"{len(rows)}", f"{len(rows) - len(sound)}"]
    for key in QUANTITIES:
        pull = summarise([row[f"pull_{key}"] for row in sound])
        if not pull.count:
            cells.append("")
            continue
        cells.append(
            f"{pull.bias:+.2f} ± {frame_error(sound, f'pull_{key}'):.2f}; "
            f"{pull.std:.2f} ({pull.mad:.2f})" + (f"; {pull.n_outliers}" if pull.n_outliers else "")
        )
    return "| " + " | ".join(cells) + " |"


def table(rows, filters):
    """The results as Markdown: each filter, and each third of its S/N, r_eff and n."""
    lines = [
        "| injected into | galaxies | flagged | flux | r_eff | n | ellipticity | colour |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in filters:
        lines.append(line(name, [row for row in rows if row["filter"] == name]))
    for key, limits in (("snr", SNR), ("r_eff", R_EFF), ("n", N)):
        edges = np.geomspace(*limits, 4)
        for low, high in itertools.pairwise(edges):
            own = [row for row in rows if low <= row[key] < high]
            lines.append(line(f"{key} {low:.2g} to {high:.2g}", own))
    return "\n".join(lines)


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--n", type=int, default=64, help="galaxies per filter, over all frames")
    parser.add_argument("--filters", nargs="+", default=FILTERS)
    parser.add_argument("--joint", action="store_true", help="all filters at once, with JointFit")
    parser.add_argument("--box", type=int, default=121)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="file for all rows (ECSV)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    rows, frames = [], sorted(options.folder.glob("g*.h5"))
    per_frame = -(-options.n // len(frames))
    names = dict.fromkeys(["F150W", *options.filters])
    for index, path in enumerate(frames):
        model = fitted_frame(path, options.folder / "psf_library.h5", names)
        together = [options.filters] if options.joint else [[name] for name in options.filters]
        for k, group in enumerate(together):
            rng = np.random.default_rng([options.seed, index, k])
            own = measured(model, group, per_frame, options.box, rng)
            rows += own
            print(f"{path.stem} {' '.join(group)}: {line('', own)}", flush=True)
    if options.rows:
        Table(rows).write(options.rows, format="ascii.ecsv", overwrite=True)
    bad = [row for row in rows if row["flags"] & int(FAILED)]
    counts = {key: sum(key in decode(row["flags"]) for row in bad) for key in decode(int(FAILED))}
    print(f"\n{table(rows, options.filters)}\n\nflagged: {counts}")
    print(f"median CPU time of a fit {np.median([row['seconds'] for row in rows]):.2f} s")


if __name__ == "__main__":
    main()
