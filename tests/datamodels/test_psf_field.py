import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Gaussian2D
from astropy.nddata import NDData
from photutils.psf import (
    AiryDiskPSF,
    CircularGaussianPRF,
    CircularGaussianPSF,
    GaussianPRF,
    GaussianPSF,
    GriddedPSFModel,
    ImagePSF,
    MoffatPSF,
    make_psf_model,
)

from galstep.core.psf.effective import EffectivePSF
from galstep.core.star_field.psf import PsfField
from galstep.datamodels.psf.psf_field import open_psf_field
from galstep.datamodels.psf.psf_input import find_psfs, psf_at
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf

ARRAY = default_psf("F150W").sampled(4, 61)


def test_single_array_gets_the_norm_of_photutils():
    data, positions, oversample = open_psf_field((5 * ARRAY, 4))
    assert data.shape == (1, 61, 61)
    assert data.sum() == pytest.approx(16)
    assert positions.tolist() == [[0.0, 0.0]]
    assert oversample == 4


def test_models_keep_their_norm():
    data, _, oversample = open_psf_field(ImagePSF(ARRAY * 16 * 0.9, oversampling=4))
    assert data.sum() == pytest.approx(14.4)
    assert oversample == 4
    corners = [(0, 0), (9, 0), (0, 9), (9, 9)]
    meta = {"grid_xypos": corners, "oversampling": 4}
    data, positions, _ = open_psf_field(GriddedPSFModel(NDData(np.array([ARRAY] * 4), meta=meta)))
    assert data.shape == (4, 61, 61)
    assert sorted(map(tuple, positions)) == sorted((float(x), float(y)) for x, y in corners)


def test_model_with_another_origin():
    """The star is brought to the middle of the array."""
    moved = np.zeros((61, 61))
    moved[:, :-4] = ARRAY[:, 4:]  # the star one pixel to the left
    data, _, _ = open_psf_field(ImagePSF(moved * 16, oversampling=4, origin=(26, 30)))
    inner = np.s_[10:-10, 10:-10]
    assert data[0][inner] == pytest.approx(16 * ARRAY[inner], rel=0.01, abs=1e-4)


def test_library(tmp_path):
    path = tmp_path / "psf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["oversample"] = 4
        file["F090W"], file["F150W"] = ARRAY, ARRAY.T
    data, _, _ = open_psf_field(path, "F150W")
    assert data[0] == pytest.approx(ARRAY.T * 16)
    with pytest.raises(InputError, match="say which filter, it has F090W, F150W"):
        open_psf_field(path)


def test_stpsf_field(tmp_path):
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
    data, positions, oversample = open_psf_field(path)
    assert data.shape == (4, 61, 61)
    assert oversample == 4
    assert {tuple(p) for p in positions} == {(0.0, 0.0), (0, 2047.0), (2047.0, 0), (2047.0, 2047.0)}


def test_fits_image(tmp_path):
    path = tmp_path / "psf.fits"
    fits.PrimaryHDU(ARRAY).writeto(path)
    with pytest.raises(InputError, match="it does not tell its sampling: give oversample"):
        open_psf_field(path)
    data, _, oversample = open_psf_field(path, oversample=4)
    assert (oversample, data.sum()) == (4, pytest.approx(16))


