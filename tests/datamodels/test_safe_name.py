"""Names of galaxies and filters as parts of file names."""

import os

import pytest

from galstep.datamodels.files.safe_name import folded, header_text, safe_name


@pytest.mark.parametrize("name", ["ngc1", "a b", "银河", "a.b.c", "[x]", "-x", "a#b?%41"])
def test_what_can_stand_in_a_file_name_stays(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["../escaped", "a/b", "a\\b", "/etc/passwd", "..", ".", "", " ", "con\nline", "x" * 400]
)
def test_what_leads_elsewhere_does_not(name, tmp_path):
    safe = safe_name(name)
    assert safe != name and safe.isprintable() and not set(safe) & set("/\\")
    (tmp_path / safe).touch()
    assert os.listdir(tmp_path) == [safe]


def test_two_names_never_become_one():
    names = ["a/b", "a\\b", "a_b", "a\nb", "", ".", "..", "x" * 400, "x" * 401]
    assert len({safe_name(name) for name in names}) == len(names)


def test_what_file_systems_take_for_one():
    assert folded("Caf\u00e9") == folded("cafe\u0301")


def test_headers_are_ascii():
    assert header_text("\u03b1 Cen\n") == "\\u03b1 Cen\\x0a"
