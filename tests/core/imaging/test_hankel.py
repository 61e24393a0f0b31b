"""The Hankel table against closed forms and direct quadrature."""

import time

import numpy as np
import pytest
from scipy.special import j0

from galstep.core.imaging.hankel import N_MAX, N_MIN, HankelTable, hankel_table
from galstep.core.imaging.sersic import log_central_brightness, sersic_bn
from galstep.exceptions import ParameterError


def grid(table):
    return np.exp(table.ln_kappa_0 + table.ln_kappa_step * np.arange(table.n_rows))


def test_gaussian():
    table = hankel_table()
    kappa = grid(table)
    expected = np.exp(-(kappa**2) / (4 * np.log(2.0)))
    np.testing.assert_allclose(table.rows(0.5)[:, 0], expected, atol=1e-8)


def test_exponential():
    table = hankel_table()
    kappa, h = grid(table), 1 / sersic_bn(1.0)
    base = 1 + (kappa * h) ** 2
    rows = table.rows(1.0)
    np.testing.assert_allclose(rows[:, 0], base**-1.5, atol=1e-8)
    slope = -3 * (kappa * h) ** 2 * base**-2.5
    np.testing.assert_allclose(rows[:, 1] / table.ln_kappa_step, slope, atol=1e-7)


def quadrature(kappa, n):
    """F by the trapezoidal rule in ln r, 1.5e-5 apart."""
    b = sersic_bn(n)
    ln_r = np.linspace(-22.0, n * np.log(40 / b), 1_500_001)
    r = np.exp(ln_r)
    values = r * r * np.exp(log_central_brightness(n) - b * r ** (1 / n)) * j0(kappa * r)
    return 2 * np.pi * np.trapezoid(values, ln_r)


@pytest.mark.parametrize("n", [N_MIN, 2.2, 4.0, 6.0])
@pytest.mark.parametrize("row", [370, 450])
def test_direct_quadrature(n, row):
    table = hankel_table()
    assert table.rows(n)[row, 0] == pytest.approx(quadrature(grid(table)[row], n), abs=1e-8)


@pytest.mark.parametrize("n", [0.7, 1.9, 5.3])
def test_derivatives_belong_to_the_table(n):
    table, step = hankel_table(), 1e-4
    numeric = (table.rows(n * np.exp(step)) - table.rows(n * np.exp(-step))) / (2 * step)
    rows = table.rows(n)
    np.testing.assert_allclose(rows[:, 2:], numeric[:, :2], atol=1e-7)
    along = np.gradient(rows[:, 0])  # second order, hence the tolerance
    np.testing.assert_allclose(rows[1:-1, 1], along[1:-1], atol=3e-5)


@pytest.mark.parametrize("n", [0.5, 2.5, 6.0])
def test_series_joins_the_table(n):
    table = hankel_table()
    c, by_ln_n = table.small_kappa(n)
    kappa = grid(table)[0]
    first = table.rows(n)[0]
    assert first[0] == pytest.approx(1 - c * kappa**2, abs=1e-7)
    assert first[2] == pytest.approx(-by_ln_n * kappa**2, abs=1e-6)


@pytest.mark.parametrize("n", [0.29, 8.6, np.nan])
def test_index_outside_the_table(n):
    with pytest.raises(ParameterError, match=r"index n must be in 0.3 to 8.5, not"):
        hankel_table().rows(n)


def test_ends_are_inside():
    assert np.isfinite(hankel_table().rows(N_MIN)).all()
    assert np.isfinite(hankel_table().rows(N_MAX)).all()


def test_table_is_shared_and_quick_to_build():
    assert hankel_table() is hankel_table()
    start = time.process_time()
    HankelTable()
    assert time.process_time() - start < 1.0
