"""The Cramer-Rao bound of a field against formulas and against a matrix made another way."""

from dataclasses import replace

import numpy as np
import pytest
from field_cases import SHAPE, SIGMA, UNIT, bands
from scene_cases import galaxy, star, vector

from galstep.testing.field_bound import field_bound


def by_differences(draw, z, flux, free):
    """Errors from a Jacobian of differences of real-space drawings, all parameters in one."""
    light = sum(f * draw(k, i) for i, (k, f) in enumerate(zip(z, flux, strict=True)))
    weight = 1 / (SIGMA**2 + UNIT * light)
    columns = []
    for i, own in enumerate(z):
        for k in range(free[i]):
            step = np.zeros(6)
            step[k] = 1e-3
            columns.append(flux[i] * (draw(own + step, i) - draw(own - step, i)) / 2e-3)
        columns.append(draw(own, i))
    jacobian = np.array(columns).reshape(len(columns), -1)
    fisher = (jacobian * weight.ravel()) @ jacobian.T
    return np.sqrt(np.diag(np.linalg.inv(fisher)))


def test_a_lone_faint_star_has_the_error_of_the_matched_filter():
    (band, _) = bands()
    band = replace(band, variance_per_unit=0.0)
    z = np.array([[80.3, 70.6, 0, 0, 0, 0.0]])
    bound = field_bound([band], z, np.array([True]), np.array([[50.0]]))
    assert bound.flux[0, 0] == pytest.approx(
        SIGMA / np.sqrt(np.sum(star(80.3, 70.6, SHAPE) ** 2)), 0.01
    )
    assert np.isnan(bound.z[0, 2:]).all()
    assert bound.blend[0] == 0


@pytest.mark.slow
def test_a_blend_is_marginal_over_its_neighbour():
    """A galaxy and a star four pixels apart; each of them alone would be known better."""
    (band, _) = bands()
    z = np.array([vector(80.3, 70.6, 3.0, 1.5, 0.3, 0.5), [84.1, 72.0, 0, 0, 0, 0]])
    flux = np.array([9000.0, 5000.0])

    def draw(k, i):
        return galaxy(k, SHAPE) if i == 0 else star(k[0], k[1], SHAPE)

    expected = by_differences(draw, z, flux, (6, 2))
    bound = field_bound([band], z, np.array([False, True]), flux[:, None])
    own = np.concatenate([bound.z[0], bound.flux[0], bound.z[1, :2], bound.flux[1]])
    np.testing.assert_allclose(own, expected, rtol=0.03)
    alone = field_bound([band], z[:1], np.array([False]), flux[:1, None])
    assert bound.flux[0, 0] > 1.1 * alone.flux[0, 0]
    assert bound.blend.min() > 0.1


def test_two_bands_know_more_than_one_and_a_mask_less():
    first, second = bands()
    z, flux = np.array([vector(80.3, 70.6, 3.0, 1.5, 0.3, 0.5)]), np.array([[9000.0, 9000.0]])
    one = field_bound([first], z, np.array([False]), flux[:, :1])
    two = field_bound([first, second], z, np.array([False]), flux)
    np.testing.assert_allclose(two.z, one.z / np.sqrt(2), rtol=1e-6)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 82:] = True
    masked = replace(first, pixels=replace(first.pixels, mask=mask))
    assert field_bound([masked], z, np.array([False]), flux[:, :1]).flux > 1.2 * one.flux
