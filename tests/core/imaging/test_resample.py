"""Images of a band, read off on the scene's grid."""

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.engine.scene import make_band
from galstep.core.imaging.resample import SceneSampler

SCENE = (60, 70)
MATRIX = np.array([[0.47, 0.17], [-0.17, 0.47]])


@pytest.fixture(scope="module", name="band")
def _band():
    mask = np.zeros((50, 52), dtype=bool)
    return make_band(
        "a", np.zeros(mask.shape), mask, gaussian_psf(), 1.0,
        matrix=MATRIX, origin=(5.0, 14.0), scene_shape=SCENE,
    )  # fmt: skip


def plane(x, y):
    return 3.0 + 0.2 * x - 0.1 * y


@pytest.mark.parametrize("padding", [0, 4])
def test_a_plane_is_read_where_the_pixel_is(band, padding):
    ny, nx = (size + 2 * padding for size in band.shape)
    yy, xx = np.mgrid[:ny, :nx] - padding
    sampler = SceneSampler(band, (0.5, -0.25), padding)
    scene_y, scene_x = np.mgrid[: SCENE[0] + 2 * padding, : SCENE[1] + 2 * padding] - padding
    expected = plane(*band.to_pixels(scene_x, scene_y, (0.5, -0.25)))
    image = plane(xx, yy)
    for values in (sampler.linear(image), sampler.smooth(image)):
        assert values.shape == sampler.shape == expected.shape
        read = values != 0
        assert read.mean() > 0.9
        # a mirrored spline bends within a few pixels of the edge
        np.testing.assert_allclose(values[read], expected[read], atol=0.06)
        inner = np.s_[25:35, 25:35]
        np.testing.assert_allclose(values[inner], expected[inner], atol=1e-6)


def test_a_bump_of_a_psf_s_width_keeps_its_height(band):
    yy, xx = np.indices(band.shape)
    x, y = band.to_pixels(30.0, 28.0, (0, 0))
    bump = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 1.3**2))
    values = SceneSampler(band, (0, 0)).smooth(bump)
    assert np.unravel_index(values.argmax(), values.shape) == (28, 30)
    assert values.max() == pytest.approx(1, abs=0.01)


def test_what_is_covered(band):
    good = np.zeros(band.shape, dtype=bool)
    good[20:30, 20:30] = True
    covered = SceneSampler(band, (0, 0)).covered(good)
    yy, xx = np.indices(SCENE)
    x, y = band.to_pixels(xx, yy, (0, 0))
    deep = (np.abs(x - 24.5) < 4.5) & (np.abs(y - 24.5) < 4.5)
    far = (np.abs(x - 24.5) > 5.5) | (np.abs(y - 24.5) > 5.5)
    assert covered[deep].all() and not covered[far].any()
