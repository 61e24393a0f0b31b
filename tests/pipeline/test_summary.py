"""The summary in the log has the numbers of the products."""

import re
from dataclasses import replace
from math import nan

import numpy as np
import pytest
from toy_steps import toy_model

from galstep.datamodels.tables.galaxy_tables import phot_table, sersic_table
from galstep.flags import BandFlag
from galstep.pipeline.summary import flag_lines, result_in_words, summary_lines
from galstep.records import (
    Aperture,
    ApertureFlux,
    BandFit,
    SersicFit,
    SersicParams,
    SkyModel,
    StarList,
)


@pytest.fixture
def model():
    """Two filters, one of them fitted."""
    made = toy_model()
    made.meta.base_filter = "F150W"
    params = SersicParams(10.0, 10.0, 4.321, 1.5, 0.2, 0.3)
    sky = SkyModel((0.0, 0.0, 0.0), 1, 9.5, 9.5, 10.0)
    made.bands["F150W"].fit = BandFit(
        "basefit",
        (SersicFit(params, 123.456, 1.2),),
        sky,
        StarList.empty(),
        1.0321,
        flux=123.456,
        flux_err=1.2,
    )
    made.bands["F277W"].flags = int(BandFlag.NO_DATA | BandFlag.NOT_FITTED)
    return made


def faint(model):
    """The first filter of ``model`` with a flux of one error, flagged as faint."""
    band = model.bands["F150W"]
    band.fit = replace(
        band.fit, flux=1.0, flux_err=1.0, total_flux=1.0, total_flux_err=1.0, flags=BandFlag.FAINT
    )
    return band


def test_a_line_per_filter(model):
    header, first, second = summary_lines(model)
    assert header.split()[:4] == ["filter", "total_AB", "half_light_AB", "kron_AB"]
    assert first.split()[0] == "F150W"
    assert second.split() == ["F277W", *"-" * 6, "0", "-", "no", "data,", "not", "fitted"]


def test_numbers_are_those_of_the_tables(model):
    band = model.bands["F150W"]
    ellipse = Aperture(10.0, 10.0, 9.0, 7.0, 0.3)
    kron = ApertureFlux(ellipse, 100.0, 2.0, 0.9, kind="kron")
    band.aperture = ApertureFlux(ellipse, 50.0, 1.0, 0.5, others=(kron,))
    band.fit = replace(band.fit, matched_flux=61.7, matched_flux_err=0.5)
    first = summary_lines(model)[1]
    sersic, phot = sersic_table(model)[0], phot_table(model)[0]
    for column in ("total_mag_ab", "matched_mag_ab", "kron_mag_ab"):
        assert f"{phot[column].value:.3f} +/- {phot[f'{column}_err'].value:.3f}" in first
    for flux, column in ((61.7, "matched_mag_ab"), (100.0, "kron_mag_ab")):
        assert phot[column].value == pytest.approx(28.0865 - 2.5 * np.log10(flux), abs=1e-4)
        assert sersic[column] == phot[column]
    assert phot["kron_flux"].value == 100.0 and phot["kron_a"].value == 9.0
    assert first.split()[-5:] == ["4.32", "1.50", "0", "1.032", "ok"]
    assert phot["color"].value == 0.0


def test_fluxes_where_there_are_no_magnitudes(model):
    for band in model.bands.values():
        band.unit = "electron / s"
    header, first, _ = summary_lines(model)
    assert header.split()[1:4] == ["total_flux", "half_light_flux", "kron_flux"]
    assert "123.46 +/- 1.2" in first


def test_unknown_error_is_left_out(model):
    band = model.bands["F150W"]
    band.fit = replace(band.fit, flux_err=nan)
    row = summary_lines(model)[1].split()
    assert float(row[1]) == pytest.approx(28.0865 - 2.5 * np.log10(123.456), abs=1e-3)
    assert row[2] == "-"


def test_columns_are_aligned(model):
    lines = summary_lines(model)
    header, *rows = lines
    for start in (found.start() for found in re.finditer(r"\S+", header)):
        for row in rows:
            assert row[start] != " "
            assert start == 0 or row[start - 1] == " "
    assert not any(line.endswith(" ") for line in lines)
    assert all(line.isascii() for line in lines)


def test_what_is_flagged_faint_has_an_upper_limit(model):
    faint(model)
    limit = phot_table(model)["total_mag_ab_limit"][0].value
    assert limit == pytest.approx(28.0865 - 2.5 * np.log10(4), abs=1e-4)
    assert f"> {limit:.3f}" in summary_lines(model)[1]


def test_an_uncertain_total_of_a_galaxy_that_is_seen_is_no_limit(model):
    band = faint(model)
    band.fit = replace(band.fit, flags=BandFlag.AT_BOUND, matched_flux=60.0, matched_flux_err=0.5)
    phot, sersic = phot_table(model)[0], sersic_table(model)[0]
    assert np.isnan(phot["total_mag_ab_limit"]) and np.isnan(sersic["mag_ab_limit"])
    row = summary_lines(model)[1]
    assert ">" not in row
    assert f"{28.0865 - 2.5 * np.log10(60):.3f} +/- 0.009" in row


def test_flags_are_told_in_words_with_what_to_do(model):
    band = model.bands["F150W"]
    band.fit = replace(band.fit, flags=BandFlag.AT_BOUND, reason="r_eff, n at the bound; x")
    bound, *others = (line for line in flag_lines(model) if line.startswith("at bound"))
    assert bound == (
        f"at bound (F150W): {BandFlag.AT_BOUND.text}: r_eff, n. What to do: "
        f"{BandFlag.AT_BOUND.remedy}"
    )
    assert not others
    for other in model.bands.values():
        other.flags |= BandFlag.KNOTS
    assert any(line.startswith("knots (all filters): ") for line in flag_lines(model))
    assert result_in_words(model).startswith("F150W total ")
    assert result_in_words(model).endswith(
        "; flags no data (F277W), not fitted (F277W), at bound (F150W), knots"
    )


def test_the_total_is_followed_by_what_it_consists_of(model):
    band = model.bands["F150W"]
    first = band.fit.sersic[0]
    second, companion = replace(first, flux=20.0), replace(first, flux=30.0, galaxy_id=1)
    band.fit = replace(
        band.fit,
        sersic=(first, second, companion),
        flux=143.456,
        knots=StarList(*[np.arange(2.0)] * 9),
        knot_flux=6.5,
        total_flux=149.956,
        total_flux_err=1.5,
    )
    _, total, *parts, other = summary_lines(model)
    assert total.startswith("F150W") and f"{28.0865 - 2.5 * np.log10(149.956):.3f} +/- " in total
    assert [" ".join(line.split()[:3]) for line in parts] == [
        "- component 0", "- component 1", "- companion 1", "- knots (2)",
    ]  # fmt: skip
    for line, flux in zip(parts, (123.456, 20, 30, 6.5), strict=True):
        assert f"{28.0865 - 2.5 * np.log10(flux):.3f}" in line
    assert other.startswith("F277W")
