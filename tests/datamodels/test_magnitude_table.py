"""Magnitudes that users give."""

import pytest
from astropy import units as u
from astropy.table import QTable, Table

from galstep.datamodels.catalogs.magnitude_table import magnitudes_by_filter, read_magnitudes
from galstep.exceptions import InputError


def table():
    return Table(
        {
            "galaxy": ["a", "b", "a"],
            "filter": ["F150W", "F150W", "F277W"],
            "mag_ab": [20.0, 21.0, 22.0],
            "mag_ab_err": [0.1, 0.2, 0.3],
        }
    )


@pytest.mark.parametrize("name", ["mags.ecsv", "mags.csv", "mags.fits"])
def test_any_table_of_astropy_will_do(tmp_path, name):
    table().write(tmp_path / name)
    found = magnitudes_by_filter(read_magnitudes(tmp_path / name), "a")
    assert found == {"F150W": (20.0, 0.1), "F277W": (22.0, 0.3)}


def test_quantities_and_a_single_galaxy():
    single = QTable(table()[:1])
    single.remove_column("galaxy")
    single["mag_ab"].unit = single["mag_ab_err"].unit = u.mag
    assert magnitudes_by_filter(QTable(single), "any") == {"F150W": (20.0, 0.1)}


def test_a_missing_file_column_or_table(tmp_path):
    with pytest.raises(InputError, match="none.ecsv: there is no such file"):
        read_magnitudes(tmp_path / "none.ecsv")
    (tmp_path / "bad.ecsv").write_text("no table\n")
    with pytest.raises(InputError, match="bad.ecsv: the table cannot be read"):
        read_magnitudes(tmp_path / "bad.ecsv")
    short = table()
    short.remove_column("mag_ab_err")
    short.write(tmp_path / "short.ecsv")
    with pytest.raises(InputError, match="short.ecsv: the table needs the columns mag_ab_err"):
        read_magnitudes(tmp_path / "short.ecsv")
    with pytest.raises(InputError, match="magnitudes: the table needs the columns mag_ab_err"):
        magnitudes_by_filter(short, "a")
