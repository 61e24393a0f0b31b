"""Reference stars and sources are matched one to one."""

import numpy as np

from galstep.core.field.reference_match import mutual_matches, near_places, unmatched

ARCSEC = 1 / 3600


def test_a_star_is_one_source():
    # two sources within 3" of one star: only the nearer is it
    ra, dec = np.array([10.0, 10.0 + 1 * ARCSEC, 20.0]), np.zeros(3)
    ra_ref, dec_ref = np.array([10.0 + 0.8 * ARCSEC, 20.0 + 5 * ARCSEC]), np.zeros(2)
    index, reference = mutual_matches(ra, dec, ra_ref, dec_ref, 3.0)
    assert list(index) == [1] and list(reference) == [0]
    assert list(unmatched(2, reference)) == [1]


def test_across_right_ascension_zero():
    index, reference = mutual_matches(
        np.array([359.9999, 180.0]), np.zeros(2), np.array([0.0001]), np.zeros(1), 3.0
    )
    assert list(index) == [0] and list(reference) == [0]


def test_nothing_has_no_partner():
    empty = np.zeros(0)
    assert not len(mutual_matches(empty, empty, np.ones(1), np.ones(1), 3.0)[0])
    nan = np.array([np.nan])
    assert not len(mutual_matches(nan, nan, np.ones(1), np.ones(1), 3.0)[0])


def test_near_places():
    x, y = np.array([0.0, 10.0, np.nan]), np.zeros(3)
    assert list(near_places(x, y, np.array([3.0]), np.array([4.0]), 5.0)) == [True, False, False]
    assert not near_places(x, y, np.zeros(0), np.zeros(0), 5.0).any()