MODELS = {
    "CircularGaussianPRF": CircularGaussianPRF(fwhm=2.3),
    "CircularGaussianPSF": CircularGaussianPSF(fwhm=2.3),
    "GaussianPRF": GaussianPRF(x_fwhm=2.0, y_fwhm=3.0, theta=30.0),
    "GaussianPSF": GaussianPSF(x_fwhm=2.0, y_fwhm=3.0, theta=30.0),
    "MoffatPSF": MoffatPSF(alpha=2.2, beta=3.5),
    "AiryDiskPSF": AiryDiskPSF(radius=3.0),
    "make_psf_model": make_psf_model(Gaussian2D(x_stddev=1.1, y_stddev=1.1), x_name="x_mean",
                                     y_name="y_mean"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_formulas(name):
    """What is drawn is what the model gives in each pixel, at any place within one."""
    model = MODELS[name]
    data, positions, oversample = open_psf_field(model)
    field = PsfField.from_grid(data, positions, oversample)
    assert positions.tolist() == [[0.0, 0.0]]
    y, x = np.mgrid[:41, :41]
    for place in ((20.0, 20.0), (20.37, 19.81)):
        names = (
            getattr(model, f"{n}_name", m)
            for n, m in (("flux", "flux"), ("x", "x_0"), ("y", "y_0"))
        )
        star = model.copy()
        for parameter, value in zip(names, (100.0, *place), strict=True):
            setattr(star, parameter, value)
        drawn = field.render((41, 41), (0, 0), *(np.array([v]) for v in (*place, 100.0)),
                             np.array([field.half_size]))  # fmt: skip
        truth = np.asarray(star(x, y), dtype=float)
        near = np.hypot(x - 20, y - 20) < 10
        assert np.abs(drawn - truth)[near].max() < 3e-4 * truth.max()


@pytest.mark.parametrize("value", [2.5, True, "4", (4, 2), 0, -4, np.nan, np.inf, [4, 4, 4]])
def test_oversampling_that_is_none(value):
    with pytest.raises(InputError, match="psf: oversample must be a positive integer, got"):
        open_psf_field((ARRAY, value))
    with pytest.raises(InputError, match="oversample must be a positive integer"):
        find_psfs({"F1": (ARRAY, value)}, ["F1"])


@pytest.mark.parametrize("value", [4, 4.0, (4, 4), [4, 4], np.int64(4), np.array([4, 4])])
def test_oversampling_that_is_one(value):
    assert open_psf_field((ARRAY, value))[2] == 4
    assert psf_at(find_psfs({"F1": (ARRAY, value)}, ["F1"])["F1"], 0, 0, 0.03)[1] == 4


def test_an_array_alone_needs_its_oversampling():
    with pytest.raises(InputError, match="psf: it does not tell its sampling: give oversample"):
        open_psf_field(ARRAY)
    assert open_psf_field(ARRAY, oversample=4)[2] == 4


@pytest.mark.parametrize("depth", [0.003, 0.037])
def test_troughs_of_an_epsf_pass_every_door(depth):
    array = ARRAY.copy()
    array[5, 5] = -depth * array.max()
    assert open_psf_field((array, 4))[0].min() < 0
    assert open_psf_field(ImagePSF(16 * array, oversampling=4))[0].min() < 0
    found, _ = psf_at(find_psfs({"F1": (array, 4)}, ["F1"])["F1"], 0, 0, 0.03)
    assert EffectivePSF.from_array(found, 4).array.min() < 0


@pytest.mark.parametrize("bad", ["deep", "nan", "zero", "1d"])
def test_arrays_that_are_no_psf_are_told_early(bad):
    array = {"deep": ARRAY.copy(), "nan": ARRAY.copy(), "zero": 0 * ARRAY, "1d": ARRAY[0]}[bad]
    if bad in ("deep", "nan"):
        array[5, 5] = np.nan if bad == "nan" else -0.06 * array.max()
    with pytest.raises(InputError, match=r"^psf must"):
        open_psf_field((array, 4))


@pytest.mark.parametrize("scale", [0.03, 0.02, 0.045])
def test_sampled_for_other_pixels(tmp_path, scale):
    """PIXELSCL says how wide the samples are: the PSF keeps its width in arcsec."""
    sigma = 1.5 * 0.03 / scale  # of a star in pixels of ``scale``
    grid = (np.arange(241) - 120) / 4
    profile = np.exp(-(grid**2) / 2 / sigma**2)
    hdu = fits.PrimaryHDU(np.outer(profile, profile))
    hdu.header["DET_SAMP"], hdu.header["PIXELSCL"] = 4, scale / 4
    hdu.writeto(tmp_path / "psf.fits")
    data, positions, oversample = open_psf_field(tmp_path / "psf.fits", side=0.03)
    fwhm = PsfField.from_grid(data, positions, oversample).mean.fwhm
    assert fwhm == pytest.approx(1.5 * 2.3548, rel=0.01)


def test_the_filter_of_the_image_decides(tmp_path):
    path = tmp_path / "psf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["oversample"] = 4
        file["F090W"], file["F150W"] = ARRAY, ARRAY.T
    data, _, _ = open_psf_field(path, image_filter="F150W")
    assert data[0] == pytest.approx(ARRAY.T * 16)
    data, _, _ = open_psf_field({"F090W": (ARRAY, 4), "F150W": (ARRAY.T, 4)}, "F150W")
    assert data[0] == pytest.approx(ARRAY.T * 16)


def test_light_away_from_the_middle_is_said(caplog):
    open_psf_field((np.roll(ARRAY, 12, axis=1), 4))
    assert "is 3.0 pixels of the image beside it" in caplog.text
    caplog.clear()
    open_psf_field((np.roll(ARRAY, 2, axis=1), 4))
    assert not caplog.text
