"""Catalogues of positions: formats, columns, and what is said of those that cannot be used."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from galstep.datamodels.catalogs.position_catalog import CatalogColumns, read_position_catalog
from galstep.exceptions import InputError, ParameterError

RA, DEC = [150.1, 150.2], [2.1, -2.2]


def written(tmp_path, columns, name="stars.ecsv", **options):
    path = tmp_path / name
    Table(columns).write(path, **options)
    return path


class TestFormats:
    @pytest.mark.parametrize("name", ["stars.ecsv", "stars.csv", "stars.fits", "stars.vot"])
    def test_files(self, tmp_path, name):
        options = {"format": "votable"} if name.endswith("vot") else {}
        path = written(tmp_path, {"id": [7, 9], "ra": RA, "dec": DEC}, name, **options)
        catalog = read_position_catalog(path)
        assert catalog.on_sky and catalog.name == ("7", "9")
        np.testing.assert_allclose(catalog.first, RA)
        np.testing.assert_allclose(catalog.second, DEC)

    def test_plain_text(self, tmp_path):
        path = tmp_path / "stars.cat"
        path.write_text("# x y\n3.5 4.5\n5 6\n")
        catalog = read_position_catalog(path)
        assert not catalog.on_sky and catalog.name == ("1", "2")
        np.testing.assert_array_equal(catalog.first, [3.5, 5])


class TestColumns:
    def test_the_sky_comes_before_pixels(self, tmp_path):
        path = written(tmp_path, {"X": [1.0, 2], "Y": [3.0, 4], "RA": RA, "DEC": DEC})
        catalog = read_position_catalog(path)
        assert catalog.on_sky and catalog.columns == "sky RA, DEC"
        catalog = read_position_catalog(path, has_wcs=False)
        assert not catalog.on_sky and catalog.columns == "pixels X, Y"

    def test_named_columns(self, tmp_path):
        columns = {"ra": RA, "dec": DEC, "u": [5.0, 6], "v": [7.0, 8], "who": ["a", "b"]}
        path = written(tmp_path, columns)
        catalog = read_position_catalog(path, CatalogColumns(x="u", y="v", id="who", first_pixel=1))
        assert not catalog.on_sky and catalog.name == ("a", "b")
        np.testing.assert_array_equal(catalog.first, [4, 5])
        np.testing.assert_array_equal(catalog.second, [6, 7])
        assert read_position_catalog(path, CatalogColumns(ra="ra", dec="dec")).on_sky

    def test_units_and_sexagesimal_text(self, tmp_path):
        path = tmp_path / "hours.ecsv"
        QTable({"ra": [10.0, 10.5] * u.hourangle, "dec": [30.0, 60.0] * u.arcmin}).write(path)
        catalog = read_position_catalog(path)
        np.testing.assert_allclose(catalog.first, [150.0, 157.5])
        np.testing.assert_allclose(catalog.second, [0.5, 1.0])
        path = written(tmp_path, {"ra": ["10:00:00"], "dec": ["-02:30:00"]}, "text.csv")
        catalog = read_position_catalog(path)
        np.testing.assert_allclose([catalog.first, catalog.second], [[150.0], [-2.5]])

    def test_a_column_of_sky_coordinates(self, tmp_path):
        path = tmp_path / "sky.ecsv"
        QTable({"sky_centroid": SkyCoord(RA, DEC, unit="deg"), "label": [3, 4]}).write(path)
        catalog = read_position_catalog(path)
        assert catalog.name == ("3", "4") and catalog.columns == "sky sky_centroid"
        np.testing.assert_allclose(catalog.first, RA)

    def test_what_is_missing_is_nan(self, tmp_path):
        path = written(tmp_path, {"x": np.ma.array([1.0, 2], mask=[0, 1]), "y": [3.0, 4]})
        np.testing.assert_array_equal(read_position_catalog(path).first, [1, np.nan])


class TestErrors:
    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match="no.csv: there is no such file"):
            read_position_catalog(tmp_path / "no.csv")

    def test_no_table(self, tmp_path):
        path = tmp_path / "image.fits"
        path.write_bytes(b"\x00\x01\x02" * 2000)
        with pytest.raises(InputError, match="image.fits: cannot be read as a table"):
            read_position_catalog(path)

    def test_no_positions(self, tmp_path):
        path = written(tmp_path, {"flux": [1.0], "mag": [2.0]})
        message = r"a column 'x' is needed \(or columns of right asc.*it has flux, mag"
        with pytest.raises(InputError, match=message):
            read_position_catalog(path)

    def test_no_such_column(self, tmp_path):
        path = written(tmp_path, {"x": [1.0], "y": [2.0]})
        for columns, named in (
            (CatalogColumns(x="u", y="y"), "u"),
            (CatalogColumns(ra="alpha", dec="y"), "alpha"),
            (CatalogColumns(id="who"), "who"),
        ):
            with pytest.raises(InputError, match=f"a column '{named}' is needed .*it has x, y"):
                read_position_catalog(path, columns)

    def test_no_wcs(self, tmp_path):
        path = written(tmp_path, {"ra": RA, "dec": DEC})
        for columns in (CatalogColumns(), CatalogColumns(ra="ra", dec="dec")):
            with pytest.raises(InputError, match="on the sky need an image with a WCS"):
                read_position_catalog(path, columns, has_wcs=False)

    def test_text_for_numbers(self, tmp_path):
        path = written(tmp_path, {"x": ["a", "b"], "y": [1.0, 2]})
        with pytest.raises(InputError, match="column 'x' must hold numbers"):
            read_position_catalog(path)
        table = Table({"x": [1 + 1j], "y": [1.0]})
        with pytest.raises(InputError, match=r"column 'x' must hold numbers \(got complex ones\)"):
            read_position_catalog(table)
        path = written(tmp_path, {"ra": ["a", "b"], "dec": [1.0, 2]}, "b.ecsv")
        with pytest.raises(InputError, match="column 'ra' must hold angles"):
            read_position_catalog(path)

    def test_one_of_two_columns(self):
        with pytest.raises(ParameterError, match="catalog_x and catalog_y must be given together"):
            CatalogColumns(x="x")
        with pytest.raises(ParameterError, match="catalog_ra and catalog_dec must be given tog"):
            CatalogColumns(dec="dec")
        with pytest.raises(ParameterError, match="give catalog_x and catalog_y, or catalog_ra and"):
            CatalogColumns(x="x", y="y", ra="ra", dec="dec")
