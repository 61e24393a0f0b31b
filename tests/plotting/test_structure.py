"""Knots and companions in the pictures."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from galstep.plotting import growth_figure, profile_figure, qa_figure, sed_figure, star_figure
from galstep.plotting.panels import COMPANION_COLOUR, KNOT_COLOUR, BandImages
from galstep.plotting.profiles import band_profile
from galstep.plotting.sed import sed_points
from galstep.plotting.star_figure import star_colours
from galstep.records import SersicParams
from galstep.testing import make_scene
from galstep.testing.structured_models import structured_model

GALAXY = SersicParams(45.0, 40.0, 6.0, 1.0, 0.3, 0.4)
COMPANION = SersicParams(70.0, 55.0, 4.0, 1.0, 0.3, 0.2)
KNOTS = [(50.0, 43.0, 0.05), (41.0, 44.0, 0.08), (46.0, 33.0, 0.04)]


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        seed=4, shape=(81, 91), n_stars=12, filters=("F150W", "F277W"), snr=200, sersic=GALAXY
    )


@pytest.fixture
def model(scene):
    return structured_model(scene, [(COMPANION, 0.4)], KNOTS, "galaxy")


def strip(figure, index=0):
    return figure.axes[2 + 2 * index]


def diamonds(axes):
    return [line for line in axes.lines if line.get_marker() == "D"]


def test_the_model_holds_all_and_what_stars_left_shows_galaxies(model, scene):
    band = model.bands["F150W"]
    images = BandImages(band)
    light = scene.galaxy["F150W"] + band.knots + band.companions
    np.testing.assert_allclose(images.model, light + scene.stars["F150W"], atol=1e-12)
    sigma = scene.truth.noise_sigma["F150W"]
    # what is left is the noise that was put in
    assert np.std(images.star_subtracted - light) == pytest.approx(sigma, rel=0.05)
    assert np.std(images.residual) == pytest.approx(1, rel=0.05)


def test_knots_are_marked_on_the_residual(model):
    band = model.bands["F150W"]
    step = band.shape[1] + round(0.06 * max(band.shape))
    (mark,) = diamonds(strip(qa_figure(model)))
    np.testing.assert_allclose(mark.get_xdata() - 2 * step, band.fit.knots.x)
    np.testing.assert_allclose(mark.get_ydata(), band.fit.knots.y)
    assert to_hex(mark.get_markeredgecolor()) == KNOT_COLOUR


def test_knots_are_not_among_the_crosses(model):
    band = model.bands["F150W"]
    crosses = next(line for line in strip(qa_figure(model)).lines if line.get_marker() == "+")
    assert len(crosses.get_xdata()) == len(band.fit.stars)


def test_companions_are_outlined_in_all_panels(model):
    band = model.bands["F150W"]
    step = band.shape[1] + round(0.06 * max(band.shape))
    outlines = [
        path.vertices
        for collection in strip(qa_figure(model)).collections
        if to_hex(collection.get_edgecolor()[0]) == COMPANION_COLOUR
        for path in collection.get_paths()
    ]
    centres = sorted(np.nanmean(vertices[:-1], axis=0)[0] for vertices in outlines)
    np.testing.assert_allclose(centres, COMPANION.x_0 + step * np.arange(4))
    radius = np.hypot(*(outlines[0] - np.nanmean(outlines[0][:-1], axis=0)).T)
    assert radius.max() == pytest.approx(2 * COMPANION.r_eff)


def legend_of(figure):
    return {text.get_text() for text in figure.axes[0].get_legend().get_texts()}


def test_a_legend_says_what_the_marks_are(model, scene):
    special = {"companion, 2 r_eff", "knot: counts as galaxy"}
    assert legend_of(qa_figure(model)) > special | {"aperture", "star", "masked"}
    knots_only = legend_of(qa_figure(structured_model(scene, [], KNOTS)))
    assert knots_only & special == {"knot: counts as galaxy"}
    assert not legend_of(qa_figure(structured_model(scene))) & special


def test_the_profile_has_knots_and_no_companion(model, scene):
    band = model.bands["F150W"]
    profile = band_profile(band, BandImages(band))
    # as of the galaxy and knots alone, drawn by themselves
    alone = structured_model(scene, [], KNOTS).bands["F150W"]
    expected = band_profile(alone, BandImages(alone))
    np.testing.assert_allclose(profile.data, expected.data)
    np.testing.assert_allclose(profile.model, expected.model)
    with_companion = band.star_subtracted - band.sky
    assert with_companion.sum() > 1.2 * np.nansum(BandImages(band).target_data)


def test_magnitudes_are_those_of_the_total(model):
    band = model.bands["F150W"]
    total = sed_points(model)["total"][0]
    flux = 1.17 * band.fit.flux
    assert band.fit.total_flux == pytest.approx(flux)
    area = band.pixel_area_sr
    assert total[0] == pytest.approx(-6.10 - 2.5 * np.log10(flux * area), abs=2e-3)


def test_knots_have_marks_of_their_own_among_the_stars(model):
    assert len(star_colours(model, "F150W", "F277W")["mag"]) <= 12
    knots = star_colours(model, "F150W", "F277W", "knots")
    np.testing.assert_array_equal(knots["star_id"], [1000, 1001, 1002])
    axes = star_figure(model, "F150W", "F277W").axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "knots (3)" in labels


def test_without_a_target_the_pictures_say_so(model, tmp_path):
    band = model.bands["F277W"]
    band.fit = replace(band.fit, sersic=band.fit.companions)
    figure = qa_figure(model)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "no galaxy in the fit" in texts
    for draw in (profile_figure, growth_figure, sed_figure):
        draw(model).savefig(tmp_path / "picture.png")
