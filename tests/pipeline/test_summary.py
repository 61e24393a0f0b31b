"""The summary in the log has the numbers of the products."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from toy_steps import toy_model

from galstep.datamodels.tables import phot_table, sersic_table
from galstep.flags import BandFlag
from galstep.pipeline.summary import summary_lines
from galstep.records import BandFit, SersicFit, SersicParams, SkyModel, StarList


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


def test_a_line_per_filter(model):
    header, first, second = summary_lines(model)
    assert header.split()[:3] == ["filter", "flux", "mag_ab"]
    assert first.split()[0] == "F150W"
    assert second.split() == ["F277W", *"-" * 5, "0", "-", "no", "data,", "not", "fitted"]


def test_numbers_are_those_of_the_tables(model):
    first = summary_lines(model)[1]
    sersic, phot = sersic_table(model)[0], phot_table(model)[0]
    assert f"{sersic['flux'].value:.5g} +/- {sersic['flux_err'].value:.2g}" in first
    assert f"{sersic['mag_ab'].value:.3f} +/- {sersic['mag_ab_err'].value:.3f}" in first
    assert first.split()[-5:] == ["4.32", "1.50", "0", "1.032", "ok"]
    assert phot["color"].value == 0.0


def test_unknown_error_is_a_dash(model):
    band = model.bands["F150W"]
    band.fit = replace(band.fit, flux_err=nan)
    assert "123.46 +/- -" in summary_lines(model)[1]


def test_columns_are_aligned(model):
    lines = summary_lines(model)
    header, *rows = lines
    for word in header.split():
        for row in rows:
            start = header.index(word)
            assert row[start] != " "
            assert start == 0 or row[start - 1] == " "
    assert not any(line.endswith(" ") for line in lines)
    assert all(line.isascii() for line in lines)


def test_what_is_not_detected_has_an_upper_limit(model):
    band = model.bands["F150W"]
    band.fit = replace(band.fit, flux=1.0, flux_err=1.0)
    limit = phot_table(model)["total_mag_ab_limit"][0].value
    assert f"> {limit:.3f}" in summary_lines(model)[1]


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
    assert total.startswith("F150W") and "149.96 +/- 1.5" in total
    assert [" ".join(line.split()[:3]) for line in parts] == [
        "- component 0", "- component 1", "- knots (2)", "- companion 1",
    ]  # fmt: skip
    assert "123.46 +/- 1.2" in parts[0] and "20 +/- 1.2" in parts[1]
    assert parts[2].split()[-1] == "6.5" and "30 +/- 1.2" in parts[3]
    assert other.startswith("F277W")
