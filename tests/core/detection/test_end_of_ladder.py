"""Where a ladder ends: at the optimum of the weights that it reports; and closed galaxies."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state, truth_without_stars
from ladder_scenes import PINNED_GALAXY, found, ladder_of, run, star_scene

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.testing import make_scene

BOUNDS = ShapeBounds(r_eff=(0.5, 40.0))


def gain(result, freedom):
    """By how much another fit with the weights of a result lowers chi2."""
    again = fit_scene(
        result.bands, result.solution.state, freedom, bounds=BOUNDS,
        max_iterations=12, tolerance=0.01,
    )  # fmt: skip
    return again.gained


@pytest.mark.parametrize("known", [True, False], ids=["error plane", "noise measured"])
def test_one_band_with_twenty_stars(known):
    synthetic = make_scene(11, (71, 71), 20, ("F150W",), snr=150, star_snr=(10, 200))
    bands = bands_of(synthetic, error_known=known)
    state = truth_without_stars(synthetic, bands)
    result = run_ladder(bands, state, Freedom(), ONE_PASS, BOUNDS)
    assert 0 <= gain(result, Freedom()) < 1


def test_two_bands_together():
    synthetic = make_scene(
        12, (61, 61), 14, ("F150W", "F277W"), snr=120, star_snr=(15, 150),
        offsets={"F277W": (0.3, -0.2)},
    )  # fmt: skip
    bands = bands_of(synthetic, error_known=False)
    freedom = Freedom(registration=(1,))
    state = truth_without_stars(synthetic, bands)
    result = run_ladder(bands, state, freedom, ONE_PASS, BOUNDS)
    assert 0 <= gain(result, freedom) < 1


@pytest.fixture(name="pair", scope="module")
def _pair():
    """Stars of S/N 20, one of them in a galaxy whose light under it is 140 of its errors."""
    galaxy = make_scene(1, (61, 61), 0, ("F150W",), snr=40).truth.sersic
    # the S/N are those in the noise of a galaxy of 40
    snr = np.full(2, 20.0 * 40 / 800)
    return star_scene([galaxy.x_0 + 4.0, 54.0], [galaxy.y_0 - 3.0, 8.0], snr, 800)


def test_a_closed_galaxy_has_no_faint_stars(pair):
    options = dict(thresholds=(8.0, 6.0), keep=6.0, modes=False)
    opened, closed = (run(pair, structure=own, **options) for own in (None, 0.1))
    assert found(pair, opened.solution.state).tolist() == [True, True]
    assert found(pair, closed.solution.state).tolist() == [False, True]
    # the one outside is the same
    flux = [own.solution.state.star_flux[0] for own in (opened, closed)]
    x = [own.solution.state.x for own in (opened, closed)]
    outside = [own[np.abs(at - 54.0) < 1][0] for own, at in zip(flux, x, strict=True)]
    assert outside[1] == pytest.approx(outside[0], rel=0.02)


def test_the_share_is_measured_where_it_is_larger(pair):
    # the galaxy is lumpy by more than what is asked for
    bands = bands_of(pair)
    state = truth_without_stars(pair, bands)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(20, 40, (2, 60))
    light = pair.galaxy["F150W"]
    lumps = bands[0].star_renderer.render(
        light.shape, x, y, 0.4 * bands[0].star_renderer.psf.noise_area
        * light[np.rint(y).astype(int), np.rint(x).astype(int)] * rng.choice([-1, 1], 60),
    )  # fmt: skip
    lumpy = [replace(bands[0], data=bands[0].data + lumps)]
    smooth = ladder_of(pair, state, bands=bands, structure=0.01, modes=False)
    rough = ladder_of(pair, state, bands=lumpy, structure=0.01, modes=False)
    assert smooth.noise.shares[0] < 0.05
    assert 0.1 < rough.noise.shares[0] < 1.0


def test_bright_stars_stay_in_a_closed_galaxy():
    galaxy = make_scene(1, (61, 61), 0, ("F150W",), snr=40).truth.sersic
    synthetic = star_scene([galaxy.x_0 + 6.0], [galaxy.y_0 - 5.0], [100.0], 200)
    bands = bands_of(synthetic)
    result = run_ladder(
        bands, true_state(synthetic, bands), PINNED_GALAXY,
        replace(ONE_PASS, structure=0.1, modes=False),
    )  # fmt: skip
    assert found(synthetic, result.solution.state).all()
