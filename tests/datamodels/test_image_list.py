import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table

from galstep.datamodels.sky.image_list import ImageList, write_catalog
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.testing.star_frames import tan_wcs


@pytest.fixture
def images():
    made = ImageList(
        [SkyImage(name, np.full((4, 5), i), wcs=tan_wcs((4, 5))) for i, name in enumerate("ab")],
        filename="a.fits",
    )
    made.summary = QTable({"image": ["a", "b"]})
    return made


def test_it_is_a_sequence_of_images(images):
    assert len(images) == 2
    assert [image.name for image in images] == ["a", "b"]
    assert images[1].data[0, 0] == 1


def test_everything_is_written(images, tmp_path):
    images.tables["a_cat"] = (Table({"x": [1.0]}), "csv")
    path = images.save(tmp_path / "a_tweakreg.asdf")
    assert path == str(tmp_path / "a_tweakreg.ecsv")
    assert {p.name for p in tmp_path.iterdir()} == {
        "a_tweakreg.ecsv", "a_tweakreg.fits", "b_tweakreg.fits", "a_cat.csv",
    }  # fmt: skip
    assert (fits.getdata(tmp_path / "b_tweakreg.fits") == 1).all()
    assert list(QTable.read(path)["image"]) == ["a", "b"]


def test_folder_and_name_by_the_host(images, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    path = images.save(lambda filename: f"elsewhere/x_{filename}", dir_path=folder)
    assert path == str(folder / "x_a.ecsv")
    with pytest.raises(InputError, match="the folder .* is not there"):
        images.save(tmp_path / "nowhere" / "a.ecsv")


@pytest.mark.parametrize(
    ("table_format", "name"),
    [("ecsv", "t.ecsv"), ("ascii.ecsv", "t.ecsv"), ("csv", "t.csv"), ("fits", "t.fits")],
)
def test_formats(tmp_path, table_format, name):
    (path,) = write_catalog(Table({"x": [1.0, 2.0]}), tmp_path / "t", table_format)
    assert path == str(tmp_path / name)
    assert list(Table.read(path)["x"]) == [1.0, 2.0]
