"""Nelder-Mead: the same minimum as the engine's fit, at many times its cost."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, PINNED_SHAPE, bands_of, true_state

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.covariance import covariance_of
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.simplex import fit_simplex
from galstep.core.engine.solve import fit_scene
from galstep.testing import make_scene

BOUNDS = ShapeBounds(r_eff=(0.5, 30.0))


@pytest.fixture(name="scene", scope="module")
def _scene():
    """Bands, truth, and a start some way off."""
    synthetic = make_scene(1, (61, 61), 6, ("F150W",), snr=150, star_separation=4)
    bands = bands_of(synthetic)
    truth = true_state(synthetic, bands)
    away = truth.shapes + [1.0, -0.8, 0.25, 0.1, -0.1, 0.3]
    return bands, truth, replace(truth, shapes=away, galaxy_flux=0.5 * truth.galaxy_flux)


@pytest.fixture(name="best", scope="module")
def _best(scene):
    bands, truth, _ = scene
    return fit_scene(bands, truth, Freedom(), bounds=BOUNDS, max_iterations=40, tolerance=1e-4)


def test_finds_the_minimum(scene, best):
    bands, _, start = scene
    found = fit_simplex(bands, start, bounds=BOUNDS)
    assert found.chi2 == pytest.approx(best.chi2, abs=1.0)
    errors = np.sqrt(np.diag(covariance_of(found.equations, found.state).factor.border_inverse()))
    shift = (found.state.shapes - best.state.shapes)[0] / errors[:6]
    assert np.abs(shift).max() < 0.7


def test_polish_ends_at_the_very_minimum(scene, best):
    bands, _, start = scene
    found = fit_simplex(bands, start, bounds=BOUNDS, polish=True)
    assert found.converged
    assert found.chi2 == pytest.approx(best.chi2, abs=0.1)


def test_one_short_round_is_never_worse(scene):
    bands, _, start = scene
    before = fit_scene(bands, start, PINNED, bounds=BOUNDS)
    after = fit_simplex(bands, start, bounds=BOUNDS, max_iterations=1, evaluations_per_round=10)
    assert after.chi2 <= before.chi2
    assert after.n_iterations >= 1


def test_a_start_outside_the_bounds_ends_inside(scene):
    bands, _, start = scene
    tight = ShapeBounds(r_eff=(0.5, 2.0), n=(0.5, 1.0))
    found = fit_simplex(bands, start, bounds=tight, max_iterations=3)
    shape = found.state.shapes[0]
    assert shape[2] <= np.log(2.0) + 1e-12 and shape[5] <= 1e-12


def test_pinned_shape_is_the_plain_fit(scene):
    bands, _, start = scene
    plain = fit_scene(bands, start, PINNED_SHAPE, bounds=BOUNDS, max_iterations=15)
    found = fit_simplex(bands, start, PINNED_SHAPE, bounds=BOUNDS)
    assert found.chi2 == plain.chi2
    np.testing.assert_array_equal(found.state.shapes, start.shapes)


def test_equations_are_those_of_all_that_is_free(scene):
    bands, _, start = scene
    found = fit_simplex(bands, start, bounds=BOUNDS, max_iterations=1)
    layout = found.equations.layout
    assert layout.n_border == 6 + 1 + 3 and layout.positions
