"""Companions: found where stars clump, given, and what is none."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state, with_galaxy
from scipy.stats import poisson

from galstep.core.detection.ladder_options import LadderOptions
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.scene import Freedom, SceneState
from galstep.core.fitting.companions import (
    target_first,
    with_given,
    with_lasting,
    with_profiles,
)
from galstep.core.fitting.fits import fit_base, shape_bounds
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.star_clumps import star_clumps, target_radius
from galstep.core.measurement.near_companions import near_companions
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (101, 101)
TARGET = SersicParams(50.3, 49.6, 7.0, 1.2, 0.3, 0.5)
COMPANION = SersicParams(77.2, 31.4, 4.5, 1.1, 0.2, 2.0)


@pytest.fixture(name="synthetic", scope="module")
def _synthetic():
    return make_scene(
        5, SHAPE, 10, ("F150W",), snr=300.0, sersic=TARGET, star_separation=9, star_snr=(20, 200)
    )


def fitted(synthetic, others=(), **options):
    """The base fit of the target and further (share of its flux, params)."""
    flux = synthetic.truth.fluxes["F150W"]
    components = [(flux, TARGET), *((share * flux, params) for share, params in others)]
    scene = with_galaxy(synthetic, {"F150W": components})
    (band,) = bands_of(scene)
    first = robust_galaxy_fit(scene.data["F150W"], band.mask, band.sigma, band.star_renderer.psf)
    return fit_base(band, first, **options)


def check_flux(synthetic, fit, share, percent):
    truth = share * synthetic.truth.fluxes["F150W"]
    assert fit.flux == pytest.approx(truth, rel=percent / 100)
    assert fit.flux == pytest.approx(truth, abs=5 * fit.flux_err)


@pytest.fixture(name="measured", scope="module")
def _measured(synthetic):
    return fitted(synthetic, [(0.4, COMPANION)])


class TestFound:
    def test_it_is_a_galaxy_of_its_own(self, synthetic, measured):
        (fit,) = measured.fits
        (companion,) = fit.companions
        assert companion.galaxy_id != fit.target[0].galaxy_id
        check_flux(synthetic, companion, 0.4, 10)
        assert companion.params.x_0 == pytest.approx(COMPANION.x_0, abs=0.2)
        assert companion.params.r_eff == pytest.approx(COMPANION.r_eff, rel=0.1)

    def test_the_target_does_not_have_its_light(self, synthetic, measured):
        (fit,) = measured.fits
        assert fit.flux == pytest.approx(synthetic.truth.fluxes["F150W"], rel=0.05)
        assert fit.flux == pytest.approx(sum(own.flux for own in fit.target))

    def test_no_star_is_left_in_it(self, measured):
        stars = measured.fits[0].stars
        near = np.hypot(stars.x - COMPANION.x_0, stars.y - COMPANION.y_0) < COMPANION.r_eff
        assert near.sum() == 0

    def test_it_is_in_the_picture_of_the_companions(self, measured):
        (image,) = measured.companions
        (companion,) = measured.fits[0].companions
        assert image.sum() == pytest.approx(companion.flux, rel=0.05)

    def test_only_if_wanted(self, synthetic):
        (fit,) = fitted(synthetic, [(0.4, COMPANION)], find_companions=False).fits
        assert fit.companions == ()


def test_stars_are_no_companions(synthetic):
    (fit,) = fitted(synthetic).fits
    assert fit.companions == ()


def test_blends_of_stars_are_no_companions():
    crowded = make_scene(8, SHAPE, 60, ("F150W",), snr=200.0, sersic=TARGET, star_snr=(10, 300))
    (fit,) = fitted(crowded).fits
    assert fit.companions == ()


def test_two_equal_galaxies(synthetic):
    """The target is the one in the middle, and neither has the other's light."""
    other = SersicParams(82.0, 70.0, 7.0, 1.2, 0.3, 1.5)
    (fit,) = fitted(synthetic, [(1.0, other)]).fits
    (companion,) = fit.companions
    assert fit.target[0].params.x_0 == pytest.approx(TARGET.x_0, abs=0.3)
    assert fit.flux == pytest.approx(synthetic.truth.fluxes["F150W"], rel=0.05)
    check_flux(synthetic, companion, 1.0, 8)


