"""Whose catalogue is used: that of the list, of the association, of the image, or none.

All combinations that jwst's test of its step goes through; steps by the number of stars.
"""

import json

import numpy as np
import pytest
from astropy.table import Table

from galstep.datamodels.sky.exposures import open_exposures
from galstep.exceptions import InputError
from galstep.steps import TweakReg
from galstep.steps.images.tweak_reg_catalogs import custom_catalogs, user_positions
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions, tan_wcs

pytest.importorskip("tweakwcs")

from exposures import write_exposure

from galstep.testing.gwcs_models import exposure_gwcs

SHAPE = (100, 110)
IN_THE_IMAGE, IN_THE_CATALOGUE = 12, 7


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    x, y = star_positions(rng, IN_THE_IMAGE, SHAPE, 15.0, border=10)
    image = star_frame(SHAPE, default_psf("F150W"), x, y, np.full(IN_THE_IMAGE, 1000.0))
    return image + rng.normal(0, 0.5, SHAPE)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(10, 90, (2, IN_THE_CATALOGUE))
    Table({"x": x, "y": y}).write(tmp_path / "own.ecsv")
    return tmp_path


def write_images(folder, frame, catalogue):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    meta = {} if catalogue is None else {"tweakreg_catalog": catalogue}
    write_exposure(folder / "a.fits", frame, wcs, info, group_id="a", **meta)
    write_exposure(folder / "b.fits", frame, wcs, info, group_id="b")


def counts(result):
    return list(result.summary["n_stars"])


@pytest.fixture(scope="module", params=[None, "own.ecsv", ""], ids=["-", "meta", "empty meta"])
def written(request, frame, tmp_path_factory):
    """A folder with the images, and what the first one says of its catalogue."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, frame, request.param)
    (folder / "own.ecsv").touch()
    return folder, request.param


@pytest.mark.parametrize("use", [True, False])
@pytest.mark.parametrize("member", [None, "own.ecsv", ""], ids=["-", "member", "empty member"])
@pytest.mark.parametrize(
    "catfile", [None, "a.fits own.ecsv", "a.fits", ""], ids=["-", "list", "image alone", "empty"]
)
def test_whose_catalogue(written, catfile, member, use):
    folder, meta = written
    members = [{"expname": f"{n}.fits", "exptype": "science"} for n in "ab"]
    if member is not None:
        members[0]["tweakreg_catalog"] = member
    (folder / "x.json").write_text(json.dumps({"products": [{"members": members}]}))
    (folder / "list.txt").write_text(catfile or "")
    images = open_exposures([folder / "x.json"])
    found = custom_catalogs(images, use, "" if catfile is None else str(folder / "list.txt"))
    # the list rules, if it names any catalogue or none; then the association; then the image
    named = "own.ecsv" in catfile if catfile is not None else member or (member is None and meta)
    assert found == [folder / "own.ecsv" if use and named else None, None]


@pytest.mark.parametrize("meta", [None, "own.ecsv"])
def test_without_a_list(folder, frame, meta, caplog, elsewhere):
    """Images alone: their own catalogues, or their stars are found, and it says so."""
    caplog.set_level("INFO")
    write_images(folder, frame, meta)
    result = TweakReg(use_custom_catalogs=True, minobj=3).run(folder / "a.fits", folder / "b.fits")
    assert counts(result) == [IN_THE_CATALOGUE if meta else IN_THE_IMAGE, IN_THE_IMAGE]
    assert ("no catalogue is named for b" if meta else "named for a, b") in caplog.text


def test_list_that_is_not_used_is_told(folder, frame, caplog, elsewhere):
    write_images(folder, frame, None)
    (folder / "list.txt").write_text("a.fits own.ecsv\n")
    TweakReg(catfile=str(folder / "list.txt"), minobj=3).run(folder / "a.fits", folder / "b.fits")
    assert "catfile is given, but use_custom_catalogs is not set" in caplog.text
    caplog.clear()
    (folder / "list.txt").write_text("a.fits\n")
    step = TweakReg(use_custom_catalogs=True, catfile=str(folder / "list.txt"), minobj=3)
    step.run(folder / "a.fits", folder / "b.fits")
    assert "names no catalogue: stars are found" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c.fits own.ecsv\n", r"line 1: 'c.fits own.ecsv' names none of the images \('a', 'b'\)"),
        ("a.fits nope.ecsv\n", r"catalogue .*nope.ecsv: there is no such file"),
        ("a.fits own.ecsv more.ecsv\n", "an image and its catalogue are needed"),
    ],
)
def test_list_that_is_wrong(folder, frame, text, message, elsewhere):
    write_images(folder, frame, None)
    (folder / "list.txt").write_text(text)
    step = TweakReg(use_custom_catalogs=True, catfile=str(folder / "list.txt"), minobj=3)
    with pytest.raises(InputError, match=message):
        step.run(folder / "a.fits", folder / "b.fits")


def test_catalogue_that_is_not_there(folder, frame, elsewhere):
    write_images(folder, frame, "gone.ecsv")
    with pytest.raises(InputError, match=r"catalogue gone.ecsv: there is no such file"):
        TweakReg(use_custom_catalogs=True).run(folder / "a.fits", folder / "b.fits")


@pytest.mark.parametrize("missing", ["x", "y"])
@pytest.mark.parametrize("names", [("x", "y"), ("xcentroid", "ycentroid"),
                                   ("x_centroid", "y_centroid")])  # fmt: skip
def test_columns(folder, names, missing):
    table = Table.read(folder / "own.ecsv")
    for old, new in zip("xy", names, strict=True):
        table[old].name = new
    table.write(folder / "own.ecsv", overwrite=True)
    assert len(user_positions(folder / "own.ecsv", "ecsv")) == IN_THE_CATALOGUE
    table.remove_column(names["xy".index(missing)])
    table.write(folder / "own.ecsv", overwrite=True)
    with pytest.raises(InputError, match=f"a column '{missing}' is needed"):
        user_positions(folder / "own.ecsv", "ecsv")


def test_formats_by_name(folder):
    """The parameter tells the format only where the name of the file does not."""
    table = Table.read(folder / "own.ecsv")
    table.write(folder / "own.csv")
    table.write(folder / "own.fits")
    table.write(folder / "own.cat", format="ascii.csv")
    for name, table_format in (("own.csv", "ecsv"), ("own.fits", "ecsv"), ("own.cat", "csv")):
        assert len(user_positions(folder / name, table_format)) == IN_THE_CATALOGUE


def test_own_catalogues_are_not_written_over(folder, frame, elsewhere):
    table = Table.read(folder / "own.ecsv")
    table.write(elsewhere / "a_cat.ecsv")
    write_images(folder, frame, "a_cat.ecsv")
    step = TweakReg(use_custom_catalogs=True, save_catalogs=True, minobj=3)
    step.run(folder / "a.fits", folder / "b.fits")
    assert Table.read(elsewhere / "a_cat.ecsv").colnames == ["x", "y"]
    assert len(Table.read(elsewhere / "b_cat.ecsv")) == IN_THE_IMAGE


def test_places_outside_the_image_do_not_count(folder, frame, elsewhere):
    table = Table({"x": [5.0, 50.0, 500.0, np.nan], "y": [5.0, 50.0, 50.0, 3.0]})
    table.write(folder / "own.ecsv", overwrite=True)
    write_images(folder, frame, "own.ecsv")
    result = TweakReg(use_custom_catalogs=True, minobj=3).run(folder / "a.fits", folder / "b.fits")
    assert counts(result)[0] == 2
