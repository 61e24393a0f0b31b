"""Small scenes for the tests of the ladder and of what ends it."""

from dataclasses import replace

import numpy as np
from astropy.table import Table
from engine_scenes import bands_of, truth_without_stars
from scipy.spatial import cKDTree

from galstep.core.detection.ladder import Ladder, known_variance
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.solve import ShapeBounds
from galstep.testing import make_scene

PINNED_GALAXY = Freedom(shape=(False,) * 6)
# No search: the stars of the start, and what ends the ladder.
NO_SEARCH = dict(thresholds=(), floor_passes=0)


def star_scene(x, y, snr, snr_galaxy=40, seed=1, shape=(61, 61)):
    """A faint galaxy and stars of this S/N, in F150W."""
    reference = make_scene(1, (61, 61), 1, ("F150W",), snr=40)
    unit = reference.truth.stars["flux_F150W"][0] / reference.truth.stars["snr_F150W"][0]
    stars = Table({"x": np.array(x, float), "y": np.array(y, float)})
    stars["flux_F150W"] = unit * np.array(snr, float)
    return make_scene(seed, shape, filters=("F150W",), snr=snr_galaxy, stars=stars)


def run(synthetic, freedom=PINNED_GALAXY, bands=None, state=None, **options):
    """The ladder on a scene, from its galaxy and no stars unless a state is given."""
    bands = bands or bands_of(synthetic)
    state = truth_without_stars(synthetic, bands) if state is None else state
    return run_ladder(bands, state, freedom, replace(ONE_PASS, **options))


def ladder_of(synthetic, state, freedom=PINNED_GALAXY, bands=None, **options):
    """A `Ladder` whose start has been fitted once."""
    bands = bands or bands_of(synthetic)
    options = replace(ONE_PASS, **NO_SEARCH | options)
    ladder = Ladder(bands, known_variance(bands), state, freedom, options, ShapeBounds())
    ladder.look()
    ladder.fit()
    return ladder


def found(synthetic, state, reach=1.0):
    """For each true star whether the state has one within ``reach`` pixels."""
    table = synthetic.truth.stars
    if not state.n_stars:
        return np.zeros(len(table), dtype=bool)
    places = np.column_stack([state.x, state.y])
    return cKDTree(places).query(np.column_stack([table["x"], table["y"]]))[0] < reach


def errors_of(result):
    """Formal flux errors of the only band."""
    return result.covariance.star_flux_errors()[0]
