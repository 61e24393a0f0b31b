"""Bounds of a shape, and of how it changes from band to band."""

import numpy as np
import pytest

from galstep.core.engine.bounds import ShapeBounds

BOUNDS = ShapeBounds(r_eff=(0.5, 50.0), n=(0.5, 6.0), e=0.8)
SHAPE = np.array([[10.0, 12.0, np.log(20.0), 0.3, -0.4, np.log(2.0)]])
BANDS = (-1.0, 0.0, 0.6)


def shapes_at(gradients, t):
    powers = float(t) ** (1 + np.arange(len(gradients)))
    return SHAPE + np.tensordot(powers, gradients, axes=1)


def test_small_gradients_stay():
    gradients = np.zeros((2, 1, 6))
    gradients[:, 0, 2:] = 0.02
    assert np.array_equal(BOUNDS.shrunk(SHAPE, gradients, BANDS), gradients)


@pytest.mark.parametrize("seed", range(20))
def test_large_gradients_shrink_until_every_band_is_inside(seed):
    gradients = np.random.default_rng(seed).normal(0, 3, (2, 1, 6))
    shrunk = BOUNDS.shrunk(SHAPE, gradients, BANDS)
    for t in BANDS:
        shape = shapes_at(shrunk, t)[0]
        np.testing.assert_allclose(BOUNDS.clip(shape)[2:], shape[2:], atol=1e-12)
    # each parameter keeps its direction
    ratio = shrunk[:, 0, 2:] / gradients[:, 0, 2:]
    np.testing.assert_allclose(ratio[0], ratio[1])
    assert ((ratio >= 0) & (ratio <= 1)).all() and (ratio < 1).any()


def test_a_shrunk_gradient_ends_at_the_bound():
    gradients = np.zeros((1, 1, 6))
    gradients[0, 0, 2] = 9.0
    shape = shapes_at(BOUNDS.shrunk(SHAPE, gradients, (0.0, 1.0)), 1.0)[0]
    assert BOUNDS.at_bound(shape) == ["r_eff"]
