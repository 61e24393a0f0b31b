"""The pictures beside the overview: what they draw, and that they can always be drawn."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.exceptions import InputError
from galstep.flags import StarFlag
from galstep.plotting import (
    FIGURES,
    convergence_figure,
    growth_figure,
    profile_figure,
    star_figure,
)
from galstep.plotting.convergence_figure import shape_changes
from galstep.plotting.star_figure import choose_colour, star_colours
from galstep.records import StarList
from galstep.steps.galaxy.products import PICTURES
from galstep.testing.models import unfitted_model


def texts(figure):
    inside = [text for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in (*figure.texts, *inside)]


def passes():
    return {
        "threshold": [30.0, 10.0, 5.0],
        "n_found": [4.0, 5.0, 0.0],
        "n_stars": [4.0, 9.0, 9.0],
        "chi2": [300.0, 150.0, 100.0],
        "x_0": [10.0, 10.2, 10.0],
        "y_0": [12.0, 12.0, 12.0],
        "r_eff": [5.0, 4.5, 4.0],
        "n": [2.0, 1.5, 1.0],
        "ellip": [0.3, 0.3, 0.3],
        "theta": [0.1, 0.1, 0.1],
    }


def test_there_is_a_function_for_every_name_that_may_be_asked_for():
    assert tuple(FIGURES) == PICTURES


@pytest.mark.parametrize("name", FIGURES)
def test_every_picture_of_a_galaxy_at_every_stage(model, truth_scene, tmp_path, name):
    model.meta.convergence["basefit"] = passes()
    for stage, galaxy in enumerate((model, unfitted_model(truth_scene))):
        path = tmp_path / f"{stage}.png"
        FIGURES[name](galaxy).savefig(path)
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_pair_of_profile_panels_per_filter(model):
    figure = profile_figure(model)
    assert [axes.get_title() for axes in figure.axes[::2]] == ["F150W", "F277W"]
    assert all("residual" in axes.get_ylabel() for axes in figure.axes[1::2])
    model.bands["F277W"].fit = None
    assert len(profile_figure(model).axes) == 2


def test_growth_is_in_units_of_the_total_flux(model):
    band = model.bands["F150W"]
    total = band.fit.sersic[0].flux
    inner = replace(
        band.aperture,
        kind="growth",
        flux=0.25 * total,
        aperture=replace(band.aperture.aperture, a=3.0),
    )
    band.aperture = replace(band.aperture, flux=0.5 * total, others=(inner,))
    figure = growth_figure(model)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["F150W"]
    points = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert points.get_xdata()[0] == 3.0
    np.testing.assert_allclose(points.get_ydata(), [0.25, 0.5])


def test_without_a_curve_of_growth_the_picture_says_so(model):
    assert "no curve of growth was measured (AperPhot: growth)" in texts(growth_figure(model))


def test_shape_changes_are_distances_from_the_end():
    changes = shape_changes(passes())
    np.testing.assert_allclose(changes["centre"], [0, 0.05, 0])
    np.testing.assert_allclose(changes["r_eff"], np.log([1.25, 1.125, 1]))
    np.testing.assert_allclose(changes["n"], np.log([2, 1.5, 1]))
    np.testing.assert_allclose(changes["ellipticity"], 0)


def test_the_loop_is_drawn_with_its_tolerance(model):
    model.meta.convergence["basefit"] = passes()
    model.meta.parameters["basefit"] = {"mainloop_convergence_atol": 1e-3}
    shape, stars, chi2 = convergence_figure(model).axes[:3]
    assert [line.get_ydata()[0] for line in shape.lines if line.get_ls() == "--"] == [1e-3]
    np.testing.assert_allclose(stars.lines[0].get_ydata(), [4, 9, 9])
    np.testing.assert_allclose(chi2.lines[0].get_ydata(), [3, 1.5, 1])


def test_no_passes_noted(model):
    assert "no fit has noted its passes" in texts(convergence_figure(model))


def star_list(flux, flags=0):
    n = len(flux)
    flux = np.array(flux, dtype=float)
    return StarList(
        np.arange(n), *np.full((2, n), 9.0), flux, *np.full((2, n), 0.1), np.full(n, 1.0),
        np.ones(n), np.full(n, flags),
    )  # fmt: skip


def with_stars(model, **fluxes):
    for name, flux in fluxes.items():
        band = model.bands[name]
        band.fit = replace(band.fit, stars=star_list(flux))
    return model


def test_colours_of_the_stars_seen_in_both_filters(model):
    model = with_stars(model, F150W=[100, 50, 2, -5], F277W=[40, 50, 90, 60])
    stars = star_colours(model, "F150W", "F277W")
    np.testing.assert_array_equal(stars["star_id"], [0, 1])
    np.testing.assert_allclose(stars["color"], [-2.5 * np.log10(100 / 40), 0], atol=1e-12)
    expected = 2.5 / np.log(10) * np.hypot(1 / 100, 1 / 40)
    assert stars["color_err"][0] == pytest.approx(expected)


def test_doubtful_stars_are_drawn_open(model):
    model = with_stars(model, F150W=[100, 50, 70], F277W=[40, 50, 60])
    stars = model.bands["F150W"].fit.stars
    stars.flags[1] = int(StarFlag.POOR_FIT)
    stars.flags[0] = int(StarFlag.IN_CORE)  # where a star is does not make it doubtful
    stars.star_probability[2] = 0.4
    labels = [t.get_text() for t in star_figure(model).axes[0].get_legend().get_texts()]
    assert labels == [
        "stars (1)", "edge, mask or poor fit (1)", "star or piece of the galaxy (1)",
    ]  # fmt: skip


def test_the_widest_colour_that_most_stars_have(model):
    other = replace(model.bands["F150W"].fit)
    model.bands["F555W"] = type(model.bands["F150W"])(
        "F555W", model.bands["F150W"].data, model.bands["F150W"].psf, fit=other
    )
    many, few = 20 * [50.0], 3 * [50.0] + 17 * [1.0]
    assert choose_colour(with_stars(model, F150W=many, F277W=many, F555W=many)) == (
        "F555W",
        "F277W",
    )
    assert choose_colour(with_stars(model, F555W=few)) == ("F150W", "F277W")
    nothing = with_stars(model, F150W=[], F277W=[], F555W=[])
    assert choose_colour(nothing) == (None, None)
    assert "no stars in two filters" in texts(star_figure(nothing))


def test_an_unknown_filter_is_refused(model):
    with pytest.raises(InputError, match="filter 'F444W' is not in the model, which has"):
        star_figure(model, "F150W", "F444W")


def test_what_never_moved_is_said_and_not_drawn(model):
    passes = {name: [1.0, 2.0, 3.0] for name in ("x_0", "y_0", "n", "chi2", "n_stars")}
    passes |= {"threshold": [9.0, 7.0, 5.0], "r_eff": 3 * [127.5]}
    passes |= {"ellip": [0.2, 0.3, 0.4], "theta": [0.1, 0.1, 0.1]}
    model.meta.convergence = {"basefit": passes}
    shape = convergence_figure(model).axes[0]
    labels = [text.get_text() for text in shape.get_legend().get_texts()]
    assert "r_eff: held" in labels and "n" in labels
    assert min(np.concatenate([line.get_ydata() for line in shape.lines])) > 1e-5
