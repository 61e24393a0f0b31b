"""The summary in the log has the numbers of the products."""

from dataclasses import replace
from math import nan

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
    band.fit = replace(band.fit, sersic=(replace(band.fit.sersic[0], flux_err=nan),))
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
    faint = replace(band.fit.sersic[0], flux=1.0, flux_err=1.0)
    band.fit = replace(band.fit, sersic=(faint,))
    limit = sersic_table(model)["mag_ab_limit"][0].value
    assert f"> {limit:.3f}" in summary_lines(model)[1]
