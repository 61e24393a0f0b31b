"""What EPSFBuilder makes of stars is a PSF for every step, troughs and all."""

import warnings

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.table import Table
from photutils.psf import EPSFBuilder, extract_stars

from galstep.datamodels import GalaxyModel
from galstep.steps import LoadCrop, StarPhot
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

SHAPE, NOISE = (141, 141), 0.5
X, Y = (v.ravel() + 0.3 for v in np.meshgrid(np.arange(15, 130, 22), np.arange(15, 130, 22)))
X = X + np.random.default_rng(2).uniform(-0.5, 0.5, len(X))
Y = Y + np.random.default_rng(3).uniform(-0.5, 0.5, len(Y))
FLUX = np.random.default_rng(4).uniform(2000, 6000, len(X))
STAR = GaussianMixturePSF.gaussian(1.3)
DATA = star_frame(SHAPE, STAR, X, Y, FLUX) + np.random.default_rng(5).normal(0, NOISE, SHAPE)
IMAGE = CCDData(DATA, unit="adu", uncertainty=StdDevUncertainty(np.full(SHAPE, NOISE)))
BUILDS = {"2": (2, "quartic"), "4": (4, "quadratic"), "4, not smoothed": (4, None)}


@pytest.fixture(scope="module", params=BUILDS)
def built(request):
    oversample, smoothing = BUILDS[request.param]
    with warnings.catch_warnings():
        # its own, of stars at the edge of their cutouts and of passes that it does not need
        warnings.simplefilter("ignore")
        stars = extract_stars(NDData(DATA), Table({"x": X, "y": Y}), size=17)
        builder = EPSFBuilder(
            oversampling=oversample, maxiters=4, progress_bar=False, smoothing_kernel=smoothing
        )
        psf = builder(stars)[0]
    assert np.min(psf.data) < -1e-4 * np.max(psf.data)
    return psf, oversample


def written(psf, oversample, path):
    if path.suffix == ".fits":
        fits.PrimaryHDU(psf.data, fits.Header({"OVERSAMP": oversample})).writeto(path)
    else:
        with h5py.File(path, "w") as file:
            file["F150W"] = psf.data
            file.attrs["oversample"] = oversample
    return path


@pytest.mark.parametrize("kind", ["model", "array", "psf.fits", "psf.h5"])
def test_stars_are_measured_with_it(tmp_path, built, kind):
    psf, oversample = built
    given = {"model": psf, "array": (psf.data, oversample)}.get(kind)
    if given is None:
        given = written(psf, oversample, tmp_path / kind)
    step = StarPhot(finder="none")
    rows = step.run(IMAGE, given, init_params=Table({"x": X, "y": Y})).rows
    assert np.abs(rows.flux_fit / FLUX - 1).max() < 0.01
    # few stars make a PSF that is as bumpy as their noise, where nothing smooths it
    assert np.median(np.hypot(rows.x_fit - X, rows.y_fit - Y)) < 0.06
    assert np.median(rows.reduced_chi2) < 2
    assert not rows.flags.any()


@pytest.mark.parametrize("kind", ["model", "array", "psf.h5"])
def test_a_galaxy_takes_it(tmp_path, built, kind):
    psf, oversample = built
    given = {"model": {"F150W": psf}, "array": {"F150W": (psf.data, oversample)}}.get(kind)
    if given is None:
        given = written(psf, oversample, tmp_path / kind)
    model = GalaxyModel.open({"F150W": DATA}, psf_file=given)
    band = LoadCrop(auto_crop=False).run(model).bands["F150W"]
    assert band.oversample == oversample
    assert band.psf.sum() == pytest.approx(1.0)
    assert np.unravel_index(band.psf.argmax(), band.psf.shape) == pytest.approx(
        np.array(band.psf.shape) // 2, abs=1
    )
