"""Images whose filter nothing tells."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from sample_models import make_psf

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError

RNG = np.random.default_rng(5)
IMAGE = RNG.normal(1.0, 0.1, (24, 24))
PSF = make_psf()


@pytest.fixture
def write(tmp_path):
    """Write an image without any keyword; its name tells no filter."""

    def write(name="galaxy.fits", image=IMAGE):
        fits.PrimaryHDU(image).writeto(tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def psf_file(tmp_path):
    """Write PSFs of these filters."""

    def write(*names):
        path = tmp_path / "psf.h5"
        with h5py.File(path, "w") as file:
            file.attrs["oversample"] = 4
            for name in names:
                file[name] = PSF
        return path

    return write


class TestOneImage:
    def test_has_the_filter_that_is_asked_for(self, write):
        model = GalaxyModel.open(write(), psf_file=(PSF, 4), filters=["F150W"])
        assert model.filters == ("F150W",)

    def test_has_that_of_the_only_psf(self, write, psf_file):
        model = GalaxyModel.open(write(), psf_file=psf_file("F277W"))
        assert model.filters == ("F277W",)

    @pytest.mark.parametrize("thing", [IMAGE, NDData(IMAGE), [NDData(IMAGE)]], ids=str)
    def test_is_called_image_where_nothing_tells(self, thing):
        model = GalaxyModel.open(thing, psf_file=(PSF, 4))
        assert model.filters == ("image",)
        np.testing.assert_array_equal(model.bands["image"].data, IMAGE)

    def test_several_psfs_leave_a_doubt(self, write, psf_file):
        with pytest.raises(InputError, match="psf_file has PSFs of F150W, F277W: say which"):
            GalaxyModel.open(write(), psf_file=psf_file("F150W", "F277W"))

    def test_keyword_wins(self, tmp_path):
        header = fits.Header({"FILTER": "F090W"})
        fits.PrimaryHDU(IMAGE, header).writeto(tmp_path / "a.fits")
        with pytest.raises(InputError, match="'F150W' is not there; it has F090W"):
            GalaxyModel.open(tmp_path / "a.fits", psf_file=(PSF, 4), filters=["F150W"])


class TestSeveralImages:
    def test_have_the_filters_in_their_order(self, write):
        files = [write("one.fits"), write("two.fits", 2 * IMAGE)]
        model = GalaxyModel.open(files, psf_file={"g": (PSF, 4), "r": (PSF, 4)}, filters=["r", "g"])
        assert model.filters == ("r", "g")
        np.testing.assert_array_equal(model.bands["g"].data, 2 * IMAGE)

    def test_of_a_folder_have_no_order(self, write, tmp_path):
        write("one.fits"), write("two.fits")
        with pytest.raises(InputError, match="no keyword tells the filter; give filters"):
            GalaxyModel.open(tmp_path, psf_file=(PSF, 4), filters=["r", "g"])
