"""Where two trees differ, and by how much."""

import numpy as np
import pytest

from galstep.testing.differences import relative_differences


def largest(first, second):
    return max(size for _, size, _ in relative_differences(first, second))


def test_equal_trees_differ_by_nothing():
    tree = {"a": [1.0, float("nan")], "b": {"image": np.array([[1.0, np.nan]]), "text": "x"}}
    found = list(relative_differences(tree, tree))
    assert [place for place, _, _ in found] == ["/a/0", "/a/1", "/b/image", "/b/text"]
    assert largest(tree, tree) == 0


@pytest.mark.parametrize(
    ("first", "second", "size"),
    [
        (2.0, 2.0 + 4e-12, 2e-12),
        (0.0, 1e-30, 1.0),
        (np.array([1.0, 1e-9]), np.array([1.0, 2e-9]), 0.5),
        # a pixel that is zero by chance does not count for more than the image does
        (np.array([[1.0, 1e-9]]), np.array([[1.0, 2e-9]]), 1e-9),
        (3, 4, 0.25),
        (True, False, 1.0),
    ],
)
def test_size_of_a_difference(first, second, size):
    assert largest({"a": first}, {"a": second}) == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1}, {"b": 1}),
        ([1], [1, 2]),
        ("x", "y"),
        (1.0, None),
        (1.0, "1.0"),
        (np.ones(2), np.ones(3)),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array(["F150W"]), np.array(["F277W"])),
        ([np.ones(2)], [[1.0, 1.0]]),
    ],
)
def test_what_cannot_be_compared_is_infinitely_different(first, second):
    assert largest(first, second) == np.inf
