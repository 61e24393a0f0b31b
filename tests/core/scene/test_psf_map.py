"""The PSF by position: cells, laws, identities."""

import pickle

import numpy as np
import pytest

from galstep.core.scene.box import Box
from galstep.core.scene.psf_map import GridLaw, PsfMap
from galstep.exceptions import InputError
from galstep.pixel_map import PixelMap


def gaussian(sigma):
    offset = np.arange(-20, 21) / 2
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    return np.outer(profile, profile)


def grid():
    values = np.array([[gaussian(1.0), gaussian(2.0)], [gaussian(1.0), gaussian(2.0)]])
    return GridLaw(values, np.array([0.0, 100.0]), np.array([0.0, 100.0]), 2)


def test_between_the_points_of_a_grid_it_is_bilinear():
    one, two = (g / g.sum() for g in (gaussian(1.0), gaussian(2.0)))
    np.testing.assert_allclose(grid().array(25.0, 60.0), 0.75 * one + 0.25 * two, atol=1e-15)
    np.testing.assert_allclose(grid().array(-50.0, 0.0), one, atol=1e-15)


def test_all_of_a_cell_have_one_psf_and_it_is_that_of_the_middle():
    psfs = PsfMap(grid(), cell=20)
    assert psfs.at(41.0, 3.0) is psfs.at(59.9, 19.0)
    expected = grid().array(50.0, 10.0)
    np.testing.assert_allclose(psfs.at(41.0, 3.0).array, expected / expected.sum(), atol=1e-15)
    assert psfs.at(-1.0, 3.0) is not psfs.at(1.0, 3.0)


def test_it_travels_small_and_means_the_same_elsewhere():
    psfs = PsfMap.single(gaussian(1.0), 2)
    psfs.at(0.0, 0.0).derived("something large", lambda: np.zeros(1_000_000))
    text = pickle.dumps(psfs)
    assert len(text) < 2 * gaussian(1.0).nbytes
    assert pickle.loads(text).at(0.0, 0.0) is psfs.at(5.0, 5.0)
    assert PsfMap.single(gaussian(1.1), 2).identity != psfs.identity


def test_a_grid_that_is_none_is_refused():
    with pytest.raises(InputError, match="2 x 2"):
        GridLaw(np.zeros((3, 2, 5, 5)), np.array([0.0, 1.0]), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("pixel_map", "expected"),
    [
        (PixelMap(), Box(3, 4, 13, 24)),
        (PixelMap(origin=(2.0, -1.0)), Box(5, 3, 15, 23)),
        (PixelMap(((0.0, 1.0), (-1.0, 0.0)), (0.0, 30.0)), Box(3, 17, 25, 29)),
    ],
)
def test_a_box_on_another_grid(pixel_map, expected):
    # a turn is not exact: one pixel more on each side
    assert Box(3, 4, 13, 24).on(pixel_map) == expected


def test_boxes_that_meet_and_boxes_that_do_not():
    assert Box(0, 0, 10, 10).common(Box(5, -3, 20, 4)) == Box(5, 0, 10, 4)
    assert Box(0, 0, 10, 10).common(Box(20, 20, 30, 30)).empty
    assert Box(-5, -5, 50, 3).inside((10, 20)) == Box(0, 0, 20, 3)