class TestGiven:
    def test_at_the_edge(self, synthetic):
        """Half of its light is on the frame, and its centre."""
        edge = SersicParams(99.0, 25.0, 4.5, 1.0, 0.0, 0.0)
        (fit,) = fitted(synthetic, [(0.5, edge)], companions=[edge], find_companions=False).fits
        (companion,) = fit.companions
        check_flux(synthetic, companion, 0.5, 15)
        assert fit.flux == pytest.approx(synthetic.truth.fluxes["F150W"], rel=0.05)

    def test_within_the_target(self, synthetic):
        """Nobody would find it, but who knows of it has it apart."""
        inner = SersicParams(54.5, 52.5, 2.0, 1.0, 0.0, 0.0)
        start = SersicParams(55.0, 52.0, 3.0, 1.0, 0.0, 0.0)
        (fit,) = fitted(synthetic, [(0.2, inner)], companions=[start]).fits
        (companion,) = fit.companions
        check_flux(synthetic, companion, 0.2, 15)
        total = 1.2 * synthetic.truth.fluxes["F150W"]
        assert fit.flux + companion.flux == pytest.approx(total, rel=0.03)

    def test_where_nothing_is(self, synthetic):
        """It stays, takes neither sky nor target, and its error says what is known of it."""
        nothing = SersicParams(20.0, 80.0, 4.0, 1.0, 0.0, 0.0)
        (fit,) = fitted(synthetic, companions=[nothing], find_companions=False).fits
        (companion,) = fit.companions
        assert companion.params.r_eff <= 0.2501 * SHAPE[0]
        assert abs(companion.flux) < 5 * companion.flux_err
        assert fit.flux == pytest.approx(synthetic.truth.fluxes["F150W"], rel=0.05)

    def test_start(self, synthetic):
        (band,) = bands_of(synthetic)
        state = SceneState.start([band], [TARGET.to_vector()], [[10.0]])
        assert with_given(band, state, (), ShapeBounds()) is state
        large = SersicParams(20.0, 20.0, 90.0, 1.0, 0.0, 0.0)
        bounds = shape_bounds(SHAPE)
        started = with_given(band, state, [COMPANION, large], bounds)
        assert list(started.galaxy_id) == [0, 1, 2]
        assert list(started.target) == [True, False, False]
        assert np.exp(started.shapes[2, 2]) == pytest.approx(0.1 * SHAPE[0])


def test_what_the_open_scene_leaves_nothing_of_is_dropped(synthetic):
    """A profile where nothing is goes; the target stays, and a galaxy that was given."""
    (band,) = bands_of(synthetic)
    start = true_state(synthetic, [band])
    nothing = np.array([SersicParams(20.0, 80.0, 4.0, 1.0, 0.0, 0.0).to_vector()])
    state = with_profiles(start, nothing, np.array([[-1e-3]]))
    options = LadderOptions(thresholds=(), floor_passes=0)
    how = Freedom(), options, shape_bounds(SHAPE), [None]
    result = run_ladder([band], state, *how)
    assert with_lasting(result, [0, 1], *how) is result
    left = with_lasting(result, [0], *how).solution.state
    assert left.galaxy_id.tolist() == [0]
    assert left.shapes[0, :2] == pytest.approx([TARGET.x_0, TARGET.y_0], abs=0.1)


class TestBounds:
    def test_a_companion_does_not_fill_the_frame(self):
        bounds = ShapeBounds(r_eff=(0.5, 100.0))
        assert bounds.of_companions.r_eff == (0.5, 20.0)
        assert bounds.of_companions.n == (0.35, 4.0)
        assert bounds.of_companions.e == bounds.e


