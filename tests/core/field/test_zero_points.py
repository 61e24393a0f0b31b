"""Zero points of stars whose truth is known."""

import numpy as np
import pytest

from galstep.core.field.zero_points import calibrated, zero_point


def stars(rng, count, truth=25.03, scatter=0.0, snr=100.0):
    """Fluxes, errors and magnitudes of stars."""
    flux = 10 ** rng.uniform(3, 5, count)
    error = flux / snr
    magnitude = truth - 2.5 * np.log10(flux) + rng.normal(0, scatter, count)
    return flux + rng.normal(0, error), error, magnitude


def test_value_and_error_are_honest():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(400):
        found = zero_point(*stars(rng, 30))
        pulls.append((found.value - 25.03) / found.error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(400)
    # Paule & Mandel adds scatter where there happens to be more: the error is a little too large
    assert 0.85 < np.std(pulls) < 1.1


def test_scatter_of_the_references_is_in_the_error():
    rng = np.random.default_rng(2)
    pulls, intrinsic = [], []
    for _ in range(300):
        found = zero_point(*stars(rng, 40, scatter=0.05, snr=500.0))
        pulls.append((found.value - 25.03) / found.error)
        intrinsic.append(found.intrinsic)
    assert 0.9 < np.std(pulls) < 1.15
    assert abs(np.median(intrinsic) - 0.05) < 0.003


def test_outliers_are_clipped():
    rng = np.random.default_rng(3)
    flux, error, magnitude = stars(rng, 30)
    magnitude[:4] += [1.0, -2.0, 0.5, 0.7]
    found = zero_point(flux, error, magnitude)
    assert not found.kept[:4].any() and found.kept[4:].sum() >= 24
    assert abs(found.value - 25.03) < 4 * found.error
    everything = zero_point(flux, error, magnitude, clip_iterations=0)
    assert everything.kept.all()


def test_what_cannot_be_used_has_no_part():
    flux = np.array([100.0, -3.0, np.nan, 200.0, 100.0, 50.0])
    error = np.array([1.0, 1.0, 1.0, 2.0, 1.0, 30.0])
    magnitude = 20.0 - 2.5 * np.log10([100, 1, 1, 200, 10, 50])
    usable = np.array([True, True, True, True, False, True])
    found = zero_point(flux, error, magnitude, usable=usable, snr_min=5.0)
    assert list(found.kept) == [True, False, False, True, False, False]
    assert found.value == pytest.approx(20.0, abs=1e-12)
    # two stars of S/N 100 each
    assert found.error == pytest.approx(2.5 / np.log(10) / 100 / np.sqrt(2), rel=1e-9)


def test_no_star_is_no_number():
    found = zero_point(np.array([np.nan]), np.ones(1), np.ones(1))
    assert np.isnan([found.value, found.error, found.scatter]).all()
    one = zero_point(np.array([100.0]), np.ones(1), np.ones(1))
    assert one.value == pytest.approx(6.0) and np.isnan(one.scatter)


def test_magnitudes_and_limits():
    flux, error = np.array([100.0, 1.0, -5.0, np.nan]), np.array([1.0, 1.0, 2.0, 1.0])
    magnitude, err, limit = calibrated(flux, error, 25.0)
    np.testing.assert_allclose(magnitude, [20.0, 25.0, np.nan, np.nan])
    np.testing.assert_allclose(err, [2.5 / np.log(10) / 100, 2.5 / np.log(10), np.nan, np.nan])
    # 1 + 2 errors, 0 + 2 errors of 2
    np.testing.assert_allclose(
        limit, [np.nan, 25 - 2.5 * np.log10(3), 25 - 2.5 * np.log10(4), np.nan]
    )
    _, err, _ = calibrated(flux[:1], error[:1], 25.0, 0.02)
    assert err[0] == pytest.approx(np.hypot(0.02, 2.5 / np.log(10) / 100))
