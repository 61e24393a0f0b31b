"""Calibrated PSFs as files that other tools, and galstep, read."""

import asdf
import h5py
import numpy as np
import pytest

from galstep.core.calibration.psf_stack import StarStack
from galstep.datamodels.products.psf_products import write_psfs_asdf, write_psfs_hdf5
from galstep.datamodels.psf.psf_library import read_psfs
from galstep.exceptions import InputError
from galstep.records import PsfCorrection, PsfKernel
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

KERNEL = PsfKernel(
    "gaussian", (0.8,), (0.02,), 2.6, 12, 0, "", correction=PsfCorrection(1.1, (0.01,) * 18)
)


@pytest.fixture(scope="module")
def model():
    made = unfitted_model(make_scene(1, (41, 41), 3, ("F150W", "F277W"), psf_size=61))
    made.bands["F150W"].psf_kernel = KERNEL
    return made


@pytest.fixture(scope="module")
def psfs(model):
    return {name: (band.psf, band.oversample) for name, band in model.bands.items()}


def test_hdf5_has_the_layout_that_is_read(model, psfs, tmp_path):
    path = tmp_path / "x_psf.h5"
    write_psfs_hdf5(model, psfs, path)
    for name, (array, oversample) in read_psfs(path, list(psfs)).items():
        assert oversample == psfs[name][1]
        np.testing.assert_allclose(array, psfs[name][0], rtol=1e-6, atol=1e-12)
    with h5py.File(path) as file:
        assert file.attrs["oversample"] == 4
        attributes = file["F150W"].attrs
        assert attributes["kernel_family"] == "gaussian"
        assert list(attributes["kernel_parameters"]) == [0.8]
        assert attributes["corrected"]
        assert "kernel_family" not in file["F277W"].attrs


def test_filters_of_different_oversampling(model, psfs, tmp_path):
    path = tmp_path / "x_psf.h5"
    write_psfs_hdf5(model, {**psfs, "F277W": (psfs["F277W"][0], 2)}, path)
    found = read_psfs(path, ["F150W", "F277W"])
    assert [oversample for _, oversample in found.values()] == [4, 2]


def test_asdf_holds_kernel_and_stack(model, psfs, tmp_path):
    ring, square = np.arange(3.0), np.eye(2)
    stack = StarStack(5, ring, ring, ring, ring, ring, 2.0, square, square, 0.3, 0.01, 2.6)
    write_psfs_asdf(model, psfs, tmp_path / "x_psf.asdf", {"F150W": stack})
    with asdf.open(tmp_path / "x_psf.asdf") as file:
        own = file["filters"]["F150W"]
        np.testing.assert_allclose(own["psf"], psfs["F150W"][0], rtol=1e-6, atol=1e-12)
        assert own["oversample"] == 4
        assert own["kernel"]["parameters"] == [0.8]
        assert own["kernel"]["correction"]["scale"] == 1.1
        assert own["stack"]["n_stars"] == 5
        np.testing.assert_array_equal(own["stack"]["after"], square)
        assert file["filters"]["F277W"]["stack"] is None
        assert file["filters"]["F277W"]["kernel"] is None
        assert file["meta"]["name"] == model.meta.name


@pytest.mark.parametrize("write", [write_psfs_hdf5, lambda *a: write_psfs_asdf(*a, {})])
def test_folder_must_be_there(model, psfs, tmp_path, write):
    with pytest.raises(InputError, match="nowhere"):
        write(model, psfs, tmp_path / "nowhere" / "x_psf.h5")
