"""PSFs from FITS files, photutils models and arrays; HDF5 is in test_psf_library."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from photutils.psf import GriddedPSFModel, ImagePSF
from sample_models import make_psf

from galstep.datamodels.psf.psf_input import find_psfs, psf_at
from galstep.datamodels.psf.psf_models import add_pixel_response, resampled, sampled
from galstep.exceptions import InputError

SIDE = 0.03


def found(psf_file, *filters, side=SIDE, x=0.0, y=0.0, default=None):
    sources = find_psfs(psf_file, filters)
    assert list(sources) == list(filters)
    return {name: psf_at(s, x, y, side, default) for name, s in sources.items()}


def width(array, oversample):
    """Second moment along x, and the centroid from the middle, in pixels."""
    ny, nx = array.shape
    x = (np.arange(nx) - (nx - 1) / 2) / oversample
    profile = array.sum(axis=0) / array.sum()
    centre = (profile * x).sum()
    return np.sqrt((profile * (x - centre) ** 2).sum()), centre


def write(path, array, name=None, extname=None, **keywords):
    hdu = fits.PrimaryHDU(array)
    hdu.header.update(keywords)
    if name:
        hdu.header["FILTER"] = name
    hdus = [hdu] if extname is None else [fits.PrimaryHDU(), fits.ImageHDU(array, hdu.header)]
    if extname:
        hdus[1].name = extname
    fits.HDUList(hdus).writeto(path)
    return path


class TestFits:
    @pytest.mark.parametrize("keyword", ["DET_SAMP", "OVERSAMP"])
    def test_one_image(self, tmp_path, keyword):
        path = write(tmp_path / "p.fits", 7.0 * make_psf(), "F150W", **{keyword: 4})
        array, oversample = found(path, "F150W")["F150W"]
        assert oversample == 4
        np.testing.assert_allclose(array, make_psf(), rtol=1e-12)

    @pytest.mark.parametrize("how", ["keyword", "extension", "file", "only"])
    def test_whose_it_is(self, tmp_path, how):
        path = tmp_path / ("psf_f150w.fits" if how == "file" else "p.fits")
        name = "f150w" if how == "keyword" else None
        extname = "F150W" if how == "extension" else None
        write(path, make_psf(), name, extname, OVERSAMP=4)
        assert list(found(path, "F150W")) == ["F150W"]

    def test_an_extension_each(self, tmp_path):
        hdus = [fits.PrimaryHDU()]
        for name, fwhm in (("F090W", 1.5), ("F150W", 2.5)):
            hdus.append(fits.ImageHDU(make_psf(fwhm=fwhm), name=name))
            hdus[-1].header["OVERSAMP"] = 4
        fits.HDUList(hdus).writeto(tmp_path / "p.fits")
        psfs = found(tmp_path / "p.fits", "F150W", "F090W")
        assert width(*psfs["F090W"])[0] < width(*psfs["F150W"])[0]

    def test_folder_and_list(self, tmp_path):
        for name in ("F090W", "F150W"):
            write(tmp_path / f"psf_{name}.fits", make_psf(), OVERSAMP=4)
        assert found(tmp_path, "F090W", "F150W")["F150W"][1] == 4
        assert found(sorted(tmp_path.iterdir()), "F150W")["F150W"][1] == 4

    def test_oversampling_given(self, tmp_path):
        path = write(tmp_path / "p.fits", make_psf(), "F150W")
        assert found(path, "F150W", default=4)["F150W"][1] == 4
        with pytest.raises(InputError, match=r"p.fits\[PRIMARY\]: the oversampling is not told"):
            found(path, "F150W")

    def test_output_of_stpsf(self, tmp_path):
        """Light on points: the pixel's response, 1/12 px^2 of variance, is added."""
        hdus = [fits.PrimaryHDU(header=fits.Header({"FILTER": "F150W"}))]
        for name, n, oversample in (("OVERSAMP", 65, 4), ("DET_SAMP", 17, 1), ("OVERDIST", 65, 4)):
            fwhm = 2.0 if name == "OVERDIST" else 3.0
            hdu = fits.ImageHDU(make_psf(n, oversample, fwhm), name=name)
            hdu.header.update(DET_SAMP=oversample, OVERSAMP=4, PIXELSCL=SIDE / oversample)
            hdus.append(hdu)
        fits.HDUList(hdus).writeto(tmp_path / "p.fits")
        array, oversample = found(tmp_path / "p.fits", "F150W")["F150W"]
        sigma, centre = width(array, oversample)
        # for an even oversampling by the trapezium rule: (n^2 + 2) / n^2 of 1/12
        expected = (2.0 / 2.355) ** 2 + (1 + 2 / 16) / 12
        assert oversample == 4
        assert sigma**2 == pytest.approx(expected, rel=1e-3)
        assert centre == pytest.approx(0, abs=1e-12)

    def test_made_for_other_pixels(self, tmp_path):
        path = write(tmp_path / "p.fits", make_psf(81), "F150W", OVERSAMP=4, PIXELSCL=0.031 / 4)
        array, oversample = found(path, "F150W", side=0.02)["F150W"]
        sigma, centre = width(array, oversample)
        assert (oversample, array.sum()) == (4, pytest.approx(1))
        assert sigma == pytest.approx(2.0 / 2.355 * 0.031 / 0.02, rel=1e-3)
        assert centre == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize(
        ("array", "keywords", "message"),
        [
            (np.ones(9), {}, r"p.fits\[PRIMARY\] must be a 2-D image, got shape \(9,\)"),
            (make_psf(), {"OVERSAMP": 2.5}, "oversample must be a positive integer, got 2.5"),
            (make_psf(), {"OVERSAMP": -4}, "OVERSAMP must be positive, got -4"),
            (
                -make_psf(),
                {"OVERSAMP": 4},
                "must not be negative beyond 5% of its peak, got samples from",
            ),
            (np.full((9, 9), np.nan), {"OVERSAMP": 4}, "must be finite everywhere, got 81 NaN"),
            (np.ones((4, 9, 9)), {"OVERSAMP": 4}, "no grid of PSFs that photutils reads"),
            (None, {}, "p.fits: there is no image in it"),
        ],
    )
    def test_messages(self, tmp_path, array, keywords, message):
        path = write(tmp_path / "p.fits", array, "F150W", **keywords)
        with pytest.raises(InputError, match=message):
            found(path, "F150W")

    def test_filter_that_is_not_there(self, tmp_path):
        path = write(tmp_path / "p.fits", make_psf(), "F150W", OVERSAMP=4)
        message = r"p.fits: filter 'F277W' is not there; it has F150W"
        with pytest.raises(InputError, match=message):
            found(path, "F277W")

    def test_two_of_a_filter(self, tmp_path):
        for name in "ab":
            write(tmp_path / f"{name}.fits", make_psf(), "F150W", OVERSAMP=4)
        with pytest.raises(
            InputError, match=r"one PSF of filter 'F150W' is needed, got .*a.fits.*and"
        ):
            found(tmp_path, "F150W")

    def test_nothing_tells_whose_it_is(self, tmp_path):
        path = write(tmp_path / "p.fits", make_psf(), OVERSAMP=4)
        with pytest.raises(InputError, match="nothing tells of which filter the PSF is"):
            found(path, "F090W", "F150W")

    def test_empty_folder_and_no_file(self, tmp_path):
        with pytest.raises(InputError, match="there is no FITS file in this folder"):
            found(tmp_path, "F150W")
        with pytest.raises(InputError, match="psf_file nowhere.fits: there is no such file"):
            found("nowhere.fits", "F150W")


