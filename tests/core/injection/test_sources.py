"""What is injected: exact images, places that are clear, draws that repeat."""

import numpy as np
import pytest
from engine_scenes import gaussian_psf
from scipy.ndimage import gaussian_filter

from galstep.core.injection.sources import (
    InjectedGalaxy,
    clear_corners,
    copies_of,
    draw_stars,
    extended_sources,
    galaxy_image,
    noise_like,
    star_image,
    template_error,
)
from galstep.exceptions import ParameterError
from galstep.records import SersicParams

GALAXY = SersicParams(20.3, 18.9, 4.0, 1.2, 0.3, 0.5)


def rng(seed=5):
    return np.random.default_rng(seed)


class TestCorners:
    def test_boxes_are_inside_and_away_from_the_galaxy(self):
        corners = clear_corners(np.zeros((80, 90), bool), (45, 40), 30.0, 25, 200, rng())
        assert len(corners) == len({tuple(c) for c in corners}) == 200
        x, y = corners.T
        assert x.min() >= 0 and y.min() >= 0 and x.max() <= 90 - 25 and y.max() <= 80 - 25
        assert np.hypot(x + 12 - 45, y + 12 - 40).min() >= 30

    @pytest.mark.parametrize("seed", range(12))
    def test_no_masked_pixel_in_the_middle_and_few_elsewhere(self, seed):
        mask = np.random.default_rng(seed).random((60, 60)) > 0.97
        for x, y in clear_corners(mask, (30, 30), 0.0, 20, 50, rng(seed), core=6):
            box = mask[y : y + 20, x : x + 20]
            assert box.mean() <= 0.1
            assert not box[7:13, 7:13].any()

    def test_other_galaxies_are_avoided_in_the_middle_only(self):
        other = np.zeros((60, 60), bool)
        other[30, 30] = True
        free = np.zeros((60, 60), bool)
        corners = clear_corners(free, (0, 0), 0.0, 21, 10**4, rng(), core=5, avoid=other)
        centre = corners + 10
        near = np.abs(centre - 30).max(axis=1)
        assert near.min() == 3
        assert len(corners) == 40**2 - 5**2

    def test_fewer_where_there_is_no_room(self):
        assert len(clear_corners(np.zeros((40, 40), bool), (20, 20), 100.0, 20, 5, rng())) == 0

    def test_same_seed_same_places(self):
        first, second = (
            clear_corners(np.zeros((80, 80), bool), (40, 40), 20.0, 20, 7, rng()) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("side", [7, 81])
    def test_side_out_of_range(self, side):
        with pytest.raises(ParameterError, match=f"must be 8 to 80 pixels .* got {side}"):
            clear_corners(np.zeros((80, 90), bool), (45, 40), 0.0, side, 1, rng())


class TestGalaxies:
    def test_copies_keep_the_shape_and_stay_in_the_middle(self):
        corners = np.array([[3, 5], [10, 20], [0, 0]])
        copies = copies_of(GALAXY, [5.0, 7.0], corners, 41, rng())
        assert [c.corner for c in copies] == [(3, 5), (10, 20), (0, 0)]
        for copy in copies:
            assert copy.flux == (5.0, 7.0)
            assert abs(copy.params.x_0 - 20) <= 0.5 and abs(copy.params.y_0 - 20) <= 0.5
            for name in ("r_eff", "n", "ellip"):
                assert getattr(copy.params, name) == getattr(GALAXY, name)
        assert len({copy.params.theta for copy in copies}) == 3

    def test_frame_and_box_agree(self):
        copy = InjectedGalaxy(GALAXY, (2.0,), (7, 11))
        psf, frame = gaussian_psf(), np.zeros((70, 70))
        frame[copy.part(41)] = galaxy_image((41, 41), psf, copy.params, 2.0)
        whole = galaxy_image((70, 70), psf, copy.in_frame.params, 2.0)
        inside = copy.part(41)
        np.testing.assert_allclose(frame[inside], whole[inside], atol=2e-5 * whole.max())

    def test_flux(self):
        image = galaxy_image((61, 61), gaussian_psf(), GALAXY.moved(10, 10), 3.0)
        assert image.sum() == pytest.approx(3.0, rel=0.01)  # a percent is off the frame


class TestTemplateError:
    def test_white_noise(self):
        sigma, noise = 0.3, rng().normal(0, 0.3, (200, 200))
        image = galaxy_image((41, 41), gaussian_psf(), GALAXY, 1.0)
        error = template_error(noise, np.ones(noise.shape, bool), image)
        assert error == pytest.approx(sigma / np.sqrt(np.sum(image**2)), rel=0.12)

    def test_is_that_of_the_masked_pixels_too(self):
        # with half of the pixels there is half of the information
        noise = rng(1).normal(0, 0.3, (200, 200))
        image = galaxy_image((41, 41), gaussian_psf(), GALAXY, 1.0)
        good = rng(2).random(noise.shape) > 0.45
        error = template_error(np.where(good, noise, 1e6), good, image)
        whole = template_error(noise, np.ones(noise.shape, bool), image)
        assert error == pytest.approx(whole / np.sqrt(0.55), rel=0.15)

    def test_nothing_to_see(self):
        image = galaxy_image((41, 41), gaussian_psf(), GALAXY, 1.0)
        assert np.isnan(template_error(np.zeros((60, 60)), np.zeros((60, 60), bool), image))


class TestExtendedSources:
    def test_a_galaxy_is_seen_and_stars_are_not(self):
        psf, noise = gaussian_psf(sigma=1.1), rng().normal(0, 1.0, (120, 120))
        places = rng(3).uniform(10, 110, (2, 12))
        stars = star_image(noise.shape, psf, *places, np.full(12, 150.0))
        galaxy = galaxy_image(noise.shape, psf, GALAXY.moved(50, 60), 3000.0)
        free = np.zeros(noise.shape, bool)
        assert not extended_sources(noise + stars, free, psf.fwhm).any()
        seen = extended_sources(noise + stars + galaxy, free, psf.fwhm)
        assert seen[79, 70]
        yy, xx = np.nonzero(seen)
        assert np.hypot(xx - 70.3, yy - 78.9).max() < 25

    def test_masked_pixels_are_not_looked_at(self):
        image, mask = rng().normal(0, 1.0, (80, 80)), np.zeros((80, 80), bool)
        mask[20:50, 20:50] = True
        image[mask] = 100.0
        assert not extended_sources(image, mask, 2.6).any()


class TestStars:
    def test_range_margin_and_separation(self):
        error = np.array([2.0, 0.5])
        stars = draw_stars(np.zeros((150, 140), bool), error, 2.5, (5, 50), 25, rng())
        assert len(stars) == 25
        snr = stars.flux / error[:, None]
        np.testing.assert_allclose(snr[0], snr[1])
        assert snr.min() >= 5 and snr.max() <= 50
        assert stars.x.min() >= 2.5 and stars.x.max() <= 139 - 2.5 and stars.y.max() <= 149 - 2.5
        distance = np.hypot(
            np.subtract.outer(stars.x, stars.x), np.subtract.outer(stars.y, stars.y)
        )
        assert distance[np.triu_indices(25, 1)].min() >= 15

    def test_not_on_masked_pixels(self):
        mask = np.zeros((100, 100), bool)
        mask[:, :50] = True
        stars = draw_stars(mask, np.ones(1), 2.0, (5, 50), 8, rng())
        assert stars.x.min() > 49

    def test_fewer_where_there_is_no_room(self):
        stars = draw_stars(np.zeros((30, 30), bool), np.ones(1), 2.5, (5, 50), 40, rng())
        assert 1 <= len(stars) < 10

    @pytest.mark.parametrize("snr", [(0, 5), (5, 5), (9, 5), (1, np.inf)])
    def test_bad_range(self, snr):
        with pytest.raises(ParameterError, match="0 < low < high, got"):
            draw_stars(np.zeros((30, 30), bool), np.ones(1), 2.5, snr, 4, rng())

    def test_image(self):
        image = star_image((41, 41), gaussian_psf(), [20.0], [20.0], [7.0])
        assert image.sum() == pytest.approx(7.0, rel=1e-3)
        assert np.unravel_index(image.argmax(), image.shape) == (20, 20)


class TestNoiseLike:
    def residuals(self):
        """Two bands that share a part of their correlated noise."""
        common, own = rng(1).normal(size=(2, 128, 128))
        common = gaussian_filter(common, 2.0, mode="wrap")
        return [common, 0.5 * common + 0.05 * own]

    def test_power_and_cross_power_stay(self):
        residuals = self.residuals()
        masks = [np.zeros((128, 128), bool)] * 2
        noises = noise_like(residuals, [1.0, 1.0], masks, rng())
        for one, other in ((0, 0), (1, 1), (0, 1)):
            expected = np.mean(residuals[one] * residuals[other])
            assert np.mean(noises[one] * noises[other]) == pytest.approx(expected, rel=1e-9)
            lag = np.mean(residuals[one] * np.roll(residuals[other], 3, axis=1))
            found = np.mean(noises[one] * np.roll(noises[other], 3, axis=1))
            assert found == pytest.approx(lag, rel=1e-9)
        assert abs(np.corrcoef(noises[0].ravel(), residuals[0].ravel())[0, 1]) < 0.2

    def test_it_is_gaussian_where_the_residual_is_not(self):
        spiky = np.zeros((128, 128))
        spiky[rng(2).integers(0, 128, 60), rng(3).integers(0, 128, 60)] = 30.0
        (noise,) = noise_like([spiky], [1.0], [np.zeros((128, 128), bool)], rng())
        assert np.abs(noise).max() < 6 * noise.std()
        assert np.mean(noise**2) == pytest.approx(np.mean(spiky**2), rel=1e-9)

    def test_masked_pixels_and_uneven_errors(self):
        sigma = np.where(np.arange(128) < 64, 1.0, 3.0) * np.ones((128, 1))
        mask = np.zeros((128, 128), bool)
        mask[:40] = True
        residual = np.where(mask, np.nan, sigma * rng(4).normal(size=(128, 128)))
        (noise,) = noise_like([residual], [np.where(mask, np.nan, sigma)], [mask], rng())
        assert np.isfinite(noise).all()
        assert noise[40:, :64].std() == pytest.approx(1.0, rel=0.1)
        assert noise[40:, 64:].std() == pytest.approx(3.0, rel=0.1)
