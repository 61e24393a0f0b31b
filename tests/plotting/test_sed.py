"""Wavelengths of filter names, and the magnitudes that are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from galstep.filters import by_wavelength, filter_wavelength
from galstep.flags import BandFlag
from galstep.plotting.sed import draw_sed, sed_figure, sed_points, spread


@pytest.mark.parametrize(
    ("name", "micron"),
    [
        ("F555W", 0.555),
        ("F850LP", 0.85),
        ("F090W", 0.9),
        ("F160W", 1.6),
        ("f277w", 2.77),
        ("F480M", 4.8),
        ("F1130W", 11.3),
        ("F062", 0.62),
        ("F150W2", 1.5),
    ],
)
def test_wavelength_of_a_name(name, micron):
    assert filter_wavelength(name) == pytest.approx(micron)


def test_filters_by_wavelength():
    assert by_wavelength(["F277W", "clear", "F555W", "F090W", "r"]) == [
        "F555W", "F090W", "F277W", "clear", "r",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["clear", "r", "F1", "XF150W"])
def test_names_without_wavelength(name):
    assert filter_wavelength(name) is None


def test_total_magnitudes_are_those_of_the_truth(model, truth_scene):
    truth = truth_scene.truth
    expected = [truth.mag_ab(name) for name in truth.filters]
    np.testing.assert_allclose(sed_points(model)["total"][:, 0], expected, atol=1e-3)


def test_brighter_is_up_and_wavelength_to_the_right(model):
    axes = Figure().add_subplot()
    draw_sed(axes, model)
    assert axes.yaxis_inverted()
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [1.5, 2.77])
    assert "µm" in axes.get_xlabel()


def test_filters_are_numbered_where_a_name_holds_no_wavelength(model):
    model.bands = {"blue": model.bands["F150W"], "F277W": model.bands["F277W"]}
    axes = Figure().add_subplot()
    draw_sed(axes, model)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 1])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["blue", "F277W"]


def test_given_magnitudes_are_drawn_beside_ours(model):
    given = {"F150W": (20.5, 0.1), "F090W": (21.0, 0.1)}
    figure = sed_figure(model, given, label="mine")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[-1] == "mine"
    crosses = next(line for line in figure.axes[0].lines if line.get_marker() == "x")
    assert crosses.get_xdata() == [1.5]
    assert crosses.get_ydata() == [20.5]


def test_of_a_table_the_rows_of_this_galaxy_count(model):
    table = Table(
        {
            "galaxy": ["other", "galaxy"],
            "filter": ["F150W", "F150W"],
            "mag_ab": [10.0, 20.5],
            "mag_ab_err": [0.1, 0.1],
        }
    )
    axes = sed_figure(model, table).axes[0]
    crosses = next(line for line in axes.lines if line.get_marker() == "x")
    assert crosses.get_ydata() == [20.5]


def test_a_galaxy_that_is_not_detected_has_an_arrow(model):
    band = model.bands["F277W"]
    (fit,) = band.fit.sersic
    faint = (replace(fit, flux=1.0, flux_err=1.0),)
    band.fit = replace(band.fit, sersic=faint, flux=np.nan, total_flux=np.nan)
    assert np.isnan(sed_points(model)["total"][1, 2])  # not flagged: no limit
    band.flags |= BandFlag.FAINT
    magnitude, error, limit = sed_points(model)["total"][1]
    assert np.isnan(magnitude)
    assert np.isfinite(limit)
    axes = Figure().add_subplot()
    draw_sed(axes, model)
    arrows = [line for line in axes.lines if "arrow" in str(line.get_marker())]
    np.testing.assert_allclose([line.get_ydata()[0] for line in arrows], [limit])


def test_names_that_are_close_are_spread():
    places = np.array([0.1, 0.11, 0.12, 0.5, 0.9, 0.905])
    moved = spread(places, 0.05)
    assert np.diff(moved).min() >= 0.05 - 1e-12
    np.testing.assert_allclose(moved[:3].mean(), 0.11)
    assert moved[3] == 0.5
    np.testing.assert_allclose(spread(np.array([0.2, 0.8]), 0.1), [0.2, 0.8])
    assert len(spread(np.zeros(0), 0.1)) == 0


def test_every_filter_is_named_and_no_name_lies_on_another(model):
    figure = sed_figure(model)
    axes = figure.axes[0]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    named = {text.get_text(): Text.get_window_extent(text, renderer) for text in axes.texts}
    assert set(named) == set(model.bands)
    boxes = list(named.values())
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any(box.overlaps(axes.get_window_extent(renderer)) for box in boxes)
