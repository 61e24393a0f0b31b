"""Non-negative star fluxes: least squares where it is positive, and its conditions."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, true_state
from ladder_scenes import PINNED_GALAXY, star_scene
from scipy.optimize import nnls

from galstep.core.detection.nonnegative import fit_nonnegative
from galstep.core.engine.normal import evaluate, normal_equations
from galstep.core.engine.solve import fit_scene

EXACT = dict(max_iterations=40, tolerance=1e-9)


@pytest.fixture(name="scene", scope="module")
def _scene():
    synthetic = star_scene([15.2, 45.4, 16.7, 44.0], [14.7, 12.1, 48.3, 44.9], [60, 40, 25, 12])
    bands = bands_of(synthetic)
    return bands, true_state(synthetic, bands)


def with_ghosts(state):
    """Two more entries beside the first star, where there is nothing."""
    x, y = state.x[0] + np.array([1.6, -1.4]), state.y[0] + np.array([0.3, 1.0])
    return state.with_stars(x, y, np.full((1, 2), 0.1 * state.star_flux[0, 0]))


def test_equal_to_least_squares_where_that_is_positive(scene):
    bands, state = scene
    free = fit_scene(bands, state, PINNED, **EXACT)
    assert np.all(free.state.star_flux > 0)
    own = fit_nonnegative(bands, state, PINNED_GALAXY, **EXACT)
    np.testing.assert_allclose(own.state.star_flux, free.state.star_flux, rtol=1e-4)
    np.testing.assert_allclose(own.state.galaxy_flux, free.state.galaxy_flux, rtol=1e-4)
    assert own.converged
    assert np.array_equal(own.state.x, state.x)


def test_none_is_negative(scene):
    bands, state = scene
    start = with_ghosts(state)
    free = fit_scene(bands, start, PINNED, **EXACT)
    assert free.state.star_flux.min() < 0
    own = fit_nonnegative(bands, start, PINNED_GALAXY, **EXACT)
    assert own.state.star_flux.min() == 0
    assert np.all(own.state.star_flux[0, :4] > 0)


def test_the_conditions_of_karush_kuhn_and_tucker(scene):
    bands, state = scene
    own = fit_nonnegative(bands, with_ghosts(state), PINNED_GALAXY, **EXACT)
    evaluation = evaluate(bands, own.state, own.half_sizes, PINNED)
    equations = normal_equations(bands, own.state, evaluation, own.half_sizes, PINNED)
    positive = own.state.star_flux[0] > 0
    scale = np.sqrt(equations.matrix.stars.diagonal())
    slope = equations.star_gradient / scale
    np.testing.assert_allclose(slope[positive], 0, atol=1e-3)
    assert np.all(slope[~positive] <= 1e-3)
    np.testing.assert_allclose(
        equations.border_gradient / np.sqrt(np.diag(equations.matrix.border)), 0, atol=1e-3
    )


def test_the_same_as_a_dense_design_matrix(scene):
    bands, state = scene
    start, band = with_ghosts(state), bands[0]
    own = fit_nonnegative(bands, start, PINNED_GALAXY, **EXACT)
    root = np.sqrt(band.weight).ravel()
    galaxy = band.galaxy_renderer.image(state.shapes[0])
    rest = [image.ravel() for image in (galaxy, *band.basis)]
    # what may have any sign is there twice
    columns = [*rest, *[-c for c in rest]]
    for i, half in enumerate(own.half_sizes[0]):
        one = band.star_renderer.render(
            band.shape, start.x[[i]], start.y[[i]], np.ones(1), half_sizes=half
        )
        columns.append(one.ravel())
    size = [np.linalg.norm(c * root) for c in columns]
    best, _ = nnls(np.array(columns).T * root[:, None] / size, band.data.ravel() * root)
    expected = (best / size)[2 * len(rest) :]
    np.testing.assert_allclose(
        own.state.star_flux[0], expected, rtol=2e-3, atol=1e-3 * expected.max()
    )


def test_without_stars(scene):
    bands, state = scene
    bare = state.select_stars(np.zeros(state.n_stars, dtype=bool))
    own = fit_nonnegative(bands, bare, PINNED_GALAXY)
    free = fit_scene(bands, bare, PINNED_GALAXY)
    assert own.chi2 == pytest.approx(free.chi2, rel=1e-6)


def test_a_negative_start_counts_as_zero(scene):
    bands, state = scene
    negative = replace(state, star_flux=-state.star_flux)
    own = fit_nonnegative(bands, negative, PINNED_GALAXY, **EXACT)
    best = fit_nonnegative(bands, state, PINNED_GALAXY, **EXACT)
    np.testing.assert_allclose(own.state.star_flux, best.state.star_flux, rtol=1e-3)
