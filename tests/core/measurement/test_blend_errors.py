"""Errors from hidden stars against frames of stars that lie by chance."""

import numpy as np
import pytest

from galstep.core.measurement.blend_errors import HIDDEN_FWHM, HIDDEN_SNR, blend_errors

FWHM, SIDE = 2.0, 400.0


def field(seed=1, n=3000, n_bands=2):
    rng = np.random.default_rng(seed)
    flux = rng.pareto(1.0, n) + 1.0
    return np.array([flux * (k + 1) for k in range(n_bands)]), np.full((n_bands, n), 0.5)


def test_the_variance_of_what_lies_within_reach_by_chance():
    # faint stars only: all of them hide within the same radius
    rng = np.random.default_rng(3)
    n = 4000
    faint = rng.uniform(0.5, 1.5, n)
    flux = np.append(faint, 100.0)[None]
    error = np.append(np.full(n, 1.0), 20.0)[None]
    found = blend_errors(flux, error, FWHM, SIDE**2)[0, -1]
    reach = HIDDEN_FWHM * FWHM
    sums = []
    for _ in range(400):
        x, y = rng.uniform(0, SIDE, (2, n))
        probes = rng.uniform(reach, SIDE - reach, (10, 2))
        sums += [faint[np.hypot(x - a, y - b) < reach].sum() for a, b in probes]
    assert found == pytest.approx(np.std(sums), rel=0.1)


def test_only_fainter_stars_count():
    flux, error = field()
    blend = blend_errors(flux, error, FWHM, SIDE**2)
    order = np.argsort(flux[0])
    assert (np.diff(blend[0, order]) >= 0).all()
    assert blend[0, order[0]] == 0.0
    assert (blend[:, order[-1]] > 0).all()


def test_bright_ones_are_seen_farther_in():
    flux = np.array([[1.0, 50.0, 100.0]])
    error = np.ones((1, 3))
    alone = blend_errors(flux[:, 1:], error[:, 1:], FWHM, 1e4)[0, 1] ** 2
    reach = np.pi * (HIDDEN_FWHM * FWHM) ** 2
    assert alone == pytest.approx(reach / 1e4 * 50.0**2 * HIDDEN_SNR / 50.0)


@pytest.mark.parametrize("unit", [1e-20, 1e6])
def test_units(unit):
    flux, error = field()
    whole = blend_errors(flux, error, FWHM, SIDE**2)
    np.testing.assert_allclose(blend_errors(unit * flux, unit * error, FWHM, SIDE**2), unit * whole)


def test_a_tile_or_the_frame():
    # twice the frame and twice the stars
    flux, error = field()
    twice = np.concatenate([flux, flux], axis=1), np.concatenate([error, error], axis=1)
    one = blend_errors(flux, error, FWHM, SIDE**2)
    both = blend_errors(*twice, FWHM, 2 * SIDE**2)[:, : flux.shape[1]]
    np.testing.assert_allclose(both[one > 0.1], one[one > 0.1], rtol=0.1)


def test_negative_absent_and_no_stars():
    flux = np.array([[-5.0, 3.0, 10.0], [1.0, 2.0, 4.0]])
    error = np.array([[1.0, np.inf, 1.0], [1.0, 1.0, 1.0]])
    blend = blend_errors(flux, error, FWHM, 100.0)
    assert np.isfinite(blend).all()
    assert blend[0].tolist() == [0.0, 0.0, 0.0]  # the only ones seen are negative or the brightest
    assert blend_errors(np.zeros((2, 0)), np.zeros((2, 0)), FWHM, 100.0).shape == (2, 0)
