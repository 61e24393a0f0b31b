"""Stretches, their ticks, and the error they are measured in."""

import numpy as np
import pytest

from galstep.plotting import stretch


def test_error_map_comes_first(model):
    band = model.bands["F150W"]
    assert stretch.pixel_sigma(band) is band.err


def test_scatter_of_the_data_when_nothing_is_known(truth_scene):
    from galstep.datamodels import BandData

    data = np.random.default_rng(1).normal(5, 0.2, (60, 60))
    band = BandData("F150W", data, truth_scene.psf_arrays["F150W"], 4)
    np.testing.assert_allclose(stretch.pixel_sigma(band), 0.2, rtol=0.06)


def test_brightness_runs_from_below_the_sky_to_the_bright_end():
    image = np.linspace(0, 100, 10001).reshape(73, 137)
    norm = stretch.brightness_norm([image, np.full((3, 3), np.nan)], 0.5)
    assert norm.vmin == -1.5
    assert norm.vmax == pytest.approx(99.7)


def test_brightness_of_an_image_without_light():
    norm = stretch.brightness_norm([np.full((5, 5), np.nan)], np.nan)
    assert norm.vmin < 0 < norm.vmax


@pytest.mark.parametrize("top", [3e-3, 0.07, 1.0, 4e5])
def test_ticks_are_round_and_apart(top):
    image = np.linspace(0, top, 100)
    norm = stretch.brightness_norm([image], top / 300)
    ticks = stretch.brightness_ticks(norm)
    places = np.sort(norm(np.array(ticks)))
    assert 4 <= len(ticks) <= 8
    assert 0.0 in ticks
    assert np.diff(places).min() > 0.13
    assert places[-1] <= 1
