"""Which stars are anchors, what their discs are, who is fitted with them."""

import numpy as np

from galstep.core.calibration.anchors import (
    AnchorLimits,
    choose_anchors,
    disc_labels,
    stars_near_discs,
)

SHAPE = (60, 80)
ALLOWED = np.ones(SHAPE, bool)


def choose(x, y, flux, snr=None, allowed=ALLOWED, fwhm=3.0, **limits):
    x, y, flux = (np.array(values, float) for values in (x, y, flux))
    snr = np.full(len(x), 100.0) if snr is None else np.array(snr, float)
    limits = AnchorLimits(**{"relaxed": (1.0,), **limits})
    return choose_anchors(x, y, flux, snr, allowed, fwhm, limits).tolist()


def test_brightest_first_up_to_count():
    x, y, flux = [10, 30, 50, 70], [30] * 4, [1.0, 3.0, 2.0, 4.0]
    assert choose(x, y, flux) == [3, 1, 2, 0]
    assert choose(x, y, flux, count=2) == [3, 1]


def test_faint_stars_are_left_out():
    assert choose([20, 60], [30, 30], [1, 1], snr=[14.9, 15.0]) == [1]


def test_no_anchor_near_the_edge():
    # half of the wide neighbourhood (6 px at least) is kept from the frame's edge
    assert choose([2.9, 3.1, 79 - 3.1, 79 - 2.9], [10, 20, 30, 40], [1] * 4) == [1, 2]


def test_no_anchor_on_pixels_that_are_not_allowed():
    allowed = ALLOWED.copy()
    allowed[30, 20] = False
    assert choose([20.4, 60], [30.4, 30], [2, 1], allowed=allowed) == [1]


def test_close_neighbour_counts_more_than_a_wide_one():
    pair = [20.0, 22.5], [30.0, 30.0]
    assert choose(*pair, [1.0, 0.14]) == [0]
    assert choose(*pair, [1.0, 0.16]) == []
    wide = [20.0, 25.5], [30.0, 30.0]
    assert choose(*wide, [1.0, 0.49]) == [0]
    assert choose(*wide, [1.0, 0.51]) == []


def test_neighbours_add_up():
    x, y = [30, 32, 28, 30], [30, 30, 30, 32.0]
    assert choose(x, y, [1, 0.04, 0.04, 0.04]) == [0]
    assert choose(x, y, [1, 0.06, 0.06, 0.06]) == []


def test_isolation_is_relaxed_only_where_anchors_are_missing():
    pair = [20.0, 22.5], [30.0, 30.0], [1.0, 0.2]
    assert choose(*pair, relaxed=(1.0, 2.0), enough=1) == [0]
    lone = [20.0, 22.5, 60.0], [30.0] * 3, [1.0, 0.2, 0.5]
    assert choose(*lone, relaxed=(1.0, 2.0), enough=1) == [2]


def test_no_stars_no_anchors():
    assert choose([], [], []) == []


def test_disc_labels_are_discs():
    labels = disc_labels(SHAPE, np.array([20.3]), np.array([30.6]), 4.0)
    yy, xx = np.indices(SHAPE)
    inside = np.hypot(xx - 20.3, yy - 30.6) <= 4.0
    np.testing.assert_array_equal(labels, np.where(inside, 0, -1))


def test_shared_pixels_belong_to_the_nearest_disc():
    x, y = np.array([20.0, 25.0, -1.0, 300.0]), np.array([30.0, 31.0, 59.0, 30.0])
    labels = disc_labels(SHAPE, x, y, 4.5)
    yy, xx = np.indices(SHAPE)
    distance = np.hypot(xx - x[:, None, None], yy - y[:, None, None])
    expected = np.where(distance.min(axis=0) <= 4.5, distance.argmin(axis=0), -1)
    np.testing.assert_array_equal(labels, expected)


def test_stars_near_discs():
    x = np.array([30.0, 36.0, 39.0, 41.0, 60.0])
    y = np.full(5, 30.0)
    flux = np.array([10.0, 1.0, 5.0, 50.0, 2.0])
    near = stars_near_discs(x, y, flux, np.array([0]), 5.0, 4.0, 10)
    np.testing.assert_array_equal(near, [True, True, True, False, False])


def test_most_neighbours_are_those_with_most_light_at_the_disc():
    x = np.array([30.0, 34.0, 39.0, 30.0])
    y = np.array([30.0, 30.0, 30.0, 26.0])
    flux = np.array([10.0, 1.0, 2.0, 3.0])
    near = stars_near_discs(x, y, flux, np.array([0]), 5.0, 4.0, 1)
    np.testing.assert_array_equal(near, [True, False, False, True])
    alone = stars_near_discs(x, y, flux, np.array([0]), 5.0, 4.0, 0)
    np.testing.assert_array_equal(alone, [True, False, False, False])
