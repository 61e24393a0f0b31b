"""Bad pixels are found, and stars are none."""

import numpy as np
import pytest
from engine_scenes import effective_psf, gaussian_psf

from galstep.core.detection.spikes import find_spikes, neighbour_share
from galstep.core.imaging.stars import StarRenderer
from galstep.testing import make_scene

RENDERER = StarRenderer(gaussian_psf(0.8))


def test_share_of_a_gaussian():
    # of a star at the centre: exp(-1 / (2 sigma^2)); it is the least
    assert neighbour_share(RENDERER) == pytest.approx(np.exp(-0.5 / 0.8**2), rel=0.01)


@pytest.fixture(name="scene", scope="module")
def _scene():
    return make_scene(11, (121, 121), 120, ("F150W",), snr=300, star_snr=(5, 3000))


def spikes_of(scene, data, mask=None):
    renderer = StarRenderer(effective_psf(scene, "F150W"))
    mask = np.zeros(data.shape, dtype=bool) if mask is None else mask
    return find_spikes(data, mask, scene.err["F150W"], renderer)


def test_no_star_is_a_spike(scene):
    assert not spikes_of(scene, scene.data["F150W"]).any()


@pytest.mark.parametrize(("height", "least"), [(40.0, 0.8), (-40.0, 0.7), (1000.0, 0.95)])
def test_spikes_are_found(scene, height, least):
    rng, data = np.random.default_rng(3), scene.data["F150W"].copy()
    y, x = rng.integers(2, 119, (2, 60))
    data[y, x] += height * scene.truth.noise_sigma["F150W"]
    bad = np.zeros(data.shape, dtype=bool)
    bad[y, x] = True
    found = spikes_of(scene, data)
    assert found[bad].mean() > least
    assert not found[~bad].any()


def test_a_scaled_image_has_the_same_spikes(scene):
    data = scene.data["F150W"].copy()
    data[50, 60] += 100 * scene.truth.noise_sigma["F150W"]
    renderer, mask = StarRenderer(effective_psf(scene, "F150W")), np.zeros(data.shape, dtype=bool)
    found = [find_spikes(k * data, mask, k * scene.err["F150W"], renderer) for k in (1, 1e9)]
    assert found[0][50, 60] and np.array_equal(*found)


def test_masked_pixels_are_not_judged(scene):
    data, mask = scene.data["F150W"].copy(), np.zeros((121, 121), dtype=bool)
    data[20, 20], mask[20, 20] = np.nan, True
    mask[60:80] = True
    found = spikes_of(scene, data, mask)
    assert not found[mask].any() and not found[19:22, 19:22].any()


def test_nothing_but_masked_pixels():
    mask = np.ones((9, 9), dtype=bool)
    assert not find_spikes(np.full((9, 9), np.nan), mask, 1.0, RENDERER).any()
