"""Galaxies in the place of stars: one, two that touch, and what is none."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars, with_galaxy

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting import companion_trials
from galstep.core.fitting.companion_trials import companion_clumps, has_a_shape, near_frame
from galstep.core.fitting.local_galaxy import galaxies_for_stars
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (121, 121)
TARGET = SersicParams(45.3, 75.6, 6.0, 1.2, 0.3, 0.5)
FIRST = SersicParams(90.2, 30.4, 5.0, 1.5, 0.2, 1.0)
SECOND = SersicParams(81.0, 40.1, 4.0, 2.0, 0.1, 0.3)
SHARES = (0.8, 0.6)
BOUNDS = ShapeBounds(r_eff=(0.5, 121.0)).of_companions


def stars_about(params, step=4.0):
    """Five by five places on a galaxy that no profile stands for."""
    grid = step * (np.arange(5) - 2.0)
    dx, dy = (v.ravel() for v in np.meshgrid(grid, grid))
    return params.x_0 + dx, params.y_0 + dy


@pytest.fixture(name="touching", scope="module")
def _touching():
    """Two galaxies that touch, each fitted as a cloud of stars; (band, solution, flux)."""
    synthetic = make_scene(5, SHAPE, 0, ("F150W",), snr=300.0, sersic=TARGET)
    flux = synthetic.truth.fluxes["F150W"]
    others = [(share * flux, own) for share, own in zip(SHARES, (FIRST, SECOND), strict=True)]
    scene = with_galaxy(synthetic, {"F150W": [(flux, TARGET), *others]})
    (band,) = bands_of(scene)
    x, y = np.concatenate([stars_about(FIRST), stars_about(SECOND)], axis=1)
    start = truth_without_stars(synthetic, [band]).with_stars(x, y, np.full((1, 50), flux / 50))
    return band, fit_scene([band], start, bounds=BOUNDS, max_iterations=8), flux


def tried(touching, places, members):
    band, solution, _ = touching
    residual = solution.evaluation.residuals[0]
    return galaxies_for_stars(band, residual, solution.state, members, places, 16.0, BOUNDS)


class TestTwoThatTouch:
    def test_together_they_are_what_they_are(self, touching):
        starts = [(FIRST.x_0 + 0.6, FIRST.y_0 - 0.5), (SECOND.x_0 - 0.4, SECOND.y_0 + 0.7)]
        fit = tried(touching, starts, np.arange(50))
        assert len(fit) == 2
        assert fit.gain > 0
        # what surrounds them is as it was fitted beside stars in their place
        assert fit.flux == pytest.approx(np.array(SHARES) * touching[2], rel=0.12)
        for shape, truth in zip(fit.shapes, (FIRST, SECOND), strict=True):
            assert shape[:2] == pytest.approx([truth.x_0, truth.y_0], abs=0.1)
            assert np.exp(shape[2]) == pytest.approx(truth.r_eff, rel=0.2)

    def test_one_alone_spreads_over_the_other(self, touching):
        alone = tried(touching, [(FIRST.x_0, FIRST.y_0)], np.arange(50))
        both = tried(touching, [(p.x_0, p.y_0) for p in (FIRST, SECOND)], np.arange(50))
        assert alone.gain < both.gain - 1000
        assert alone.flux[0] > 1.2 * SHARES[0] * touching[2]

    def test_found_where_only_one_of_them_is(self, touching, monkeypatch):
        """The clump of the second alone is refused: its neighbour's light bends it."""
        band, solution, flux = touching
        judged = companion_trials._are_galaxies

        def refused(trial, *args):
            near = np.hypot(*(trial.shapes[0, :2] - [SECOND.x_0, SECOND.y_0])) < 5
            return judged(trial, *args) and not (len(trial) == 1 and near)

        monkeypatch.setattr(companion_trials, "_are_galaxies", refused)
        found = companion_clumps(band, solution, ShapeBounds(r_eff=(0.5, 121.0)))
        fluxes = np.sort(np.concatenate([fit.flux for fit in found]))
        assert fluxes == pytest.approx(np.sort(SHARES) * flux, rel=0.1)
        assert [len(fit) for fit in found] == [2]


def test_the_order_of_the_places_does_not_matter(touching):
    places = [(own.x_0, own.y_0) for own in (FIRST, SECOND)]
    one = tried(touching, places, np.arange(50))
    two = tried(touching, places[::-1], np.arange(50))
    assert two.flux[::-1] == pytest.approx(one.flux, rel=0.01)
    assert two.gain == pytest.approx(one.gain, abs=5.0)


def test_what_has_a_shape():
    synthetic = make_scene(5, (61, 61), 0, ("F150W",), snr=50.0)
    (band,) = bands_of(synthetic)
    good = replace(FIRST, r_eff=3.0, ellip=0.3)
    needle = replace(good, ellip=0.95)
    point = replace(good, r_eff=0.3 * band.fwhm_in_scene)
    wide = replace(good, r_eff=BOUNDS.r_eff[1])
    shapes = [p.to_vector() for p in (good, needle, point, wide)]
    sky = 1.0 * band.sigma * np.pi * wide.r_eff**2
    assert [has_a_shape(v, sky, band, BOUNDS) for v in shapes] == [True, False, False, False]
    # a bright galaxy that is as large as allowed is one all the same
    assert has_a_shape(shapes[-1], 10 * sky, band, BOUNDS)


@pytest.mark.parametrize(
    ("x", "y", "near"),
    [(0.0, 30.0, True), (-4.0, 30.0, True), (-6.0, 30.0, False), (30.0, 64.0, True)],
)
def test_near_the_frame(x, y, near):
    """Its centre may be off by less than its r_eff, which is 5 pixels here."""
    (band,) = bands_of(make_scene(5, (61, 61), 0, ("F150W",), snr=50.0))
    assert near_frame(replace(FIRST, x_0=x, y_0=y).to_vector(), band) is near
