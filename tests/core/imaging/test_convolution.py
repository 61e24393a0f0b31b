"""`convolve_same` against the sum that it stands for."""

import numpy as np
import pytest

from galstep.core.imaging.convolution import convolve_same


@pytest.mark.parametrize("sides", [(5, 7), (4, 6), (1, 1), (8, 3)])
def test_against_the_sum(sides):
    rng = np.random.default_rng(1)
    image, kernel = rng.normal(size=(11, 14)), rng.normal(size=sides)
    first_y, first_x = ((side - 1) // 2 for side in sides)
    expected = np.zeros(image.shape)
    padded = np.pad(image, 10)
    for i in range(sides[0]):
        for j in range(sides[1]):
            y, x = 10 + first_y - i, 10 + first_x - j
            expected += kernel[i, j] * padded[y : y + 11, x : x + 14]
    np.testing.assert_allclose(convolve_same(image, kernel), expected, atol=1e-12)


def test_a_point_becomes_the_kernel():
    image, kernel = np.zeros((9, 9)), np.arange(15.0).reshape(3, 5)
    image[4, 4] = 1.0
    found = convolve_same(image, kernel)
    np.testing.assert_allclose(found[3:6, 2:7], kernel, atol=1e-12)
    assert found.sum() == pytest.approx(kernel.sum())
