"""The tables against the model they are made of."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from sample_models import FILTERS, FLUX, FLUX_ERR, ORIGIN

from galstep.datamodels.tables.columns import COLUMNS, column_table
from galstep.datamodels.tables.galaxy_tables import (
    make_tables,
    phot_table,
    sersic_table,
    star_table,
)
from galstep.flags import BandFlag, StarFlag
from galstep.records import JointSummary

AB_OF_ONE = 28.0865  # of 1 MJy/sr pix at 0.03 arcsec


def row_of(table, name):
    return next(row for row in table if row["filter"] == name)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_registry(model, name):
    table = make_tables(model)[name]
    assert table.colnames == [column.name for column in COLUMNS[name]]
    for column in COLUMNS[name]:
        assert table[column.name].info.description == column.text
        assert (table[column.name].unit is None) == (column.unit is None)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_is_described_and_numbers_have_units(name):
    names = [column.name for column in COLUMNS[name]]
    assert len(set(names)) == len(names)
    for column in COLUMNS[name]:
        assert column.text
        assert column.unit is not None or column.dtype in (int, str)
        assert f"``{column.name}``" in column_table(name)


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_come_back_from_ecsv(model, tmp_path, name):
    table = make_tables(model)[name]
    table.write(tmp_path / "t.ecsv")
    again = QTable.read(tmp_path / "t.ecsv")
    assert again.colnames == table.colnames
    for column in table.colnames:
        np.testing.assert_array_equal(again[column], table[column])
        assert again[column].unit == table[column].unit
        assert again[column].info.description == table[column].info.description
    assert again.meta == table.meta


def test_sersic_row(model):
    row = row_of(sersic_table(model), "F150W")
    fit = model.bands["F150W"].fit.sersic[0]
    assert row["component"] == 0
    assert row["x_0"] == (15.25 + ORIGIN[0]) * u.pix
    assert row["y_0"] == (11.5 + ORIGIN[1]) * u.pix
    assert row["r_eff"] == 5.5 * u.pix
    assert row["theta"] == 0.75 * u.rad
    assert (row["n"], row["ellip"]) == (2.5, 0.3)
    for name in ("x_0", "y_0", "r_eff", "n", "ellip", "theta", "flux"):
        assert row[f"{name}_err"].value == getattr(fit, f"{name}_err")
    assert row["flux"] == 1000 * u.Unit("MJy pix / sr")
    assert row["mag_ab"].to_value("mag") == pytest.approx(AB_OF_ONE - 7.5, abs=1e-4)
    assert row["mag_ab_err"].to_value("mag") == pytest.approx(1.0857 * 0.01, rel=1e-4)
    assert row["chi2_reduced"] == 1.02
    assert row["flags"] == BandFlag.STARS_LIMITED


def test_two_components_have_two_rows(model):
    band = model.bands["F150W"]
    second = replace(band.fit.sersic[0], flux=20.0)
    band.fit = replace(band.fit, sersic=(*band.fit.sersic, second), flux=1020.0)
    table = sersic_table(model)
    assert list(table["filter"]) == ["F150W", "F150W", "F090W", "F277W"]
    assert list(table["component"]) == [0, 1, 0, 0]
    # the colour is that of the sum
    color = phot_table(model)["color"][1].to_value("mag")
    assert color == pytest.approx(2.5 * np.log10(1020 / 500))


def test_filter_without_data_has_a_row_of_nan_and_its_flag(model):
    for table in (sersic_table(model), phot_table(model)):
        row = row_of(table, "F277W")
        assert row["flags"] == BandFlag.NO_DATA
        for name in table.colnames:
            if table[name].unit is not None:
                assert np.isnan(row[name]), name
    assert phot_table(model).meta["reasons"]["F277W"] == ["every pixel is masked or not finite"]


def test_phot_row(model):
    row = row_of(phot_table(model), "F090W")
    expected = {
        "sky": 0.105,
        "sky_err": 0.002,
        "n_stars": 2,
        "psf_fwhm": 2.65,
        "aper_flux": 450.0,
        "aper_flux_err": 8.0,
        "aper_a": 12.0,
        "aper_b": 8.4,
        "aper_theta": 0.75,
        "petrosian_radius": 9.5,
        "frac_enclosed": 0.91,
        "noise_corr": 3.5,
    }
    assert {name: getattr(row[name], "value", row[name]) for name in expected} == expected
    mag = AB_OF_ONE - 2.5 * np.log10(450)
    mag_err = 1.085736 * 8 / 450
    assert row["aper_mag_ab"].value == pytest.approx(mag, abs=1e-4)
    assert row["aper_mag_ab_err"].value == pytest.approx(mag_err, rel=1e-5)
    assert row["mag_corr"].value == pytest.approx(mag - 0.05, abs=1e-4)
    assert row["mag_corr_err"].value == pytest.approx(np.hypot(mag_err, 0.003), rel=1e-5)


def test_color_uses_the_covariance_of_the_joint_fit(model):
    row = row_of(phot_table(model), "F090W")
    assert row["color"].value == pytest.approx(2.5 * np.log10(2))
    log_variance = 100 / 1000**2 + 64 / 500**2 - 2 * 40 / (1000 * 500)
    assert row["color_err"].value == pytest.approx(1.0857362 * np.sqrt(log_variance), rel=1e-6)


def test_matched_color_has_its_own_fluxes_and_covariance(model):
    matched = np.array([[9.0, 3.0], [3.0, 4.0]])
    band = model.bands["F090W"]
    band.fit = replace(band.fit, matched_flux=150.0)
    model.joint = replace(model.joint, matched_covariance=matched)
    row, order = row_of(phot_table(model), "F090W"), model.joint.filters
    assert row["color_matched"].value == pytest.approx(2.5 * np.log10(400 / 150))
    fluxes = np.array([{"F090W": 150.0, "F150W": 400.0}[name] for name in order])
    relative = matched / np.outer(fluxes, fluxes)
    variance = relative[0, 0] + relative[1, 1] - 2 * relative[0, 1]
    assert row["color_matched_err"].value == pytest.approx(1.0857362 * np.sqrt(variance), rel=1e-6)
    assert row["matched_radius"].value == 5.5


@pytest.mark.parametrize("joint", [None, JointSummary(("F090W",), np.eye(1))])
def test_color_without_a_joint_fit_has_independent_errors(model, joint):
    model.joint = joint
    row = row_of(phot_table(model), "F090W")
    log_variance = sum((FLUX_ERR[name] / FLUX[name]) ** 2 for name in FLUX)
    assert row["color_err"].value == pytest.approx(1.0857362 * np.sqrt(log_variance), rel=1e-6)


def test_color_of_the_base_is_zero(model):
    row = row_of(phot_table(model), "F150W")
    assert (row["color"].value, row["color_err"].value) == (0, 0)


@pytest.mark.parametrize("base_filter", [None, "F277W"])
def test_no_color_without_a_fitted_base(model, base_filter):
    model.meta.base_filter = base_filter
    assert np.isnan(phot_table(model)["color"]).all()


def test_no_color_and_no_magnitude_of_a_negative_flux(model):
    band = model.bands["F090W"]
    band.fit = replace(band.fit, sersic=(replace(band.fit.sersic[0], flux=-2.0),), flux=-2.0)
    sersic, phot = sersic_table(model), phot_table(model)
    assert np.isnan(row_of(sersic, "F090W")["mag_ab"])
    assert np.isnan(row_of(phot, "F090W")["color"])
    assert row_of(sersic, "F090W")["flux"].value == -2


def test_star_rows(model):
    table = star_table(model)
    assert len(table) == 4
    row = table[0]
    assert (row["star_id"], row["filter"]) == (3, "F150W")
    assert row["x"] == (2.5 + ORIGIN[0]) * u.pix
    assert row["y"] == (4.0 + ORIGIN[1]) * u.pix
    assert row["snr"] == 25
    assert row["mag_ab"].value == pytest.approx(AB_OF_ONE - 2.5 * np.log10(12.5), abs=1e-4)
    negative = table[1]
    assert np.isnan(negative["mag_ab"])
    assert np.isnan(negative["x_err"])
    assert negative["snr"].value == pytest.approx(-4 / 3)
    assert negative["flags"] == StarFlag.NEGATIVE | StarFlag.FORCED


def test_stars_have_limits(model):
    table = star_table(model)
    assert np.isnan(table["mag_ab_limit"][0])  # S/N 25
    limit = AB_OF_ONE - 2.5 * np.log10(3 * 0.75)
    assert table["mag_ab_limit"][1].value == pytest.approx(limit, abs=1e-4)


def test_forced_rows(model):
    table = make_tables(model)["forced"]
    assert list(table["catalog_id"][:3]) == ["a1", "b2", "c3"] and len(table) == 6
    assert list(table["star_id"][:3]) == [3, 7, -1]
    detected, limited, off = table[:3]
    assert detected["x_given"] == detected["x"] == (2.5 + ORIGIN[0]) * u.pix
    assert np.isnan(detected["flux_limit"]) and np.isnan(detected["mag_ab_limit"])
    assert limited["flux"].value == -1.0 and limited["n_sigma"] == 5.0
    assert limited["flux_limit"].value == 3.75
    expected = AB_OF_ONE - 2.5 * np.log10(3.75)
    assert limited["mag_ab_limit"].value == pytest.approx(expected, abs=1e-4)
    assert np.isnan(off["flux"]) and off["x"].value == 300 + ORIGIN[0]
    assert table.meta["sources"]["F150W"] == "linear: catalog stars.csv (sky ra, dec)"


def test_no_forced_table_without_forced_photometry(model):
    for band in model.bands.values():
        band.forced = None
    assert "forced" not in make_tables(model)


def test_completeness_row(model):
    (row,) = make_tables(model)["completeness"]
    assert (row["filter"], row["snr_min"].value, row["injected"], row["found"]) == (
        "F150W",
        5,
        4,
        3,
    )
    assert (row["completeness"], row["purity"]) == (0.75, 0.9)


def test_star_without_an_error_has_no_snr(model):
    band = model.bands["F150W"]
    stars = replace(band.fit.stars, flux_err=np.array([0.0, np.nan]))
    band.fit = replace(band.fit, stars=stars)
    assert np.isnan(star_table(model)["snr"][:2]).all()


def test_model_without_fits_has_all_rows_and_no_stars(model):
    for band in model.bands.values():
        band.fit = band.aperture = band.psf_kernel = None
    tables = make_tables(model)
    assert list(tables["sersic"]["filter"]) == list(tables["phot"]["filter"]) == list(FILTERS)
    assert len(tables["stars"]) == 0
    assert tables["stars"]["flux"].unit == u.Unit("MJy pix / sr")
    assert np.isnan(tables["phot"]["aper_flux"]).all()


def test_filters_in_other_units_are_converted(model):
    model.bands["F090W"].unit = "kJy/sr"
    row = row_of(sersic_table(model), "F090W")
    assert row["flux"].to_value("kJy pix / sr") == pytest.approx(500)
    assert row["flux"].unit == u.Unit("MJy pix / sr")
    assert row["mag_ab"].value == pytest.approx(AB_OF_ONE - 2.5 * np.log10(0.5), abs=1e-4)
    color = row_of(phot_table(model), "F090W")["color"].value
    assert color == pytest.approx(2.5 * np.log10(2) + 7.5)


def test_meta_says_what_the_table_is(model):
    meta = sersic_table(model).meta
    assert meta["galaxy"] == "g001"
    assert meta["fit_step"] == "jointfit"
    assert meta["flags"][1].startswith("no_data: ")
    assert meta["reasons"]["F150W"] == ["300 stars per 1000 px"]
    assert star_table(model).meta["flags"][1].startswith("near_edge: ")
