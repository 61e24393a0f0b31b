"""What the default pipeline makes of real galaxies: no truth, but much to compare.

    python benchmarks/real_galaxies.py DATA [GALAXY ...] --output DIR [--checks]

DATA is a folder with <galaxy>.h5, psf_library.h5 and published_abmags.ecsv;
without names all galaxies. A galaxy whose product is in DIR already is not
fitted again. Printed are, per galaxy, the shape, the stars and the kernels; the
colours beside the published ones; and for two galaxies the scatter of the
residual beside that of sphot 0.3.0 inside the same radii.

``--checks`` fits each galaxy again with a constant and with a quadratic sky,
and each half of its pixels, as on a checkerboard.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table

from galstep.datamodels import GalaxyModel
from galstep.flags import decode
from galstep.pipeline import GalPipeline

FITS = ("basefit", "scalefit", "jointfit")
FILTERS = ("F555W", "F814W", "F090W", "F150W", "F160W", "F277W")
# sphot's r_eff (pixels) and the standard deviation of its residual inside one and
# inside two of them, in the order of the filters
SPHOT = {
    "g260": (
        18.6,
        (0.0182, 0.0769, 0.0851, 0.1328, 0.1160, 0.2606),
        (0.0173, 0.0542, 0.0615, 0.0949, 0.0963, 0.1474),
    ),
    "g281": (
        28.0,
        (0.013, 0.028, 0.030, 0.045, 0.030, 0.036),
        (0.008, 0.019, 0.020, 0.028, 0.020, 0.022),
    ),
}


def fitted(data, galaxy, output):
    """The model of a galaxy, from its product if there is one.

    Parameters
    ----------
    data, output : pathlib.Path
    galaxy : str

    Returns
    -------
    GalaxyModel
    """
    product = output / f"{galaxy}_gal.asdf"
    if not product.exists():
        GalPipeline.call(
            str(data / f"{galaxy}.h5"),
            steps={"loadcrop": {"psf_file": str(data / "psf_library.h5")}},
            output_dir=str(output),
            save_results=True,
            configure_log=False,
        )
    return GalaxyModel.open(product)


def summary_row(galaxy, model):
    """Shape, stars, kernels and flags in one line of a markdown table."""
    base = model.bands[model.meta.base_filter]
    shape = base.fit.target[-1]  # companions have rows of their own
    kernels = [_kernel_sigma(model.bands[name]) for name in FILTERS if name in model.bands]
    flags = sorted({name for band in model.bands.values() for name in decode(band.all_flags)})
    return (
        f"| {galaxy} | {model.meta.timings.get('galpipeline', np.nan):.1f} | {len(base.fit.stars)}"
        f" | {shape.params.r_eff:.1f} +- {shape.r_eff_err:.1f}"
        f" | {shape.params.n:.2f} +- {shape.n_err:.2f} | {' '.join(kernels)} | {', '.join(flags)} |"
    )


def _kernel_sigma(band):
    """Width of a Gaussian kernel in samples of the PSF, as text."""
    kernel = band.psf_kernel
    if kernel is None or kernel.family != "gaussian":
        return "-"
    return f"{band.oversample * np.sqrt(max(kernel.parameters[0], 0)):.2f}"


def colour_rows(galaxy, phot, published):
    """Colours against the base filter beside the published ones."""
    known = {row["filter"]: row for row in published if row["galaxy"] == galaxy}
    base = phot.meta["base_filter"]
    for row in phot:
        name = row["filter"]
        if name == base or name not in known or base not in known:
            continue
        theirs = known[name]["mag_ab"] - known[base]["mag_ab"]
        theirs_err = np.hypot(known[name]["mag_ab_err"], known[base]["mag_ab_err"])
        ours, ours_err = float(row["color"]), float(row["color_err"])
        pull = (ours - theirs) / np.hypot(ours_err, theirs_err)
        yield (
            f"| {galaxy} | {name} | {ours:+.3f} +- {ours_err:.3f} | "
            f"{theirs:+.3f} +- {theirs_err:.3f} | {pull:+.1f} |"
        )


def residual_rows(galaxy, model):
    """Standard deviation of the residual inside one and two of sphot's r_eff."""
    r_eff, *theirs = SPHOT[galaxy]
    for k, name in enumerate(FILTERS):
        band = model.bands[name]
        params = band.fit.sersic[0].params
        yy, xx = np.indices(band.shape)
        radius = np.hypot(xx - params.x_0, yy - params.y_0)
        ours = [np.nanstd(band.residual[radius < m * r_eff]) for m in (1, 2)]
        cells = [f"{o:.3f} / {t[k]:.3f}" for o, t in zip(ours, theirs, strict=True)]
        yield f"| {galaxy} | {name} | {' | '.join(cells)} |"


