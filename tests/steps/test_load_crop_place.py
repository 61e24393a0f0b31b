"""LoadCrop tells where the galaxy is not where it was looked for, and what was cut off."""

import logging

import numpy as np
import pytest

from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import LoadCrop
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model


def model_at(x, y):
    shape = SersicParams(x, y, 6.0, 1.0, 0.2, 0.5)
    return unfitted_model(
        make_scene(5, (141, 141), 4, ("F150W",), sersic=shape, psf_size=41, snr=400)
    )


@pytest.mark.parametrize("away", [0.0, 35.0])
@pytest.mark.parametrize("given", [False, True])
def test_a_galaxy_elsewhere_is_told_in_one_line(caplog, away, given):
    model = model_at(70.0 + away, 70.0)
    place = {"x_guess": 70.0, "y_guess": 70.0} if given else {}
    with caplog.at_level(logging.WARNING):
        LoadCrop(**place).run(model)
    lines = [r.getMessage() for r in caplog.records if "pixels from" in r.getMessage()]
    assert len(lines) == (1 if away else 0)
    if away:
        told = "the place that was given" if given else "the middle of the frame"
        assert f"pixels from {told}" in lines[0]


def test_a_saturated_core_is_masked_and_flagged():
    model = model_at(70.0, 70.0)
    band = model.bands["F150W"]
    assert not LoadCrop().run(model).bands["F150W"].flags & BandFlag.SATURATED
    level = np.median(band.data) + 0.5 * (band.data[65:75, 65:75].max() - np.median(band.data))
    cut = band.data >= level
    band.data = np.minimum(band.data, level)
    found = LoadCrop(auto_crop=False).run(model).bands["F150W"]
    assert found.flags & BandFlag.SATURATED
    assert found.mask[cut].mean() > 0.9
    assert any("saturated pixels masked" in reason for reason in found.reasons)
