"""The matched filter against sums that are written out, peaks against scipy's highest pixels."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from galstep.core.imaging import _kernels, _kernels_numba, _kernels_numpy
from galstep.core.imaging.matched_filter import (
    MatchedFilter,
    find_peaks,
    parabola_offset,
    zero_sum,
)

RANDOM = np.random.default_rng(5)
# of no symmetry: a star that is displaced
KERNEL = RANDOM.uniform(0, 1, (11, 11))


@pytest.mark.parametrize("shape", [(20, 31), (300, 40), (129, 25), (7, 5), (600, 700)])
@pytest.mark.parametrize("power", [1, 2])
def test_sums_of_the_filter(shape, power, monkeypatch):
    image = RANDOM.normal(size=shape)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 5), KERNEL.shape)
    direct = np.einsum("yxij,ij->yx", windows, KERNEL**power)
    matched = MatchedFilter(KERNEL)
    assert matched.correlate(image, power) == pytest.approx(direct, abs=1e-11)
    for kernels in (_kernels_numba, _kernels_numpy):
        monkeypatch.setattr(_kernels, "correlate_small", kernels.correlate_small)
        assert matched.correlate(image, power, False) == pytest.approx(direct, abs=2e-5)


def test_a_bright_pixel_is_no_matter_to_those_far_from_it():
    image = RANDOM.normal(size=(60, 70))
    before = MatchedFilter(KERNEL).correlate(image, exact=False)
    image[30, 30] = 1e12
    after = MatchedFilter(KERNEL).correlate(image, exact=False)
    assert after[:24] == pytest.approx(before[:24], abs=2e-5)
    assert (after[25:36, 25:36] > 1e10).any()


def test_root_of_a_frame_with_one_weight():
    expected = np.sqrt(MatchedFilter(KERNEL).correlate(np.ones((30, 20)), 2))
    assert MatchedFilter(KERNEL).uniform_root((30, 20)) == pytest.approx(expected, rel=1e-12)


def test_zero_sum_sees_no_constant_light():
    kernel = zero_sum(KERNEL, 4.0)
    assert kernel.sum() == pytest.approx(0, abs=1e-12)
    y, x = np.mgrid[-5:6, -5:6]
    assert (kernel[np.hypot(x, y) > 4] == 0).all()
    inside = np.hypot(x, y) <= 4
    assert np.ptp((KERNEL - kernel)[inside]) == pytest.approx(0, abs=1e-12)


def test_parabola():
    x = np.array([-1.0, 0.0, 1.0])
    for place in (-0.4, 0.0, 0.3):
        assert parabola_offset(*(5 - (x - place) ** 2)) == pytest.approx(place)
    assert parabola_offset(0.0, 0.0, 0.0) == 0
    assert parabola_offset(0.0, 1.0, 3.0) == 0.5


@pytest.mark.parametrize("kernels", [_kernels_numba, _kernels_numpy])
def test_peaks_are_the_highest_of_their_neighbours(kernels, monkeypatch):
    monkeypatch.setattr(_kernels, "peak_pixels", kernels.peak_pixels)
    for shape in ((60, 70), (1, 9), (5, 1), (2, 2)):
        image = RANDOM.normal(size=shape)
        rows, columns, height, y, x = find_peaks(image, 0.5)
        expected = (image == maximum_filter(image, 3, mode="mirror")) & (image > 0.5)
        assert np.array_equal(np.argwhere(expected), np.column_stack([rows, columns]))
        assert np.array_equal(height, image[rows, columns])
        assert np.abs([y - rows, x - columns]).max(initial=0) <= 0.5
        inner = find_peaks(image, 0.5, edge=False)
        expected[[0, -1]] = expected[:, [0, -1]] = False
        assert np.array_equal(np.argwhere(expected), np.column_stack(inner[:2]))


def test_a_peak_at_the_edge_stays_there():
    image = np.zeros((8, 9))
    image[0, 4], image[7, 8], image[1, 4] = 3.0, 2.0, 1.0
    rows, columns, height, y, x = find_peaks(image, 0.5)
    assert np.column_stack([rows, columns]).tolist() == [[0, 4], [7, 8]]
    assert height.tolist() == [3, 2]
    assert y.tolist() == [0, 7]
    assert x.tolist() == [4, 8]
