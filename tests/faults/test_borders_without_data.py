"""A border without data changes no flux and no error, of no step."""

import numpy as np
import pytest
from astropy.nddata import NDData
from astropy.table import Table

from galstep.records import SersicParams
from galstep.steps import AperPhot, BaseFit, ForcedScaleFit, JointFit, ScaleFit, StarPhot
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

BASE, OTHER = "F150W", "F277W"
BORDERS = {"3": (3, 3), "7": (7, 7), "one side": (0, 5)}


@pytest.fixture(scope="module")
def scene():
    shape = SersicParams(30.3, 29.8, 4.5, 1.2, 0.3, 0.7)
    return make_scene(
        5, (61, 61), 6, (BASE, OTHER), noise="correlated", psf_size=41, sersic=shape, snr=200
    )


def measured(scene, border=(0, 0)):
    """(flux, error) of the galaxy by every step."""
    model = unfitted_model(scene)
    for band in model.bands.values():
        band.data, band.err = (
            np.pad(image, border, constant_values=np.nan) for image in (band.data, band.err)
        )
        band.mask = np.pad(band.mask, border, constant_values=True)
    single = ScaleFit().run(BaseFit(iter_basefit=1).run(model))
    forced = ForcedScaleFit(filters=[OTHER]).run(single)
    joint = JointFit().run(single)
    apertures = AperPhot(radii=[8.0, 16.0]).run(single)
    found = {}
    for step, result in (("single", single), ("forced", forced), ("joint", joint)):
        for name, band in result.bands.items():
            galaxy = band.fit.sersic[0]
            found[step, name] = galaxy.flux, galaxy.flux_err
            found[step, name, "matched"] = band.fit.matched_flux, band.fit.matched_flux_err
    for name, band in apertures.bands.items():
        for number, own in enumerate((band.aperture, *band.aperture.others)):
            found["aperture", name, number] = own.flux, own.flux_err
    return found


@pytest.fixture(scope="module")
def bare(scene):
    return measured(scene)


@pytest.mark.parametrize("border", ["3", "7", pytest.param("one side", marks=pytest.mark.slow)])
def test_the_galaxy(scene, bare, border):
    found = measured(scene, BORDERS[border])
    assert found.keys() == bare.keys()
    for key, (flux, error) in bare.items():
        assert found[key][0] == pytest.approx(flux, abs=0.05 * error), key
        assert found[key][1] == pytest.approx(error, rel=0.02), key


@pytest.mark.parametrize("background", ["global", "local", "none"])
@pytest.mark.parametrize("width", [3, 7, 30])
def test_stars(background, width):
    """The noise is measured on the frame itself: pixels without data are none of it."""
    star = GaussianMixturePSF.gaussian(1.3)
    x, y, flux = np.array([20.3, 50.6]), np.array([20.2, 30.9]), np.array([900.0, 600.0])
    noise = np.random.default_rng(1).normal(0, 0.5, (71, 71))
    data = star_frame((71, 71), star, x, y, flux) + noise
    rows = [
        StarPhot(finder="none", background=background)
        .run(
            NDData(np.pad(data, n, constant_values=np.nan)),
            (star.sampled(4, 61), 4),
            init_params=Table({"x": x + n, "y": y + n}),
        )
        .rows
        for n in (0, width)
    ]
    assert rows[1].flux_err == pytest.approx(rows[0].flux_err, rel=0.02)
    # boxes of the sky's mesh lie elsewhere
    assert rows[1].flux_fit == pytest.approx(rows[0].flux_fit, abs=0.5 * rows[0].flux_err.max())
