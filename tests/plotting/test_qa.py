"""The picture at every stage of a galaxy, and what it shows."""

import subprocess
import sys
import time

import numpy as np
import pytest

from galstep.flags import BandFlag
from galstep.plotting.qa import qa_figure
from galstep.records import PsfKernel
from galstep.testing.make_example import example_scene
from galstep.testing.models import fitted_model, unfitted_model


def texts(figure):
    """Everything that is written on the figure itself and in its axes."""
    inside = [text for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in (*figure.texts, *inside)]


def strip(figure, index=0):
    """The axes of a filter's image panels."""
    return figure.axes[2 + 2 * index]


def test_aperture_is_drawn_in_all_panels_in_the_pixels_of_the_crop(model):
    band = model.bands["F150W"]
    drawn = strip(qa_figure(model))
    step = band.shape[1] + round(0.06 * max(band.shape))
    place = band.aperture.aperture
    solid = [
        path.vertices
        for collection in drawn.collections
        if collection.get_linestyle()[0][1] is None and collection.get_linewidth()[0] == 1.0
        for path in collection.get_paths()
    ]
    centres = sorted(np.nanmean(vertices[:-1], axis=0)[0] for vertices in solid)
    np.testing.assert_allclose(centres, place.x + step * np.arange(4))
    radius = np.hypot(*(solid[0] - np.nanmean(solid[0][:-1], axis=0)).T)
    assert radius.max() == pytest.approx(place.a)
    assert radius.min() == pytest.approx(place.b, rel=1e-2)


def test_ticks_count_the_pixels_of_the_input_frame(model):
    for band in model.bands.values():
        band.origin = (100, 200)
    drawn = strip(qa_figure(model), 1)
    numbers = [float(label.get_text()) for label in drawn.get_yticklabels()]
    np.testing.assert_allclose(drawn.get_yticks() + 200, numbers)
    numbers = [float(label.get_text()) for label in drawn.get_xticklabels()]
    assert len(numbers) % 4 == 0
    first = numbers[: len(numbers) // 4]
    assert numbers == 4 * first
    np.testing.assert_allclose(drawn.get_xticks()[: len(first)] + 100, first)


def test_stars_are_marked_on_the_residual(model):
    band = model.bands["F150W"]
    crosses = next(line for line in strip(qa_figure(model)).lines if line.get_marker() == "+")
    step = band.shape[1] + round(0.06 * max(band.shape))
    x, y = crosses.get_data()
    np.testing.assert_allclose(x - 2 * step, band.fit.stars.x)
    np.testing.assert_allclose(y, band.fit.stars.y)


def test_flags_are_written_in_words(model):
    model.bands["F277W"].flags = int(BandFlag.AT_BOUND | BandFlag.PSF_CONFUSED)
    assert "F277W: at bound, psf confused" in texts(qa_figure(model))


def test_filter_without_data_says_so(model):
    band = model.bands["F277W"]
    band.data[:], band.mask[:] = np.nan, True
    band.fit = band.aperture = band.galaxy = band.stars = band.sky = None
    figure = qa_figure(model)
    assert texts(figure).count("no usable pixels") == 2
    assert not strip(figure, 1).images


def test_before_any_fit_only_the_data_are_shown(truth_scene, tmp_path):
    figure = qa_figure(unfitted_model(truth_scene))
    assert texts(figure).count("not fitted") == 2 * 4
    assert "no magnitude measured" in texts(figure)
    assert "residual / σ" not in [axes.get_xlabel() for axes in figure.axes]
    figure.savefig(tmp_path / "unfitted.png")


def test_without_aperture_and_error_map(model, tmp_path):
    band = model.bands["F150W"]
    band.aperture = band.err = None
    figure = qa_figure(model)
    solid = [c for c in strip(figure).collections if c.get_linewidth()[0] == 2.4]
    assert solid == []
    figure.savefig(tmp_path / "no_aperture.png")


def test_galaxy_hidden_by_the_mask(model):
    model.bands["F150W"].mask[:, 20:70] = True
    model.bands["F150W"].mask[20:60] = True
    assert "galaxy is masked" in texts(qa_figure(model))


def test_fit_without_galaxy(model):
    from dataclasses import replace

    band = model.bands["F277W"]
    band.fit = replace(band.fit, sersic=())
    assert "no galaxy in the fit" in texts(qa_figure(model))


def test_model_is_left_alone(model, truth_scene):
    qa_figure(model)
    before = fitted_model(truth_scene, "galaxy")
    for name, band in model.bands.items():
        for attribute in ("data", "err", "mask", "galaxy", "stars", "sky"):
            np.testing.assert_array_equal(
                getattr(band, attribute), getattr(before.bands[name], attribute)
            )


@pytest.mark.slow
def test_six_filters_are_written_in_seconds(tmp_path):
    six = fitted_model(example_scene(), "example")
    start = time.process_time()
    qa_figure(six).savefig(tmp_path / "qa.png")
    assert time.process_time() - start < 6  # 1.5 s on an idle core
    assert (tmp_path / "qa.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_no_pyplot():
    """The object interface alone: no global figure, no display needed."""
    code = "import sys, galstep.plotting.qa; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_filters_stand_from_blue_to_red(model):
    model.bands = dict(reversed(model.bands.items()))
    figure = qa_figure(model)
    assert [strip(figure, index).get_ylabel() for index in (0, 1)] == ["F150W", "F277W"]


def test_input_and_version_stand_in_the_corner(model):
    model.meta.filename, model.meta.version = "/data/galaxy.h5", "1.2.3"
    assert "galstep 1.2.3, input galaxy.h5" in texts(qa_figure(model))


def test_one_filter_has_no_colours_but_titles(model, tmp_path):
    del model.bands["F277W"]
    figure = qa_figure(model)
    assert not figure.axes[0].images
    assert {"data", "residual / σ"} <= {text.get_text() for text in strip(figure).texts}
    figure.savefig(tmp_path / "one.png")


def test_the_width_of_the_psf_is_drawn_and_told(model):
    model.bands["F150W"].psf_kernel = PsfKernel("none", (), (), fwhm=4.0)
    figure = qa_figure(model)
    (disc,) = strip(figure).patches
    assert 2 * disc.radius == 4.0
    assert '0.120"' in "".join(texts(figure))
