"""Whether a star stands on a galaxy's centre: only if there is one."""

import numpy as np
import pytest
from astropy.table import Table
from engine_scenes import bands_of, effective_psf

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.engine.scene import make_band
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.records import SersicParams
from galstep.testing import make_bulge_disk, make_scene


def base_fit(synthetic, err):
    """The base fit with the steps' own thresholds."""
    data = synthetic.data["F150W"]
    mask, psf = ~np.isfinite(data), effective_psf(synthetic, "F150W")
    first = robust_galaxy_fit(data, mask, err, psf)
    return fit_base(make_band("F150W", data, mask, psf, err), first, ONE_PASS).fits[0]


def on_centre(fit, galaxy):
    """Which listed stars are within a pixel of the galaxy's centre."""
    return np.hypot(fit.stars.x - galaxy.x_0, fit.stars.y - galaxy.y_0) < 1


@pytest.mark.parametrize("share", [0.0, 0.05])
@pytest.mark.parametrize("seed", [4, 5])
def test_a_galaxy_without_a_star_gets_none(share, seed):
    """Nor one with a small bulge, worth more in chi2 than noise makes of a star."""
    synthetic = make_bulge_disk(share, seed, snr=300.0, shape=(71, 71), bulge=(1.0, 1.0), disk=5.0)
    fit = base_fit(synthetic, synthetic.err["F150W"])
    assert not on_centre(fit, synthetic.truth.galaxy.parts[-1].params).any()
    truth = synthetic.truth.fluxes["F150W"]
    assert fit.flux == pytest.approx(truth, abs=max(4 * fit.flux_err, 0.03 * truth))


def test_a_star_of_sn_60_is_found_and_is_not_the_galaxys_light():
    galaxy, flux = SersicParams(30.3, 29.8, 4.0, 1.2, 0.3, 0.7), 50.0
    arguments = {"snr": 200.0, "sersic": galaxy, "fluxes": {"F150W": flux}}
    arguments |= {"filters": ("F150W",), "psf_size": 101}
    alone = make_scene(2, (61, 61), 0, **arguments).truth
    star = 60 * alone.noise_sigma["F150W"] * np.sqrt(alone.psfs["F150W"].noise_area)
    table = Table({"x": [galaxy.x_0], "y": [galaxy.y_0], "flux_F150W": [star]})
    synthetic = make_scene(2, (61, 61), 0, stars=table, **arguments)
    assert synthetic.truth.stars["snr_F150W"][0] == pytest.approx(60)
    fit = base_fit(synthetic, bands_of(synthetic)[0].sigma * np.ones((61, 61)))
    # no other star in the frame says that there are any: it is a source, and counts as a knot
    found = fit.sources
    here = np.hypot(found.x - galaxy.x_0, found.y - galaxy.y_0) < 1
    assert here.sum() == 1
    assert found.flux[here][0] == pytest.approx(star, abs=4 * found.flux_err[here][0])
    assert fit.flux == pytest.approx(flux, abs=4 * fit.flux_err)
