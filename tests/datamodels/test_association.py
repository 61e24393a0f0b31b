import json

import pytest

from galstep.datamodels.images.association import is_association, read_association
from galstep.exceptions import InputError


def write(path, tree):
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


def association(*members):
    return {"asn_type": "image3", "products": [{"name": "p", "members": list(members)}]}


def test_members(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(
        tmp_path / "x_asn.json",
        association(
            {"expname": "a_cal.fits", "exptype": "science"},
            {"expname": "sub/b_cal.fits", "exptype": "SCIENCE", "group_id": 2,
             "tweakreg_catalog": "cats/b.ecsv"},
            {"expname": "bg.fits", "exptype": "background"},
            {"expname": str(tmp_path / "c.fits"), "group_id": None, "tweakreg_catalog": ""},
        ),
    )  # fmt: skip
    a, b, c = read_association(path)
    assert (a.path, a.group_id, a.catalog) == (tmp_path / "a_cal.fits", None, None)
    assert (b.path, b.group_id) == (tmp_path / "sub" / "b_cal.fits", "2")
    assert b.catalog == str(tmp_path / "cats" / "b.ecsv")
    assert (c.path, c.group_id, c.catalog) == (tmp_path / "c.fits", None, "")
    assert "not science, left out: bg.fits" in caplog.text


def test_further_products_are_named(tmp_path, caplog):
    tree = association({"expname": "a.fits"})
    tree["products"] *= 2
    assert len(read_association(write(tmp_path / "x.json", tree))) == 1
    assert "it has 2 products, the first is used" in caplog.text


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("no json", "is not JSON"),
        ("[" * 100000, "is not JSON"),
        ([1, 2], "it has no list 'products'"),
        ({"products": []}, "it has no list 'products'"),
        ({"products": ["a"]}, "its product has no list 'members'"),
        (association(), "its product has no list 'members'"),
        (association({"exptype": "science"}), "member 0 has no file name 'expname'"),
        (association({"expname": " "}), "member 0 has no file name 'expname'"),
        (association("a.fits"), "member 0 has no file name 'expname'"),
        (association({"expname": "a", "exptype": "background"}), "no member is of exptype"),
    ],
)
def test_what_is_no_association(tmp_path, tree, message):
    with pytest.raises(InputError, match=message):
        read_association(write(tmp_path / "x.json", tree))


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nope.json: there is no such file"):
        read_association(tmp_path / "nope.json")
    path = write(tmp_path / "x.json", association({"expname": "a.fits"}))
    monkeypatch.setattr("galstep.datamodels.images.association.LARGEST_FILE", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_association(path)


def test_names(tmp_path):
    assert is_association("x_asn.json")
    assert is_association(tmp_path / "X.JSON")
    assert not is_association("x.fits")
    assert not is_association({"products": []})
