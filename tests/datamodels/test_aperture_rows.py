"""Aperture photometry in the tables: magnitudes, limits, colours."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.datamodels.tables.aperture_rows import magnitude_limit
from galstep.datamodels.tables.galaxy_tables import (
    aperture_table,
    make_tables,
    phot_table,
    sersic_table,
)
from galstep.flags import BandFlag

ZERO_POINT = 28.0865  # AB of one MJy/sr x pixel of 0.03 arcsec


def measured(model):
    """Both filters with parts of the error, corrected fluxes and a covariance."""
    for name, other in (("F150W", "F090W"), ("F090W", "F150W")):
        band = model.bands[name]
        flux = band.aperture.flux
        band.aperture = replace(
            band.aperture,
            noise_err=3.0, sky_err=2.0, star_err=1.0, model_err=0.5, fill_err=0.0,
            flux_corr=1.05 * flux, flux_corr_err=0.04 * flux,
            covariance={name: (0.04 * flux) ** 2, other: 0.0},
        )  # fmt: skip
    pair = [model.bands[name].aperture for name in ("F150W", "F090W")]
    shared = 0.9 * pair[0].flux_corr_err * pair[1].flux_corr_err
    pair[0].covariance["F090W"] = pair[1].covariance["F150W"] = shared
    return model


def test_a_row_per_filter_and_aperture(model):
    band = measured(model).bands["F150W"]
    small = replace(band.aperture, kind="kron", aperture=replace(band.aperture.aperture, a=6.0))
    band.aperture = replace(band.aperture, others=(small,))
    table = aperture_table(model)
    assert list(table["filter"]) == ["F150W", "F150W", "F090W"]
    assert list(table["aperture"]) == ["petrosian", "kron", "petrosian"]
    assert table["a"][1].value == 6.0
    assert table["x"][0].value == 15.25 + 40
    assert table["radius"][0].to_value("arcsec") == pytest.approx(0.03 * np.sqrt(12 * 8.4))


def test_parts_and_magnitudes_are_those_of_the_record(model):
    row = phot_table(measured(model))[0]
    aperture = model.bands["F150W"].aperture
    names = ("noise", "sky", "star", "model", "fill")
    found = [row[f"aper_{name}_err"].value for name in names]
    assert found == [3.0, 2.0, 1.0, 0.5, 0.0]
    expected = ZERO_POINT - 2.5 * np.log10(aperture.flux)
    assert row["aper_mag_ab"].value == pytest.approx(expected, abs=1e-3)
    assert row["mag_corr"].value == pytest.approx(expected - 0.05, abs=1e-3)
    err = 2.5 / np.log(10) * aperture.flux_corr_err / aperture.flux_corr
    assert row["mag_corr_err"].value == pytest.approx(err)


def test_colours_use_the_covariance(model):
    rows = phot_table(measured(model))
    base, other = (model.bands[name].aperture for name in ("F150W", "F090W"))
    expected = -2.5 * np.log10(other.flux / base.flux)
    assert rows["aper_color"][1].value == pytest.approx(expected)
    relative = 0.04 / 1.05
    error = 2.5 / np.log(10) * relative * np.sqrt(2 - 2 * 0.9)
    assert rows["aper_color_err"][1].value == pytest.approx(error)
    assert (rows["aper_color"][0].value, rows["aper_color_err"][0].value) == (0, 0)
    assert np.isnan(rows["aper_color"][2])  # nothing was measured there


@pytest.mark.parametrize(
    ("flux", "limit"), [(100.0, 100 + 150), (-500.0, 150.0), (149.0, 149 + 150)]
)
def test_what_is_not_detected_has_a_limit(model, flux, limit):
    band = model.bands["F150W"]
    assert magnitude_limit(flux, 50.0, band) == pytest.approx(
        ZERO_POINT - 2.5 * np.log10(limit), abs=1e-3
    )


def test_what_is_detected_or_not_known_has_none(model):
    band = model.bands["F150W"]
    assert np.isnan(magnitude_limit(151.0, 50.0, band))
    assert np.isnan(magnitude_limit(151.0, np.nan, band))
    band.unit = "electron / s"
    assert np.isnan(magnitude_limit(10.0, 50.0, band))


def test_limits_stand_in_the_tables(model):
    band = measured(model).bands["F090W"]
    band.aperture = replace(band.aperture, flux=1.0, flux_err=1.0, flux_corr=1.0)
    (sersic,) = band.fit.sersic
    faint = (replace(sersic, flux=1.0, flux_err=1.0),)
    band.fit = replace(band.fit, sersic=faint, total_flux=1.0, total_flux_err=1.0)
    limit = pytest.approx(ZERO_POINT - 2.5 * np.log10(4), abs=1e-3)
    assert np.isnan(sersic_table(model)["mag_ab_limit"][1])  # not faint, for all that is told
    band.flags |= BandFlag.FAINT
    assert phot_table(model)["aper_mag_ab_limit"][1].value == limit
    assert aperture_table(model)["mag_ab_limit"][1].value == limit
    assert sersic_table(model)["mag_ab_limit"][1].value == limit
    assert np.isnan(phot_table(model)["aper_mag_ab_limit"][0])


def test_without_an_aperture_there_is_no_table_of_them(model):
    for band in model.bands.values():
        band.aperture = None
    assert "apertures" not in make_tables(model)
