"""The list of galaxies, as users write it."""

import logging
import os

import pytest
from astropy.table import Table

from galstep.batch.entry import Entry
from galstep.batch.inputs import read_list
from galstep.exceptions import InputError, ParameterError


def entries(path, text, name="list.csv"):
    """What a table of this text names."""
    (path / name).write_text(text)
    return read_list([path / name])


def test_table_with_parameters(tmp_path):
    found = entries(
        tmp_path,
        "input,name,psf_file,basefit.th_min,filters,psfcalibrate.blur_psf.F150W\n"
        'a.h5,007,psf/p.h5,4.5,"F150W,F277W",1.5\n'
        "sub/b.h5,,,,,\n",
    )
    assert found == [
        Entry(
            "007",
            str(tmp_path / "a.h5"),
            {
                "filters": ["F150W", "F277W"],
                "steps": {
                    "loadcrop": {"psf_file": str(tmp_path / "psf" / "p.h5")},
                    "basefit": {"th_min": "4.5"},
                    "psfcalibrate": {"blur_psf": {"F150W": "1.5"}},
                },
            },
        ),
        Entry("b", str(tmp_path / "sub" / "b.h5")),
    ]


def test_ecsv_table_with_masked_cells(tmp_path):
    table = Table({"input": ["a.h5", "b.h5"], "steps.basefit.iter_basefit": [3, 4]}, masked=True)
    table["steps.basefit.iter_basefit"].mask[1] = True
    table.write(tmp_path / "list.ecsv")
    first, second = read_list([tmp_path / "list.ecsv"])
    assert first.parameters == {"steps": {"basefit": {"iter_basefit": "3"}}}
    assert second.parameters == {}


def test_other_columns_are_said_not_to_be_used(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "stpipe.galstep"):
        (found,) = entries(tmp_path, "input,redshift\na.h5,0.3\n")
    assert found.parameters == {}
    assert "columns not used: redshift" in caplog.text


def test_pattern_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("g2.h5", "g1.h5", "other.fits.gz", "x_gal.asdf"):
        (tmp_path / name).touch()
    found = read_list(["g*.h5", "other.fits.gz", tmp_path / "x_gal.asdf"])
    assert [entry.name for entry in found] == ["g1", "g2", "other", "x"]
    assert found[0].input == os.path.join(tmp_path, "g1.h5")


CASES = {
    "no input column": (
        "name\na\n",
        r"a column 'input' is needed, or positions and --image; the table has name",
    ),
    "empty input": ("input,name\n,a\n", r"row 1 has no input"),
    "same name": (
        "input,name\na/x.h5,x\nb/x.h5,x\n",
        r"two galaxies are called 'x': .*a/x.h5 and .*b/x.h5",
    ),
    "folder in name": ("input,name\na.h5,../a\n", r"must be a plain file name, got '../a'"),
    "hidden name": ("input,name\na.h5,.a\n", r"must be a plain file name, got '.a'"),
    "no rows": ("input\n", r"no galaxy is named"),
    "ragged": ("input,name\na.h5,b,c\n", r"not a table that can be read"),
}


@pytest.mark.parametrize(("text", "message"), CASES.values(), ids=CASES)
def test_table_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        entries(tmp_path, text)


def test_column_of_an_unknown_step(tmp_path):
    with pytest.raises(ParameterError, match=r"'basfit' is not a step .did you mean 'basefit'"):
        entries(tmp_path, "input,basfit.th_min\na.h5,3\n")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none*.h5", r"'none\*.h5': no file matches"),
        ("none.h5", r"'none.h5': no file of this name"),
        ("none.csv", r"none.csv: there is no such table"),
    ],
)
def test_nothing_there(elsewhere, source, message):
    with pytest.raises(InputError, match=message):
        read_list([source])
