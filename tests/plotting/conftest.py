"""Two filters of a synthetic galaxy, its truth in place of the fit."""

import pytest

from galstep.testing import make_scene
from galstep.testing.models import fitted_model


@pytest.fixture(scope="session")
def truth_scene():
    return make_scene(seed=4, shape=(81, 91), n_stars=12, filters=("F150W", "F277W"), snr=200)


@pytest.fixture
def model(truth_scene):
    return fitted_model(truth_scene, "galaxy")
