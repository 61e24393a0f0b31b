"""LoadCrop tells where the galaxy is not where it was looked for, and what was cut off."""

import logging

import numpy as np
import pytest

from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import BaseFit, LoadCrop
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


TARGET = SersicParams(32.0, 150.0, 6.0, 1.2, 0.3, 0.5)
OTHER = SersicParams(95.0, 95.0, 7.0, 1.2, 0.2, 2.0)


def two_galaxies():
    """A galaxy off the middle of the frame, and a brighter one in the middle."""
    first, second = (
        make_scene(seed, (191, 191), 12, ("F150W",), sersic=shape, psf_size=41, snr=snr)
        for seed, shape, snr in ((3, TARGET, 300.0), (4, OTHER, 600.0))
    )
    model = unfitted_model(first)
    band = model.bands["F150W"]
    band.data = band.data + second.data["F150W"]
    band.err = np.hypot(band.err, unfitted_model(second).bands["F150W"].err)
    return model, first.truth.fluxes["F150W"]


@pytest.mark.parametrize("auto_crop", [True, False])
@pytest.mark.slow
def test_the_galaxy_that_was_given_is_the_one_that_is_measured(auto_crop):
    model, flux = two_galaxies()
    loaded = LoadCrop(x_guess=31.0, y_guess=151.5, auto_crop=auto_crop).run(model)
    assert loaded.meta.target_filter == "F150W"
    assert loaded.meta.target_position == pytest.approx((32.0, 150.0), abs=2.0)
    # cropped again, nothing is forgotten
    assert LoadCrop(auto_crop=auto_crop).run(loaded).meta.target_position == pytest.approx(
        loaded.meta.target_position, abs=2.0
    )
    band = BaseFit().run(loaded).bands["F150W"]
    (target,) = band.fit.target
    x_0, y_0 = target.params.x_0 + band.origin[0], target.params.y_0 + band.origin[1]
    assert (x_0, y_0) == pytest.approx((TARGET.x_0, TARGET.y_0), abs=0.3)
    assert target.flux == pytest.approx(flux, abs=4 * target.flux_err)
    assert not band.flags & BandFlag.ELSEWHERE


def test_a_galaxy_that_ends_elsewhere_is_flagged_in_every_filter():
    """No galaxy is where one is said to be; the fit moves to the one that is there."""
    model = model_at(70.0, 70.0)
    model.meta.target_position, model.meta.target_filter = (70.0 + 24.0, 70.0), "F150W"
    band = BaseFit().run(model).bands["F150W"]
    assert band.flags & BandFlag.ELSEWHERE
    assert any("where it was looked for" in reason for reason in band.reasons)
    model.meta.target_position = (70.0, 70.0)
    again = BaseFit().run(model).bands["F150W"]
    assert not again.flags & BandFlag.ELSEWHERE
