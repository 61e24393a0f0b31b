"""The picture at every stage of a galaxy, and what it shows."""

import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.patches import Ellipse

from galstep.flags import BandFlag
from galstep.plotting.qa import qa_figure
from galstep.testing.make_example import example_scene
from galstep.testing.models import fitted_model, unfitted_model


def texts(figure):
    """Everything that is written on the figure itself and in its axes."""
    inside = [text for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in (*figure.texts, *inside)]


def images(figure):
    """The image of every image panel, in the order of drawing."""
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_panels_hold_the_images_of_the_model(model):
    band = model.bands["F150W"]
    data, model_image, residual, subtracted = (
        image.get_array().filled(np.nan) for image in images(qa_figure(model))[:4]
    )
    np.testing.assert_allclose(data, band.data - band.sky)
    np.testing.assert_allclose(model_image, band.galaxy + band.stars)
    np.testing.assert_allclose(residual, band.residual / band.err)
    np.testing.assert_allclose(subtracted, band.data - band.sky - band.stars)


def test_one_stretch_per_filter_one_for_all_residuals(model):
    shown = images(qa_figure(model))
    rows = [shown[:4], shown[4:]]
    for data, drawn, _, subtracted in rows:
        assert data.norm is drawn.norm is subtracted.norm
    assert rows[0][0].norm is not rows[1][0].norm
    residuals = [row[2] for row in rows]
    assert [(r.norm.vmin, r.norm.vmax) for r in residuals] == [(-5, 5), (-5, 5)]


def test_aperture_and_radii_are_drawn_in_the_input_frame(model):
    band = model.bands["F150W"]
    band.origin = (100, 200)
    figure = qa_figure(model)
    panel = next(axes for axes in figure.axes if axes.get_title() == "stars subtracted")
    ellipses = [patch for patch in panel.patches if isinstance(patch, Ellipse)]
    p = band.fit.sersic[0].params
    assert sorted(e.width for e in ellipses) == pytest.approx(
        sorted([2 * p.r_eff, 4 * p.r_eff, 2 * band.aperture.aperture.a])
    )
    for ellipse in ellipses:
        assert ellipse.center == pytest.approx((p.x_0 + 100, p.y_0 + 200))
        assert ellipse.angle == pytest.approx(np.degrees(p.theta))
    assert panel.get_xlim() == (99.5, 190.5)
    assert panel.get_ylim() == (199.5, 280.5)


def test_stars_are_marked_on_the_residual(model):
    figure = qa_figure(model)
    panel = next(axes for axes in figure.axes if axes.get_title().startswith("residual"))
    x, y = panel.lines[0].get_data()
    np.testing.assert_allclose(x, model.bands["F150W"].fit.stars.x)
    np.testing.assert_allclose(y, model.bands["F150W"].fit.stars.y)


def test_masked_pixels_are_flat_grey(model):
    band = model.bands["F150W"]
    band.mask[10:20, 10:20] = True
    for image in images(qa_figure(model))[:4:2]:
        assert image.get_array().mask[10:20, 10:20].all()
        red, green, blue, alpha = image.cmap.get_bad()
        assert red == green == blue
        assert alpha == 1


def test_flags_are_written_in_words(model):
    model.bands["F277W"].flags = int(BandFlag.AT_BOUND | BandFlag.PSF_CONFUSED)
    assert "F277W: at bound, psf confused" in texts(qa_figure(model))


def test_filter_without_data_says_so(model):
    band = model.bands["F277W"]
    band.data[:], band.mask[:] = np.nan, True
    band.fit = band.aperture = band.galaxy = band.stars = band.sky = None
    figure = qa_figure(model)
    assert texts(figure).count("no usable pixels") == 1
    assert len(images(figure)) == 4


def test_before_any_fit_only_the_data_are_shown(truth_scene, tmp_path):
    figure = qa_figure(unfitted_model(truth_scene))
    assert texts(figure).count("not fitted") == 2 * 4
    assert "no magnitude measured" in texts(figure)
    assert len(images(figure)) == 2
    figure.savefig(tmp_path / "unfitted.png")


def test_without_aperture_and_error_map(model, tmp_path):
    band = model.bands["F150W"]
    band.aperture = band.err = None
    figure = qa_figure(model)
    residual = images(figure)[2].get_array().filled(np.nan)
    np.testing.assert_allclose(residual, band.residual / band.fit.noise_sigma)
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
