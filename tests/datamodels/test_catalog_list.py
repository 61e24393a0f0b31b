from types import SimpleNamespace

import numpy as np
import pytest

from galstep.datamodels.sky.catalog_list import read_catalog_list
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError


def images_of(*sources):
    return [
        SkyImage(getattr(s, "stem", "model"), np.zeros((2, 2)), source=s) for s in sources
    ]  # fmt: skip


def read(tmp_path, text, *sources):
    path = tmp_path / "catfile.txt"
    path.write_text(text)
    return read_catalog_list(path, images_of(*sources))


@pytest.mark.parametrize(
    "text",
    [
        "a_cal.fits a.ecsv\nb 1.fits b.ecsv\n",
        "# image  catalog\n\n  a_cal.fits\ta.ecsv\n'b 1.fits'   b.ecsv",
        'a_cal.fits, a.ecsv\n"b 1.fits" , "b.ecsv"\n',
        "a_cal a.ecsv\nb 1 b.ecsv\n",
        "b 1.fits b.ecsv\na_cal.fits a.ecsv\n",
        "{folder}/a_cal.fits a.ecsv\n{folder}/b 1.fits b.ecsv\n",
    ],
)
def test_rows(tmp_path, text):
    folder = tmp_path / "images"
    text = text.format(folder=folder)
    found = read(tmp_path, text, folder / "a_cal.fits", folder / "b 1.fits")
    assert found == [str(tmp_path / "a.ecsv"), str(tmp_path / "b.ecsv")]


def test_names_that_begin_alike(tmp_path):
    sources = [tmp_path / "a.fits", tmp_path / "a b.fits", tmp_path / "a.fits.fits"]
    text = "a.fits.fits 3.ecsv\na b.fits 2.ecsv\na.fits 1.ecsv\n"
    assert [c[-6:] for c in read(tmp_path, text, *sources)] == ["1.ecsv", "2.ecsv", "3.ecsv"]


def test_catalogue_with_blanks(tmp_path):
    (tmp_path / "my stars.ecsv").touch()
    found = read(tmp_path, "a.fits my stars.ecsv\n", tmp_path / "a.fits")
    assert found == [str(tmp_path / "my stars.ecsv")]


def test_image_alone_and_image_that_is_not_named(tmp_path):
    found = read(tmp_path, "a.fits\n", tmp_path / "a.fits", tmp_path / "b.fits")
    assert found == ["", None]


def test_models_are_known_by_their_file_name(tmp_path):
    models = [SimpleNamespace(meta=SimpleNamespace(filename=f"{n}_cal.fits")) for n in "ab"]
    images = [SkyImage(f"{n}_cal", np.zeros((2, 2)), source=m) for n, m in zip("ab", models)]  # noqa: B905
    (tmp_path / "c.txt").write_text("b_cal.fits b.ecsv\n")
    assert read_catalog_list(tmp_path / "c.txt", images) == [None, str(tmp_path / "b.ecsv")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c.fits c.ecsv\n", r"catfile.txt, line 1: 'c.fits c.ecsv' names none of the images"),
        ("\na.fitsx a.ecsv\n", r"line 2: .* names none of the images \('a', 'b'\)"),
        ("a.fits a.ecsv\na.fits b.ecsv\n", "line 2: 'a' has been named before"),
        ("a.fits a.ecsv b.ecsv\n", "an image and its catalogue are needed, got 'a.ecsv b.ecsv'"),
    ],
)
def test_rows_that_are_not_understood(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, tmp_path / "a.fits", tmp_path / "b.fits")


def test_equal_names_need_their_folders(tmp_path):
    sources = [tmp_path / "x" / "a.fits", tmp_path / "y" / "a.fits"]
    with pytest.raises(InputError, match="'a.fits' are several images: give their folders"):
        read(tmp_path, "a.fits a.ecsv\n", *sources)
    found = read(tmp_path, "y/a.fits y.ecsv\nx/a.fits x.ecsv\n", *sources)
    assert [c[-6:] for c in found] == ["x.ecsv", "y.ecsv"]


def test_list_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"catfile .*nope.txt: there is no such file"):
        read_catalog_list(tmp_path / "nope.txt", [])
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is not text"):
        read_catalog_list(tmp_path / "c.txt", [])
