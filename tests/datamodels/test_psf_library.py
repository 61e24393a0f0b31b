"""The PSF file and every message for one that cannot be used."""

import h5py
import numpy as np
import pytest
from sample_models import make_psf

from galstep.datamodels.files.psf_bounds import check_psf
from galstep.datamodels.psf.psf_library import read_psfs
from galstep.exceptions import InputError


def rewrite(path, array=None, **attributes):
    """The PSF file anew with this array for F150W and these attributes."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file["F150W"] = make_psf() if array is None else array
    return path


@pytest.mark.parametrize("value", [4, 4.0, np.int16(4), np.array([4])])
def test_oversample_is_a_whole_number(psf_file, value):
    array, oversample = read_psfs(rewrite(psf_file, oversample=value), ["F150W"])["F150W"]
    assert oversample == 4
    assert isinstance(oversample, int)
    assert array.sum() == pytest.approx(1, abs=1e-12)


def test_oversample_of_a_filter_wins(psf_file):
    with h5py.File(psf_file, "a") as file:
        file["F090W"].attrs["oversample"] = 2
    psfs = read_psfs(psf_file, ["F090W", "F150W"])
    assert (psfs["F090W"][1], psfs["F150W"][1]) == (2, 4)


@pytest.mark.parametrize("value", [0, -4, 2.5, np.nan, "four", [4, 2]])
def test_oversample_that_is_none(psf_file, value):
    with pytest.raises(InputError, match="psf.h5: oversample must be a positive integer, got"):
        read_psfs(rewrite(psf_file, oversample=value), ["F150W"])


def test_oversample_missing(psf_file):
    assert read_psfs(rewrite(psf_file), ["F150W"])["F150W"][1] is None


def with_sample(value):
    psf = make_psf()
    psf[3, 4] = value
    return psf


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (with_sample(np.nan), "F150W must be finite everywhere, got 1 NaN or infinite samples"),
        (
            with_sample(-0.1),
            "F150W must not be negative beyond 5% of its peak, got",
        ),
        (-make_psf(), "F150W must not be negative"),
        (np.zeros((9, 9)), "F150W must hold light, got zeros only"),
        (np.ones(9), r"F150W must be a 2-D image, got shape \(9,\)"),
        (np.ones((1, 1)), r"F150W must have at least 3 x 3 samples, got \(1, 1\)"),
        (np.ones((9, 2)), r"F150W must have at least 3 x 3 samples, got \(9, 2\)"),
        (np.ones((2, 9, 9)), r"F150W must be a 2-D image, got shape \(2, 9, 9\)"),
        (np.full((9, 9), b"a"), r"F150W must hold real numbers, got type \|S1"),
    ],
)
def test_arrays_that_are_no_psf(psf_file, array, message):
    with pytest.raises(InputError, match=message):
        read_psfs(rewrite(psf_file, array, oversample=4), ["F150W"])


def test_slight_ringing_is_allowed():
    psf = with_sample(-1e-4 * make_psf().max())
    assert check_psf(psf, "PSF").min() < 0


def test_filter_missing(psf_file):
    with pytest.raises(InputError, match=r"psf_file .*psf.h5: filter 'F277W' is not there"):
        read_psfs(psf_file, ["F150W", "F277W"])


def test_file_missing_or_of_another_kind(tmp_path):
    with pytest.raises(InputError, match=r"psf_file .*no.h5: there is no such file"):
        read_psfs(tmp_path / "no.h5", ["F150W"])
    text = tmp_path / "psf.txt"
    text.write_text("hello")
    with pytest.raises(InputError, match=r"psf_file .*psf.txt: an HDF5 file is needed"):
        read_psfs(text, ["F150W"])
