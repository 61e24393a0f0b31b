"""A star that BaseFit was told to drop does not come back with the joint fit."""

import numpy as np
import pytest

from galstep.records import SersicParams
from galstep.steps import BaseFit, JointFit, ScaleFit
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

FILTERS = ("F150W", "F277W")
FAINTEST = 30.0


def snr(model, name):
    stars = model.bands[name].fit.stars
    return np.asarray(stars.flux) / np.asarray(stars.flux_err)


def fitted(model):
    cut = BaseFit(cuts_flux_SNR_min=FAINTEST, iter_basefit=1).run(model)
    return ScaleFit(cuts_flux_SNR_min=FAINTEST).run(cut)


@pytest.fixture(scope="module")
def models():
    """Without and with the cut on the S/N, before the joint fit."""
    shape = SersicParams(35.3, 35.8, 4.5, 1.2, 0.3, 0.7)
    scene = make_scene(
        4, (71, 71), 12, FILTERS, sersic=shape, psf_size=41, snr=200, star_snr=(8, 200),
        star_separation=7,
    )  # fmt: skip
    model = unfitted_model(scene)
    free = ScaleFit().run(BaseFit(iter_basefit=1).run(model))
    return free, fitted(model)


def test_the_scene_has_stars_to_be_cut(models):
    free, cut = models
    assert (snr(free, FILTERS[0]) < FAINTEST).sum() >= 2
    assert len(cut.bands[FILTERS[0]].fit.stars) < len(free.bands[FILTERS[0]].fit.stars)
    assert snr(cut, FILTERS[0]).min() > 0.95 * FAINTEST


def test_cuts_act_on_the_joint_fit(models):
    joint = JointFit().run(models[1])
    # a star stays if one filter shows it above the cut
    best = np.max([snr(joint, name) for name in FILTERS], axis=0)
    assert len(best) > 3
    assert best.min() > 0.95 * FAINTEST


def test_without_the_cuts_they_are_back(models):
    free, cut = models
    n_cut = len(JointFit().run(cut).bands[FILTERS[0]].fit.stars)
    n_all = len(JointFit(star_cuts="none").run(cut).bands[FILTERS[0]].fit.stars)
    assert n_all > n_cut
    assert n_all == len(JointFit().run(free).bands[FILTERS[0]].fit.stars)


def test_another_base_fit_has_another_cut(models):
    """The cuts are those that the product says, not those of the last run."""
    free, _ = models
    assert free.meta.parameters["basefit"]["cuts_flux_SNR_min"] != FAINTEST
    assert (snr(JointFit().run(free), FILTERS[0]) < FAINTEST).any()
