"""The matched filter and its peaks: white noise, known stars, templates of colour."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.detection.detect import (
    PADDING,
    colour_templates,
    find_peaks,
    lower_scatter,
    matched_filter,
    significance_map,
)
from galstep.core.engine.scene import make_band

SHAPE = (101, 111)
SIGMA = 0.5
FLAT = np.full((1, 3), 1 / np.sqrt(3))


def band_of(width=1.0, mask=None, **options):
    mask = np.zeros(SHAPE, dtype=bool) if mask is None else mask
    psf = gaussian_psf(width, 12)
    return make_band("a", np.zeros(SHAPE), mask, psf, np.full(SHAPE, SIGMA), **options)


def star(band, x, y, snr):
    """An image of stars of this matched-filter S/N, and their fluxes."""
    x, y, snr = np.atleast_1d(x), np.atleast_1d(y), np.atleast_1d(snr)
    flux = snr * SIGMA * np.sqrt(band.star_renderer.psf.noise_area)
    return band.star_renderer.render(SHAPE, x.astype(float), y.astype(float), flux), flux


def white(seed):
    return SIGMA * np.random.default_rng(seed).normal(size=SHAPE)


def one_map(band, residual, shift=(0.0, 0.0)):
    return significance_map([matched_filter(band, residual, shift)], np.ones((1, 1)))


def none_known():
    return np.zeros(0), np.zeros(0)


class TestMatchedFilter:
    @pytest.mark.parametrize("width", [0.8, 1.5])
    def test_white_noise_has_unit_scatter(self, width):
        band = band_of(width)
        maps = [matched_filter(band, white(seed)) for seed in range(6)]
        squares = np.concatenate([snr[information > 0] ** 2 for snr, _, information in maps])
        # about one independent value per noise area
        n = len(squares) / band.star_renderer.psf.noise_area
        assert np.mean(squares) == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))

    @pytest.mark.parametrize(("x", "y"), [(50, 40), (31, 77)])
    def test_one_star_on_a_pixel(self, x, y):
        band = band_of()
        residual, flux = star(band, x, y, 20.0)
        snr, fluxes, information = matched_filter(band, residual)
        assert np.unravel_index(snr.argmax(), snr.shape) == (y + PADDING, x + PADDING)
        profile = residual / flux
        assert snr.max() == pytest.approx(flux[0] * np.sqrt(np.sum(profile**2)) / SIGMA, rel=2e-3)
        assert fluxes[y + PADDING, x + PADDING] == pytest.approx(flux[0], rel=1e-3)
        expected = np.sum(profile**2) / SIGMA**2
        assert information[y + PADDING, x + PADDING] == pytest.approx(expected, rel=5e-3)

    def test_linear_in_the_residual(self):
        band = band_of()
        one, two = (matched_filter(band, white(seed))[0] for seed in (1, 2))
        both = matched_filter(band, 3 * white(1) - white(2))[0]
        np.testing.assert_allclose(both, 3 * one - two, atol=1e-10)

    def test_shift_brings_the_map_to_the_scene(self):
        band = band_of()
        residual, flux = star(band, 50.3, 39.6, 20.0)
        snr, fluxes, _ = matched_filter(band, residual, shift=(0.3, -0.4))
        assert np.unravel_index(snr.argmax(), snr.shape) == (40 + PADDING, 50 + PADDING)
        assert fluxes.max() == pytest.approx(flux[0], rel=2e-3)

    def test_origin_of_the_band(self):
        band = band_of(origin=(2.0, -3.0))
        residual, _ = star(band, 52, 37, 20.0)
        snr, _, _ = matched_filter(band, residual)
        assert np.unravel_index(snr.argmax(), snr.shape) == (40 + PADDING, 50 + PADDING)

    def test_masked_area(self):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:, 60:] = True
        band = band_of(mask=mask)
        residual, flux = star(band, [40, 59], [50, 20], [20.0, 20.0])
        snr, fluxes, information = matched_filter(band, np.where(mask, 0, residual))
        for image in (snr, fluxes, information):
            assert np.all(image[:, 70 + PADDING :] == 0)
        # half a star: its flux is right, its significance less
        assert fluxes[20 + PADDING, 59 + PADDING] == pytest.approx(flux[1], rel=1e-3)
        assert snr[20 + PADDING, 59 + PADDING] < 0.9 * snr[50 + PADDING, 40 + PADDING]

    def test_a_star_just_outside_the_frame(self):
        band = band_of(1.5)
        residual, _ = star(band, -1.0, 50.0, 100.0)
        snr, fluxes, _ = matched_filter(band, residual)
        assert np.unravel_index(snr.argmax(), snr.shape) == (50 + PADDING, PADDING - 1)

    def test_no_data_at_all(self):
        mask = np.ones(SHAPE, dtype=bool)
        for image in matched_filter(band_of(mask=mask), np.zeros(SHAPE)):
            assert np.all(image == 0)


class TestPeaks:
    @pytest.mark.parametrize("fraction", [(0, 0), (0.25, -0.4), (0.5, 0.1), (-0.3, 0.45)])
    def test_position_significance_and_flux(self, fraction):
        band = band_of()
        x, y = 50 + fraction[0], 40 + fraction[1]
        residual, flux = star(band, x, y, 30.0)
        found = find_peaks(one_map(band, residual), 5.0, *none_known(), 0.5)
        assert len(found.x) == 1
        assert found.x[0] == pytest.approx(x, abs=0.05)
        assert found.y[0] == pytest.approx(y, abs=0.05)
        # read at the nearest pixel: lower by what the PSF falls in half a pixel
        assert found.significance[0] == pytest.approx(30.0, rel=0.15)
        assert found.flux[0, 0] == pytest.approx(flux[0], rel=0.15)

    def test_two_equal_pixels_are_one_star(self):
        map_ = one_map(band_of(), np.zeros(SHAPE))
        # a star midway between pixels, to the last bit
        map_.combined[50, 60:62] = 20.0
        found = find_peaks(map_, 5.0, *none_known(), 0.5)
        np.testing.assert_allclose(found.x, [60.5 - PADDING])

    def test_sorted_by_significance(self):
        band = band_of()
        residual, _ = star(band, [20, 50, 80], [30, 60, 30], [8.0, 30.0, 15.0])
        found = find_peaks(one_map(band, residual), 5.0, *none_known(), 0.5)
        np.testing.assert_allclose(found.x, [50, 80, 20], atol=0.01)
        np.testing.assert_allclose(found.significance, [30, 15, 8], rtol=0.01)

    def test_threshold(self):
        band = band_of()
        residual, _ = star(band, [20, 50, 80], [30, 60, 30], [8.0, 30.0, 15.0])
        map_ = one_map(band, residual)
        counts = [len(find_peaks(map_, t, *none_known(), 0.5).x) for t in (5, 10, 20, 40)]
        assert counts == [3, 2, 1, 0]

    def test_known_stars_are_not_found_again(self):
        band = band_of()
        residual, _ = star(band, [20, 50], [30, 60], [20.0, 20.0])
        known = np.array([20.3]), np.array([30.0])
        found = find_peaks(one_map(band, residual), 5.0, *known, 0.5)
        np.testing.assert_allclose(found.x, [50], atol=0.01)
        assert len(find_peaks(one_map(band, residual), 5.0, *known, 0.2).x) == 2

    def test_a_star_outside_the_frame_is_found(self):
        band = band_of(1.5)
        residual, _ = star(band, -0.7, 50.2, 100.0)
        found = find_peaks(one_map(band, residual), 5.0, *none_known(), 0.5)
        assert found.x[0] == pytest.approx(-0.7, abs=0.3)
        assert found.y[0] == pytest.approx(50.2, abs=0.05)

    def test_no_peaks_where_there_are_no_data(self):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[30:70, 30:70] = True
        band = band_of(mask=mask)
        for seed in range(3):
            residual = np.where(mask, 0, white(seed))
            found = find_peaks(one_map(band, residual), 3.0, *none_known(), 0.5)
            assert len(found.x) > 0
            deep = (np.abs(found.x - 49.5) < 14) & (np.abs(found.y - 49.5) < 14)
            assert not deep.any()

    def test_select(self):
        band = band_of()
        residual, _ = star(band, [20, 50, 80], [30, 60, 30], [8.0, 30.0, 15.0])
        found = find_peaks(one_map(band, residual), 5.0, *none_known(), 0.5)
        some = found.select(np.array([True, False, True]))
        np.testing.assert_array_equal(some.x, found.x[[0, 2]])
        np.testing.assert_array_equal(some.flux, found.flux[:, [0, 2]])

    def test_negative_stars_are_no_peaks(self):
        band = band_of()
        residual, _ = star(band, 50, 40, 30.0)
        found = find_peaks(one_map(band, -residual), 5.0, *none_known(), 0.5)
        assert len(found.x) == 0


class TestSeveralBands:
    def maps(self, snr, noise=True, order=(0, 1, 2)):
        bands = [band_of(width) for width in (0.8, 1.0, 1.3)]
        maps = []
        for i in order:
            residual, _ = star(bands[i], 50, 40, snr[i])
            maps.append(matched_filter(bands[i], residual + noise * white(10 + i)))
        return maps

    def test_faint_in_each_band_is_found_in_their_sum(self):
        maps = self.maps((4.0, 4.0, 4.0))
        combined = significance_map(maps, FLAT)
        found = find_peaks(combined, 5.0, *none_known(), 0.5)
        assert len(found.x) == 1
        assert np.hypot(found.x[0] - 50, found.y[0] - 40) < 0.7
        for single in maps:
            alone = significance_map([single], np.ones((1, 1)))
            assert len(find_peaks(alone, 5.0, *none_known(), 0.5).x) == 0

    def test_significance_of_a_template_is_the_sum_in_quadrature(self):
        maps = self.maps((3.0, 4.0, 12.0), noise=False)
        place = 40 + PADDING, 50 + PADDING
        spectrum = np.array([3.0, 4.0, 12.0]) / 13
        snr = np.array([m[0][place] for m in maps])
        combined = significance_map(maps, spectrum[None])
        assert combined.combined[place] == pytest.approx(np.sqrt(np.sum(snr**2)), rel=1e-3)
        assert combined.combined[place] == pytest.approx(13, rel=0.03)

    def test_a_star_in_one_band_only_is_found_there(self):
        maps = self.maps((0.0, 7.0, 0.0), noise=False)
        place = 40 + PADDING, 50 + PADDING
        combined = significance_map(maps, FLAT).combined[place]
        assert combined == pytest.approx(maps[1][0][place], rel=1e-6)

    def test_flux_is_that_of_each_band(self):
        maps = self.maps((10.0, 20.0, 30.0), noise=False)
        found = find_peaks(significance_map(maps, FLAT), 5.0, *none_known(), 0.5)
        bands = [band_of(width) for width in (0.8, 1.0, 1.3)]
        expected = [star(b, 50, 40, s)[1][0] for b, s in zip(bands, (10, 20, 30), strict=True)]
        np.testing.assert_allclose(found.flux[:, 0], expected, rtol=2e-3)

    def test_the_order_of_the_bands_does_not_matter(self):
        snr = (4.0, 8.0, 3.0)
        templates = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])
        order = [2, 0, 1]
        one = significance_map(self.maps(snr), templates)
        two = significance_map(self.maps(snr, order=order), templates[:, order])
        np.testing.assert_allclose(two.combined, one.combined, atol=1e-12)
        np.testing.assert_array_equal(two.flux, one.flux[order])

    def test_every_template_has_unit_scatter_in_noise(self):
        # all bands with the same noise: their sum scatters by sqrt(3), each by 1
        band = band_of()
        maps = [matched_filter(band, white(3))] * 3
        combined = significance_map(maps, FLAT)
        assert combined.scatters[0] == pytest.approx(np.sqrt(3), rel=0.1)
        np.testing.assert_allclose(combined.scatters[1:], 1, atol=0.1)
        assert np.all(combined.scatters >= 1)
        residual, _ = star(band, 50, 40, 9.0)
        bright = [matched_filter(band, white(3) + residual)] * 3
        assert significance_map(bright, FLAT).combined.max() == pytest.approx(9, abs=2.5)

    def test_significance_of_fitted_stars(self):
        band = band_of()
        combined = significance_map([matched_filter(band, 0 * white(1))] * 3, FLAT)
        flux = np.array([[3.0, 9.0, -5.0], [3.0, 0.0, -5.0], [3.0, 0.0, -5.0]])
        x, y = np.array([10.0, 20.0, 30.0]), np.array([30.0, 10.0, 20.0])
        found = combined.star_significance(flux, np.ones((3, 3)), x, y)
        np.testing.assert_allclose(found, [3 * np.sqrt(3), 9.0, -5.0])
        none = np.zeros((3, 0))
        assert combined.star_significance(none, none, x[:0], y[:0]).shape == (0,)

    def test_a_galaxy_counts_as_noise_where_it_is(self):
        # in three bands of equal noise a piece of the size s has s sqrt(3) as a star would
        band = band_of()
        maps = [matched_filter(band, 0 * white(1))] * 3
        structure = np.zeros(maps[0][0].shape)
        structure[:, 40 + PADDING :] = 4.0
        combined = significance_map(maps, FLAT, [structure] * 3)
        flux, x = np.full((3, 2), 8.0), np.array([39.0, 41.0])
        found = combined.star_significance(flux, np.ones((3, 2)), x, np.array([20.0, 20.0]))
        np.testing.assert_allclose(found, [8 * np.sqrt(3), 8 * np.sqrt(3) / np.sqrt(1 + 48)])

    def test_peaks_on_a_galaxy_are_judged_like_fitted_stars(self):
        band = band_of()
        residual, _ = star(band, 50, 40, 30.0)
        maps = [matched_filter(band, residual)]
        share = np.full(maps[0][0].shape, 0.0)
        alone = significance_map(maps, np.eye(1), [share])
        peak = np.unravel_index(alone.combined.argmax(), share.shape)
        size = alone.combined[peak]
        error = 1 / np.sqrt(maps[0][2][peak])
        closed = significance_map(maps, np.eye(1), [share + 2 * error])
        assert closed.combined[peak] == pytest.approx(size / np.sqrt(5))
        one = (np.array([[maps[0][1][peak]]]), np.array([[error]]))
        place = np.array([peak[1] - PADDING]), np.array([peak[0] - PADDING])
        assert closed.star_significance(*one, *place) == pytest.approx(size / np.sqrt(5))

    def test_one_band_without_data(self):
        mask = np.ones(SHAPE, dtype=bool)
        full, empty = band_of(), band_of(mask=mask)
        residual, _ = star(full, 50, 40, 20.0)
        maps = [matched_filter(full, residual), matched_filter(empty, 0 * residual)]
        combined = significance_map(maps, np.full((1, 2), np.sqrt(0.5)))
        found = find_peaks(combined, 5.0, *none_known(), 0.5)
        assert found.significance == pytest.approx([20], rel=0.02)
        assert found.flux[1, 0] == 0


class TestTemplates:
    def populations(self, seed=0, count=30):
        """Blue and red stars in three bands, S/N 20 to 100."""
        rng = np.random.default_rng(seed)
        blue, red = np.array([0.9, 0.4, 0.17]), np.array([0.1, 0.5, 0.86])
        spectra = np.where(np.arange(count) % 2, red[:, None], blue[:, None])
        error = np.array([[1.0], [5.0], [0.2]])
        flux = error * (spectra * rng.uniform(20, 100, count) + rng.normal(0, 0.3, (3, count)))
        return flux, np.broadcast_to(error, flux.shape), blue, red

    def test_centres_of_the_populations(self):
        flux, error, blue, red = self.populations()
        templates = colour_templates(flux, error)
        assert 2 <= len(templates) <= 4
        np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, rtol=1e-12)
        for spectrum in (blue, red):
            assert np.max(templates @ (spectrum / np.linalg.norm(spectrum))) > 0.999

    @pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [1, 2, 0]])
    def test_the_order_of_the_bands_does_not_matter(self, order):
        flux, error, _, _ = self.populations()
        one = colour_templates(flux, error)
        two = colour_templates(flux[order], error[order])
        np.testing.assert_allclose(two, one[:, order], atol=1e-12)

    def test_few_stars_give_the_flat_template(self):
        flux, error, _, _ = self.populations(count=7)
        np.testing.assert_allclose(colour_templates(flux, error), FLAT)
        np.testing.assert_allclose(colour_templates(flux[:, :0], error[:, :0]), FLAT)
        faint, error, _, _ = self.populations()
        np.testing.assert_allclose(colour_templates(0.05 * faint, error), FLAT)

    def test_one_band(self):
        np.testing.assert_array_equal(colour_templates(np.ones((1, 50)) * 99, np.ones((1, 50))), 1)

    def test_stars_of_one_colour(self):
        flux = np.array([[1.0], [2.0], [2.0]]) * np.linspace(30, 90, 20)
        templates = colour_templates(flux, np.ones_like(flux))
        np.testing.assert_allclose(templates, np.tile([1 / 3, 2 / 3, 2 / 3], (len(templates), 1)))

    def test_negative_fluxes_count_as_none(self):
        flux, error, _, _ = self.populations()
        flux[0, ::2] = -20 * error[0, 0]
        templates = colour_templates(flux, error)
        assert np.all(templates >= 0) and np.isfinite(templates).all()


class TestLowerScatter:
    def test_gaussian(self):
        values = np.random.default_rng(0).normal(3.0, 2.0, 200_000)
        assert lower_scatter(values) == pytest.approx(2.0, rel=0.01)

    def test_sources_raise_the_upper_half_only(self):
        rng = np.random.default_rng(1)
        values = rng.normal(0.0, 1.0, 100_000)
        values[:5000] += rng.exponential(50, 5000)
        assert lower_scatter(values) == pytest.approx(1.0, rel=0.05)
        assert values.std() > 5

    def test_nothing(self):
        assert lower_scatter(np.zeros(0)) == 1.0


def test_weights_decide_what_a_map_is_worth():
    band = band_of()
    loud = replace(band, weight=band.weight / 16)
    residual, _ = star(band, 50, 40, 20.0)
    one, two = (matched_filter(b, residual) for b in (band, loud))
    np.testing.assert_allclose(two[0], one[0] / 4, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(two[1], one[1], rtol=1e-9, atol=1e-12)
