"""Given positions: which of them are stars, and that each keeps its row."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.fitting.forced_fit import ForcedFit
from galstep.core.fitting.forced_list import GivenPositions, flagged, forced_rows, one_to_one
from galstep.exceptions import ParameterError
from galstep.flags import StarFlag
from galstep.records import StarList

SHAPE, FWHM = (40, 50), 2.0


def stars_of(given, flux):
    count = len(given.star_x)
    same = (np.full(count, v) for v in (np.nan, np.nan, 1.0, 1.0))
    flux = np.asarray(flux, float)
    return StarList(
        np.arange(count) + 5, given.star_x, given.star_y, flux, *same, np.zeros(count, int)
    )


class TestPositions:
    def test_one_that_coincide_are_one_star_in_the_middle(self):
        given = GivenPositions.of([10, 20, 10.1, 10.35], [5, 5, 5, 5.0], SHAPE, FWHM)
        np.testing.assert_array_equal(given.slot, [0, 1, 0, 2])
        np.testing.assert_allclose(given.star_x, [10.05, 20, 10.35])
        np.testing.assert_array_equal(given.duplicated, [True, False, True, False])

    def test_far_or_unknown_positions_are_no_star(self):
        x = [-5.9, -6.1, 54.9, 55.1, np.nan, 10]
        given = GivenPositions.of(x, [5, 5, 5, 5, 5, np.inf], SHAPE, FWHM)
        np.testing.assert_array_equal(given.slot, [0, -1, 1, -1, -1, -1])
        assert not given.duplicated.any()

    def test_listed_stars_stay_as_they_are(self):
        x = [10.0, 10.05, 10.1, 99.0, np.nan]
        given = GivenPositions.of(x, [5.0] * 5, SHAPE, FWHM, listed=4)
        np.testing.assert_array_equal(given.slot, [0, 1, 2, 3, -1])

    def test_first_of(self):
        given = GivenPositions.of([10, 20, 10.1], [5, 5, 5.0], SHAPE, FWHM)
        np.testing.assert_array_equal(given.first_of([7, 8, 9]), [7, 8])

    def test_mapped(self):
        given = GivenPositions.of([10, 20, 10.1], [5, 5, 5.0], SHAPE, FWHM)
        moved = given.mapped(lambda x, y: (2 * x, y + 1))
        np.testing.assert_allclose(moved.star_x, 2 * given.star_x)
        np.testing.assert_allclose(moved.y, 6)
        np.testing.assert_array_equal(moved.slot, given.slot)

    def test_lengths(self):
        with pytest.raises(ParameterError, match="of one length, got x of shape"):
            GivenPositions.of([1, 2], [1], SHAPE, FWHM)
        with pytest.raises(ParameterError, match="3 ids"):
            GivenPositions.of([1, 2], [1, 2], SHAPE, FWHM, "abc")


class TestRows:
    def test_every_position_has_its_row(self):
        given = GivenPositions.of([10, 99, 10.1, 20], [5, 5, 5, 5.0], SHAPE, FWHM, "abcd")
        fit = ForcedFit()
        stars = flagged(stars_of(given, [30.0, -2.0]), given, fit, 4.0)
        rows = forced_rows(given, stars, fit, 4.0, "a list")
        assert rows.name == ("a", "b", "c", "d") and rows.source == "a list"
        np.testing.assert_array_equal(rows.star_id, [5, -1, 5, 6])
        np.testing.assert_array_equal(rows.flux, [30, np.nan, 30, -2])
        np.testing.assert_allclose(rows.x, [10.05, 99, 10.05, 20])
        np.testing.assert_allclose(rows.x_given, [10, 99, 10.1, 20])
        np.testing.assert_array_equal(rows.flux_limit, [np.nan, np.nan, np.nan, 4.0])
        expected = [
            StarFlag.DUPLICATE,
            StarFlag.OFF_FRAME | StarFlag.NO_DATA,
            StarFlag.DUPLICATE,
            StarFlag.UPPER_LIMIT,
        ]
        np.testing.assert_array_equal(rows.flags, [int(flag) for flag in expected])

    def test_at_the_bound(self):
        given = GivenPositions.of([10, 20.0], [5, 5.0], SHAPE, FWHM)
        stars = replace(stars_of(given, [30.0, 30.0]), x=np.array([10.5, 20.45]))
        free = flagged(stars, given, ForcedFit("free", 0.5), 3.0).flags
        np.testing.assert_array_equal(free & StarFlag.AT_BOUND > 0, [True, False])
        assert not flagged(stars, given, ForcedFit(), 3.0).flags.any()


class TestMatches:
    def test_nearest_pairs_first_each_once(self):
        x, other = np.array([0.0, 1.0, 5.0]), np.array([0.8, 9.0, 0.3])
        match = one_to_one(x, 0 * x, other, 0 * other, 1.0)
        np.testing.assert_array_equal(match, [2, 0, -1])
        # 0.9 is nearest to 1.0; 0.0 has nothing left within reach
        match = one_to_one(np.array([0.2, 1.0]), np.zeros(2), np.array([0.9]), np.zeros(1), 1.0)
        np.testing.assert_array_equal(match, [-1, 0])

    def test_nothing(self):
        none = np.zeros(0)
        assert len(one_to_one(none, none, np.ones(2), np.ones(2), 1.0)) == 0
        np.testing.assert_array_equal(one_to_one(np.ones(2), np.ones(2), none, none, 1.0), [-1, -1])
