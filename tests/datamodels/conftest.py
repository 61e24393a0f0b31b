"""Models and input files that the tests of the data models share."""

import h5py
import numpy as np
import pytest
from sample_models import make_model, make_psf


@pytest.fixture
def model():
    """See `sample_models.make_model`."""
    return make_model()


@pytest.fixture
def image_file(tmp_path):
    """An image file with two filters, as the real cutouts are: big-endian, no attributes."""
    path = tmp_path / "galaxy.h5"
    rng = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        for name in ("F090W", "F150W"):
            file[name] = rng.normal(1.0, 0.1, (20, 24)).astype(">f8")
    return path


@pytest.fixture
def psf_file(tmp_path):
    """A PSF file for it, not normalised, single precision."""
    path = tmp_path / "psf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["oversample"] = 4
        for name in ("F090W", "F150W"):
            file[name] = (17.0 * make_psf()).astype("f4")
    return path
