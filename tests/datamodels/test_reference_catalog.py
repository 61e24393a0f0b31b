import numpy as np
import pytest
from astropy.table import Table

from galstep.datamodels.catalogs.reference_catalog import (
    read_pixel_catalog,
    read_sky_catalog,
)
from galstep.exceptions import InputError, ParameterError


@pytest.mark.parametrize("name", ["c.ecsv", "c.csv"])
@pytest.mark.parametrize(
    "columns", [("x", "y"), ("X_Centroid", "Y_Centroid"), ("xcentroid", "ycentroid")]
)
def test_pixel_catalog(tmp_path, name, columns):
    path = tmp_path / name
    table = Table(
        {columns[0]: [1.0, 2.0, np.nan], columns[1]: [3.0, 4.0, 5.0], "flux": [9.0, 8.0, 7]}
    )
    table.write(path)
    x, y, flux = read_pixel_catalog(path)
    assert (x.tolist(), y.tolist(), flux.tolist()) == ([1.0, 2.0], [3.0, 4.0], [9.0, 8.0])


def test_pixel_catalog_without_flux(tmp_path):
    path = tmp_path / "c.ecsv"
    Table({"x": [1.0], "y": [2.0]}).write(path)
    assert np.isnan(read_pixel_catalog(path, "ecsv")[2]).all()


def test_catalog_that_lacks_columns(tmp_path):
    path = tmp_path / "c.ecsv"
    Table({"x": [1.0], "z": [2.0]}).write(path)
    with pytest.raises(InputError, match=r"c.ecsv: a column 'y' is needed .*it has x, z"):
        read_pixel_catalog(path)
    with pytest.raises(InputError, match="a column 'y' is needed .*it has x, z"):
        read_sky_catalog(path)


def test_catalog_that_cannot_be_read(tmp_path):
    path = tmp_path / "c.ecsv"
    path.write_text("# %ECSV 1.0\n# nothing\n")
    with pytest.raises(InputError, match=r"catalogue .*c.ecsv: cannot be read as a table"):
        read_pixel_catalog(path)
    with pytest.raises(InputError, match=r"abs_refcat .*gone.ecsv: there is no such file"):
        read_sky_catalog(tmp_path / "gone.ecsv")


@pytest.mark.parametrize("name", ["GAIADR3", "gaiadr2"])
def test_named_catalogs_are_not_downloaded(name):
    with pytest.raises(
        ParameterError, match=f"{name.upper()} would have to be downloaded.*columns RA"
    ):
        read_sky_catalog(name)


def test_sky_catalog(tmp_path):
    path = tmp_path / "gaia.ecsv"
    Table({"ra": [1.0, np.nan], "Dec": [2.0, 3.0], "weight": [4.0, 5.0]}).write(path)
    table = read_sky_catalog(path)
    assert table.colnames == ["RA", "DEC", "weight"]
    assert len(table) == 1
