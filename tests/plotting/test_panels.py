"""The picture of a filter's panels, pixel by pixel."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from galstep.plotting.panels import BandImages, Strip, band_images, ellipse_outline
from galstep.plotting.stretch import BRIGHTNESS_MAP, RESIDUAL_MAP
from galstep.records import Aperture
from galstep.testing.models import unfitted_model


def picture(band):
    axes = Figure().add_subplot()
    strip = Strip(axes, band, BandImages(band))
    strip.draw()
    return np.asarray(axes.images[0].get_array()), strip


def panel(band, index):
    colours, strip = picture(band)
    first = strip.offset(index)
    return colours[:, first : first + band.shape[1]]


def test_images_are_those_of_the_model(model):
    band = model.bands["F150W"]
    data, model_image, residual, subtracted = BandImages(band).panels
    np.testing.assert_allclose(data, band.data - band.sky)
    np.testing.assert_allclose(model_image, band.galaxy + band.stars)
    np.testing.assert_allclose(residual, band.residual / band.err)
    np.testing.assert_allclose(subtracted, band.data - band.sky - band.stars)


def test_without_an_error_map_the_residual_is_in_units_of_the_noise_of_the_fit(model):
    band = model.bands["F150W"]
    band.err = None
    expected = band.residual / band.fit.noise_sigma
    np.testing.assert_allclose(BandImages(band).residual, expected)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_brightness_panels_share_the_stretch_of_the_filter(model, index):
    band = model.bands["F150W"]
    images = BandImages(band)
    expected = BRIGHTNESS_MAP(images.norm(images.panels[index]).filled(), bytes=True)
    # rounding to one of 256 colours
    difference = np.abs(panel(band, index).astype(int) - expected)
    assert np.percentile(difference, 99) <= 8


def test_the_residual_has_colours_of_its_own(model):
    band = model.bands["F150W"]
    expected = RESIDUAL_MAP((BandImages(band).residual + 5) / 10, bytes=True)
    assert np.percentile(np.abs(panel(band, 2).astype(int) - expected), 99) <= 8


def test_masked_pixels_are_flat_grey(model):
    band = model.bands["F150W"]
    band.mask[10:20, 10:20] = True
    for index in (0, 2, 3):
        grey = panel(band, index)[10:20, 10:20]
        assert (grey == grey[0, 0]).all()
        red, green, blue, alpha = grey[0, 0]
        assert red == green == blue
        assert alpha == 255
    drawn = panel(band, 1)[10:20, 10:20]  # the model is known there
    assert not (drawn == drawn[0, 0]).all()


def test_before_a_fit_the_other_panels_are_empty(truth_scene):
    band = unfitted_model(truth_scene).bands["F150W"]
    for index in (1, 2, 3):
        empty = panel(band, index)
        assert (empty == empty[0, 0]).all()


def test_no_images_without_usable_pixels(model):
    model.bands["F150W"].mask[:] = True
    assert band_images(model.bands["F150W"]) is None


def test_the_scale_of_brightness_runs_through_the_map(model):
    colours, strip = picture(model.bands["F150W"])
    bar = colours[:, strip.offset(4)]
    assert tuple(bar[0]) == tuple(BRIGHTNESS_MAP(0.0, bytes=True))
    assert tuple(bar[-1]) == tuple(BRIGHTNESS_MAP(1.0, bytes=True))


def test_outlines_end_at_the_panel(model):
    band = model.bands["F150W"]
    _, strip = picture(band)
    outline = strip._inside(ellipse_outline((5.0, 40.0, 20.0, 20.0, 0.0)))
    assert np.isnan(outline).any()
    assert np.nanmin(outline) >= -0.5


def test_outline_of_an_ellipse():
    outline = ellipse_outline(Aperture(3.0, 4.0, 10.0, 5.0, np.pi / 2))
    np.testing.assert_allclose(outline.min(axis=0), [-2, -6], atol=0.01)
    np.testing.assert_allclose(outline.max(axis=0), [8, 14], atol=0.01)
    assert ellipse_outline((np.nan, 1, 2, 1, 0)) is None
