"""Noise from pass to pass: measured anew or kept, and never below its floor."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars
from ladder_scenes import PINNED_GALAXY, run, star_scene

from galstep.core.detection.ladder_noise import PassNoise
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.engine.normal import evaluate


@pytest.fixture(name="crowd", scope="module")
def _crowd():
    """Many stars: the first look sees far more noise than the last."""
    rng = np.random.default_rng(8)
    x, y = rng.uniform(2, 59, (2, 45))
    return star_scene(x, y, rng.uniform(20, 60, 45))


OPTIONS = dict(thresholds=(20.0, 10.0, 6.0), keep=6.0, floor_passes=2)


def noises(result):
    return [entry["noise"][0] for entry in result.history]


class TestAnew:
    def test_the_noise_falls_as_stars_are_found(self, crowd):
        passes = noises(run(crowd, **OPTIONS))
        assert passes[0] > 1.2 * passes[-1]

    def test_kept_until_the_last_fits(self, crowd):
        own, free = run(crowd, **OPTIONS, measure_noise=False), run(crowd, **OPTIONS)
        assert np.ptp(noises(own)) == 0
        assert own.solution.state.n_stars <= free.solution.state.n_stars
        # the errors that are quoted are those of what is left
        assert own.bands[0].sigma < 0.8 * noises(own)[0]


class TestFloor:
    def test_it_holds(self, crowd):
        free = run(crowd, **OPTIONS)
        first = 1.0
        for share in (0.9, 0.95):
            own = run(crowd, **OPTIONS, noise_floor=share)
            first = noises(own)[-1] / share
            assert min(noises(own)) >= 0.999 * share * first
            assert own.bands[0].sigma > free.bands[0].sigma
            assert own.solution.state.n_stars <= free.solution.state.n_stars

    def test_weights_and_map_agree(self, crowd):
        band = bands_of(crowd)[0]
        state = truth_without_stars(crowd, [band])
        evaluation = evaluate([band], state, [np.zeros(0, int)], PINNED_GALAXY)
        quiet = replace(evaluation, residuals=(0.01 * evaluation.residuals[0],))
        results = []
        for floor in (0.0, 0.5):
            noise = PassNoise([None], replace(ONE_PASS, noise_floor=floor))
            noise.measure([band], state, evaluation)
            results.append((noise.first[0], *noise.measure([band], state, quiet)))
        (first, (free,), (free_map,)), (_, (held,), (held_map,)) = results
        assert free.sigma < 0.1 * first
        assert held.sigma == pytest.approx(0.5 * first)
        factor = held.sigma / free.sigma
        np.testing.assert_allclose(held_map[0], free_map[0] / factor)
        np.testing.assert_allclose(held_map[1], free_map[1])
        np.testing.assert_allclose(held_map[2], free_map[2] / factor**2)
        # the noise of single pixels is what it is
        assert held.sigma / held.noise_scale == pytest.approx(free.sigma / free.noise_scale)

    def test_low_floors_do_nothing(self, crowd):
        one, two = run(crowd, **OPTIONS), run(crowd, **OPTIONS, noise_floor=0.05)
        assert np.array_equal(one.solution.state.star_flux, two.solution.state.star_flux)
