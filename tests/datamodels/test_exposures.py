"""Groups and catalogues of images, and all the ways in which images come."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from galstep.datamodels.sky.exposures import open_exposures
from galstep.datamodels.sky.image_list import ImageList
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.testing.star_frames import tan_wcs

pytest.importorskip("gwcs")

from exposures import Library, Meta, Model, write_exposure

from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

SHAPE = (12, 16)
NUMBERS = dict(
    program_number="01234", observation_number="001", visit_number="001", visit_group="02",
    sequence_id="1", activity_id="01", exposure_number="1",
)  # fmt: skip
KEYWORDS = dict(PROGRAM="01234", OBSERVTN="001", VISIT="001", VISITGRP="02", SEQ_ID="1",
                ACT_ID="01", EXPOSURE="1")  # fmt: skip


@pytest.fixture
def data():
    return np.arange(192.0).reshape(SHAPE)


def exposure(data, **meta):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    return Model(data, wcs, info, **meta)


def groups(inputs):
    return [image.group_id for image in open_exposures(inputs)]


def test_group_of_models(data):
    chips = [
        exposure(data, filename=f"{n}.fits", observation=Meta(**NUMBERS)) for n in "ab"
    ]  # fmt: skip
    other = exposure(data, filename="c.fits", observation=Meta(**{**NUMBERS, "exposure_number": 2}))
    named = exposure(data, filename="d.fits", observation=Meta(**NUMBERS), group_id=7)
    unknown = exposure(data, filename="e.fits", observation=Meta(program_number="01234"))
    found = groups([*chips, other, named, unknown])
    assert found[0] == found[1] is not None
    assert len(set(found)) == 4
    assert found[3:] == ["7", None]


def test_group_of_files(data, tmp_path):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    for name, keywords, meta in (
        ("a", KEYWORDS, {}),
        ("b", {}, dict(observation=NUMBERS)),
        ("c", {**KEYWORDS, "EXPOSURE": "2"}, {}),
        ("d", KEYWORDS, dict(group_id="mine")),
        ("e", {**KEYWORDS, "EXPOSURE": ""}, {}),
    ):
        write_exposure(tmp_path / f"{name}.fits", data, wcs, info, keywords=keywords, **meta)
    found = groups([tmp_path / f"{name}.fits" for name in "abcde"])
    assert found[0] == found[1] is not None
    assert found[2] not in (None, found[0])
    assert found[3:] == ["mine", None]


def test_mosaics_are_no_exposures(data, tmp_path):
    """Their headers have the numbers of their first exposure: two filters would be one group."""
    path = write_exposure(
        tmp_path / "a_i2d.fits", data, mosaic_gwcs(tan_wcs(SHAPE), SHAPE), keywords=KEYWORDS
    )
    plain = tmp_path / "plain.fits"
    header = tan_wcs(SHAPE).to_header()
    header.update(KEYWORDS)
    fits.PrimaryHDU(data, header).writeto(plain)
    assert groups([path, plain]) == [None, None]


def test_association(data, tmp_path):
    wcs, info = exposure_gwcs(tan_wcs(SHAPE), SHAPE)
    for name in "abc":
        write_exposure(tmp_path / f"{name}.fits", data, wcs, info, keywords=KEYWORDS,
                       tweakreg_catalog=f"own_{name}.ecsv")  # fmt: skip
    members = [
        {"expname": "a.fits", "exptype": "science"},
        {"expname": "b.fits", "exptype": "science", "group_id": "2", "tweakreg_catalog": "b.ecsv"},
        {"expname": "c.fits", "exptype": "science", "tweakreg_catalog": None},
    ]
    path = tmp_path / "x_asn.json"
    path.write_text(json.dumps({"products": [{"members": members}]}))
    a, b, c = open_exposures([str(path)])
    assert a.group_id == c.group_id != "2" == b.group_id
    assert (a.catalog, b.catalog, c.catalog) == ("own_a.ecsv", str(tmp_path / "b.ecsv"), "")
    (tmp_path / "b.fits").unlink()
    with pytest.raises(InputError, match=r"x_asn.json: there is no such file: .*b.fits"):
        open_exposures([path])


def test_library(data, tmp_path):
    library = Library([exposure(data, filename="a.fits", group_id="1"),
                       exposure(data, filename="b.fits")])  # fmt: skip
    a, b = open_exposures([library])
    # stpipe gives a group of its own to what has none
    assert a.group_id == "1" != b.group_id
    assert (a.name, b.name) == ("a", "b")
    with library:  # all is given back
        library.shelve(library.borrow(0), 0)


def test_library_of_an_association(data, tmp_path):
    library = type("Other", (Library,), {"open_model": staticmethod(
        lambda path: exposure(data, filename=str(path).rpartition("/")[2]))})  # fmt: skip
    members = [{"expname": f"{n}.fits", "exptype": "science", "group_id": n} for n in "ab"]
    members[1]["tweakreg_catalog"] = "b.ecsv"
    path = tmp_path / "x_asn.json"
    path.write_text(json.dumps({"products": [{"members": members}]}))
    a, b = open_exposures([library(str(path))])
    assert (a.group_id, b.group_id) == ("a", "b")
    assert (a.catalog, b.catalog) == (None, str(tmp_path / "b.ecsv"))


def test_containers(data):
    """Anything that holds images is taken apart: nested, lazy, a user's own sequence."""

    class Container:
        def __init__(self, *models):
            self.models = models

        def __len__(self):
            return len(self.models)

        def __getitem__(self, index):
            return self.models[index]

        def __iter__(self):
            return iter(self.models)

    models = [exposure(data, filename=f"{n}.fits") for n in "abcd"]
    ccd = CCDData(data, unit="adu", wcs=tan_wcs(SHAPE))
    inputs = [Container(models[0]), (m for m in models[1:2]), [[models[2]], (models[3],)], ccd,
              ImageList([SkyImage("e", data)])]  # fmt: skip
    assert [image.name for image in open_exposures(inputs)] == ["a", "b", "c", "d", "image", "e"]


def test_names_of_their_own(data, tmp_path):
    for folder in "xy":
        (tmp_path / folder).mkdir()
        fits.PrimaryHDU(data, tan_wcs(SHAPE).to_header()).writeto(tmp_path / folder / "a.fits")
    paths = [tmp_path / "x" / "a.fits", tmp_path / "y" / "a.fits"]
    ccd = CCDData(data, unit="adu", wcs=tan_wcs(SHAPE))
    found = [image.name for image in open_exposures([*paths, ccd, ccd, paths[0]])]
    assert len(set(found)) == 5
    assert found == ["x_a", "y_a", "image", "image_2", "x_a_2"]
    assert [image.name for image in open_exposures(paths)] == ["x_a", "y_a"]
    taken = [SkyImage(name, data) for name in ("b", "b", "b_1")]
    assert len({image.name for image in open_exposures(taken)}) == 3


@pytest.mark.parametrize("nothing", [[], [[]], [()]])
def test_no_images(nothing):
    with pytest.raises(InputError, match="there are no images in the input"):
        open_exposures(nothing)


@pytest.mark.parametrize("thing", [SimpleNamespace(data=None), 3.0, None])
def test_what_is_no_image(thing):
    with pytest.raises(InputError, match="got (SimpleNamespace|float|NoneType)"):
        open_exposures([thing])
