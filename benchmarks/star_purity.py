"""Which estimate of the spurious stars in a list is true: tried where the stars are known.

    python benchmarks/star_purity.py TRUTH GALAXY ... [--th_min 5 3.5] [--filter F150W]

TRUTH is the folder of the truth set. BaseFit runs on a galaxy; a star that it lists with no
true one (of any S/N) within a pixel is spurious. Four estimates need no truth. The residual
is replaced by itself with its sign changed (flipped), or by Gaussian noise of the same power
and random phases (gaussian); the fit's stars are left out, and all that the same fit then
finds is spurious, or they are in the frame (with stars), and what it finds with none of
them within a pixel is. A line per galaxy and threshold: numbers of stars listed, spurious
and estimated, from S/N 3 up and from 5 up.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.fft import irfft2, rfft2

from galstep.datamodels import GalaxyModel, Meta
from galstep.steps import BaseFit, LoadCrop
from galstep.steps.inject import _replaced
from galstep.steps.refit import with_exact_psf

LOWEST = (3.0, 5.0)


def gaussian(band, rng):
    """Gaussian noise with the power of the residual."""
    residual = np.where(band.mask, 0.0, band.residual)
    white = rfft2(rng.normal(size=residual.shape))
    power = np.abs(rfft2(residual)) / np.sqrt(residual.size)
    return irfft2(white * power, residual.shape)


def snr(stars):
    """Flux over error of the stars that have one."""
    known = stars.flux_err > 0
    return stars.flux[known] / stars.flux_err[known]


def spurious(stars, x, y):
    """S/N of the listed stars with none of these places within a pixel."""
    distance = np.hypot(stars.x[:, None] - x, stars.y[:, None] - y).min(axis=1, initial=np.inf)
    return snr(stars.select(distance > 1.0))


def found(band, noise, stars, options):
    """S/N of what the same fit finds in a frame of galaxy, sky, noise and perhaps the stars."""
    image = band.galaxy + band.sky + noise + (band.stars if stars else 0.0)
    changed = with_exact_psf(_replaced(band, image))
    model = GalaxyModel(Meta("changed"), {band.name: changed})
    own = BaseFit(base_filter=band.name, **options).run(model).bands[band.name].fit.stars
    known = band.fit.stars if stars else band.fit.stars.select(slice(0))
    return spurious(own, known.x, known.y)


def main(arguments=None):
    """All galaxies at all thresholds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("galaxies", nargs="+")
    parser.add_argument("--th_min", type=float, nargs="*", default=[5.0, 3.5])
    parser.add_argument("--filter", default="F150W")
    options = parser.parse_args(arguments)
    root, name = options.truth, options.filter
    known = json.loads((root / "truth" / "manifest.json").read_text())["galaxies"]
    stars = Table.read(root / "truth" / "stars.ecsv")
    rng = np.random.default_rng(1)
    total = {}
    for galaxy in options.galaxies:
        psf = str(root / known[galaxy]["given_psf"])
        model = LoadCrop(psf_file=psf, filters=[name], auto_crop=False).run(
            str(root / "data" / f"{galaxy}.h5")
        )
        own = stars[stars["name"] == galaxy]
        for threshold in options.th_min:
            started = time.process_time()
            given = dict(th_min=threshold, th_max=max(threshold, 30.0))
            band = BaseFit(base_filter=name, **given).run(model).bands[name]
            x, y = (own[axis] - first for axis, first in zip("xy", band.origin, strict=True))
            values = {"listed": snr(band.fit.stars), "spurious": spurious(band.fit.stars, x, y)}
            noises = {"flipped": -band.residual, "gaussian": gaussian(band, rng)}
            for key, noise in noises.items():
                values[key] = found(band, noise, False, given)
                values[f"{key} with stars"] = found(band, noise, True, given)
            counts = {key: [int((v >= low).sum()) for low in LOWEST] for key, v in values.items()}
            for key, count in counts.items():
                total.setdefault((threshold, key), []).append(count)
            text = "  ".join(f"{key} {a:4d} {b:4d}" for key, (a, b) in counts.items())
            print(f"{galaxy} th_min {threshold:g}: {text}  ({time.process_time() - started:.0f} s)")
            sys.stdout.flush()
    for (threshold, key), counts in total.items():
        print(f"all th_min {threshold:g} {key}: {np.sum(counts, axis=0)}")


if __name__ == "__main__":
    main()
