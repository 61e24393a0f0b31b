"""TweakReg on pairs of images that are shifted, rotated and scaled by known amounts.

    python benchmarks/tweak_reg.py [--starfinder dao|iraf|segmentation]

Ten pairs of 1024 x 1024 frames with different stars, PSFs and depths, each with
a FITS WCS and with the gwcs of an exposure (detector, v2v3, world); then pairs
of unrelated fields, which must be refused. The error is that of the corrected
WCS against the true one, rms over the frame.
"""

import argparse
import time
import warnings

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.steps import TweakReg
from galstep.testing.gwcs_models import exposure_gwcs
from galstep.testing.psfs import GaussianMixturePSF

SIDE = 1024
SCALE = 0.031  # arcsec per pixel
CENTRE = (150.1, 2.2)
# shift (px), rotation (deg), scale - 1, stars, FWHM of both (px), depth of the second
PAIRS = (
    ((0.05, -0.03), 0.0, 0.0, 100, (2.3, 2.3), 1.0),
    ((0.4, 0.3), 0.01, 0.0, 120, (2.0, 2.6), 1.0),
    ((-1.5, 0.7), 0.05, 1e-4, 150, (2.3, 3.2), 2.0),
    ((3.0, -2.0), 0.1, 0.0, 200, (1.8, 2.8), 1.0),
    ((-5.0, -4.0), 0.2, 5e-4, 300, (2.3, 2.3), 3.0),
    ((8.0, 6.0), -0.3, 0.0, 500, (2.3, 4.0), 1.0),
    ((-12.0, 3.0), 0.5, 1e-3, 200, (2.0, 2.0), 1.0),
    ((14.0, 14.0), -0.7, -1e-3, 150, (2.3, 3.0), 1.0),
    ((-20.0, 10.0), 1.0, 1e-3, 200, (2.3, 2.3), 2.0),
    ((20.0, -20.0), -1.0, 0.0, 30, (2.3, 2.3), 1.0),
)


def tan_wcs(rotation=0.0, scale=1.0, shift=(0.0, 0.0)):
    """A TAN WCS about the centre of the frame."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = CENTRE
    wcs.wcs.crpix = [SIDE / 2 + shift[0], SIDE / 2 + shift[1]]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cd = SCALE * scale / 3600 * np.array([[-c, s], [s, c]])
    wcs.wcs.set()
    return wcs


def draw(rng, x, y, flux, fwhm, noise):
    """A frame of stars with white noise."""
    psf = GaussianMixturePSF.gaussian(fwhm / 2.3548)
    renderer = StarRenderer(EffectivePSF.from_array(psf.sampled(4, 4 * 41 + 1), 4))
    inside = (x > -20) & (y > -20) & (x < SIDE + 20) & (y < SIDE + 20)
    image = renderer.render((SIDE, SIDE), x[inside], y[inside], flux[inside])
    return image + rng.normal(0, noise, image.shape)


def make_pair(seed, shift, rotation, scale, n_stars, fwhms, depth):
    """Two frames of the same stars, and the true WCS of both."""
    rng = np.random.default_rng(seed)
    # over a larger field than the frame, so that stars come and go at the edges
    count = int(n_stars * 1.2)
    first = tan_wcs()
    x, y = rng.uniform(-50, SIDE + 50, (2, count))
    sky = first.all_pix2world(x, y, 0)
    second = tan_wcs(rotation, 1 + scale, shift)
    flux = 10 ** rng.uniform(np.log10(300), 4.5, count)
    frames = [
        draw(rng, x, y, flux, fwhms[0], 1.0),
        draw(rng, *second.all_world2pix(*sky, 0), flux, fwhms[1], depth),
    ]
    return frames, (first, second)


def frame_error(found, true):
    """rms over the frame of the corrected WCS against the true one, pixels."""
    grid = np.linspace(0, SIDE - 1, 9)
    x, y = (v.ravel() for v in np.meshgrid(grid, grid))
    ra, dec = found.pixel_to_world_values(x, y)
    got = true.all_world2pix(ra, dec, 0)
    return float(np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2)))


def run(frames, as_gwcs, starfinder):
    """The aligned second image, its row of the summary, and seconds."""
    claimed = tan_wcs()
    images = []
    for number, frame in enumerate(frames):
        if as_gwcs:
            wcs, info = exposure_gwcs(claimed, (SIDE, SIDE))
            images.append(SkyImage(f"image{number}", frame, wcs=wcs, wcsinfo=info))
        else:
            error = StdDevUncertainty(np.ones(frame.shape))
            images.append(CCDData(frame, unit="adu", uncertainty=error, wcs=claimed))
    started = time.perf_counter()
    step = TweakReg(fitgeometry="rscale", starfinder=starfinder, brightest=500)
    result = step.run(*images)
    return result[1], result.summary[1], time.perf_counter() - started


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starfinder", default="dao")
    starfinder = parser.parse_args().starfinder
    print("pair  shift (px)      rot (deg) scale-1  stars  matched  error FITS  error gwcs (px)  s")
    for seed, pair in enumerate(PAIRS):
        frames, (_, true) = make_pair(seed, *pair)
        cells = []
        for as_gwcs in (False, True):
            image, row, seconds = run(frames, as_gwcs, starfinder)
            ok = row["status"] == "aligned"
            cells.append(f"{frame_error(image.wcs, true):.4f}" if ok else row["reason"])
        print(
            f"{seed:4d}  {pair[0][0]:6.2f} {pair[0][1]:6.2f}  {pair[1]:9.2f} {pair[2]:8.0e} "
            f"{pair[3]:6d}  {row['n_matches']:7d}  {cells[0]:>10s}  {cells[1]:>10s}  {seconds:6.1f}"
        )
    refused = 0
    for seed in range(10):
        count = (40, 100, 300, 500, 1000)[seed % 5]
        pairs = [make_pair(s, (0, 0), 0.0, 0.0, count, (2.3, 2.3), 1.0) for s in (seed, 77 + seed)]
        _, row, _ = run([pairs[0][0][0], pairs[1][0][1]], False, starfinder)
        refused += row["status"] == "failed"
    print(f"unrelated fields refused: {refused} of 10")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
