"""One small galaxy, measured once, for the tests of the notebook's functions."""

import pytest

import galstep
from galstep.testing import make_scene
from galstep.testing.star_frames import tan_wcs

FILTERS = ("F090W", "F150W")


@pytest.fixture(scope="session")
def scene():
    """Two filters and a few stars."""
    return make_scene(3, (71, 71), 6, FILTERS, snr=150.0, psf_size=61)


@pytest.fixture(scope="session")
def wcs(scene):
    """North up."""
    return tan_wcs((71, 71), scene.truth.pixel_scale)


@pytest.fixture(scope="session")
def result(scene, wcs):
    """The galaxy measured in both filters."""
    return galstep.fit(
        scene.data, scene.psf_arrays, scene.truth.oversample, err=scene.err, wcs=wcs, name="two"
    )
