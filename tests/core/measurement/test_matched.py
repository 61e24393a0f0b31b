"""Light inside an ellipse: analytic cases and a brute-force sum."""

import numpy as np
import pytest

from galstep.core.imaging.sersic import (
    enclosed_fraction,
    log_central_brightness,
    sersic_bn,
    shape_matrix,
)
from galstep.core.measurement.matched import (
    fraction_and_gradient,
    fraction_inside,
    half_light_ellipse,
)
from galstep.records import SersicParams

ROUND = SersicParams(0, 0, 5.0, 1.7, 0.0, 0.0).to_vector()
TILTED = SersicParams(0, 0, 5.0, 1.0, 0.45, 0.7).to_vector()


@pytest.mark.parametrize("shape", [ROUND, TILTED])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_its_own_isophotes(shape, ratio):
    ellipse = shape_matrix(shape[2] + np.log(ratio), *shape[3:5])
    expected = enclosed_fraction(ratio, np.exp(shape[5]))
    assert fraction_inside(shape, ellipse) == pytest.approx(float(expected), rel=1e-10)


def test_another_ellipse_against_a_sum_over_pixels():
    params = SersicParams(0, 0, 5.0, 1.0, 0.45, 0.7)
    ellipse = shape_matrix(np.log(7.0), *SersicParams(0, 0, 7, 1, 0.2, 2.0).to_vector()[3:5])
    step = 0.02
    axis = np.arange(-8, 8, step) + step / 2
    points = np.array(np.meshgrid(axis, axis)).reshape(2, -1)
    own = np.linalg.inv(shape_matrix(*params.to_vector()[2:5]))
    radius = np.sqrt(np.einsum("ip,ij,jp->p", points, own, points))
    area = params.r_eff**2 * (1 - params.ellip)
    light = np.exp(log_central_brightness(1.0) - sersic_bn(1.0) * radius) / area
    inside = np.einsum("ip,ij,jp->p", points, np.linalg.inv(ellipse), points) <= 1
    expected = light[inside].sum() * step**2
    assert fraction_inside(params.to_vector(), ellipse) == pytest.approx(expected, rel=1e-3)


def test_the_gradient():
    ellipse = shape_matrix(np.log(6.0), 0.1, -0.2)
    value, gradient = fraction_and_gradient(TILTED, ellipse)
    assert value == fraction_inside(TILTED, ellipse) and not gradient[:2].any()
    for k in range(2, 6):
        step = np.zeros(6)
        step[k] = 1e-3
        ends = [fraction_inside(TILTED + s * step, ellipse) for s in (1, -1)]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=1e-4)


def test_half_light_of_one_component_is_its_r_eff():
    ellipse = half_light_ellipse(TILTED[None], [3.0])
    np.testing.assert_allclose(ellipse, shape_matrix(*TILTED[2:5]))


def test_half_light_of_two_components():
    shapes, fluxes = np.array([ROUND, TILTED + [0, 0, 1.0, 0, 0, 0]]), np.array([2.0, 1.0])
    ellipse = half_light_ellipse(shapes, fluxes)
    inside = fluxes @ [fraction_inside(shape, ellipse) for shape in shapes]
    assert inside / fluxes.sum() == pytest.approx(0.5, abs=1e-9)
    # the axis ratio is that of the brighter one
    values = np.linalg.eigvalsh(ellipse)
    assert values[0] == pytest.approx(values[1])


def test_no_light_has_no_half():
    assert half_light_ellipse(ROUND[None], [-1.0]) is None
