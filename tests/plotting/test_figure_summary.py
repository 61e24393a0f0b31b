"""The key numbers in words."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.flags import BandFlag
from galstep.plotting import summary


def test_shape_of_the_base_filter(model):
    fit = replace(model.bands["F150W"].fit.sersic[0], r_eff_err=0.0321, n_err=np.nan)
    model.bands["F150W"].fit = replace(model.bands["F150W"].fit, sersic=(fit,))
    lines = summary.shape_lines(model)
    r_eff = fit.params.r_eff
    assert f"r_eff         {r_eff:.3f} ± 0.032 pix" in lines
    assert f'half light    {r_eff:.1f} pix = {r_eff * 0.03:.3f}"' in lines
    assert f"n             {fit.params.n:.4g}" in lines
    assert "base filter   F150W" in lines


def test_nothing_measured(model):
    model.meta.base_filter = model.meta.fit_step = None
    assert summary.shape_lines(model) == [
        "base filter   none",
        "last fit      none",
        "shape         not measured",
    ]


def test_a_line_per_filter(model):
    model.bands["F277W"].fit = None
    header, base, other = summary.band_lines(model)
    assert header.split() == [
        "filter", "AB", "total", "half-light", "Kron", "PSF", "stars", "chi2",
    ]  # fmt: skip
    assert base.startswith("F150W") and base.split()[-2] == "12"
    assert other.split() == ["F277W", "no", "fit"]


def test_filters_with_the_same_flags_share_a_line(model):
    for band in model.bands.values():
        band.flags = int(BandFlag.FAINT)
    assert summary.flag_lines(model) == ["F150W, F277W: faint"]


def test_no_flags(model):
    assert summary.flag_lines(model) == ["no flags in any filter"]


def test_many_flags_are_cut(model):
    model.bands["F150W"].flags = int(sum(BandFlag))
    lines = summary.flag_lines(model, width=30, most=3)
    assert len(lines) == 3
    assert lines[-1].startswith("... and ")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.3456, 0.0321, "12.346 ± 0.032"),
        (123.456, 2.2, "123.5 ± 2.2"),
        (1234.5, 250.0, "1234 ± 250"),
        (1.5, np.nan, "1.5"),
        (np.nan, 0.1, "nan"),
    ],
)
def test_digits_follow_the_error(value, error, text):
    assert summary._value(value, error) == text


def test_a_galaxy_that_is_not_detected_has_a_limit(model):
    band = model.bands["F277W"]
    band.fit = replace(band.fit, total_flux=1.0, total_flux_err=1.0, flags=BandFlag.FAINT)
    limit = summary.band_lines(model)[2].split()[1:3]
    assert limit[0] == ">"
    # 1 + 3 errors in MJy/sr x pixel of 0.03 arcsec
    assert float(limit[1]) == pytest.approx(28.0865 - 2.5 * np.log10(4), abs=0.01)


def test_knots_have_a_column_where_there_are_any(model):
    band = model.bands["F277W"]
    band.fit = replace(band.fit, knots=band.fit.stars.select(np.arange(3)))
    header, first, second = summary.band_lines(model)
    assert header.split()[-3:] == ["stars", "knots", "chi2"]
    assert first.split()[-3:-1] == ["12", "0"]
    assert second.split()[-3:-1] == ["12", "3"]
