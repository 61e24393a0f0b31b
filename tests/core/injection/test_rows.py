"""Rows and statistics of injected sources."""

from dataclasses import fields

import numpy as np
import pytest

from galstep.core.injection.rows import (
    SNR_EDGES,
    collect,
    galaxy_rows,
    rounded,
    star_rows,
    summary_of,
)
from galstep.core.injection.sources import InjectedGalaxy, InjectedStars
from galstep.flags import BandFlag, StarFlag
from galstep.records import Injections, SersicFit, SersicParams, StarList

NAMES = ("F150W", "F277W")
PARAMS = SersicParams(40.0, 50.0, 5.0, 1.5, 0.3, 0.4)
TRUTH = InjectedGalaxy(PARAMS, (100.0, 200.0), (10, 20))
CORNER = (10, 20)


def fitted(flux, err, params=PARAMS):
    covariance = np.diag([0.1, 0.1, 0.02, 0.01, 0.01, 0.03, err]) ** 2
    return SersicFit(
        params.moved(-10, -20), flux, err, 0.1, 0.1, 0.1, 0.05, 0.02, 0.03, covariance
    ), CORNER


def rows(flags=(0, 0), covariance=None, fits=None):
    fits = [fitted(104.0, 4.0), fitted(190.0, 5.0)] if fits is None else fits
    return galaxy_rows(7, NAMES, TRUTH, [(0, 0), (0, 0)], fits, flags, covariance)


class TestGalaxyRows:
    def test_numbers(self):
        first, second = rows()
        assert first["pull_flux"] == pytest.approx(1.0)
        assert second["pull_flux"] == pytest.approx(-2.0)
        assert (first["x"], first["y"]) == (40.0, 50.0)
        assert first["snr"] == 25.0 and second["snr"] == 40.0
        assert first["pull_r_eff"] == pytest.approx(0, abs=1e-9)
        assert "color" not in first

    @pytest.mark.parametrize("correlation", [None, 0.0, 0.9])
    def test_colour_error_has_the_covariance(self, correlation):
        covariance = None
        if correlation is not None:
            covariance = np.array([[16.0, 20 * correlation], [20 * correlation, 25.0]])
        row = rows(covariance=covariance)[1]
        assert row["color"] == pytest.approx(-2.5 * np.log10(190 / 104))
        assert row["color_true"] == pytest.approx(-2.5 * np.log10(2))
        a, b = 4 / 104, 5 / 190
        variance = a**2 + b**2 - 2 * (correlation or 0.0) * a * b
        assert row["color_err"] == pytest.approx(2.5 / np.log(10) * np.sqrt(variance))
        expected = (row["color"] - row["color_true"]) / row["color_err"]
        assert row["pull_color"] == pytest.approx(expected)

    def test_a_flux_below_zero_has_no_colour(self):
        row = rows(fits=[fitted(104.0, 4.0), fitted(-1.0, 5.0)])[1]
        assert "color" not in row and np.isfinite(row["color_true"])

    def test_nor_has_a_copy_of_such_a_galaxy(self):
        truth = InjectedGalaxy(PARAMS, (100.0, -2.0), (10, 20))
        fits = [fitted(104.0, 4.0), fitted(3.0, 5.0)]
        row = galaxy_rows(7, NAMES, truth, [(0, 0), (0, 0)], fits, (0, 0))[1]
        assert "color_true" not in row and row["pull_flux"] == pytest.approx(1.0)

    def test_what_was_not_measured(self):
        first, second = rows(fits=[fitted(104.0, 4.0), None])
        assert first["found"] == 1 and second["found"] == 0
        assert "flux" not in second and second["flux_true"] == 200.0


