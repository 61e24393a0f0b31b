"""The summary on disk."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from galstep.batch.row import result_row
from galstep.batch.summary import Summary, make_summary, pending_row, read_rows
from galstep.datamodels.tables.galaxy_tables import phot_table
from galstep.exceptions import InputError
from galstep.testing import make_scene
from galstep.testing.models import fitted_model


@pytest.fixture(scope="module")
def model():
    """A galaxy in two filters, as if fitted."""
    return fitted_model(make_scene(1, (41, 41), 3, ("F150W", "F277W"), snr=100.0, psf_size=41))


@pytest.fixture
def rows(model):
    """One of each kind."""
    head = {"input": "/a.h5", "input_hash": "0123", "parameters_hash": "12e4", "version": "1"}
    good = {"name": "good", "status": "ok", "reason": "", "seconds": 1.5, **head}
    failed = {"name": "007", "status": "failed", "reason": 'it "failed", so', **head}
    return {
        "good": good | result_row(model) | {"products": "good_gal.asdf"},
        "007": failed | {"seconds": np.nan},
        "later": pending_row("later", "/b.h5"),
    }


def test_row_holds_the_numbers_of_the_products(model):
    row = result_row(model)
    band = model.bands["F277W"]
    (line,) = (line for line in phot_table(model) if line["filter"] == "F277W")
    assert row["flux_F277W"] == band.fit.total_flux == line["total_flux"].value
    assert row["mag_ab_F277W"] == pytest.approx(line["total_mag_ab"].value, abs=1e-12)
    assert row["n_stars_F277W"] == len(band.fit.stars)
    assert row["r_eff"] == model.bands["F150W"].fit.sersic[0].params.r_eff
    assert row["color_F150W"] == 0.0
    assert np.isnan(row["core_star_share_F150W"])
    assert (row["filters"], row["base_filter"]) == ("F150W F277W", "F150W")
    assert u.Unit(row["flux_unit"]) == u.MJy / u.sr * u.pix


def test_rows_survive_the_file(rows, tmp_path):
    Summary(tmp_path / "s.ecsv", rows).write()
    again = read_rows(tmp_path / "s.ecsv")
    assert list(again) == ["good", "007", "later"]
    assert again["good"].keys() == rows["good"].keys()
    for name, value in rows["good"].items():
        np.testing.assert_equal(again["good"][name], value, err_msg=name)
    assert again["007"]["reason"] == 'it "failed", so'
    assert again["007"]["parameters_hash"] == "12e4"
    assert "flux_F150W" not in again["007"]
    assert again["later"]["status"] == "pending"
    make_summary(again.values()).write(tmp_path / "t.ecsv", format="ascii.ecsv")
    assert (tmp_path / "s.ecsv").read_bytes() == (tmp_path / "t.ecsv").read_bytes()


def test_units_and_missing_values(rows):
    table = make_summary(rows.values())
    assert table["flux_F150W"].unit == u.MJy / u.sr * u.pix
    assert table["mag_ab_err_F150W"].unit == u.mag
    assert table["r_eff"].unit == u.pix
    assert table["flux_F150W"].mask.tolist() == [False, True, True]
    assert table["flags_F150W"].dtype.kind == "i"


def test_fluxes_in_several_units_have_none_in_common(rows):
    other = rows["good"] | {"name": "other", "flux_unit": "Jy"}
    table = make_summary([rows["good"], other])
    assert table["flux_F150W"].unit is None
    assert table["mag_ab_F150W"].unit == u.mag


def test_summary_before_anything_is_known(tmp_path):
    Summary(tmp_path / "s.ecsv", {"a": pending_row("a", "/a.h5")}).write()
    assert read_rows(tmp_path / "s.ecsv")["a"]["status"] == "pending"


def test_writing_does_not_take_over(rows, tmp_path, monkeypatch):
    summary = Summary(tmp_path / "s.ecsv", rows)
    summary.write()
    # as if that had taken an hour: the next update waits for `write`
    monkeypatch.setattr(summary, "_next", np.inf)
    summary.update("later", rows["007"] | {"name": "later"})
    assert read_rows(tmp_path / "s.ecsv")["later"]["status"] == "pending"
    summary.write()
    assert read_rows(tmp_path / "s.ecsv")["later"]["status"] == "failed"


def test_what_is_no_summary(tmp_path):
    (tmp_path / "a.ecsv").write_text("nothing")
    with pytest.raises(InputError, match=r"summary .*a.ecsv: cannot be read"):
        read_rows(tmp_path / "a.ecsv")
    Table({"name": ["a"]}).write(tmp_path / "b.ecsv")
    with pytest.raises(InputError, match=r"b.ecsv: no column status, reason"):
        read_rows(tmp_path / "b.ecsv")
