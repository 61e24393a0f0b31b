"""When the galaxy stands still: its centre is measured in radii, the rest as it is fitted."""

import numpy as np
import pytest
from astropy.table import Table
from engine_scenes import bands_of, truth_without_stars
from ladder_scenes import ladder_of

from galstep.core.engine.freedom import Freedom
from galstep.records import SersicParams
from galstep.testing import make_scene

CENTRE_ONLY = Freedom(shape=(True, True, False, False, False, False))


def scene_of(r_eff):
    """A galaxy and a star on its flank that pulls at the centre while it is not known."""
    galaxy = SersicParams(45.2, 44.7, r_eff, 1.0, 0.2, 0.3)
    alone = make_scene(5, (91, 91), 0, ("F150W",), snr=150.0, sersic=galaxy, sky="none").truth
    flux = 80 * alone.noise_sigma["F150W"] * np.sqrt(alone.psfs["F150W"].noise_area)
    table = {"x": [galaxy.x_0 + 6.0], "y": [galaxy.y_0 + 4.0], "flux_F150W": [flux]}
    return make_scene(
        5, (91, 91), 0, ("F150W",), snr=150.0, sersic=galaxy, sky="none", stars=Table(table)
    )


@pytest.mark.parametrize("r_eff", [6.0, 12.0])
def test_a_centre_that_moves_counts_in_units_of_r_eff(r_eff):
    synthetic = scene_of(r_eff)
    bands = bands_of(synthetic)
    ladder = ladder_of(synthetic, truth_without_stars(synthetic, bands), CENTRE_ONLY, bands)
    before = ladder.state.shapes.copy()
    n_found, change = ladder.climb(8.0, near=False)
    moved = np.abs(ladder.state.shapes - before)[0]
    assert n_found == 1
    # the star had pulled the centre, and lets go of it
    assert moved[:2].max() > 0.05
    assert not moved[2:].any()
    np.testing.assert_allclose(ladder.state.shapes[0, :2], [45.2, 44.7], atol=0.2)
    assert change == pytest.approx(moved[:2].max() / r_eff, rel=1e-9)


def test_other_parameters_count_as_they_are_fitted():
    """ln r_eff: a tenth larger is a change of 0.1, whatever the size."""
    synthetic = scene_of(6.0)
    bands = bands_of(synthetic)
    free = Freedom(shape=(False, False, True, False, False, False))
    ladder = ladder_of(synthetic, truth_without_stars(synthetic, bands), free, bands)
    before = ladder.state.shapes.copy()
    _, change = ladder.climb(8.0, near=False)
    moved = np.abs(ladder.state.shapes - before)[0]
    assert moved[2] > 0.01
    assert change == pytest.approx(moved[2], rel=1e-9)


def test_a_pass_that_finds_nothing_changes_nothing():
    synthetic = scene_of(6.0)
    bands = bands_of(synthetic)
    ladder = ladder_of(synthetic, truth_without_stars(synthetic, bands), CENTRE_ONLY, bands)
    assert ladder.climb(1e4, near=False) == (0, 0.0)