class TestStarRows:
    def test_found_and_not(self):
        truth = InjectedStars(
            np.array([10.0, 30.0]), np.array([12.0, 30.0]), np.array([[20.0, 8.0]])
        )
        stars = StarList(
            np.array([4]), np.array([10.6]), np.array([11.8]), np.array([21.0]), np.array([0.1]),
            np.array([0.1]), np.array([2.0]), np.array([1.0]), np.array([int(StarFlag.IN_CORE)]),
        )  # fmt: skip
        made = star_rows(
            3, ("F150W",), truth, [(0.5, -0.25)], [2.0], [stars], [StarList.empty()], [2.5]
        )
        assert [row["number"] for row in made] == [3, 4]
        assert [row["found"] for row in made] == [1, 0]
        assert made[0]["x_true"] == 10.5 and made[0]["y_true"] == 11.75
        assert made[0]["pull_flux"] == pytest.approx(0.5)
        assert made[0]["flags"] == int(StarFlag.IN_CORE)
        assert [row["snr"] for row in made] == [10.0, 4.0]

    def test_no_fit_at_all(self):
        truth = InjectedStars(np.array([10.0]), np.array([12.0]), np.array([[20.0]]))
        made = star_rows(1, ("F150W",), truth, [(0, 0)], [2.0], [None], [StarList.empty()], [2.5])
        assert made[0]["found"] == 0


class TestSummary:
    def summary(self, made, listed=(), spurious=()):
        one = {name: np.array(listed, float) for name in NAMES}
        other = {name: np.array(spurious, float) for name in NAMES}
        return summary_of(made, NAMES, one, other)

    def test_failed_fits_are_counted_and_left_out(self):
        made = rows() + rows(flags=(int(BandFlag.AT_BOUND), int(BandFlag.FAINT)))
        made += rows(fits=[None, fitted(210.0, 5.0)])
        galaxies = {name: own["galaxies"] for name, own in self.summary(made).items()}
        assert (galaxies["F150W"]["count"], galaxies["F150W"]["failed"]) == (3, 2)
        assert galaxies["F150W"]["flux"]["count"] == 1
        assert (galaxies["F277W"]["count"], galaxies["F277W"]["failed"]) == (3, 0)
        assert galaxies["F277W"]["flux"]["bias"] == pytest.approx(-2.0)

    def test_stars_per_bin(self):
        truth = InjectedStars(np.array([10.0]), np.array([12.0]), np.array([[12.0], [12.0]]))
        made = star_rows(
            1, NAMES, truth, [(0, 0)] * 2, [2.0, 1.0], [None] * 2, [StarList.empty()] * 2, [2.5] * 2
        )
        summary = self.summary(made, listed=[5.5, 8, 8, 500], spurious=[6.9])
        shares = {share["snr_min"]: share for share in summary["F150W"]["stars"]["bins"]}
        assert list(shares) == list(SNR_EDGES[:-1])
        assert shares[5.0]["injected"] == 1 and shares[5.0]["found"] == 0
        assert [shares[k]["listed"] for k in (5.0, 7.0, 10.0, 50.0)] == [1, 2, 0, 1]
        assert [shares[k]["spurious"] for k in (5.0, 7.0)] == [1, 0]
        assert shares[5.0]["completeness"] == 0 and 0 < shares[5.0]["completeness_high"] < 1
        assert shares[5.0]["purity"] == 0 and shares[7.0]["purity"] == 1
        assert np.isnan(shares[10.0]["completeness"]) and np.isnan(shares[10.0]["purity"])
        assert shares[50.0]["snr_max"] == np.inf
        shares = {s["snr_min"]: s for s in summary["F277W"]["stars"]["bins"]}
        assert shares[10.0]["injected"] == 1


class TestRecord:
    def test_every_column_has_every_row(self):
        record = collect(rows(), {})
        assert len(record) == 2
        for column in fields(Injections):
            if column.name != "summary":
                assert len(getattr(record, column.name)) == 2, column.name
        assert record.filter == NAMES and record.kind == ("galaxy", "galaxy")
        assert np.isnan(record.color[0]) and np.isfinite(record.color[1])
        assert record.flags.dtype.kind == "i"

    def test_last_bits_are_dropped(self):
        first = rows()
        second = [
            {k: v * (1 + 3e-15) if isinstance(v, float) else v for k, v in row.items()}
            for row in first
        ]
        assert first != second
        assert rounded(first) == rounded(second)
        assert rounded(first)[0]["flux"] == pytest.approx(first[0]["flux"], rel=1e-8)
