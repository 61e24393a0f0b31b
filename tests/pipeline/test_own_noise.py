"""Bright stars whose error plane has their own Poisson noise; images in any unit."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from galstep.datamodels import GalaxyModel
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene
from galstep.testing.star_frames import star_frame

SHAPE = (101, 101)
X, Y = np.array([20.3, 78.9, 30.6]), np.array([22.8, 30.2, 80.1])
FLUX = np.array([1e4, 1e5, 1e6])  # in units of the noise of a pixel of sky
KINDS = ("Poisson", "white", "none")


@pytest.fixture(scope="module")
def scene():
    return make_scene(3, SHAPE, 0, ("F150W",), snr=2500.0)


def measured(scene, kind, k=1.0):
    """The filter after GalPipeline; noise 1 in a pixel of sky."""
    truth = scene.truth
    light = scene.galaxy["F150W"] / truth.noise_sigma["F150W"]
    light = light + star_frame(SHAPE, truth.psfs["F150W"], X, Y, FLUX)
    error = np.sqrt(1 + light) if kind == "Poisson" else np.ones(SHAPE)
    data = light + error * np.random.default_rng(3).normal(size=SHAPE)
    plane = None if kind == "none" else StdDevUncertainty(k * error)
    image = CCDData(k * data, unit="adu", uncertainty=plane,
                    meta={"FILTER": "F150W", "PIXSCALE": 0.03})  # fmt: skip
    psf = {"F150W": (scene.psf_arrays["F150W"], truth.oversample)}
    pipeline = GalPipeline()
    pipeline.save_results = False
    return pipeline.run(GalaxyModel.open(image, psf_file=psf)).bands["F150W"]


@pytest.fixture(scope="module")
def first(scene):
    return {kind: measured(scene, kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bright_star_is_one_row(first, kind):
    stars = first[kind].fit.stars
    distance = np.hypot(stars.x[:, None] - X, stars.y[:, None] - Y)
    assert ((distance < 5).sum(axis=0) == 1).all()
    own = distance.argmin(axis=0)
    assert distance.min(axis=0).max() < 0.05
    assert (np.abs(stars.flux[own] - FLUX) < 3 * stars.flux_err[own]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_galaxy_beside_them(scene, first, kind):
    fit = first[kind].fit.sersic[0]
    flux = scene.truth.fluxes["F150W"] / scene.truth.noise_sigma["F150W"]
    assert abs(fit.flux - flux) < 4 * fit.flux_err


@pytest.mark.parametrize(
    ("kind", "k"),
    [
        ("Poisson", 1e-20),
        pytest.param("white", 1e6, marks=pytest.mark.slow),
        pytest.param("none", 1e-20, marks=pytest.mark.slow),
    ],
)
def test_results_scale_with_the_image(scene, first, kind, k):
    band, one = measured(scene, kind, k), first[kind]
    assert band.all_flags == one.all_flags
    assert len(band.fit.stars) == len(one.fit.stars)
    for of in (
        lambda b: b.fit.sersic[0].flux,
        lambda b: b.fit.stars.flux,
        lambda b: b.aperture.flux,
        lambda b: b.fit.sky.level,
    ):
        assert np.allclose(of(band) / k, of(one), rtol=1e-5, atol=1e-6)
    # from the residual, whose own rounding they have
    for of in (lambda b: b.fit.sersic[0].flux_err, lambda b: b.fit.stars.flux_err):
        assert np.allclose(of(band) / k, of(one), rtol=0.03)
