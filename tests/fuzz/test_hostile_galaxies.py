"""Input that was made to do harm: what must be refused is, in one line."""

import numpy as np
import pytest

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError
from galstep.testing.hostile_inputs import HOSTILE, HostileGalaxy, random_hostile_galaxy
from galstep.testing.outcomes import ERROR, measure_odd

ALL = [HostileGalaxy(kind, variant) for kind, variants in HOSTILE.items() for variant in variants]
QUICK = {"basefit": {"iter_basefit": 1, "th_iter": 1}, "jointfit": {"skip": True}}


def label(galaxy):
    """A short name of a case."""
    return f"{galaxy.kind} {galaxy.variant}"[:30]


@pytest.mark.parametrize("galaxy", [g for g in ALL if g.must_fail], ids=label)
def test_is_refused(galaxy, tmp_path):
    source, psfs = galaxy.write(tmp_path)
    with pytest.raises(InputError) as caught:
        GalaxyModel.open(source, psf_file=psfs)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("galaxy", [g for g in ALL if not g.must_fail], ids=label)
@pytest.mark.slow
def test_is_measured_or_refused(galaxy, tmp_path):
    kind, text = measure_odd(galaxy, tmp_path, QUICK)
    assert kind != ERROR or text


def test_it_can_be_told_and_made_again():
    galaxy = random_hostile_galaxy(np.random.default_rng(5))
    assert galaxy == random_hostile_galaxy(np.random.default_rng(5))
    assert eval(str(galaxy)) == galaxy
