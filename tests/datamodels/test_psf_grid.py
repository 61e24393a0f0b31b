import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from photutils.psf import GriddedPSFModel, ImagePSF

from galstep.datamodels.psf_grid import open_psf_grid
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf

ARRAY = default_psf("F150W").sampled(4, 61)


def test_single_array_gets_the_norm_of_photutils():
    data, positions, oversample = open_psf_grid((5 * ARRAY, 4))
    assert data.shape == (1, 61, 61)
    assert data.sum() == pytest.approx(16)
    assert positions.tolist() == [[0.0, 0.0]]
    assert oversample == 4


def test_models_keep_their_norm():
    data, _, oversample = open_psf_grid(ImagePSF(ARRAY * 16 * 0.9, oversampling=4))
    assert data.sum() == pytest.approx(14.4)
    assert oversample == 4
    corners = [(0, 0), (9, 0), (0, 9), (9, 9)]
    meta = {"grid_xypos": corners, "oversampling": 4}
    data, positions, _ = open_psf_grid(GriddedPSFModel(NDData(np.array([ARRAY] * 4), meta=meta)))
    assert data.shape == (4, 61, 61)
    assert sorted(map(tuple, positions)) == sorted((float(x), float(y)) for x, y in corners)


def test_model_with_another_origin():
    with pytest.raises(InputError, match="its origin must be the middle"):
        open_psf_grid(ImagePSF(ARRAY, oversampling=4, origin=(10, 30)))


def test_library(tmp_path):
    path = tmp_path / "psf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["oversample"] = 4
        file["F090W"], file["F150W"] = ARRAY, ARRAY.T
    data, _, _ = open_psf_grid(path, "F150W")
    assert data[0] == pytest.approx(ARRAY.T * 16)
    with pytest.raises(InputError, match="say which filter, it has F090W, F150W"):
        open_psf_grid(path)


def test_stpsf_grid(tmp_path):
    """A grid as STPSF writes it: a cube, and the places in the header."""
    cube = np.array([ARRAY * 16 * (1 + 0.01 * i) for i in range(4)])
    hdu = fits.PrimaryHDU(cube)
    hdu.header["OVERSAMP"] = 4
    hdu.header["NAXIS3"] = 4
    for i, (x, y) in enumerate([(0, 0), (0, 2047), (2047, 0), (2047, 2047)]):
        hdu.header[f"DET_YX{i}"] = (str((float(y), float(x))), "The #0 PSF's (y,x) pixel position")
    for key, value in (("INSTRUME", "NIRCam"), ("DETECTOR", "NRCA1"), ("FILTER", "F150W")):
        hdu.header[key] = value
    path = tmp_path / "nircam_nrca1_f150w_fovp15_samp4_npsf4.fits"
    hdu.writeto(path)
    data, positions, oversample = open_psf_grid(path)
    assert data.shape == (4, 61, 61)
    assert oversample == 4
    assert {tuple(p) for p in positions} == {(0.0, 0.0), (0, 2047.0), (2047.0, 0), (2047.0, 2047.0)}


def test_fits_image(tmp_path):
    path = tmp_path / "psf.fits"
    fits.PrimaryHDU(ARRAY).writeto(path)
    with pytest.raises(InputError, match="it does not tell its sampling: give oversample"):
        open_psf_grid(path)
    data, _, oversample = open_psf_grid(path, oversample=4)
    assert (oversample, data.sum()) == (4, pytest.approx(16))
