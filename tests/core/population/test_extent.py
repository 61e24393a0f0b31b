"""Sources as sharp as a star, and wider ones: Gaussians whose width is known."""

import numpy as np
import pytest
from engine_scenes import PINNED, gaussian_psf

from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.population.extent import (
    MOST_AGAINST,
    MOST_FOR,
    extent_evidence,
    source_growth,
)

SHAPE = (120, 120)
SIGMA_PSF = 1.1


def frame(wide, snr, seed=0, sigma=SIGMA_PSF, noise=1.0, shape=SHAPE):
    """Band, positions and fluxes of Gaussian sources, ``wide`` more than the PSF (variance)."""
    rng = np.random.default_rng(seed)
    grid = np.arange(12, min(shape) - 11, 16)
    x, y = (own.ravel() + rng.uniform(-0.5, 0.5, own.size) for own in np.meshgrid(grid, grid))
    psf = gaussian_psf(sigma, 9)
    flux = np.full(len(x), snr * noise * np.sqrt(psf.noise_area))
    width = np.sqrt(sigma**2 + wide)
    yy, xx = np.indices(shape)
    # the light at the pixel's centre, as the PSF of these tests has it
    image = sum(
        f / (2 * np.pi * width**2) * np.exp(-((xx - a) ** 2 + (yy - b) ** 2) / (2 * width**2))
        for f, a, b in zip(flux, x, y, strict=True)
    )
    data = image + noise * rng.normal(size=shape)
    band = make_band("a", data, np.zeros(shape, bool), psf, np.full(shape, noise))
    return band, x, y, flux


def growth_of(bands, x, y, flux):
    state = SceneState.start(bands, np.zeros((0, 6))).with_stars(x, y, flux)
    fit = fit_scene(bands, state, PINNED)
    return source_growth(bands, fit.state, fit.evaluation)


@pytest.mark.parametrize("snr", [20.0, 100.0])
def test_stars_do_not_grow(snr):
    pulls = []
    for seed in range(3):
        band, x, y, flux = frame(0.0, snr, seed)
        growth, error = growth_of([band], x, y, flux[None])
        pulls.append(growth / error)
    pulls = np.concatenate(pulls)
    n = len(pulls)
    assert abs(pulls.mean()) < 4 / np.sqrt(n)
    assert pulls.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * n))


def test_a_wider_source_grows_by_half_its_variance():
    wide = 0.5**2
    band, x, y, flux = frame(wide, 100.0)
    growth, error = growth_of([band], x, y, flux[None])
    # all of them surely, and on average what they are; the series has a second term
    assert (growth > 3 * error).all()
    assert growth.mean() == pytest.approx(0.5 * wide, rel=0.2)


def test_bands_add_up():
    wide = 0.09
    one, two = frame(wide, 60.0, 1), frame(wide, 60.0, 2)
    other = frame(wide, 60.0, 1, sigma=1.4)
    single, single_error = growth_of([one[0]], *one[1:3], one[3][None])
    bands = [one[0], other[0]]
    both, error = growth_of(bands, *one[1:3], np.array([one[3], other[3]]))
    assert (error < single_error).all()
    assert both.mean() == pytest.approx(0.5 * wide, rel=0.25)
    assert two[0].shape == SHAPE


def test_a_source_without_data_tells_nothing():
    band, x, y, flux = frame(0.0, 50.0)
    x = np.append(x, -60.0)
    y, flux = np.append(y, 40.0), np.append(flux, 100.0)
    growth, error = growth_of([band], x, y, flux[None])
    assert growth[-1] == 0 and np.isinf(error[-1]) and np.isfinite(error[:-1]).all()


def test_no_sources():
    band = frame(0.0, 50.0)[0]
    growth, error = growth_of([band], np.zeros(0), np.zeros(0), np.zeros((1, 0)))
    assert growth.shape == error.shape == (0,)


class TestEvidence:
    FWHM = 2.5
    N = 40
    OUTSIDE = np.arange(N) < 20
    SNR = np.full(N, 100.0)

    def evidence(self, growth, error=0.01, snr=SNR):
        growth = np.broadcast_to(growth, self.N).astype(float)
        error = np.broadcast_to(error, self.N)
        return extent_evidence(growth, error, self.OUTSIDE, snr, self.FWHM)

    def test_wide_is_a_piece_and_sharp_a_star(self):
        growth = np.where(np.arange(self.N) < 30, 0.0, 0.3)
        found = self.evidence(growth)
        assert (found[30:] == -MOST_AGAINST).all()
        assert (found[:30] == MOST_FOR).all()

    def test_narrower_than_a_star_is_no_piece(self):
        growth = np.where(np.arange(self.N) < 30, 0.0, -0.5)
        assert (self.evidence(growth) >= 0).all()

    def test_what_is_not_measured_says_little(self):
        assert np.abs(self.evidence(0.2, 10.0)).max() < 0.7
        assert np.abs(self.evidence(0.0, np.inf)).max() < 0.7

    def test_the_stars_outside_tell_the_error_of_the_psf(self):
        # a PSF that is too sharp by 0.3 for all of them
        assert (self.evidence(0.3) > 0).all()
        # but not from few, or faint, stars
        assert (self.evidence(0.3, snr=np.full(self.N, 5.0)) < 0).all()
