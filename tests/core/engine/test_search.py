"""Global escape: out of the wrong basin, reproducible, never worse."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.search import escape, search_box, solve_linear
from galstep.core.engine.shape_chi2 import ShapeChi2
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError
from galstep.testing import make_scene

BOUNDS = ShapeBounds(r_eff=(0.5, 35.0))


@pytest.fixture(name="trap", scope="module")
def _trap():
    """A galaxy near a bright star that nobody knows, and a start on the star."""
    synthetic = make_scene(2, (71, 71), 8, ("F150W",), snr=80, star_snr=(20, 150))
    bands = bands_of(synthetic)
    truth = true_state(synthetic, bands)
    galaxy = truth.shapes[0]
    band = bands[0]
    flux = 40 * band.sigma * np.sqrt(band.star_renderer.psf.noise_area)
    star = band.star_renderer.render(
        band.shape, galaxy[:1] + 8.0, galaxy[1:2] + 5.0, np.array([flux])
    )
    bands = [replace(band, data=band.data + star)]
    on_star = truth.shapes + [8.0, 5.0, -1.5, 0.0, 0.0, -0.5]
    return bands, truth, solve_linear(bands, replace(truth, shapes=on_star))


def best_of(bands, truth):
    return fit_scene(bands, truth, Freedom(), bounds=BOUNDS, max_iterations=40)


class TestEscape:
    def test_leaves_a_basin_that_the_fit_does_not(self, trap):
        bands, truth, start = trap
        stuck = fit_scene(bands, start, Freedom(), bounds=BOUNDS, max_iterations=40)
        best = best_of(bands, truth)
        assert stuck.chi2 > best.chi2 + 100
        found = escape(bands, start, Freedom(), BOUNDS)
        assert found.chi2 < best.chi2 + 1.0
        assert found.n_iterations > stuck.n_iterations

    def test_same_seed_same_answer(self, trap):
        bands, _, start = trap
        first, second = (
            escape(bands, start, Freedom(), BOUNDS, max_evaluations=40, seed=3) for _ in range(2)
        )
        assert first.chi2 == second.chi2
        np.testing.assert_array_equal(first.state.shapes, second.state.shapes)

    @pytest.mark.parametrize("seed", range(3))
    def test_never_worse(self, trap, seed):
        bands, _, start = trap
        begun = fit_scene(bands, start, Freedom(), bounds=BOUNDS, max_iterations=30)
        found = escape(bands, start, Freedom(), BOUNDS, max_evaluations=8, seed=seed)
        assert found.chi2 <= begun.chi2

    def test_at_the_best_fit_nothing_changes(self, trap):
        bands, truth, _ = trap
        best = best_of(bands, truth)
        found = escape(bands, best.state, Freedom(), BOUNDS, max_evaluations=60)
        assert found.chi2 == pytest.approx(best.chi2, abs=0.2)
        np.testing.assert_allclose(found.state.shapes, best.state.shapes, atol=0.01)

    def test_pinned_parameters_stay(self, trap):
        bands, _, start = trap
        freedom = Freedom(shape=(True, True, True, False, False, False))
        found = escape(bands, start, freedom, BOUNDS, max_evaluations=60)
        np.testing.assert_array_equal(found.state.shapes[0, 3:], start.shapes[0, 3:])


class TestBox:
    def test_is_about_the_start_and_inside_the_bounds(self, trap):
        bands, truth, _ = trap
        low, high = search_box(ShapeChi2(bands, truth, Freedom(), BOUNDS), 5.0, 1e3, (0.1, 20))
        np.testing.assert_allclose(low[:2], truth.shapes[0, :2] - 5)
        np.testing.assert_allclose(high[:2], truth.shapes[0, :2] + 5)
        np.testing.assert_allclose(np.exp([low[2], high[2]]), BOUNDS.r_eff)
        np.testing.assert_allclose(np.exp([low[5], high[5]]), BOUNDS.n)

    @pytest.mark.parametrize("wrong", [{"centre": 0}, {"r_eff": 1.0}, {"n": (2, 2)}])
    def test_empty_is_refused(self, trap, wrong):
        bands, _, start = trap
        with pytest.raises(ParameterError, match="centre > 0, r_eff > 1 and 0 < n"):
            escape(bands, start, Freedom(), BOUNDS, **wrong)
