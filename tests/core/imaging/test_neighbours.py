import numpy as np

from galstep.core.imaging.neighbours import apart, distances, groups_of, pairs_within

X = np.array([0.0, 100.0, 3.0, 6.0, 101.0])
ZERO = np.zeros(5)


def test_grouping():
    group_id, size = groups_of(X, ZERO, 4.0)
    assert group_id.tolist() == [1, 2, 1, 1, 2]
    assert size.tolist() == [3, 2, 3, 3, 2]
    assert groups_of(np.array([0.0, 4.5]), np.zeros(2), 4.0)[0].tolist() == [1, 2]
    assert [len(a) for a in groups_of(X[:0], X[:0], 4.0)] == [0, 0]


def test_distances_to_known_places():
    distance, nearest = distances(X, ZERO, np.array([99.0, 2.0]), np.zeros(2))
    assert distance.tolist() == [2, 1, 1, 4, 2]
    assert nearest.tolist() == [1, 0, 1, 1, 0]
    assert np.isinf(distances(X, ZERO, X[:0], X[:0])[0]).all()
    assert distances(X[:0], X[:0], X, ZERO)[0].shape == (0,)


def test_pairs():
    assert sorted(map(tuple, pairs_within(X, ZERO, 3.0))) == [(0, 2), (1, 4), (2, 3)]
    assert pairs_within(X[:1], ZERO[:1], 3.0).shape == (0, 2)


def test_of_places_too_near_the_best_are_kept():
    # 2 is near 0 and 3; as 0 comes first, 2 goes and 3 stays
    assert apart(X, ZERO, np.arange(5), 3.5, X[:0], X[:0]).tolist() == [0, 1, 3]
    assert apart(X, ZERO, np.array([2, 4, 3, 1, 0]), 3.5, X[:0], X[:0]).tolist() == [2, 4]
    assert apart(X, ZERO, np.arange(5), 3.5, X[:1] + 1, ZERO[:1]).tolist() == [1, 3]
