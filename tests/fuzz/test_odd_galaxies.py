"""Odd input: always a product with flags, or one clear error."""

import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from galstep.testing.odd_inputs import CHOICES, OddGalaxy, random_odd_galaxy
from galstep.testing.outcomes import ERROR, FLAGGED, measure_odd

ODD = st.builds(
    OddGalaxy,
    **{name: st.sampled_from(values) for name, values in CHOICES.items()},
    seed=st.integers(0, 1000),
)
# one step less to wait for: the same holds for it, and the long run has it
SHORT = {
    "basefit": {"iter_basefit": 1, "th_iter": 1},
    "scalefit": {"iter_scalefit": 0},
    "psfcalibrate": {"max_loops": 1},
    "jointfit": {"skip": True},
}


def outcome(odd, steps=None):
    """Kind and text of what comes of a run; what numpy warns of shows in the result."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return measure_odd(odd, Path(folder), steps)


@settings(max_examples=12)
@given(odd=ODD)
@example(odd=OddGalaxy(ny=16, nx=40, dtype=">f4"))
@example(odd=OddGalaxy(exponent=-12, content="stars"))
@example(odd=OddGalaxy(exponent=12, dtype="<f4", holes="checker"))
@example(odd=OddGalaxy(content="spike"))
@example(odd=OddGalaxy(ny=20, holes="checker", dtype="<f4", oversample=1, unit="Jy", seed=775))
@example(odd=OddGalaxy(n_filters=2, holes="second filter"))
@pytest.mark.slow
def test_product_or_error(odd):
    kind, text = outcome(odd, SHORT)
    event(kind)
    assert kind != ERROR or text


@pytest.mark.slow
@settings(max_examples=300)
@given(odd=ODD)
def test_long_run(odd):
    kind, text = outcome(odd)
    event(kind)
    assert kind != ERROR or text


def test_a_good_galaxy_is_measured():
    # three stars at least are needed for a PSF, and there are none
    assert outcome(OddGalaxy(ny=40, nx=40), SHORT) == (FLAGGED, "")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (OddGalaxy(ny=3), r"pixels a side, got \(3, 31\)"),
        (OddGalaxy(holes="all"), r"not finite|usable pixel"),
        (OddGalaxy(psf="zero"), r"F150W must hold light, got zeros only"),
        (OddGalaxy(psf="nan"), r"got 1 NaN"),
        (OddGalaxy(oversample=0), r"oversample.* must be a positive integer, got 0"),
        (OddGalaxy(unit="nonsense"), r"unit must be one that astropy knows, got 'nonsense'"),
    ],
    ids=str,
)
def test_errors_name_what_is_wrong(odd, message):
    kind, text = outcome(odd, SHORT)
    assert kind == ERROR
    assert re.search(message, text), text


def test_it_can_be_told_and_made_again():
    odd = random_odd_galaxy(np.random.default_rng(5))
    assert odd == random_odd_galaxy(np.random.default_rng(5))
    assert eval(str(odd)) == odd
    assert str(OddGalaxy(ny=5)) == "OddGalaxy(ny=5)"