def grid_of_psfs(header=False):
    """PSFs that widen from left to right over a detector of 100 pixels."""
    places = [(0, 0), (100, 0), (0, 100), (100, 100)]
    data = np.array([make_psf(33, 4, 1.5 + 0.01 * x) * 16 for x, _ in places])
    return data, places


class TestModels:
    def test_image_psf(self):
        model = ImagePSF(make_psf() * 16, oversampling=4)
        array, oversample = found({"F150W": model}, "F150W")["F150W"]
        assert oversample == 4
        np.testing.assert_allclose(array, make_psf(), atol=1e-9)

    def test_origin_elsewhere_is_brought_to_the_centre(self):
        y, x = np.indices((33, 33)) - 16.0
        psf = np.exp(-((x - 2) ** 2 + (y + 1) ** 2) / (2 * 3.0**2))
        model = ImagePSF(psf, oversampling=4, origin=(18.0, 15.0))
        array, _ = found(model, "F150W")["F150W"]
        assert np.unravel_index(array.argmax(), array.shape) == (16, 16)
        np.testing.assert_allclose(array[10:23, 10:23], array[10:23, 10:23][::-1, ::-1], rtol=1e-9)

    @pytest.mark.parametrize(("x", "fwhm"), [(0, 1.5), (50, 2.0), (100, 2.5), (400, 2.5)])
    def test_grid_at_the_galaxy(self, x, fwhm):
        data, places = grid_of_psfs()
        model = GriddedPSFModel(NDData(data, meta={"grid_xypos": places, "oversampling": 4}))
        array, oversample = found(model, "F150W", x=x, y=40)["F150W"]
        expected = np.mean([width(make_psf(33, 4, f), 4)[0] ** 2 for f in (
            (1.5, 2.5) if x == 50 else (fwhm, fwhm))])  # fmt: skip
        assert oversample == 4
        assert width(array, oversample)[0] ** 2 == pytest.approx(expected, rel=1e-3)

    def test_grid_in_a_file(self, tmp_path):
        data, places = grid_of_psfs()
        hdu = fits.PrimaryHDU(data)
        hdu.header.update(OVERSAMP=4, FILTER="F150W")
        for i, (x, y) in enumerate(places):
            hdu.header[f"DET_YX{i}"] = f"({y}, {x})"
        hdu.writeto(tmp_path / "grid.fits")
        left = found(tmp_path / "grid.fits", "F150W", x=0)["F150W"]
        right = found(tmp_path / "grid.fits", "F150W", x=100)["F150W"]
        assert width(*left)[0] < width(*right)[0]
        assert left[0].sum() == pytest.approx(1)

    def test_file_of_the_standard_format(self, tmp_path):
        data, _ = grid_of_psfs()
        hdu = fits.PrimaryHDU(data)
        hdu.header.update(NXPSFS=2, NYPSFS=2, IPSFX01=1, IPSFX02=101, JPSFY01=1, JPSFY02=101)
        path = tmp_path / "STDPSF_NRCB1_F150W.fits"
        hdu.writeto(path)
        left, right = (found(path, "F150W", x=x)["F150W"] for x in (0, 100))
        assert width(*left)[0] < width(*right)[0]

    def test_several_detectors_in_a_file(self, tmp_path):
        hdu = fits.PrimaryHDU(np.ones((36, 9, 9)))
        hdu.header.update(NXPSFS=6, NYPSFS=6)
        for i in range(1, 7):
            hdu.header[f"IPSFX{i:02d}"] = hdu.header[f"JPSFY{i:02d}"] = 100 * i
        path = tmp_path / "STDPSF_WFPC2_F555W.fits"
        hdu.writeto(path)
        message = "detector_id must be specified .*can be given as a GriddedPSFModel in Python"
        with pytest.raises(InputError, match=message):
            found(path, "F555W")

    def test_oversampling_that_differs_with_the_axis(self):
        model = ImagePSF(make_psf(), oversampling=(2, 4))
        with pytest.raises(InputError, match="psf_file: oversample must be a positive integer"):
            found(model, "F150W")

    def test_one_model_for_two_filters(self):
        with pytest.raises(
            InputError, match="nothing tells of which filter the PSF is; give a map"
        ):
            found(ImagePSF(make_psf()), "F090W", "F150W")


