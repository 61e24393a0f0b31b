"""One pixel that claims to know all, and planes that claim it everywhere."""

import numpy as np
import pytest
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.table import Table

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.steps import StarPhot
from galstep.testing import make_scene
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

NAME, SHAPE = "F150W", (61, 61)
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = (STAR.sampled(4, 61), 4)
FLUX = 900.0
DATA = star_frame(SHAPE, STAR, [30.3], [29.8], [FLUX])
DATA = DATA + np.random.default_rng(1).normal(size=SHAPE)
PLACES = {"core": (30, 30), "wing": (33, 31), "sky": (5, 5)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [1e-12, 1e-3, 0.0, np.nan, -1.0])
def test_of_a_star(place, value):
    error = np.ones(SHAPE)
    error[PLACES[place]] = value
    data = DATA.copy()
    data[PLACES[place]] += 40.0  # which no error of 1 allows
    image = CCDData(data, unit="adu", uncertainty=StdDevUncertainty(error))
    table = Table({"x": [30.3], "y": [29.8]})
    rows = StarPhot(finder="none").run(image, PSF, init_params=table).rows
    assert rows.flux_fit[0] == pytest.approx(FLUX, abs=5 * rows.flux_err[0])
    assert 3 < rows.flux_err[0] < 12
    assert rows.reduced_chi2[0] < 2


@pytest.mark.parametrize("value", [1e-12, 0.0])
def test_of_a_galaxy(value):
    shape = SersicParams(30.3, 30.8, 4.5, 1.2, 0.3, 0.7)
    scene = make_scene(3, SHAPE, 5, (NAME,), sersic=shape, psf_size=61, snr=300)
    error = scene.err[NAME].copy()
    error[31, 30] = value
    image = NDData(scene.data[NAME], StdDevUncertainty(error), unit="MJy/sr")
    psf = {NAME: (scene.psf_arrays[NAME], scene.truth.oversample)}
    pipeline = GalPipeline()
    pipeline.save_results = False
    model = pipeline.run(GalaxyModel.open({NAME: image}, psf_file=psf, pixel_scale=0.03))
    band = model.bands[NAME]
    assert band.mask[31 - band.origin[1], 30 - band.origin[0]]
    found = band.fit.sersic[0]
    assert found.flux == pytest.approx(scene.truth.fluxes[NAME], abs=5 * found.flux_err)


@pytest.mark.parametrize("value", [1e-300, 1e-30])
def test_planes_far_below_what_the_data_can_hold(value):
    error = np.full(SHAPE, value)
    image = NDData(DATA, StdDevUncertainty(error), unit="MJy/sr", meta={"FILTER": NAME})
    with pytest.raises(InputError, match="errors must be in the unit of the image"):
        StarPhot().run(image, PSF)
    with pytest.raises(InputError, match="errors must be in the unit of the image"):
        GalaxyModel.open(image, psf_file={NAME: PSF})
