"""chi2 over the shapes alone: the same minimum as with everything free."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, gaussian_psf, true_state
from scipy.optimize import approx_fprime

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.priors import ShapePrior
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.shape_chi2 import ShapeChi2
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError
from galstep.testing import make_scene

AWAY = np.array([0.5, -0.4, 0.2, 0.05, -0.05, 0.2])


@pytest.fixture(name="scene", scope="module")
def _scene():
    """Two bands with stars, and the truth as the start."""
    synthetic = make_scene(4, (71, 75), 15, ("F150W", "F277W"), snr=100, star_separation=3)
    bands = bands_of(synthetic)
    return bands, fit_scene(bands, true_state(synthetic, bands), PINNED, tolerance=1e-6).state


def exact(bands, state):
    """chi2 with the linear parameters solved for by the engine."""
    return fit_scene(bands, state, PINNED, max_iterations=30, tolerance=1e-9).chi2


class TestValue:
    def test_is_what_the_engine_finds(self, scene):
        chi2 = ShapeChi2(*scene)
        here, there = chi2.start, chi2.start + AWAY
        bands, state = scene
        assert chi2(here) == pytest.approx(exact(bands, state), abs=0.05)
        rise = exact(bands, chi2.state_at(there)) - exact(bands, state)
        assert rise > 100
        assert chi2(there) - chi2(here) == pytest.approx(rise, rel=1e-3)
        assert chi2.n_evaluations == 3

    def test_fluxes_are_not_negative(self):
        # a hole in the sky: without the bound a negative galaxy would fill it
        rng = np.random.default_rng(0)
        psf = gaussian_psf()
        empty = make_band("F150W", np.zeros((41, 41)), np.zeros((41, 41), bool), psf, 1.0)
        hole = -200 * empty.galaxy_renderer.image([20, 20, 1.0, 0, 0, 0.0])
        data = hole + rng.normal(size=(41, 41))
        band = make_band("F150W", data, np.zeros((41, 41), bool), psf, np.ones((41, 41)))
        shape = np.array([20, 20, 1.0, 0, 0, 0.0])
        with_galaxy = SceneState.start([band], [shape])
        assert ShapeChi2([band], with_galaxy)(shape) == pytest.approx(
            exact([band], SceneState.start([band], np.zeros((0, 6))))
        )

    def test_priors_count(self, scene):
        prior = ShapePrior("r_eff", 3.0, 0.5)
        bands, state = scene
        plain = ShapeChi2(bands, state, Freedom())
        held = ShapeChi2(bands, state, Freedom(shape_priors=(prior,)))
        expected = ((np.exp(plain.start[2]) - 3.0) / 0.5) ** 2
        assert held(plain.start) - plain(plain.start) == pytest.approx(expected)


class TestGradient:
    @pytest.mark.parametrize(
        "freedom",
        [
            Freedom(),
            Freedom(shape=(False, True, True, False, False, True)),
            Freedom(shape_priors=(ShapePrior("n", 1.0, 0.05), ShapePrior("ellip", 0.1, 0.01))),
        ],
    )
    def test_matches_differences(self, scene, freedom):
        chi2 = ShapeChi2(*scene, freedom)
        there = chi2.start + AWAY[np.asarray(freedom.shape)]
        value, gradient = chi2.with_gradient(there)
        assert value == pytest.approx(chi2(there))
        numeric = approx_fprime(there, chi2, 1e-5)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3 * np.abs(numeric).max())

    def test_of_two_components_with_one_centre(self, scene):
        bands, state = scene
        second = state.shapes[0] + [0, 0, -0.7, 0.1, 0, 0.5]
        two = replace(
            state, shapes=np.array([state.shapes[0], second]), galaxy_flux=np.zeros((2, 2))
        )
        two = replace(two, gradients=np.zeros((0, 2, 6)), galaxy_id=np.zeros(2, dtype=int))
        chi2 = ShapeChi2(bands, two, Freedom())
        assert len(chi2.start) == 10
        there = chi2.start + 0.05
        state_there = chi2.state_at(there)
        assert (state_there.shapes[0, :2] == state_there.shapes[1, :2]).all()
        numeric = approx_fprime(there, chi2, 1e-5)
        np.testing.assert_allclose(
            chi2.with_gradient(there)[1], numeric, rtol=2e-3, atol=1e-3 * np.abs(numeric).max()
        )


def test_trials_are_brought_inside_the_bounds(scene):
    bounds = ShapeBounds(r_eff=(0.5, 20.0))
    chi2 = ShapeChi2(*scene, Freedom(), bounds)
    shape = chi2.state_at(chi2.start + [0, 0, 10, 2, 0, 10]).shapes[0]
    assert set(bounds.at_bound(shape)) == {"r_eff", "n", "ellip"}
    assert np.isfinite(chi2(chi2.start + [0, 0, 10, 2, 0, 10]))


def test_nothing_free_is_refused(scene):
    with pytest.raises(ParameterError, match="leave a shape parameter of a galaxy free"):
        ShapeChi2(*scene, PINNED)
