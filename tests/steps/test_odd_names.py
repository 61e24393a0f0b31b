"""Filters and galaxies with names in any script, in every kind of product."""

import os

import h5py
import pytest
from astropy.io import fits
from often import first_often

from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.drawn_names import with_plain_names
from galstep.steps.galaxy.products import PICTURES, write_beside
from galstep.testing import make_scene
from galstep.testing.models import fitted_model

NAMES = [
    "Hα",
    "$\\frac",
    "$x$",
    "F150W $",
    "银河",
    "a/b",
    "../../x",
    "x" * 300,
    "a\nb",
    "F 150 W",
    "%s",
    "..",
]


@pytest.fixture(scope="module")
def model():
    """A fitted galaxy in one filter."""
    return fitted_model(make_scene(1, (31, 31), 2, ("F150W",), snr=100.0, psf_size=25))


def named(model, name):
    """The model with another name of its filter and of itself."""
    model = model.copy()
    (band,) = model.bands.values()
    band.name = name
    model.bands = {name: band}
    model.meta.base_filter, model.meta.name = name, name
    return model


@pytest.mark.parametrize("name", first_often(NAMES, 3))
def test_every_product_stays_in_its_folder(model, name, tmp_path):
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    odd = named(model, name)
    odd.save(folder / "x_gal.asdf")
    write_beside(odd, str(folder / "x_gal.asdf"), "gal", (), save_fits=True)
    odd.save(folder / "x_gal.h5")
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {folder}
    assert list(GalaxyModel.open(folder / "x_gal.asdf").bands) == [name]
    (image,) = folder.glob("*.fits")
    assert len(os.fsencode(image.name)) < 200
    with fits.open(image) as hdus:
        assert hdus[0].header["FILTER"].isascii()
    with h5py.File(folder / "x_gal.h5") as file:
        assert len([key for key in file if isinstance(file[key], h5py.Group)]) == 1


def test_two_odd_filters_are_two_images(model, tmp_path):
    odd = named(model, "a/b")
    odd.bands["a_b"] = odd.bands["a/b"]
    odd.bands["a_b"].name = "a_b"
    odd.bands["a\\b"] = named(model, "a\\b").bands["a\\b"]
    odd.bands["a/b"] = named(model, "a/b").bands["a/b"]
    write_beside(odd, str(tmp_path / "x_gal.asdf"), "gal", (), save_fits=True)
    assert len(list(tmp_path.glob("*.fits"))) == 3


@pytest.mark.parametrize("name", ["银河 $", "$\\frac"])
def test_pictures(model, name, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pictures = [picture for picture in PICTURES if picture != "completeness"]
    write_beside(named(model, name), str(tmp_path / "x_gal.asdf"), "gal", pictures)
    assert len(list(tmp_path.glob("*.png"))) == len(pictures)


def test_names_without_a_dollar_are_drawn_as_they_are(model):
    assert with_plain_names(model) is model
    assert list(with_plain_names(named(model, "$a")).bands) == [r"\$a"]
    assert list(model.bands) == ["F150W"]
