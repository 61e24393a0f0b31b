"""The Gauss-Newton fit of kernel, stars and constants, on analytic stars."""

import numpy as np
import pytest

from galstep.core.calibration.anchors import disc_labels
from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.kernel_fit import DiscData, fit_kernel
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel
from galstep.testing.psfs import GaussianMixturePSF, default_psf
from galstep.testing.real_space import star_image

SHAPE = (90, 90)
LIBRARY = default_psf("F150W")
PSF = EffectivePSF.from_array(LIBRARY.sampled(4, 121), 4)
HALF_SIZE = 13

# four anchors, and a neighbour on the edge of the first one's disc
X = np.array([20.3, 65.8, 22.1, 68.4, 24.8])
Y = np.array([21.6, 18.2, 66.5, 65.4, 24.0])
FLUX = np.array([400.0, 300.0, 250.0, 200.0, 60.0])
STARS = FieldStars(X, Y, FLUX)
CONSTANTS = np.array([0.5, -0.3, 0.1, 0.0])


def blurred(covariance):
    """The library PSF convolved with an elliptical Gaussian, exactly."""
    xx, xy, yy = covariance
    return GaussianMixturePSF(
        LIBRARY.weights, tuple((a + xx, b + xy, c + yy) for a, b, c in LIBRARY.covariances)
    )


def discs(truth, noise=0.0, seed=0, radius=6.0, **how):
    labels = disc_labels(SHAPE, X[:4], Y[:4], radius)
    image = star_image(SHAPE, truth, X, Y, FLUX)
    image += np.where(labels >= 0, CONSTANTS[labels], 50.0)  # nonsense outside
    sigma = max(noise, 1e-3)
    image += np.random.default_rng(seed).normal(0, noise, SHAPE)
    weight = np.where(labels >= 0, sigma**-2, 0.0)
    return DiscData(image, weight, labels, HALF_SIZE, **how)


def start_off(seed=1):
    rng = np.random.default_rng(seed)
    move = rng.normal(0, 0.15, (2, len(X)))
    return FieldStars(X + move[0], Y + move[1], FLUX * rng.uniform(0.8, 1.2, len(X)))


@pytest.mark.parametrize("start", [0.05, 1.0, 3.0])
def test_gaussian_is_recovered_from_any_start(start):
    data = discs(blurred((0.8, 0.0, 0.8)))
    fit = fit_kernel(data, PSF, PsfKernel("gaussian", (start,)), start_off(), max_steps=20)
    assert fit.converged
    assert fit.kernel.parameters[0] == pytest.approx(0.8, abs=5e-3)
    np.testing.assert_allclose(fit.stars.x, X, atol=5e-3)
    np.testing.assert_allclose(fit.stars.y, Y, atol=5e-3)
    np.testing.assert_allclose(fit.stars.flux, FLUX, rtol=5e-3)
    np.testing.assert_allclose(fit.constants, CONSTANTS, atol=0.05)


def test_ellipse_is_recovered():
    truth = (1.0, 0.15, 0.6)
    data = discs(blurred(truth))
    fit = fit_kernel(data, PSF, PsfKernel("elliptical", (0.5, 0.0, 0.5)), start_off(), max_steps=20)
    np.testing.assert_allclose(fit.kernel.parameters, truth, atol=5e-3)


def test_moffat_finds_the_width_of_a_gaussian():
    truth = blurred((1.5, 0.0, 1.5))
    data = discs(truth, noise=0.2)
    fit = fit_kernel(data, PSF, PsfKernel("moffat", (0.5, 1.0)), start_off(), max_steps=30)
    assert PSF.convolved(fit.kernel).fwhm == pytest.approx(truth.fwhm, rel=0.01)


def test_drizzle_keeps_its_width():
    kernel = PsfKernel("drizzle", (0.6, 1.0))
    truth = PSF.convolved(kernel)
    data = discs(LIBRARY)
    image = StarRenderer(truth).render(SHAPE, X, Y, FLUX)
    data = DiscData(image, data.weight, data.labels, HALF_SIZE)
    fit = fit_kernel(data, PSF, PsfKernel("drizzle", (1.5, 1.0)), start_off(), max_steps=20)
    assert fit.kernel.parameters == pytest.approx((0.6, 1.0), abs=2e-3)


