"""The picture of the calibrated PSFs: what is drawn where."""

from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.calibration.psf_stack import StarStack
from galstep.plotting.psf_figure import TITLES, psf_figure
from galstep.records import PsfCorrection, PsfKernel

RADIUS = np.linspace(0.3, 6, 8)
PROFILE = np.exp(-(RADIUS**2) / 4)


def stack():
    square = np.full((13, 13), 0.02)
    return StarStack(
        17, RADIUS, PROFILE, 0.1 * PROFILE, PROFILE, 2 * PROFILE, 6.0, 5 * square, square, 0.31,
        0.012, 2.6,
    )  # fmt: skip


def view(of_stars):
    y, x = np.indices((41, 41)) - 20
    psf = np.exp(-(x**2 + y**2) / 50)
    return SimpleNamespace(
        library=psf**2, kernel=psf, psf=psf, half_size=5, radii=RADIUS, energy=1 - PROFILE,
        library_energy=1 - PROFILE**2, stack=of_stars,
    )  # fmt: skip


@pytest.fixture
def axes(model):
    model.bands["F150W"].psf_kernel = PsfKernel(
        "gaussian", (0.81,), (0.018,), 2.6, 17, correction=PsfCorrection(1.1, (0.0,) * 18)
    )
    model.bands["F277W"].psf_kernel = PsfKernel(fwhm=5.2)
    figure = psf_figure(model, {"F150W": view(stack()), "F277W": view(None)})
    return np.reshape(figure.axes, (2, len(TITLES)))


def test_one_row_per_filter_one_column_per_title(axes):
    assert [axis.get_title() for axis in axes[0]] == list(TITLES)
    assert axes[0, 0].get_ylabel() == "F150W\nFWHM 2.60 px"
    assert axes[1, 0].get_ylabel() == "F277W\nFWHM 5.20 px"


def test_kernel_is_told_in_words(axes):
    assert axes[0, 1].get_xlabel() == "gaussian σ 0.900 px ± 0.010\n+ correction"
    assert axes[1, 1].get_xlabel() == "none"


def test_residuals_are_per_cent_of_the_peak(axes):
    before, after = (axis.images[0].get_array() for axis in axes[0, 3:5])
    np.testing.assert_allclose(before, 10.0)
    np.testing.assert_allclose(after, 2.0)
    assert axes[0, 3].get_xlabel() == "rms 31.0 % of the peak"
    assert axes[0, 4].get_xlabel() == "rms 1.2 % of the peak"


def test_stars_psf_and_library_share_the_profile(axes):
    labels = axes[0, 5].get_legend_handles_labels()[1]
    assert labels == ["PSF", "library", "17 stars"]
    lines = {line.get_label(): line.get_ydata() for line in axes[0, 5].lines}
    np.testing.assert_array_equal(lines["library"], 2 * PROFILE)
    np.testing.assert_array_equal(axes[0, 6].lines[0].get_ydata(), 1 - PROFILE)


def test_filter_without_stars_says_so(axes):
    assert [axis.texts[0].get_text() for axis in axes[1, 3:5]] == ["no stars", "no stars"]
    assert not axes[1, 5].axison
    assert len(axes[1, 6].lines) == 2


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (PsfKernel("moffat", (0.0, np.log(2.0))), "moffat α 1.00 px β 3.0"),
        (PsfKernel("elliptical", (0.81, 0.1, 0.64)), "elliptical σ 0.900, 0.800 px"),
        (PsfKernel("drizzle", (0.81, 1.0), (0.018, 0.0)), "drizzle σ 0.900 px ± 0.010"),
    ],
)
def test_other_families_in_words(model, kernel, words):
    model.bands["F150W"].psf_kernel = kernel
    figure = psf_figure(model, {"F150W": view(None)})
    assert figure.axes[1].get_xlabel() == words
