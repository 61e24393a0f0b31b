import astropy.stats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galstep.core.imaging.medians import mad_std, median, quantile

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(NUMBERS)
def test_the_numbers_of_numpy_and_astropy(numbers):
    assert median(numbers) == np.median(numbers)
    assert mad_std(numbers) == astropy.stats.mad_std(numbers)


@given(NUMBERS, st.floats(0, 1))
def test_quantiles(numbers, fraction):
    expected = np.quantile(numbers, fraction)
    assert quantile(numbers, fraction) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_any_shape():
    values = np.random.default_rng(1).normal(size=(101, 80))
    assert median(values) == np.median(values)
    assert mad_std(values) == astropy.stats.mad_std(values)
    assert quantile(values, 0.15865) == np.quantile(values, 0.15865)


def test_nothing_has_no_median():
    assert np.isnan([median([]), mad_std([]), quantile([], 0.5)]).all()