def test_right_library_gives_no_blur():
    fit = fit_kernel(discs(LIBRARY), PSF, PsfKernel("gaussian", (1.0,)), start_off(), max_steps=20)
    assert fit.kernel.parameters[0] == pytest.approx(0.0, abs=2e-3)


def test_held_kernel_fits_the_stars_only():
    data = discs(LIBRARY)
    fit = fit_kernel(data, PSF, PsfKernel(), start_off(), fixed=True, max_steps=6)
    assert fit.kernel == PsfKernel()
    assert fit.covariance.size == fit.sandwich.size == 0
    np.testing.assert_allclose(fit.stars.flux, FLUX, rtol=5e-3)


def test_pixels_without_weight_do_not_count():
    data = discs(blurred((0.8, 0.0, 0.8)))
    bad = np.zeros(SHAPE, bool)
    bad[20:22, 18:22] = True
    spoiled = DiscData(
        np.where(bad, 1e4, data.image), np.where(bad, 0, data.weight), data.labels, HALF_SIZE
    )
    fit = fit_kernel(spoiled, PSF, PsfKernel("gaussian", (1.0,)), start_off(), max_steps=20)
    assert fit.kernel.parameters[0] == pytest.approx(0.8, abs=1e-2)


def test_one_wild_disc_does_not_decide():
    data = discs(blurred((0.8, 0.0, 0.8)), noise=0.3)
    image = data.image.copy()
    image[66, 24] += 60.0  # a star that is not in the list
    plain, robust = (
        fit_kernel(
            DiscData(image, data.weight, data.labels, HALF_SIZE, robust=scale),
            PSF,
            PsfKernel("gaussian", (1.0,)),
            start_off(),
            max_steps=20,
        )
        for scale in (0.0, 3.0)
    )
    off = [abs(fit.kernel.parameters[0] - 0.8) for fit in (plain, robust)]
    assert off[1] < 0.02 < off[0]


def test_both_errors_are_honest():
    pulls = {"white": [], "sandwich": []}
    for seed in range(40):
        data = discs(blurred((0.8, 0.0, 0.8)), noise=1.0, seed=seed, model_error=0.0, robust=0.0)
        fit = fit_kernel(data, PSF, PsfKernel("gaussian", (1.0,)), start_off(seed), max_steps=20)
        off = fit.kernel.parameters[0] - 0.8
        pulls["white"].append(off / np.sqrt(fit.covariance[0, 0]))
        pulls["sandwich"].append(off / np.sqrt(fit.sandwich[0, 0]))
    assert 0.75 < np.std(pulls["white"]) < 1.3
    # four discs give a noisy error: the median pull is what can be tested
    assert 0.4 < np.median(np.abs(pulls["sandwich"])) < 1.2


def test_sandwich_sees_noise_that_differs_between_discs():
    data = discs(blurred((0.8, 0.0, 0.8)), model_error=0.0, robust=0.0)
    rng = np.random.default_rng(3)
    wrong_psf = star_image(SHAPE, blurred((1.2, 0.0, 1.2)), X[:1], Y[:1], FLUX[:1])
    wrong_psf -= star_image(SHAPE, blurred((0.8, 0.0, 0.8)), X[:1], Y[:1], FLUX[:1])
    image = data.image + wrong_psf + rng.normal(0, 0.1, SHAPE)
    weight = np.where(data.labels >= 0, 0.1**-2, 0.0)
    mixed = DiscData(image, weight, data.labels, HALF_SIZE, model_error=0.0, robust=0.0)
    fit = fit_kernel(mixed, PSF, PsfKernel("gaussian", (1.0,)), start_off(), max_steps=20)
    assert fit.sandwich[0, 0] > 4 * fit.covariance[0, 0]