def refitted(model, steps=None, keep=None):
    """The fits of a model again, on its own pixels and with its own kernels.

    Parameters
    ----------
    model : GalaxyModel
    steps : dict, optional
        Parameters that differ.
    keep : {0, 1}, optional
        Colour of the checkerboard's pixels that are kept.

    Returns
    -------
    GalaxyModel
    """
    model = model.copy()
    for band in model.bands.values():
        if keep is not None:
            band.mask |= np.indices(band.shape).sum(axis=0) % 2 != keep
    skipped = {key: {"skip": True} for key in ("loadcrop", "psfcalibrate", "aperphot")}
    return GalPipeline.call(
        model, steps=skipped | (steps or {}), save_results=False, configure_log=False
    )


def check_rows(galaxy, model):
    """r_eff, n and flux of fits that should agree within their errors."""
    fits = {"default": model}
    for name, order in (("constant sky", "0"), ("quadratic sky", "2")):
        fits[name] = refitted(model, {key: {"sky_order": order} for key in FITS})
    for keep, name in enumerate(("black pixels", "white pixels")):
        fits[name] = refitted(model, keep=keep)
    for name, fit in fits.items():
        own = fit.bands[fit.meta.base_filter].fit
        shape = own.target[-1]
        yield (
            f"| {galaxy} | {name} | {shape.params.r_eff:.2f} +- {shape.r_eff_err:.2f} | "
            f"{shape.params.n:.2f} +- {shape.n_err:.2f} | {own.flux:.5g} +- {own.flux_err:.2g} | "
            f"{own.matched_flux:.5g} +- {own.matched_flux_err:.2g} |"
        )


def table(title, header, rows):
    """Print a markdown table."""
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(row, flush=True)


def main(arguments=None):
    """Fit what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("galaxies", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checks", action="store_true")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    names = options.galaxies or sorted(path.stem for path in options.data.glob("g*.h5"))
    models = {name: fitted(options.data, name, options.output) for name in names}
    header = ("galaxy", "s", "stars", "r_eff (px)", "n", "kernels (samples)", "flags")
    table("Shapes", header, (summary_row(*item) for item in models.items()))
    published = Table.read(options.data / "published_abmags.ecsv")
    phots = {n: Table.read(options.output / f"{n}_phot.ecsv") for n in names}
    header = ("galaxy", "filter", "colour", "published", "difference / error")
    rows = (row for n, phot in phots.items() for row in colour_rows(n, phot, published))
    table("Colours against the base filter (mag)", header, rows)
    header = ("galaxy", "filter", "inside r_eff: ours / sphot", "inside 2 r_eff: ours / sphot")
    rows = (row for n in names if n in SPHOT for row in residual_rows(n, models[n]))
    table("Standard deviation of the residual (MJy/sr), sphot's r_eff", header, rows)
    if options.checks:
        header = ("galaxy", "fit", "r_eff (px)", "n", "flux", "flux inside r_eff")
        rows = (row for n in names for row in check_rows(n, models[n]))
        table("Fits that should agree", header, rows)


if __name__ == "__main__":
    main()