class TestArrays:
    def test_pair(self):
        array, oversample = found({"r": (3 * make_psf(), 4)}, "r")["r"]
        np.testing.assert_allclose(array, make_psf(), rtol=1e-12)
        assert oversample == 4

    def test_alone(self):
        assert found(make_psf(), "r", default=4)["r"][1] == 4
        with pytest.raises(InputError, match="psf_file: the oversampling is not told"):
            found(make_psf(), "r")

    @pytest.mark.parametrize(
        ("psf_file", "message"),
        [
            ({}, "psf_file: it is empty, so no filter"),
            ({"g": make_psf()}, "psf_file: filter 'r' is not there; it has g"),
            ({"r": "x"}, "psf_file x: there is no such file"),
            ({"r": 3}, r"psf_file\['r'\] must be a file, a PSF model of photutils, or \(array"),
            ({"r": (make_psf(), 2.5)}, "oversample must be a positive integer, got 2.5"),
            ({"r": (make_psf(), True)}, "oversample must be a positive integer, got True"),
            ({"r": (np.ones(3), 1)}, r"psf_file\['r'\] must be a 2-D image, got shape \(3,\)"),
        ],
    )
    def test_messages(self, psf_file, message):
        with pytest.raises(InputError, match=message):
            found(psf_file, "r")


@pytest.mark.parametrize("oversample", [1, 2, 3, 4, 5])
def test_pixel_response_keeps_light_and_centre(oversample):
    point = np.zeros((21, 21))
    point[10, 10] = 1.0
    spread = add_pixel_response(point, oversample)
    sigma, centre = width(spread, oversample)
    n = oversample
    # of n (odd) or n + 1 points with half weight at the ends
    expected = (n**2 - 1) / (12 * n**2) if n % 2 else (n**2 + 2) / (12 * n**2)
    assert spread.sum() == pytest.approx(1)
    assert sigma**2 == pytest.approx(expected, abs=1e-12)
    assert centre == pytest.approx(0, abs=1e-12)


def test_resampled_by_a_rotation():
    y, x = np.indices((41, 41)) - 20.0
    psf = np.exp(-(x**2 / 50 + y**2 / 18))
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(resampled(psf, quarter), np.rot90(psf), atol=1e-12)
    tilted = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    out = resampled(psf, tilted)
    n = out.shape[0]
    v, u = np.indices((n, n)) - (n - 1) / 2
    old_x, old_y = tilted @ np.stack([u.ravel(), v.ravel()])
    expected = np.exp(-(old_x**2 / 50 + old_y**2 / 18)).reshape(n, n)
    np.testing.assert_allclose(out, expected, atol=2e-4)


def test_sampling_is_at_the_nodes():
    data, places = grid_of_psfs()
    model = GriddedPSFModel(NDData(data, meta={"grid_xypos": places, "oversampling": 4}))
    np.testing.assert_allclose(sampled(model, 0, 0, "x")[0], data[0], atol=1e-10)