def state_of(x, y, shapes=(TARGET,)):
    """A state of bright stars at these places."""
    shapes = np.array([params.to_vector() for params in shapes]).reshape(-1, 6)
    empty = SceneState.start([], shapes)
    return empty.with_stars(np.array(x), np.array(y), np.zeros((0, len(x))))


class TestClumps:
    def test_chance_is_poisson(self):
        state = state_of([10.0, 12.0, 13.0, 80.0], [10.0, 10.0, 10.0, 80.0])
        first, *_ = star_clumps(state, np.array([True, False, False, True]), 10_000, 5.0)
        assert list(first.members) == [0, 1, 2]
        density = 1 / (10_000 - 25 * np.pi)
        tails = [poisson.sf(0, density * 4 * np.pi), poisson.sf(1, density * 9 * np.pi)]
        assert first.chance == pytest.approx(-np.log10(min(tails)))

    def test_single_stars_are_none(self):
        assert star_clumps(state_of([10.0, 40.0], [10.0, 40.0]), np.ones(2, bool), 1e4, 5.0) == []

    def test_none_at_all(self):
        assert star_clumps(state_of([], []), np.zeros(0, bool), 1e4, 5.0) == []

    def test_random_stars_do_not_clump(self):
        x, y = np.random.default_rng(3).uniform(0, 300, (2, 300))
        found = star_clumps(state_of(x, y), np.ones(300, bool), 9e4, 12.0)
        assert max((clump.chance for clump in found), default=0) < 6

    def test_radius_is_that_of_the_largest_component(self):
        large = SersicParams(50.0, 50.0, 10.0, 1.0, 0.5, 0.3)
        small = SersicParams(50.0, 50.0, 2.0, 1.0, 0.0, 0.0)
        state = replace(state_of([], [], [small, large, COMPANION]), galaxy_id=np.array([0, 0, 1]))
        radius = target_radius(state, np.array([50.0, 55.0]), np.array([60.0, 50.0]))
        assert radius == pytest.approx([1.0, 0.5])
        assert np.isinf(target_radius(state_of([], [], []), np.zeros(2), np.zeros(2))).all()


class TestFlag:
    def test_within_three_r_eff(self):
        near = SersicParams(TARGET.x_0 + 2.5 * TARGET.r_eff, TARGET.y_0, 3.0, 1.0, 0.0, 0.0)
        text = near_companions(state_of([], [], [TARGET, near]))
        assert text == "1 companion within 3 r_eff, the nearest at 2.5"

    def test_none(self):
        far = SersicParams(TARGET.x_0 + 3.5 * TARGET.r_eff, TARGET.y_0, 3.0, 1.0, 0.0, 0.0)
        assert near_companions(state_of([], [], [TARGET, far])) == ""
        assert near_companions(state_of([], [])) == near_companions(state_of([], [], [])) == ""


@pytest.mark.parametrize(
    ("first", "found", "swapped"),
    [((70.0, 50.0), (51.0, 50.0), True), ((51.0, 50.0), (70.0, 50.0), False)],
)
def test_the_galaxy_that_was_asked_for_is_the_first(first, found, swapped):
    start = state_of([], [], (replace(TARGET, x_0=50.0, y_0=50.0),))
    shapes = [replace(TARGET, x_0=x, y_0=y).to_vector() for x, y in (first, found)]
    state = replace(start, shapes=np.array([shapes[0]]), galaxy_flux=np.array([[3.0]]))
    state = with_profiles(state, np.array([shapes[1]]), np.array([[7.0]]))
    named = target_first(state, (50.0, 50.0), 1)
    assert tuple(named.shapes[0, :2]) == (51.0, 50.0)
    assert named.galaxy_flux[0].tolist() == ([7.0, 3.0] if swapped else [3.0, 7.0])
    assert (named is state) is not swapped


def test_no_galaxy_that_was_given_takes_the_first_place():
    start = state_of([], [], (TARGET, COMPANION))
    left = start.shapes.copy()
    left[0, :2] = COMPANION.to_vector()[:2] + 60
    state = replace(start, shapes=left)
    assert target_first(state, start.shapes[0, :2], 2) is state
