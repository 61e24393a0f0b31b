"""From a frame to the discs: the library's core, the light that is held."""

import numpy as np
import pytest

from galstep.core.calibration.disc_fit import (
    Frame,
    WorkingPsf,
    fit_discs,
    gain_of_kernel,
    library_core,
)
from galstep.core.calibration.field_stars import FieldStars
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import star_image

SHAPE = (100, 110)
PSF = default_psf("F277W")
LIBRARY = EffectivePSF.from_array(PSF.sampled(4, 241), 4)
X = np.array([25.3, 80.8, 30.1, 78.4, 33.0, 60.2])
Y = np.array([21.6, 24.2, 76.5, 75.4, 27.5, 48.0])
FLUX = np.array([400.0, 300.0, 350.0, 500.0, 150.0, 900.0])
STARS = FieldStars(X, Y, FLUX)
ANCHORS = np.arange(4)  # the fifth is a neighbour, the sixth is far from all discs


def frame(blur, noise=0.02):
    image = star_image(SHAPE, PSF.blurred(blur), X, Y, FLUX)
    image += np.random.default_rng(2).normal(0, noise, SHAPE)
    return Frame(image, np.full(SHAPE, noise**2), np.ones(SHAPE, bool), LIBRARY)


@pytest.mark.parametrize("size", [240, 241])
def test_core_keeps_centre_and_light(size):
    psf = EffectivePSF.from_array(PSF.sampled(4, size), 4)
    core, share = library_core(psf, 10)
    assert core.half_size == 10
    assert core.array.sum() == pytest.approx(1.0)
    offset = (np.arange(core.array.shape[0]) - core.centre[0]) / 4
    assert abs((core.array.sum(axis=0) * offset).sum()) < 1e-12
    y, x = (np.indices(psf.array.shape) - psf.centre[0]) / 4
    inside = np.maximum(abs(x), abs(y)) < 10.2
    assert share == pytest.approx(psf.array[inside].sum(), abs=1e-4)


def test_core_of_a_small_psf_is_all_of_it():
    core, share = library_core(LIBRARY, 100)
    np.testing.assert_allclose(core.array, LIBRARY.array)
    assert share == pytest.approx(1.0)


def test_far_stars_and_neighbours_do_not_bias_the_kernel():
    scene = frame(1.2)
    working = WorkingPsf(LIBRARY, PsfKernel("gaussian", (2.0,)))
    stars = STARS
    for _ in range(3):
        discs = fit_discs(scene, working, stars, ANCHORS)
        stars, working = discs.stars, WorkingPsf(LIBRARY, discs.result.kernel)
    assert discs.result.kernel.parameters[0] == pytest.approx(1.44, abs=0.02)
    np.testing.assert_allclose(stars.flux[:4], FLUX[:4], rtol=0.01)
    assert stars.flux[4] != FLUX[4]
    assert stars.flux[5] == FLUX[5]


def test_gain_in_chi2_tells_blur_from_none():
    working = WorkingPsf(LIBRARY, PsfKernel("gaussian", (1.0,)))
    for blur, least, most in ((0.0, -10, 10), (0.6, 100, np.inf)):
        scene = frame(blur)
        discs = fit_discs(scene, working, STARS, ANCHORS)
        assert least < gain_of_kernel(scene, discs) < most


def test_total_flux_error_is_that_of_the_noise_area():
    working = WorkingPsf(LIBRARY, PsfKernel())
    assert working.flux_error(0.1) == pytest.approx(0.1 * np.sqrt(PSF.noise_area), rel=1e-3)
