"""Plane or quadratic: what the frame must show before three more terms are fitted."""

import numpy as np
import pytest
from engine_scenes import effective_psf
from scipy.ndimage import gaussian_filter

from galstep.core.fitting.galaxy_first import GalaxyFirst, robust_galaxy_fit
from galstep.core.fitting.sky_order import MIN_IMPROVEMENT, choose_sky_order, frame_sky_order
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (160, 176)
ALL = np.ones(SHAPE, dtype=bool)


def noise(seed, smooth=None):
    image = np.random.default_rng(seed).normal(size=SHAPE)
    if smooth:
        image = gaussian_filter(image, smooth, mode="wrap")
        image /= image.std()
    return image


def bowl(depth):
    """A sky that bends by ``depth`` from the middle to the nearer edges."""
    yy, xx = np.indices(SHAPE)
    return depth * (((xx - 87.5) / 80) ** 2 + ((yy - 79.5) / 80) ** 2)


def stars():
    """Sixty bright ones, 3 x 3 pixels each."""
    image, rng = np.zeros(SHAPE), np.random.default_rng(5)
    for x, y in zip(rng.integers(2, 174, 60), rng.integers(2, 158, 60), strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(5, 1000)
    return image


class TestPlane:
    @pytest.mark.parametrize("seed", range(8))
    def test_noise(self, seed):
        assert choose_sky_order(noise(seed), ALL) == 1

    @pytest.mark.parametrize("seed", range(4))
    def test_noise_correlated_over_pixels(self, seed):
        assert choose_sky_order(noise(seed, 2.0), ALL) == 1

    def test_any_plane_however_steep(self):
        yy, xx = np.indices(SHAPE)
        assert choose_sky_order(noise(1) + 0.5 * xx - 2.0 * yy + 1e4, ALL) == 1

    def test_stars(self):
        assert choose_sky_order(noise(2) + stars(), ALL) == 1

    def test_a_frame_without_noise(self):
        assert choose_sky_order(np.zeros(SHAPE), ALL) == 1

    def test_too_few_blocks_to_tell(self):
        image = (noise(3) + bowl(50.0))[:64, :80]
        assert choose_sky_order(image, ALL[:64, :80]) == 1
        assert choose_sky_order((noise(3) + bowl(50.0))[:96, :64], ALL[:96, :64]) == 2

    def test_nothing_to_see(self):
        assert choose_sky_order(np.full(SHAPE, np.nan), ~ALL) == 1


class TestQuadratic:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_bowl(self, seed, sign):
        assert choose_sky_order(noise(seed) + bowl(2.0 * sign), ALL) == 2

    def test_a_saddle(self):
        yy, xx = np.indices(SHAPE)
        saddle = 2.0 * (xx - 87.5) * (yy - 79.5) / 80**2
        assert choose_sky_order(noise(1) + saddle, ALL) == 2

    def test_beside_a_plane(self):
        yy, xx = np.indices(SHAPE)
        assert choose_sky_order(noise(1) + bowl(2.0) - 0.3 * xx + 0.1 * yy, ALL) == 2

    def test_under_stars(self):
        assert choose_sky_order(noise(2) + bowl(2.0) + stars(), ALL) == 2

    def test_where_a_third_of_the_pixels_is_bad(self):
        good = np.random.default_rng(6).random(SHAPE) > 0.33
        assert choose_sky_order(noise(2) + bowl(2.0), good) == 2

    def test_the_more_it_bends_the_surer(self):
        orders = [choose_sky_order(noise(7) + bowl(depth), ALL) for depth in (0, 0.05, 0.5, 5)]
        # half a sigma of a pixel, seen in 110 medians of 256 pixels, is clear
        assert orders == [1, 1, 2, 2]

    @pytest.mark.parametrize("factor", [1e-12, 1e12])
    def test_the_unit_does_not_matter(self, factor):
        assert choose_sky_order(factor * (noise(1) + bowl(2.0)), ALL) == 2
        assert choose_sky_order(factor * noise(1), ALL) == 1


def test_what_is_not_good_is_not_looked_at():
    good = np.ones(SHAPE, dtype=bool)
    good[40:120, 50:130] = False
    image = np.where(good, noise(4), bowl(-1e3))
    image[60, 60] = np.nan
    assert choose_sky_order(image, good) == 1
    assert choose_sky_order(np.where(good, noise(4) + bowl(2.0), np.nan), good) == 2


def test_the_threshold_is_beyond_chance():
    # chance: chi2 of three terms, 3 +- 2.4, so 60 is 23 of its sigma away
    assert MIN_IMPROVEMENT > 3 + 10 * np.sqrt(6)


class TestWhatIsLeftOut:
    """Light that no galaxy model explains, in a frame that is otherwise flat."""

    def order(self, data, r_eff=8.0, mask=~ALL, stars=~ALL, galaxy=0.0):
        params = SersicParams(87.5, 79.5, r_eff, 1.0, 0.0, 0.0)
        sky = np.zeros(SHAPE)
        first = GalaxyFirst(params, 0.0, (), galaxy, sky, stars, sought=(87.5, 79.5))
        return frame_sky_order(data, mask, first)

    def test_the_galaxy(self):
        yy, xx = np.indices(SHAPE)
        light = 30 * np.exp(-0.5 * ((xx - 87.5) ** 2 + (yy - 79.5) ** 2) / 15.0**2)
        assert self.order(noise(1) + light, r_eff=2.0) == 2
        assert self.order(noise(1) + light, r_eff=2.0, galaxy=light) == 1
        # what the model leaves of it within three r_eff is no sky either
        assert self.order(noise(1) + light, r_eff=18.0) == 1

    def test_but_no_further_than_80_pixels(self):
        # a galaxy as large as the frame would leave nothing to judge by
        assert self.order(noise(1) + bowl(5.0), r_eff=500.0) == 2

    @pytest.mark.parametrize("role", ["mask", "stars"])
    def test_masked_pixels_and_stars(self, role):
        where = np.zeros(SHAPE, dtype=bool)
        where[:40, :60] = True
        data = noise(2) + np.where(where, 100.0, 0.0)
        assert self.order(data, **{role: where}) == 1
        assert self.order(data) == 2


@pytest.fixture(scope="module")
def synthetic():
    """A galaxy whose wings fill half of the frame, among stars."""
    return make_scene(
        2,
        (160, 160),
        60,
        ("F150W",),
        snr=300.0,
        sersic=SersicParams(80.3, 78.6, 9.0, 2.0, 0.3, 0.5),
        psf_size=81,
    )


class TestFrame:
    def order(self, synthetic, added=0.0, mask=None):
        data = synthetic.data["F150W"] + added
        mask = np.zeros(data.shape, dtype=bool) if mask is None else mask
        data[mask] = np.nan
        err, psf = synthetic.err["F150W"], effective_psf(synthetic, "F150W")
        return frame_sky_order(data, mask, robust_galaxy_fit(data, mask, err, psf))

    def test_galaxy_and_stars_are_no_sky(self, synthetic):
        assert self.order(synthetic) == 1

    def test_a_curved_sky(self, synthetic):
        yy, xx = np.indices((160, 160))
        depth = 3 * synthetic.truth.noise_sigma["F150W"]
        assert self.order(synthetic, depth * (np.hypot(xx - 80, yy - 80) / 80) ** 2) == 2

    def test_with_an_edge(self, synthetic):
        mask = np.zeros((160, 160), dtype=bool)
        mask[:, 125:] = True
        assert self.order(synthetic, mask=mask) == 1
