"""The Petrosian radius beside that of statmorph, where it is installed."""

import warnings

import numpy as np
import pytest

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.photometry.isophotes import model_isophotes
from galstep.core.photometry.petrosian import petrosian_radius
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing.psfs import GaussianMixturePSF

SIZE = 241


def galaxy(params):
    array = GaussianMixturePSF.gaussian(1.5).sampled(5, 91)
    psf = EffectivePSF.from_array(array, 5)
    return GalaxyRenderer((SIZE, SIZE), psf).image(params.to_vector())


def of_statmorph(image):
    """rpetro_ellip: semi-major axis where mu = 0.2 <mu> on ellipses of its own."""
    statmorph = pytest.importorskip("statmorph")
    rng = np.random.default_rng(1)
    noise = image.max() * 1e-5
    noisy = image + rng.normal(0, noise, image.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = statmorph.SourceMorphology(
            noisy, (image > 20 * noise).astype(int), 1,
            weightmap=np.full(image.shape, noise), skybox_size=32,
        )  # fmt: skip
        return float(found.rpetro_ellip)


@pytest.mark.parametrize(
    "params",
    [
        SersicParams(120.3, 119.6, 14.0, 1.0, 0.0, 0.0),
        SersicParams(120.3, 119.6, 16.0, 1.0, 0.4, 0.7),
        SersicParams(120.3, 119.6, 9.0, 2.0, 0.25, 2.1),
    ],
    ids=["round disc", "inclined disc", "n = 2"],
)
def test_petrosian_radius_is_that_of_statmorph(params):
    image = galaxy(params)
    isophotes = model_isophotes(
        image, params.x_0, params.y_0, np.linspace(0.05, 0.99, 40), image.sum()
    )
    ours = petrosian_radius(image, isophotes, 0.2)
    assert ours == pytest.approx(of_statmorph(image), rel=0.01)
