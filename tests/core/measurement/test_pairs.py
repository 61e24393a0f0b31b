"""Two stars fitted as one, and single ones: Gaussians, drawn apart from core."""

import numpy as np
import pytest
from engine_scenes import PINNED, gaussian_psf

from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.measurement.pairs import FALSE_ALARM, pair_chi2, stars_in_pairs

SHAPE = (120, 120)
SIGMAS = (1.1, 1.5)
GRID = np.arange(12, 109, 16)
X, Y = (own.ravel() + 0.3 * np.sin(np.arange(49.0) + k) for k, own in
        enumerate(np.meshgrid(GRID, GRID)))  # fmt: skip


def blob(x, y, sigma, matrix=None):
    """Light per pixel of a star, at the pixel's centre."""
    yy, xx = np.indices(SHAPE)
    return np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def fitted(companions, snr=60.0, seed=0, psf_sigma=None, n_bands=2):
    """Chi2 and more of 49 stars; ``companions``: rows of star, dx, dy, flux share per band."""
    rng = np.random.default_rng(seed)
    bands, fluxes = [], []
    for i, sigma in enumerate(SIGMAS[:n_bands]):
        psf = gaussian_psf(sigma if psf_sigma is None else psf_sigma, 9)
        flux = np.full(len(X), snr * np.sqrt(psf.noise_area))
        image = sum(f * blob(x, y, sigma) for f, x, y in zip(flux, X, Y, strict=True))
        for star, dx, dy, *shares in companions:
            image = image + shares[i] * flux[star] * blob(X[star] + dx, Y[star] + dy, sigma)
        data = image + rng.normal(size=SHAPE)
        mask = np.zeros(SHAPE, bool)
        bands.append(make_band(str(i), data, mask, psf, np.ones(SHAPE)))
        fluxes.append(flux)
    state = SceneState.start(bands, np.zeros((0, 6))).with_stars(X, Y, np.array(fluxes))
    fit = fit_scene(bands, state, PINNED)
    return bands, fit.state, fit.evaluation, np.full(len(X), snr * np.sqrt(n_bands))


def test_single_stars_have_the_chi2_of_chance():
    value, freedom = zip(*(pair_chi2(*fitted((), seed=seed)) for seed in range(4)), strict=True)
    value, freedom = np.concatenate(value), np.concatenate(freedom)
    assert (freedom == 4).all()
    n = len(value)
    # the scatter of the frame's stars is measured from as many of them
    assert value.mean() == pytest.approx(4.0, abs=4 * np.sqrt(2 * 4 / n) + 0.5)


def test_single_stars_are_no_pairs():
    assert not any(stars_in_pairs(*fitted((), snr, seed)).any()
                   for snr in (10.0, 300.0) for seed in range(4))  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.2, 2.0])
def test_two_of_one_colour_are_long(angle):
    place = 1.3 * np.cos(angle), 1.3 * np.sin(angle)
    found = stars_in_pairs(*fitted([(24, *place, 0.5, 0.5)], snr=150.0, n_bands=1))
    assert np.flatnonzero(found).tolist() == [24]


def test_two_colours_are_in_two_places():
    # too close to be long, red beside blue
    found = stars_in_pairs(*fitted([(10, 0.5, 0.3, 0.5, 0.05)], snr=150.0))
    assert np.flatnonzero(found).tolist() == [10]
    same = stars_in_pairs(*fitted([(10, 0.5, 0.3, 0.25, 0.25)], snr=150.0))
    assert not same.any()


def test_a_wrong_psf_makes_no_pairs():
    assert not stars_in_pairs(*fitted((), snr=300.0, psf_sigma=1.2, n_bands=1)).any()


def test_what_all_bright_stars_do_is_the_psfs():
    everywhere = [(k, 0.8, 0.5, 0.3, 0.3) for k in range(len(X))]
    assert not stars_in_pairs(*fitted(everywhere, snr=150.0)).any()


def test_no_star_and_no_data():
    bands, state, evaluation, snr = fitted(())
    none = state.select_stars(np.zeros(len(X), bool))
    assert stars_in_pairs(bands, none, evaluation, snr[:0]).shape == (0,)
    far = state.with_stars(np.array([-50.0]), np.array([-50.0]), np.zeros((2, 1)))
    value, freedom = pair_chi2(bands, far, evaluation, np.append(snr, 0.0))
    assert value[-1] == 0.0 and freedom[-1] == 0
    assert 0 < FALSE_ALARM < 1e-3
