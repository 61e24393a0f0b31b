"""Pulls, matches and rates of injected sources."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.injection.recovery import (
    completeness,
    faint_star_error,
    galaxy_pulls,
    isolated,
    match_stars,
    purity,
    rate_by_snr,
    summarise,
    unmatched,
)
from galstep.exceptions import ParameterError
from galstep.flags import StarFlag
from galstep.records import SersicFit, SersicParams, StarList

TRUTH = SersicParams(30.0, 31.0, 6.0, 1.5, 0.4, 0.6)


def star_list(x, y, flux, flux_err=1.0, flags=0):
    x, y, flux = (np.asarray(v, float) for v in (x, y, flux))
    same = [np.full(len(x), v) for v in (0.1, 0.1, flux_err, 1.0)]
    return StarList(np.arange(len(x)), x, y, flux, *same, np.full(len(x), flags))


class TestSummary:
    def test_gaussian_pulls(self):
        pulls = np.random.default_rng(2).normal(0.3, 1.2, 4000)
        pulls[:3] = 40.0
        pull = summarise([*pulls, np.nan])
        assert pull.count == 4000
        assert pull.bias == pytest.approx(0.3, abs=4 * pull.bias_err)
        assert pull.bias_err == pytest.approx(1.2533 * 1.2 / np.sqrt(4000), rel=0.05)
        assert pull.mad == pytest.approx(1.2, rel=0.05)
        assert pull.std > 1.5  # the outliers
        assert pull.n_outliers == 3

    def test_none_and_one(self):
        assert summarise([]).count == 0
        assert np.isnan(summarise([np.nan]).bias)
        assert summarise([0.5]).bias == 0.5
        assert np.isnan(summarise([0.5]).std)


class TestGalaxyPulls:
    ERRORS = np.array([0.1, 0.2, 0.03, 0.02, 0.02, 0.05, 4.0])

    def fit(self, moved):
        vector = TRUTH.to_vector() + moved[:6] * self.ERRORS[:6]
        return SersicFit(
            SersicParams.from_vector(vector),
            100.0 + moved[6] * self.ERRORS[6],
            flux_err=self.ERRORS[6],
            covariance=np.diag(self.ERRORS**2),
        )

    def test_in_units_of_each_error(self):
        pulls = galaxy_pulls(self.fit(np.array([1, -2, 0.5, 0, 0, -1.5, 3.0])), TRUTH, 100.0)
        expected = {"x": 1, "y": -2, "r_eff": 0.5, "n": -1.5, "flux": 3, "ellip": 0}
        assert pulls == pytest.approx(expected, abs=1e-9)

    def test_ellipticity_along_its_direction(self):
        e = TRUTH.to_vector()[3:5]
        along = e / np.hypot(*e)
        across = np.array([-along[1], along[0]])
        for direction, expected in ((along, 2.0), (across, 0.0)):
            moved = np.zeros(7)
            moved[3:5] = 2 * direction
            assert galaxy_pulls(self.fit(moved), TRUTH, 100.0)["ellip"] == pytest.approx(
                expected, abs=1e-9
            )

    def test_round_galaxy(self):
        round_one = replace(TRUTH, ellip=0.0)
        fit = replace(self.fit(np.zeros(7)), params=round_one)
        assert galaxy_pulls(fit, round_one, 100.0)["ellip"] == 0

    def test_what_was_pinned_is_not_known(self):
        covariance = np.diag(self.ERRORS**2)
        covariance[:6] = covariance[:, :6] = np.nan
        fit = replace(self.fit(np.ones(7)), covariance=covariance)
        pulls = galaxy_pulls(fit, TRUTH, 100.0)
        assert pulls["flux"] == pytest.approx(1)
        assert all(np.isnan(pulls[key]) for key in ("x", "y", "r_eff", "n", "ellip"))

    def test_no_covariance(self):
        fit = replace(self.fit(np.zeros(7)), covariance=None)
        assert all(np.isnan(value) for value in galaxy_pulls(fit, TRUTH, 100.0).values())


class TestStars:
    def test_nearest_with_about_its_flux(self):
        stars = star_list([10, 20, 30.4], [10, 20, 30], [5, 50, 9])
        x, y = np.array([10.1, 20.0, 30.0, 80.0]), np.array([10.0, 20.2, 30.0, 80.0])
        flux = np.array([6.0, 10.0, 9.0, 5.0])
        # the second is near a star five times as bright, the fourth near none
        np.testing.assert_array_equal(match_stars(x, y, flux, stars, 1.0), [0, -1, 2, -1])
        np.testing.assert_array_equal(match_stars(x, y, flux, stars, 0.3), [0, -1, -1, -1])

    def test_a_star_is_found_once(self):
        stars = star_list([10], [10], [5])
        match = match_stars(
            np.array([10.3, 10.1]), np.array([10.0, 10.0]), np.full(2, 5.0), stars, 1
        )
        np.testing.assert_array_equal(match, [-1, 0])

    def test_empty_lists(self):
        none = np.zeros(0)
        assert len(match_stars(none, none, none, star_list([1], [1], [1]), 1.0)) == 0
        assert (match_stars(np.ones(2), np.ones(2), np.ones(2), StarList.empty(), 1.0) == -1).all()
        assert isolated(np.ones(2), np.ones(2), np.ones(2), StarList.empty(), 2.0).all()

    def test_isolated(self):
        stars = star_list([10, 20], [10, 20], [4, 6])
        x = np.array([12.0, 22.0, 24.0])
        # 2 px from a star with 0.4 of the flux; with 0.6 of it; 4 px away
        alone = isolated(x, np.array([10.0, 20.0, 20.0]), np.full(3, 10.0), stars, 2.0)
        np.testing.assert_array_equal(alone, [True, False, True])

    def test_error_of_faint_stars(self):
        faint = star_list(np.arange(6), np.zeros(6), np.full(6, 10.0), flux_err=2.0)
        assert faint_star_error(faint, 7.0) == 2.0
        assert faint_star_error(faint.select(np.arange(4)), 7.0) == 7.0
        blended = replace(faint, flags=np.array([0, 0, 0, 0, 0, int(StarFlag.BLENDED)]))
        bright = replace(faint, flux_err=np.array([2.0, 2, 2, 2, 2, 9]))
        assert faint_star_error(replace(bright, flags=blended.flags), 7.0) == 2.0

    def test_error_where_all_stars_are_bright(self):
        errors = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
        bright = star_list(np.arange(5), np.zeros(5), np.full(5, 1000.0), flux_err=1.0)
        assert faint_star_error(replace(bright, flux_err=errors), 7.0) == 3.0
        unknown = replace(bright, flux_err=np.array([2.0, 3.0, np.nan, 5.0, 6.0]))
        assert faint_star_error(unknown, 7.0) == 7.0


class TestRates:
    def test_bins_hold_their_lower_edge(self):
        snr, found = np.array([3, 5, 6, 10, 99.0]), np.array([0, 1, 0, 1, 1], bool)
        assert rate_by_snr(snr, found, (5, 10, np.inf)) == [(1, 2), (2, 2)]

    def test_edges_must_rise(self):
        with pytest.raises(ParameterError, match=r"must rise, got \[5, 5\]"):
            rate_by_snr(np.ones(2), np.ones(2, bool), [5, 5])


class TestShares:
    @pytest.mark.parametrize("found", [0, 3, 10])
    def test_completeness_and_its_interval(self, found):
        share, low, high = completeness(found, 10)
        assert share == found / 10
        # Wilson: the ends z solve |share - p| = z sqrt(p (1 - p) / n)
        for end in (low, high):
            assert abs(share - end) == pytest.approx(np.sqrt(end * (1 - end) / 10), abs=2e-3)
        assert 0 <= low <= share <= high <= 1 and high - low > 0.05

    def test_purity_and_its_interval(self):
        share, low, high = purity(4, 50)
        assert share == pytest.approx(0.92)
        # Gehrels (1986), tables 1 and 2: 4 events, 2.091 to 7.163
        assert (low, high) == pytest.approx((1 - 7.163 / 50, 1 - 2.091 / 50), abs=1e-3)
        share, low, high = purity(0, 50)
        assert (share, high) == (1.0, 1.0) and low == pytest.approx(1 - 1.841 / 50, abs=1e-3)
        assert purity(9, 3)[0] == 0.0

    def test_nothing_to_share(self):
        assert np.isnan([*completeness(0, 0), *purity(2, 0)]).all()

    def test_stars_that_are_none_of_those(self):
        stars = star_list([10, 20, 30.0], [10, 20, 30.0], [4, 6, 8])
        left = unmatched(stars, np.array([10.4, 33.0]), np.array([10.0, 30.0]), 1.0)
        np.testing.assert_array_equal(left.x, [20, 30])
        assert len(unmatched(stars, np.zeros(0), np.zeros(0), 1.0)) == 3
