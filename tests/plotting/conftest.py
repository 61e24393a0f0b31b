"""Two filters of a synthetic galaxy, its truth in place of the fit."""

from importlib.util import find_spec

import pytest

from galstep.testing import make_scene
from galstep.testing.models import fitted_model

# nothing to test where matplotlib, which is optional, is not installed
collect_ignore_glob = [] if find_spec("matplotlib") else ["test_*.py"]


@pytest.fixture(scope="session")
def truth_scene():
    return make_scene(seed=4, shape=(81, 91), n_stars=12, filters=("F150W", "F277W"), snr=200)


@pytest.fixture
def model(truth_scene):
    return fitted_model(truth_scene, "galaxy")
