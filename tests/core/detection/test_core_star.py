"""A star that the galaxy has swallowed is looked for once, and only kept if it is there."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from galstep.core.detection import core_star
from galstep.core.detection.core_star import scene_cost, with_core_star
from galstep.core.detection.ladder import LadderResult, known_variance
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE, GALAXY = (61, 61), SersicParams(30.3, 29.8, 4.0, 1.2, 0.3, 0.7)
OPTIONS, BOUNDS = ONE_PASS, ShapeBounds(r_eff=(0.5, 30.0))


def fitted(share, listed=()):
    """The fit without a star where the star on the centre has this share of the light."""
    flux = 50.0
    star = {"x": [GALAXY.x_0], "y": [GALAXY.y_0], "flux_F150W": [max(share * flux, 1e-9)]}
    scene = make_scene(
        2, SHAPE, 0, ("F150W",), snr=200.0, sersic=GALAXY, fluxes={"F150W": flux},
        stars=Table(star), psf_size=101,
    )  # fmt: skip
    psf = EffectivePSF.from_array(scene.psf_arrays["F150W"], scene.truth.oversample)
    mask = np.zeros(SHAPE, bool)
    band = make_band("F150W", scene.data["F150W"], mask, psf, scene.err["F150W"])
    state = SceneState.start([band], [GALAXY.to_vector()], [[flux]])
    for x, y in listed:
        state = state.with_stars([x], [y], np.zeros((1, 1)))
    solution = fit_scene([band], state, Freedom(), bounds=BOUNDS, max_iterations=15)
    return LadderResult([band], solution, None, np.zeros(0), False, [], 0)


def looked(result):
    bands = result.bands
    return with_core_star(result, Freedom(), OPTIONS, BOUNDS, known_variance(bands))


def test_a_star_is_found_and_the_galaxy_set_right():
    without = fitted(0.1)
    assert np.exp(without.solution.state.shapes[0, 5]) > 1.8
    state = looked(without).solution.state
    assert state.n_stars == 1
    assert np.exp(state.shapes[0, 5]) == pytest.approx(1.2, abs=0.15)
    assert state.star_flux[0, 0] == pytest.approx(5.0, rel=0.1)
    assert state.galaxy_flux[0, 0] == pytest.approx(50.0, rel=0.04)


def test_without_one_the_fit_is_the_same_and_no_ladder_is_climbed(monkeypatch):
    def climbed(*args):
        raise AssertionError("a second ladder")

    monkeypatch.setattr(core_star, "run_ladder", climbed)
    without = fitted(0.0)
    assert looked(without) is without


def test_one_that_is_listed_is_not_looked_for(monkeypatch):
    monkeypatch.setattr(core_star, "fit_scene", None)  # would fail if it were called
    known = fitted(0.1, listed=[(GALAXY.x_0 + 0.2, GALAXY.y_0)])
    assert looked(known) is known


def test_a_steep_galaxy_starts_anew_beside_its_companions(monkeypatch):
    """n = 6 is suspect: the target starts anew, and nobody else does."""
    without = fitted(0.0)
    steep, other = (replace(GALAXY, n=6.0), replace(GALAXY, x_0=45.0, r_eff=2.0))
    state = SceneState.start(without.bands, [steep.to_vector(), other.to_vector()], [[50.0, 3.0]])
    both = fit_scene(without.bands, state, Freedom(), bounds=BOUNDS, max_iterations=0)
    tried = []

    def remembered(bands, start, *args, **kwargs):
        tried.append(start)
        return fit_scene(bands, start, *args, **kwargs)

    monkeypatch.setattr(core_star, "fit_scene", remembered)
    monkeypatch.setattr(core_star, "run_ladder", lambda *args: without)
    looked(replace(without, solution=both))
    (start,) = tried
    assert list(start.galaxy_id) == [0, 1] and list(start.target) == [True, False]
    assert np.exp(start.shapes[0, 5]) == pytest.approx(1.5)
    assert start.shapes[1] == pytest.approx(other.to_vector())
    assert start.galaxy_flux[0, 1] == 3.0


@pytest.mark.parametrize(("snr", "worth"), [(5.0, False), (6.5, True)])
def test_a_star_must_be_worth_what_chance_does_not_give(snr, worth):
    """Without noise a star is worth the square of its S/N; three parameters cost 33."""
    without = fitted(0.0)
    (band,) = without.bands
    state = without.solution.state
    beside = state.with_stars([12.0], [14.0], np.zeros((1, 1)))
    unit = band.star_renderer.render(SHAPE, np.array([12.0]), np.array([14.0]), np.ones(1))
    flux = snr / np.sqrt((band.weight * unit**2).sum())
    clean = band.data - without.solution.evaluation.residuals[0] + flux * unit
    band = replace(band, data=clean)
    with_star = replace(beside, star_flux=np.full((1, 1), flux))
    gain = scene_cost([band], state, Freedom()) - scene_cost([band], with_star, Freedom())
    assert (gain > 0) == worth
