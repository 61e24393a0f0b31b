"""Tables as ECSV and FITS: the same numbers, units and texts in both."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

from galstep.datamodels.files.table_writer import table_endings, write_table
from galstep.datamodels.products.galaxy_products import write_products
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import ParameterError


@pytest.mark.parametrize(
    ("table_format", "endings"), [("ecsv", [".ecsv"]), ("fits", [".fits"]),
                                  ("both", [".ecsv", ".fits"])],
)  # fmt: skip
def test_files(model, tmp_path, table_format, endings):
    written = write_products(model, tmp_path, "x", regions=False, table_format=table_format)
    expected = {f"x_{kind}{ending}" for kind in make_tables(model) for ending in endings}
    assert {path.rpartition("/")[2] for path in written} == expected
    assert {path.name for path in tmp_path.iterdir()} == expected


def test_fits_has_what_ecsv_has(model, tmp_path):
    for kind, table in make_tables(model).items():
        ecsv, binary = (QTable.read(path) for path in write_table(table, tmp_path / kind, "both"))
        assert ecsv.colnames == binary.colnames
        for name in ecsv.colnames:
            own = binary[name]
            if ecsv[name].dtype.kind == "U":
                assert list(own) == list(ecsv[name])
            else:
                np.testing.assert_array_equal(
                    np.asarray(own), np.ma.filled(np.asarray(ecsv[name]), np.nan)
                )
            assert (own.unit or "") == (ecsv[name].unit or "")


def test_texts_and_what_the_table_says_of_itself(model, tmp_path):
    (path,) = write_table(make_tables(model)["phot"], tmp_path / "phot", "fits")
    header = fits.getheader(path, 1)
    assert header["TTYPE1"] == "filter" and header["TCOMM1"] == "name of the filter"
    history = "\n".join(header["HISTORY"])
    assert "galaxy: g001" in history and "fit_step: " in history and "flags/1: no_data" in history


def test_names_in_any_script(tmp_path):
    table = QTable({"filter": ["Hα", "g"], "flux": [1.0, np.nan] * u.Jy}, meta={"a": "β" * 100})
    (path,) = write_table(table, tmp_path / "x", "fits")
    assert list(QTable.read(path)["filter"]) == [r"H\u03b1", "g"]


def test_empty_table(model, tmp_path):
    table = make_tables(model)["stars"][:0]
    (path,) = write_table(table, tmp_path / "x", "fits")
    assert len(QTable.read(path)) == 0


def test_unknown_format():
    with pytest.raises(ParameterError, match="table_format must be one of ecsv, fits, both"):
        table_endings("csv")
