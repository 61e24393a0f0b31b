"""What a ladder reports is the optimum, in the weights that it reports."""

from dataclasses import replace

import pytest
from engine_scenes import bands_of, with_galaxy

from galstep.core.detection.ladder import known_variance
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting.fits import shape_bounds
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (101, 101)
DISK = SersicParams(50.3, 49.6, 7.0, 1.2, 0.3, 0.5)
BULGE = SersicParams(50.3, 49.6, 1.2, 2.5, 0.05, 0.0)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_one_more_fit_gains_nothing(seed):
    """A bulge that one profile has not, and stars that come and go: each changes the weights."""
    made = make_scene(seed, SHAPE, 60, ("F150W",), snr=300.0, sersic=DISK, star_snr=(5, 300))
    flux = made.truth.fluxes["F150W"]
    made = with_galaxy(made, {"F150W": [(flux, DISK), (0.15 * flux, BULGE)]})
    (band,) = bands_of(made)
    band = replace(band, error_known=False)
    first = robust_galaxy_fit(made.data["F150W"], band.mask, band.sigma, band.star_renderer.psf)
    start = SceneState.start(
        [band], [first.params.to_vector()], [[first.flux]], [first.sky_coefficients]
    )
    bounds, freedom = shape_bounds(SHAPE), Freedom()
    result = run_ladder([band], start, freedom, ONE_PASS, bounds, known_variance([band]))
    more = fit_scene(
        result.bands,
        result.solution.state,
        freedom,
        bounds=bounds,
        max_iterations=30,
        tolerance=0.01,
    )
    # without the last fits the two differ by 6 to 175, of either sign
    assert abs(result.solution.chi2 - more.chi2) < 1.0
