"""No more stars are measured than there are pixels that could tell of them."""

import numpy as np
import pytest
from astropy.nddata import NDData
from astropy.table import Table

from galstep.exceptions import InputError
from galstep.steps import BaseFit, ForcedScaleFit, StarPhot
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model
from galstep.testing.psfs import GaussianMixturePSF

NAME = "F150W"


@pytest.fixture(scope="module")
def fitted():
    return BaseFit(iter_basefit=1).run(unfitted_model(make_scene(3, (41, 41), 0, (NAME,))))


def catalogue(folder, n, name):
    x, y = np.random.default_rng(1).uniform(5, 35, (2, n))
    Table({"x": x, "y": y}).write(folder / name)
    return str(folder / name)


@pytest.mark.parametrize("name", ["stars.ecsv", "stars.csv", "stars.fits"])
@pytest.mark.parametrize("n", [1682, 100_000])
def test_of_a_galaxy(tmp_path, fitted, name, n):
    step = ForcedScaleFit(catalog=catalogue(tmp_path, n, name), filters=[NAME])
    with pytest.raises(InputError, match=f"at most one position per usable pixel .* got {n} pos"):
        step.run(fitted)


def test_only_usable_pixels_count(tmp_path, fitted):
    masked = fitted.copy()
    masked.bands[NAME].mask[:39] = True
    path = catalogue(tmp_path, 100, "stars.ecsv")
    with pytest.raises(InputError, match="got 100 positions for 82 pixels"):
        ForcedScaleFit(catalog=path, filters=[NAME]).run(masked)


@pytest.mark.parametrize("engine", ["galstep", "photutils"])
def test_of_a_star_field(tmp_path, engine):
    image = NDData(np.random.default_rng(2).normal(size=(41, 41)))
    step = StarPhot(
        finder="none", engine=engine, init_params=catalogue(tmp_path, 5000, "stars.ecsv")
    )
    with pytest.raises(InputError, match="init_params: at most one position per usable pixel"):
        step.run(image, (GaussianMixturePSF.gaussian(1.3).sampled(4, 61), 4))
