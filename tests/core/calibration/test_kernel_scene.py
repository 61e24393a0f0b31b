"""Kernel and scene fitted together, and which kernel is quoted."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.kernel_scene import _Step, fit_kernel_scene, with_psf
from galstep.core.calibration.scene_kernel import kernel_in_scene
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.fitting.fits import shape_bounds
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel, SersicParams
from galstep.testing import make_scene

BLUR = 0.9
FREEDOM = Freedom()


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        5,
        (101, 101),
        15,
        ("F150W",),
        snr=300.0,
        sersic=SersicParams(49.6, 51.2, 6.0, 1.5, 0.3, 0.7),
        star_separation=9,
        star_snr=(20, 300),
        psf_size=101,
        psf_blur=BLUR,
    )


@pytest.fixture(scope="module")
def library(scene):
    return EffectivePSF.from_array(scene.psf_arrays["F150W"], scene.truth.oversample)


def band_of(scene, library, variance=1.0):
    data = scene.data["F150W"]
    psf = library.convolved(PsfKernel("gaussian", (variance,)))
    return make_band("F150W", data, np.zeros(data.shape, bool), psf, scene.err["F150W"])


@pytest.fixture(scope="module")
def start(scene, library):
    """The truth, as far as it is not what is looked for."""
    band, table = band_of(scene, library), scene.truth.stars
    state = SceneState.start([band], [scene.truth.sersic.to_vector()])
    return band, state.with_stars(
        np.array(table["x"]), np.array(table["y"]), np.array(table["flux_F150W"])[None]
    )


@pytest.fixture(scope="module")
def fitted(library, start):
    band, state = start
    kernel = PsfKernel("gaussian", (0.5,))
    return fit_kernel_scene(band, library, kernel, state, FREEDOM, shape_bounds(band.shape))


def test_kernel_and_galaxy_are_recovered_together(scene, library, fitted):
    assert fitted.converged
    (found,) = fitted.kernel.parameters
    error = np.sqrt(max(fitted.covariance[0, 0], fitted.sandwich[0, 0]))
    assert abs(found - BLUR**2) < 3.5 * error
    assert found == pytest.approx(BLUR**2, rel=0.03)
    flux = fitted.solution.state.galaxy_flux[0, 0]
    how = dict(freedom=FREEDOM, bounds=shape_bounds(fitted.band.shape), tolerance=0.1)
    kernel = PsfKernel("gaussian", (BLUR**2,))
    true = _Step.at(fitted.band, library, kernel, fitted.solution.state, how)
    assert flux == pytest.approx(true.solution.state.galaxy_flux[0, 0], rel=0.005)
    assert flux == pytest.approx(scene.truth.fluxes["F150W"], rel=0.04)


def test_the_end_is_a_minimum_and_the_covariance_its_curvature(library, fitted):
    """chi2 as a function of the kernel alone, the scene fitted anew each time."""
    (best,) = fitted.kernel.parameters
    width = np.sqrt(fitted.covariance[0, 0])
    how = dict(freedom=FREEDOM, bounds=shape_bounds(fitted.band.shape), tolerance=1e-3)

    def step_at(variance):
        kernel = PsfKernel("gaussian", (variance,))
        return _Step.at(fitted.band, library, kernel, fitted.solution.state, how)

    below, at, above = (step_at(best + k * width) for k in (-2, 0, 2))
    chi2 = [step.solution.chi2 for step in (below, at, above)]
    # +-2 sigma: chi2 rises by 4
    assert (chi2[0] + chi2[2]) / 2 - chi2[1] == pytest.approx(4.0, rel=0.15)
    slope = (chi2[2] - chi2[0]) / (4 * width)
    gradient = float(at.information[0, 0] * at.wish[0])
    assert -slope / 2 * width == pytest.approx(gradient * width, abs=0.1)


def test_flux_follows_the_kernel_as_is_said(library, fitted):
    (best,), step = fitted.kernel.parameters, 0.05
    fluxes = []
    for variance in (best - step, best + step):
        how = dict(freedom=FREEDOM, bounds=shape_bounds(fitted.band.shape), tolerance=1e-3)
        kernel = PsfKernel("gaussian", (variance,))
        moved = _Step.at(fitted.band, library, kernel, fitted.solution.state, how)
        fluxes.append(moved.solution.state.galaxy_flux[0, 0])
    slope = (fluxes[1] - fluxes[0]) / (2 * step)
    assert fitted.flux_follows[0, 0] == pytest.approx(slope, rel=0.1, abs=0.002 * fluxes[0])


def test_elliptical_kernel(library, start):
    band, state = start
    kernel = PsfKernel("elliptical", (0.6, 0.0, 0.6))
    found = fit_kernel_scene(band, library, kernel, state, FREEDOM, shape_bounds(band.shape))
    errors = np.sqrt(np.diag(found.covariance))
    assert np.all(np.abs(np.array(found.kernel.parameters) - (0.81, 0, 0.81)) < 4 * errors)


def test_a_correction_stays(library, start):
    """The kernel is fitted beside a correction that is there already."""
    from galstep.core.psf.modes import MODES
    from galstep.records import PsfCorrection

    band, state = start
    correction = PsfCorrection(1.0, tuple(0.002 for _ in MODES))
    kernel = PsfKernel("gaussian", (0.7,), correction=correction)
    found = fit_kernel_scene(band, library, kernel, state, FREEDOM, max_steps=2)
    assert found.kernel.correction == correction
    psf = library.convolved(found.kernel)
    np.testing.assert_array_equal(found.band.star_renderer.psf.array, psf.array)


@pytest.mark.parametrize(
    ("variance", "error", "taken"),
    [
        (0.80, 0.05, True),  # agrees, and is less well known
        (0.80, 0.001, False),  # agrees, and is better known
        (1.40, 0.05, False),  # contradicts
    ],
)
def test_which_kernel_is_quoted(scene, library, variance, error, taken):
    anchors = PsfKernel("gaussian", (variance,), errors=(error,), n_anchors=9, reason="")
    band = band_of(scene, library, variance)
    first = robust_galaxy_fit(band.data, band.mask, scene.err["F150W"], band.star_renderer.psf)
    table = scene.truth.stars
    stars = FieldStars(*(np.array(table[c]) for c in ("x", "y", "flux_F150W")))
    found = kernel_in_scene(band, library, anchors, first, (stars.x, stars.y, stars.flux))
    assert found.taken is taken
    assert found.kernel.n_anchors == 9
    if taken:
        assert found.kernel.errors[0] < error
        assert found.kernel.parameters[0] == pytest.approx(BLUR**2, rel=0.03)
        assert found.kernel.reason == ""
    else:
        assert replace(found.kernel, reason="") == anchors
        assert "kernel of the anchors: that of the scene has sigma 0." in found.kernel.reason
    x, _, flux = found.stars
    assert len(x) == len(flux) >= 10


def test_with_psf_changes_the_psf_alone(scene, library):
    band = band_of(scene, library)
    other = with_psf(band, library)
    assert other.star_renderer.psf is other.galaxy_renderer.psf is library
    assert other.weight is band.weight
