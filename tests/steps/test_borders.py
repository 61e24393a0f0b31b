"""A border without data is no part of the image: it changes no error."""

import numpy as np
import pytest

from galstep.steps import BaseFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

NAME = "F150W"


@pytest.fixture(scope="module")
def cluttered():
    return make_scene(5, (91, 91), 12, (NAME,), noise="correlated", psf_size=81)


def fitted(scene, border=((0, 0), (0, 0))):
    model = unfitted_model(scene)
    band = model.bands[NAME]
    band.data, band.err = (
        np.pad(image, border, constant_values=np.nan) for image in (band.data, band.err)
    )
    band.mask = np.pad(band.mask, border, constant_values=True)
    return BaseFit(iter_basefit=1).run(model).bands[NAME].fit


@pytest.fixture(scope="module")
def bare(cluttered):
    return fitted(cluttered)


@pytest.mark.slow
@pytest.mark.parametrize("border", [((3, 3), (3, 3)), ((7, 7), (7, 7)), ((0, 5), (7, 0))])
def test_flux_and_error_do_not_change(cluttered, bare, border):
    found = fitted(cluttered, border)
    (galaxy,), (expected,) = found.sersic, bare.sersic
    assert galaxy.flux == pytest.approx(expected.flux, abs=0.02 * expected.flux_err)
    assert galaxy.flux_err == pytest.approx(expected.flux_err, rel=0.02)
    assert galaxy.params.x_0 - border[1][0] == pytest.approx(expected.params.x_0, abs=1e-3)
    assert found.matched_flux_err == pytest.approx(bare.matched_flux_err, rel=0.02)
    assert found.noise_corr == pytest.approx(bare.noise_corr, rel=0.02)
