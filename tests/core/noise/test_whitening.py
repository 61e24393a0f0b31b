"""Whitening beside the exact inverse of the covariance of the good pixels."""

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.engine.scene import make_band
from galstep.core.noise.whitening import noise_correlation, weighted, whitening_of

FRAME = (23, 27)
PADDED = (96, 100)


def smoothed_power(sigma, white=0.0, level=1.0):
    """White noise smoothed with a Gaussian, and a share of white noise beside it."""
    fy, fx = np.fft.fftfreq(PADDED[0])[:, None], np.fft.rfftfreq(PADDED[1])
    smooth = np.exp(-((2 * np.pi * np.hypot(fy, fx) * sigma) ** 2)) * 4 * np.pi * sigma**2
    return level * ((1 - white) * smooth + white)


def holed_mask(seed=0):
    """Some bad pixels, a bad block and a bad edge."""
    mask = np.random.default_rng(seed).random(FRAME) < 0.04
    mask[9:12, 5:9] = True
    mask[:, -3:] = True
    return mask


def covariance_of(power, mask):
    """The covariance that a whitening stands for, between the good pixels."""
    correlation, variance = noise_correlation(power, PADDED)
    y, x = np.nonzero(~mask)
    return variance * correlation[y[:, None] - y, x[:, None] - x]


def star(sigma=1.1):
    y, x = np.mgrid[: FRAME[0], : FRAME[1]]
    return np.exp(-0.5 * ((y - 13.2) ** 2 + (x - 12.4) ** 2) / sigma**2)


@pytest.fixture(name="case", params=[(0.85, 0.0), (1.5, 0.2), (3.0, 0.3)])
def _case(request):
    power, mask = smoothed_power(*request.param), holed_mask()
    return power, mask, whitening_of((~mask).astype(float), power, PADDED)


class TestCorrelation:
    def test_of_smoothed_noise(self):
        correlation, variance = noise_correlation(smoothed_power(1.5, level=2.0), PADDED)
        assert variance == pytest.approx(2, rel=1e-3)
        assert correlation[0, 0] == 1
        # a Gaussian filter twice: exp(-d^2 / (4 sigma^2)), and a tenth of white noise
        assert correlation[2, 1] == pytest.approx(np.exp(-5 / 9) / 1.1, rel=1e-3)
        assert correlation[-2, -1] == pytest.approx(correlation[2, 1])

    def test_without_power(self):
        correlation, variance = noise_correlation(np.zeros((96, 51)), PADDED)
        assert variance == 1
        assert correlation[0, 0] == 1 and np.count_nonzero(correlation) == 1


class TestMatrix:
    def test_pixels_have_unit_variance_and_little_in_common(self, case):
        power, mask, whitening = case
        good = np.flatnonzero(~mask)
        rows = whitening.matrix.toarray()[np.ix_(good, good)]
        after = rows @ covariance_of(power, mask) @ rows.T
        np.testing.assert_allclose(np.diag(after), 1, rtol=1e-9)
        common = after - np.eye(len(after))
        assert np.sqrt((common**2).sum(axis=1)).mean() < 0.2

    def test_estimates_are_as_good_as_with_the_exact_inverse(self, case):
        power, mask, whitening = case
        covariance = covariance_of(power, mask)
        x = np.indices(FRAME)[1] - 11.0
        for columns in ([star()], [star(), np.ones(FRAME), x], [star(4.0), np.ones(FRAME)]):
            own = np.array(columns)[:, ~mask]
            best = np.linalg.inv(own @ np.linalg.solve(covariance, own.T))
            weights = whitening.weigh(np.where(mask, 0, columns))[:, ~mask]
            inverse = np.linalg.inv(weights @ own.T)
            variance = inverse @ (weights @ covariance @ weights.T) @ inverse
            ratio = np.sqrt(np.diag(variance) / np.diag(best))
            assert np.all(ratio > 1 - 1e-9) and np.all(ratio < 1.1)
            formal = np.sqrt(np.diag(inverse) / np.diag(variance))
            assert np.all((formal > 0.8) & (formal < 1.2))

    def test_it_is_better_than_independent_pixels(self):
        power, mask = smoothed_power(1.5, 0.1), holed_mask()
        covariance, own = covariance_of(power, mask), star()[~mask]
        weights = whitening_of((~mask).astype(float), power, PADDED).weigh(star() * ~mask)[~mask]
        ours, theirs = (w @ covariance @ w / (w @ own) ** 2 for w in (weights, own))
        assert ours < 0.25 * theirs

    def test_no_pixel_at_an_edge_counts_many_times(self):
        """A circulant inverse gives the frame's edge most of the weight of a sky."""
        power, mask = smoothed_power(1.5, 0.2), np.zeros(FRAME, bool)
        whitening = whitening_of(np.ones(FRAME), power, PADDED)
        ours = whitening.weigh(np.ones(FRAME))
        exact = np.linalg.solve(covariance_of(power, mask), np.ones(mask.size)).reshape(FRAME)
        circulant = np.fft.irfft2(np.fft.rfft2(np.ones(FRAME), PADDED) / power, PADDED)
        share = [w[5:-5, 5:-5].sum() / w.sum() for w in (ours, exact, circulant[:23, :27])]
        assert share[0] == pytest.approx(share[1], abs=0.05)
        assert share[2] < 0.5 * share[1]

    def test_white_noise_is_left_as_it_is(self):
        mask, sigma = holed_mask(), np.linspace(1, 3, FRAME[1])
        root = np.where(mask, 0.0, 1 / sigma)
        whitening = whitening_of(root, np.full((96, 51), 4.0), PADDED)
        image = np.random.default_rng(1).normal(size=FRAME)
        np.testing.assert_allclose(whitening.whiten(image), 0.5 * root * image, atol=1e-12)
        np.testing.assert_allclose(whitening.weigh(image), 0.25 * root**2 * image, atol=1e-12)

    def test_masked_pixels_take_no_part(self, case):
        _, mask, whitening = case
        image = np.random.default_rng(2).normal(size=FRAME)
        spoilt = np.where(mask, 1e9, image)
        np.testing.assert_array_equal(whitening.whiten(image), whitening.whiten(spoilt))
        assert not whitening.whiten(image)[mask].any() and not whitening.weigh(image)[mask].any()

    def test_weights_are_the_square(self, case):
        one, two = np.random.default_rng(3).normal(size=(2, *FRAME))
        whitening = case[2]
        expected = np.vdot(whitening.whiten(one), whitening.whiten(two))
        assert np.vdot(one, whitening.weigh(two)) == pytest.approx(expected)
        both = whitening.whiten(np.array([one, two]))
        np.testing.assert_array_equal(both[1], whitening.whiten(two))

    def test_a_frame_without_good_pixels(self):
        whitening = whitening_of(np.zeros(FRAME), smoothed_power(1.5), PADDED)
        assert not whitening.whiten(np.ones(FRAME)).any()


def test_weighted_images():
    power, mask = smoothed_power(1.5), holed_mask()
    band = make_band("F150W", np.zeros(FRAME), mask, gaussian_psf(), 2.0)
    images = np.random.default_rng(4).normal(size=(2, *FRAME))
    np.testing.assert_array_equal(weighted(images, band), images * np.where(mask, 0, 0.25))
    whitening = whitening_of(np.sqrt(band.weight), power, PADDED)
    np.testing.assert_array_equal(weighted(images, band, whitening), whitening.weigh(images))
