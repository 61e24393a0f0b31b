"""The refits that end a ladder: leftovers, roll-back, fluxes that are not negative."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state, truth_without_stars
from ladder_scenes import NO_SEARCH, errors_of, found, ladder_of, run, star_scene

from galstep.core.detection.final_refit import catastrophic_star
from galstep.core.detection.finder import MatchedFinder
from galstep.core.detection.refit_options import FinalRefit
from galstep.core.detection.star_fitters import final_fitter, solution_at
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import GalstepError, ParameterError

SNR = [60.0, 40.0, 16.0, 9.0]
# A ladder that stops above the two faint stars.
HIGH = dict(thresholds=(20.0,), floor_passes=0, keep=5.0, near_from=9)
ITERATIVE = FinalRefit("iterative", residual_tol=0.0)


@pytest.fixture(name="scene", scope="module")
def _scene():
    return star_scene([12.3, 45.4, 16.7, 46.0], [14.7, 12.1, 48.3, 44.6], SNR)


@pytest.fixture(name="pair", scope="module")
def _pair():
    """S/N 100, and S/N 30 at 1.1 FWHM from it."""
    return star_scene([20.2, 23.0], [40.4, 41.0], [100.0, 30.0])


def exploding(factor, times=1):
    """A fitter whose later fits multiply the first star's flux, until the ladder has ended.

    The fits that only go on to the optimum do not anticipate.
    """
    calls = []

    def fit(bands, state, freedom, **options):
        solution = fit_scene(bands, state, freedom, **options)
        calls.extend([1] if "anticipate" in options else [])
        if len(calls) > times and "anticipate" in options:
            flux = solution.state.star_flux.copy()
            flux[0, 0] *= factor
            state = replace(solution.state, star_flux=flux)
            return replace(
                solution_at(bands, state, freedom, True, 1), equations=solution.equations
            )
        return solution

    return fit


class TestOptions:
    def test_unknown_method(self):
        message = "final_refit_method must be one of iterative, nnls, none, got 'lm'"
        with pytest.raises(ParameterError, match=message):
            FinalRefit("lm")


class TestIterative:
    def test_leftovers_are_found_and_fitted(self, scene):
        none = run(scene, **HIGH)
        own = run(scene, **HIGH, refit=ITERATIVE)
        assert found(scene, none.solution.state, 0.5).tolist() == [True, True, False, False]
        assert found(scene, own.solution.state, 0.5).all()
        assert own.solution.state.n_stars == 4
        assert own.solution.chi2 < none.solution.chi2 - 100
        assert own.history[-1]["threshold"] == ITERATIVE.threshold
        assert own.history[-1]["n_found"] >= 2 and own.failures == ()

    def test_the_fluxes_are_those_of_all_stars_at_once(self, scene):
        own = run(scene, **HIGH, refit=ITERATIVE)
        state, errors = own.solution.state, errors_of(own)
        true = scene.truth.stars["flux_F150W"]
        for x, y, flux in zip(scene.truth.stars["x"], scene.truth.stars["y"], true, strict=True):
            nearest = np.argmin(np.hypot(state.x - x, state.y - y))
            assert state.star_flux[0, nearest] == pytest.approx(flux, abs=4 * errors[nearest])

    @pytest.mark.parametrize(
        ("options", "n_stars"),
        [
            (dict(iterations=0), 2),
            (dict(threshold=12.5), 3),
            (dict(threshold=100.0), 2),
            (dict(iterations=1), 4),
        ],
    )
    def test_rounds_and_threshold(self, scene, options, n_stars):
        own = run(scene, **HIGH, refit=replace(ITERATIVE, **options))
        assert own.solution.state.n_stars == n_stars

    def test_no_more_rounds_when_the_residual_stops_improving(self, scene):
        # one star per round is found
        one = HIGH | dict(finder=_OneByOne())
        every = run(scene, **one, refit=ITERATIVE)
        first = run(scene, **one, refit=replace(ITERATIVE, residual_tol=0.9))
        assert (every.solution.state.n_stars, first.solution.state.n_stars) == (4, 2)

    def test_distance_from_known_stars(self, pair):
        fwhm = bands_of(pair)[0].star_renderer.psf.fwhm
        bands = bands_of(pair)
        start = true_state(pair, bands).select_stars(np.array([0]))
        reach = np.hypot(2.8, 0.6) / fwhm
        counts = [
            run(pair, state=start, **NO_SEARCH, refit=replace(ITERATIVE, separation=s)).solution
            for s in (0.4 * reach, 1.6 * reach)
        ]
        assert [found(pair, c.state, 0.6).tolist() for c in counts] == [[True, True], [True, False]]

    @pytest.mark.parametrize(
        "options", [dict(together=False), dict(reach=0.0), dict(reach=0.02), dict(window=11)]
    )
    def test_other_ways_to_fit_agree(self, scene, options):
        best = run(scene, **HIGH, refit=ITERATIVE)
        own = run(scene, **HIGH, refit=replace(ITERATIVE, **options), group_separation=1.0)
        assert own.solution.state.n_stars == 4
        order = [np.argsort(r.solution.state.star_flux[0]) for r in (best, own)]
        flux = [r.solution.state.star_flux[0][o] for r, o in zip((best, own), order, strict=True)]
        assert np.all(abs(flux[1] - flux[0]) < 1.0 * errors_of(best)[order[0]])
        assert not np.array_equal(*flux)

    def test_pinned_stars_stay_where_the_ladder_has_them(self, scene):
        none = run(scene, **HIGH)
        pinned = run(scene, **HIGH, refit=replace(ITERATIVE, reach=0.0, iterations=0))
        free = run(scene, **HIGH, refit=replace(ITERATIVE, iterations=0))
        assert np.array_equal(free.solution.state.x, none.solution.state.x)
        # the last fit of the ladder has not converged: positions would still move
        assert not np.array_equal(pinned.solution.state.x, none.solution.state.x)
        assert np.isfinite(pinned.covariance.position_errors()).all()


class _OneByOne:
    """A finder that gives the most significant star only."""

    def scatter(self, band, image):
        return 1.0

    def find(self, look, threshold, separation):
        return MatchedFinder().find(look, threshold, separation).select(slice(0, 1))


class TestRollBack:
    def test_the_star_that_changed_most(self, scene):
        bands = bands_of(scene)
        before = true_state(scene, bands)
        flux = before.star_flux.copy()
        flux[0, 1] *= -30
        after = replace(before, star_flux=flux)
        floor = np.array([flux[0, 3] / 100])
        x, y, ratio = catastrophic_star(before, after, floor, 20.0)
        assert (x, y, ratio) == (before.x[1], before.y[1], pytest.approx(30))
        assert catastrophic_star(after, before, floor, 20.0)[2] == pytest.approx(30)
        assert catastrophic_star(before, after, floor, 40.0) is None
        assert catastrophic_star(before, after, floor, 0.0) is None
        assert catastrophic_star(before, after, 1e6 * floor, 20.0) is None

    def test_new_and_dropped_stars_do_not_count(self, scene):
        before = true_state(scene, bands_of(scene))
        one, other = before.select_stars(np.array([0])), before.select_stars(np.array([1, 2, 3]))
        assert catastrophic_star(one, other, np.array([1e-9]), 2.0) is None

    def test_a_round_that_runs_away_is_undone(self, scene, caplog):
        # descent: two fits of two stars; the refit's first; then a round with leftovers
        good = run(scene, **HIGH, refit=replace(ITERATIVE, iterations=0))
        fitter = exploding(1e3, times=good_fits(scene))
        own = run(scene, **HIGH, refit=ITERATIVE, fitter=fitter)
        (failure,) = own.failures
        assert failure.startswith("round 1 of the refit was undone: the flux of the star at x = ")
        assert "changed by a factor of " in failure and failure in caplog.text
        np.testing.assert_array_equal(own.solution.state.star_flux, good.solution.state.star_flux)
        assert own.solution.state.n_stars == 2 == len(own.significance)
        assert own.solution.chi2 == good.solution.chi2

    def test_without_a_factor_the_residual_decides(self, scene):
        refit = replace(ITERATIVE, catastrophic_factor=0.0, iterations=1)
        own = run(scene, **HIGH, refit=refit, fitter=exploding(1e3, times=good_fits(scene)))
        assert own.failures == () and own.solution.state.n_stars == 2
        assert own.history[-1]["n_stars"] > 2  # it was there, and worse

    def test_the_first_fit_may_run_away_too(self, scene):
        own = run(scene, **HIGH, refit=ITERATIVE, fitter=exploding(1e3, good_fits(scene) - 1))
        assert own.failures[0].startswith("the refit was undone")
        assert own.solution.state.n_stars == 2

    def test_an_error_instead(self, scene):
        fitter = exploding(1e3, times=good_fits(scene))
        with pytest.raises(GalstepError, match="star fit failed: round 1 of the refit was undone"):
            run(scene, **HIGH, refit=ITERATIVE, fitter=fitter, raise_error=True)


def good_fits(scene):
    """Number of fits of a ladder without leftovers, until it goes on to the optimum."""
    calls = []

    def counting(*args, **options):
        calls.extend([1] if "anticipate" in options else [])
        return fit_scene(*args, **options)

    run(scene, **HIGH, refit=replace(ITERATIVE, iterations=0), fitter=counting)
    return len(calls)


def test_not_converged_is_an_error_if_asked(scene, monkeypatch):
    monkeypatch.setattr("galstep.core.detection.ladder.MAX_LAST_FITS", 0)
    bands = bands_of(scene)
    state = true_state(scene, bands)
    far = replace(state, x=state.x + 1.2, x_prior=state.x + 1.2)
    options = dict(NO_SEARCH, keep=-np.inf, final_iterations=1, max_iterations=1)
    assert not run(scene, state=far, **options).solution.converged
    with pytest.raises(GalstepError, match="star fit failed: chi2 still fell when the steps ran"):
        run(scene, state=far, **options, raise_error=True)


class TestNnls:
    def test_leftovers(self, scene):
        own = run(scene, **HIGH, refit=FinalRefit("nnls"))
        assert found(scene, own.solution.state, 0.6).all()
        assert own.solution.state.n_stars == 4
        assert own.history[-1]["threshold"] == 5.0
        again = run(scene, **HIGH, refit=FinalRefit("nnls", leftover_iterations=0))
        assert again.solution.state.n_stars == 2
        high = run(scene, **HIGH, refit=FinalRefit("nnls", leftover_threshold=12.5))
        assert high.solution.state.n_stars == 3

    def test_no_star_without_flux_is_left(self, scene):
        bands = bands_of(scene)
        state = true_state(scene, bands)
        ghosts = state.with_stars(state.x[:2] + 1.7, state.y[:2], np.ones((1, 2)))
        own = run(scene, state=ghosts, **NO_SEARCH, keep=-np.inf, merge=0.0,
                  refit=FinalRefit("nnls", leftover_iterations=0))  # fmt: skip
        free = run(scene, state=ghosts, **NO_SEARCH, keep=-np.inf, merge=0.0)
        assert own.solution.state.star_flux.min() > 0
        assert own.solution.state.n_stars <= free.solution.state.n_stars
        assert len(own.significance) == own.solution.state.n_stars

    def test_distance_and_box(self, pair):
        bands = bands_of(pair)
        start = true_state(pair, bands).select_stars(np.array([0]))
        fwhm = bands[0].star_renderer.psf.fwhm
        reach = np.hypot(2.8, 0.6) / fwhm
        near, far = (
            run(pair, state=start, **NO_SEARCH,
                refit=FinalRefit("nnls", leftover_separation=s)).solution.state
            for s in (0.4 * reach, 1.6 * reach)
        )  # fmt: skip
        assert found(pair, near, 0.7).tolist() == [True, True]
        assert found(pair, far, 0.7).tolist() == [True, False]

    def test_only_the_highest_in_a_box(self, scene):
        ladder = ladder_of(scene, truth_without_stars(scene, bands_of(scene)))
        counts = [len(ladder.leftovers(5.0, 0.1, box).x) for box in (3, 81, 121)]
        assert counts[0] >= 4 > counts[1] >= counts[2] == 1


def test_by_default_there_is_no_refit():
    assert final_fitter(FinalRefit("none"), "plain", 1.0) == "plain"


@pytest.mark.parametrize(("keep", "limited"), [(5.0, True), (25.0, False)])
def test_leftovers_that_no_room_is_left_for(scene, keep, limited):
    bands = bands_of(scene)
    brightest = true_state(scene, bands).select_stars(np.array([0]))
    ladder = ladder_of(scene, brightest, keep=keep, density=2.5 * area_share(bands[0]))
    ladder.search.detect(ladder._look(), brightest.shapes, np.array([True]), 1e3, near=False)
    assert not ladder.search.limited
    assert len(ladder.leftovers(4.0, 0.85).x) == 1
    # left are stars of S/N 16 and 9
    assert ladder.search.limited == limited


def area_share(band):
    """Noise area of the PSF over the frame's."""
    return band.star_renderer.psf.noise_area / band.data.size
