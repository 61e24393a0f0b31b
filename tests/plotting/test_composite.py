"""The picture in colours: which filter is which, and what the colours say."""

import numpy as np
import pytest

from galstep.pixel_map import PixelMap
from galstep.plotting.composite import _groups, make_composite
from galstep.plotting.panels import band_images
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model


def composite_of(model):
    return make_composite(model, {name: band_images(band) for name, band in model.bands.items()})


@pytest.fixture
def three():
    filters = ("F277W", "F090W", "F150W")
    scene = make_scene(seed=4, shape=(81, 91), n_stars=0, filters=filters, snr=300)
    return fitted_model(scene, "galaxy")


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("ab", (("b",), ("a", "b"), ("a",))),
        ("abc", (("c",), ("b",), ("a",))),
        ("abcdef", (("e", "f"), ("c", "d"), ("a", "b"))),
    ],
)
def test_channels_go_by_wavelength(names, groups):
    assert _groups(list(names)) == groups


def test_red_is_the_longest_wavelength(three):
    found = composite_of(three)
    assert found.channels == (("F277W",), ("F150W",), ("F090W",))
    assert found.text.splitlines()[0] == "red: F277W"
    assert found.data.shape == (81, 91, 3) and found.data.dtype == np.uint8


@pytest.mark.parametrize(("name", "channel"), [("F277W", 0), ("F150W", 1), ("F090W", 2)])
def test_a_star_of_one_filter_has_its_colour(three, name, channel):
    band = three.bands[name]
    band.data[15:18, 70:73] += 0.5 * np.nanmax(band.data)
    picture = composite_of(three).data[16, 71].astype(int)
    assert picture.argmax() == channel
    assert picture[channel] > 100 + sorted(picture)[1]


def test_the_galaxy_is_seen_and_the_sky_is_dark(three):
    found = composite_of(three)
    params = three.bands["F150W"].fit.target[0].params
    core = found.data[round(params.y_0), round(params.x_0)]
    assert core.max() > 150
    assert np.median(found.data[:8, :8]) < 60


def test_pixels_without_data_are_grey(three):
    for band in three.bands.values():
        band.mask[20:30, 20:30] = True
    grey = composite_of(three).data[20:30, 20:30]
    assert (grey == grey[0, 0, 0]).all()


def test_before_a_fit_there_are_the_data_alone(truth_scene):
    found = composite_of(unfitted_model(truth_scene))
    assert found.data is not None
    assert found.model is None and found.star_subtracted is None


def test_one_filter_has_no_colours(three):
    del three.bands["F090W"], three.bands["F277W"]
    assert composite_of(three) is None


def test_a_filter_with_other_pixels_is_drawn_where_it_belongs(three):
    """The same image on pixels displaced by 7 and 4: the composite does not change."""
    before = composite_of(three).data.astype(int)
    band = three.bands["F277W"]
    for name in ("data", "mask", "galaxy", "stars", "sky", "err", "knots", "companions"):
        plane = getattr(band, name, None)
        if isinstance(plane, np.ndarray):
            fill = True if plane.dtype == bool else 0.0
            moved = np.roll(plane, (4, 7), (0, 1))
            moved[:4], moved[:, :7] = fill, fill
            setattr(band, name, moved)
    from dataclasses import replace

    band.fit = replace(band.fit, pixel_map=PixelMap(origin=(7.0, 4.0)))
    after = composite_of(three).data.astype(int)
    inner = np.s_[5:70, 5:75]
    assert np.percentile(np.abs(after - before)[inner], 95) <= 12
