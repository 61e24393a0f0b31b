"""A frame with stars and no galaxy: what is measured as one is flagged as none."""

import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty
from often import first_often

from galstep.datamodels import GalaxyModel
from galstep.flags import BandFlag
from galstep.pipeline import GalPipeline
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

SHAPE, NOISE = (71, 71), 0.5
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = {"F150W": (STAR.sampled(4, 101), 4)}
SCENES = {
    "in the middle": [(35.3, 34.8, 3000.0), (15, 55, 900.0), (55, 15, 800.0)],
    "beside it": [(27.3, 43.8, 3000.0), (15, 15, 900.0), (55, 15, 800.0)],
    "one alone": [(35.3, 34.8, 3000.0)],
}
# FWHM 3.06 pixels
BLENDS = {
    "two alike": [(34.0, 35.3, 3000.0), (36.0, 35.3, 3000.0)],
    "two alike, further apart": [(33.75, 35.3, 3000.0), (36.25, 35.3, 3000.0)],
    "a faint one in the core": [(34.5, 35.3, 3000.0), (35.5, 35.3, 300.0)],
    "a faint one beside it": [(33.75, 35.3, 3000.0), (36.25, 35.3, 300.0)],
    "three in a row": [(33.5, 35.3, 3000.0), (35.0, 35.3, 900.0), (36.7, 35.3, 2000.0)],
    "three about a point": [(34.2, 34.4, 2000.0), (36.0, 34.9, 1500.0), (34.9, 36.4, 2500.0)],
}


def measured(stars, unit="MJy/sr", k=1.0):
    x, y, flux = (np.array(v, dtype=float) for v in zip(*stars, strict=True))
    noise = np.random.default_rng(4).normal(0, NOISE, SHAPE)
    data = k * (star_frame(SHAPE, STAR, x, y, flux) + noise)
    image = NDData(data, StdDevUncertainty(np.full(SHAPE, k * NOISE)), unit=unit)
    pipeline = GalPipeline()
    pipeline.save_results = False
    return pipeline.run(GalaxyModel.open({"F150W": image}, psf_file=PSF)).bands["F150W"]


@pytest.mark.parametrize("scene", first_often(reversed(SCENES), 1))
@pytest.mark.parametrize("k", [1.0, pytest.param(1e-12, marks=pytest.mark.slow)])
def test_a_star_is_no_galaxy(scene, k):
    band = measured(SCENES[scene], k=k)
    assert band.all_flags & BandFlag.UNRESOLVED
    (reason,) = (reason for reason in band.reasons if reason.startswith("unresolved: "))
    # too small for a galaxy, or so thin that two stars would make it
    assert "10 % are needed to tell it from one" in reason or "as two blended stars are" in reason


@pytest.mark.parametrize("scene", first_often(BLENDS, 2))
def test_blended_stars_are_no_galaxy(scene):
    """No components of either sign that only their sum keeps small, and a flag with a reason."""
    band = measured(BLENDS[scene])
    assert band.all_flags & (BandFlag.UNRESOLVED | BandFlag.FAINT)
    assert any(r.startswith("unresolved: ") for r in band.reasons) or "flux" in band.fit.reason
    total = sum(star[2] for star in BLENDS[scene])
    assert all(abs(component.flux) < 1.2 * total for component in band.fit.target)


def test_noise_is_no_galaxy():
    data = np.random.default_rng(0).normal(0, NOISE, SHAPE)
    image = NDData(data, StdDevUncertainty(np.full(SHAPE, NOISE)), unit="MJy/sr")
    pipeline = GalPipeline()
    pipeline.save_results = False
    band = pipeline.run(GalaxyModel.open({"F150W": image}, psf_file=PSF)).bands["F150W"]
    assert band.all_flags & BandFlag.FAINT
