"""The engine on bands whose pixels are not the scene's: model, detection, measurement."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import ALL_FREE, PINNED
from grid_scenes import FILTERS, GALAXY, SHAPE, grid_bands, grid_state, two_grids
from scipy.spatial import cKDTree

from galstep.core.detection.detect import (
    PADDING,
    find_peaks,
    has_scene_pixels,
    maps_on_scene,
    matched_filter,
    significance_map,
)
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.normal import evaluate
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.core.measurement.measure import measure_scene
from galstep.testing import make_scene

OFFSET = {"F277W": (0.4, -0.3)}
AS_GIVEN = replace(ONE_PASS, thresholds=(), floor_passes=0, keep=-np.inf, merge=0.0)


@pytest.fixture(scope="module", name="synthetic")
def _synthetic():
    return two_grids(offsets=OFFSET)


@pytest.fixture(scope="module", name="bands")
def _bands(synthetic):
    return grid_bands(synthetic)


def all_of(bands, state):
    """The largest half-sizes that stars can be rendered with."""
    return [np.full(state.n_stars, band.star_renderer.half_size) for band in bands]


class TestModel:
    def test_it_is_what_an_independent_renderer_draws(self, synthetic, bands):
        state = grid_state(synthetic, bands)
        evaluation = evaluate(bands, state, all_of(bands, state), PINNED)
        for i, band in enumerate(bands):
            galaxy = state.galaxy_flux[i, 0] * evaluation.images(i)[0]
            peak = synthetic.galaxy[band.name].max()
            np.testing.assert_allclose(galaxy, synthetic.galaxy[band.name], atol=3e-4 * peak)
            # a coarse pixel holds more samples of the library array, and fewer pixels of its core
            peak = synthetic.stars[band.name].max()
            np.testing.assert_allclose(
                evaluation.stars[i], synthetic.stars[band.name], atol=3e-3 * peak
            )

    def test_the_core_is_the_same_part_of_the_sky(self, synthetic, bands):
        state = grid_state(synthetic, bands)
        for band, shift in zip(bands, state.shift, strict=True):
            core = band.core(state, shift)
            own = band.own_vector(state.shapes[0], shift)
            yy, xx = np.indices(band.shape)
            radius = np.hypot(xx - own[0], yy - own[1])
            limit = 1.5 * GALAXY.r_eff * band.scale
            assert core[radius < limit - 0.01].all() and not core[radius > limit + 0.01].any()

    def test_lengths_in_the_scene(self, bands):
        fine, coarse = bands
        assert fine.scale == 1 and coarse.scale == pytest.approx(0.03 / 0.063)
        assert coarse.fwhm_in_scene == pytest.approx(2.0 * 0.063 / 0.03, rel=0.02)
        areas = [b.star_renderer.psf.noise_area for b in bands]
        assert coarse.noise_area_in_scene == pytest.approx(areas[1] * (0.063 / 0.03) ** 2)
        assert fine.noise_area_in_scene == areas[0]


class TestDetection:
    def star_map(self, bands, x, y, snr=30.0, shift=(0.4, -0.3)):
        band = bands[1]
        flux = snr * band.sigma * np.sqrt(band.star_renderer.psf.noise_area)
        place = [np.atleast_1d(v) for v in band.to_pixels(x, y, shift)]
        residual = band.star_renderer.render(band.shape, *place, np.array([flux]))
        maps = maps_on_scene(band, matched_filter(band, residual), shift)
        return flux, maps

    @pytest.mark.parametrize("place", [(40.0, 61.0), (55.3, 33.7)])
    def test_a_star_is_where_the_scene_has_it(self, bands, place):
        flux, maps = self.star_map(bands, *place)
        assert all(m.shape == tuple(n + 2 * PADDING for n in SHAPE) for m in maps)
        found = find_peaks(significance_map([maps], np.ones((1, 1))), 20, [], [], 1.0)
        assert len(found.x) == 1
        assert (found.x[0], found.y[0]) == pytest.approx(place, abs=0.15)
        assert found.significance[0] == pytest.approx(30, rel=0.06)
        assert found.flux[0, 0] == pytest.approx(flux, rel=0.06)

    @pytest.mark.parametrize("phase", [(0.0, 0.0), (0.5, 0.5), (0.25, 0.5)])
    def test_a_star_between_the_coarse_pixels_of_a_scene(self, bands, phase):
        # the scene is the coarse grid, the band the fine one
        inverse = bands[1].pixel_map.inverse()
        band = replace(
            bands[0], matrix=np.array(inverse.matrix), origin=np.array(inverse.origin),
            scene_shape=bands[1].shape,
        )  # fmt: skip
        place = (30.0 + phase[0], 33.0 + phase[1])
        x, y = (np.atleast_1d(v) for v in band.to_pixels(*place, (0, 0)))
        flux = 30 * band.sigma * np.sqrt(band.star_renderer.psf.noise_area)
        residual = band.star_renderer.render(band.shape, x, y, np.array([flux]))
        maps = maps_on_scene(band, matched_filter(band, residual), (0, 0))
        found = find_peaks(significance_map([maps], np.ones((1, 1))), 15, [], [], 1.0)
        assert np.hypot(found.x[0] - place[0], found.y[0] - place[1]) < 0.75
        assert found.significance[0] > 0.85 * 30

    def test_noise_keeps_its_scatter(self, bands):
        band = bands[1]
        rng = np.random.default_rng(3)
        values = []
        for _ in range(8):
            residual = band.sigma * rng.normal(size=band.shape)
            snr, _, information = maps_on_scene(band, matched_filter(band, residual), (0, 0))
            values.append(snr[information > 0])
        assert np.std(np.concatenate(values)) == pytest.approx(1, abs=0.08)

    def test_nothing_is_seen_where_the_band_has_no_data(self, bands):
        band = bands[1]
        mask = band.mask.copy()
        mask[:, :30] = True
        part = replace(band, mask=mask, weight=np.where(mask, 0.0, band.weight))
        snr, flux, information = maps_on_scene(part, matched_filter(part, part.data), (0, 0))
        x, y = np.meshgrid(*(np.arange(n) for n in SHAPE[::-1]))
        own_x, _ = band.to_pixels(x, y, (0, 0))
        away = np.pad(own_x < 20, PADDING, constant_values=False)
        for values in (snr, flux, information):
            assert not values[away].any()

    def test_a_band_on_the_scene_s_pixels_is_not_interpolated(self, bands):
        maps = matched_filter(bands[0], bands[0].data)
        assert has_scene_pixels(bands[0]) and not has_scene_pixels(bands[1])
        assert maps_on_scene(bands[0], maps, (0, 0)) is maps

    def test_all_stars_are_found_in_the_two_bands_together(self, synthetic, bands):
        start = grid_state(synthetic, bands, stars=False)
        options = replace(ONE_PASS, thresholds=(15.0, 6.0), keep=5.0)
        result = run_ladder(bands, start, Freedom(registration=(1,)), options)
        state, table = result.solution.state, synthetic.truth.stars
        places = cKDTree(np.column_stack([state.x, state.y]))
        distance, nearest = places.query(np.column_stack([table["x"], table["y"]]))
        assert distance.max() < 0.3
        assert state.n_stars == len(table)
        errors = result.covariance.star_flux_errors(bands)[:, nearest]
        for i, name in enumerate(FILTERS):
            pull = (state.star_flux[i, nearest] - table[f"flux_{name}"]) / errors[i]
            assert np.abs(pull).max() < 4.5


class TestFit:
    def test_shape_and_registration_are_true(self, synthetic, bands):
        # from a wrong start
        state = grid_state(synthetic, bands)
        away = replace(
            state, shapes=state.shapes + [0.5, -0.4, 0.1, 0.03, -0.03, 0.1], shift=0 * state.shift
        )
        freedom = Freedom(registration=(1,))
        fit = fit_scene(bands, away, freedom, max_iterations=40)
        assert fit.converged
        measured = measure_scene(run_ladder(bands, fit.state, freedom, AS_GIVEN), freedom,
                                 "jointfit", ShapeBounds())  # fmt: skip
        for own, name in zip(measured.fits, FILTERS, strict=True):
            component, truth = own.sersic[0], synthetic.truth.galaxy(name)
            for key in ("x_0", "y_0", "r_eff", "n", "ellip", "theta"):
                error = getattr(component, f"{key}_err")
                assert 0 < error < 0.1
                assert getattr(component.params, key) == pytest.approx(
                    getattr(truth, key), abs=4 * error
                )
            assert component.flux == pytest.approx(
                synthetic.truth.fluxes[name], abs=4 * component.flux_err
            )
        assert measured.fits[1].offset == pytest.approx((0.4, -0.3), abs=0.05)
        np.testing.assert_allclose(measured.fits[1].pixel_map.matrix, bands[1].matrix)

    def test_stars_are_in_the_pixels_of_their_band(self, synthetic, bands):
        state = grid_state(synthetic, bands)
        measured = measure_scene(
            run_ladder(bands, state, ALL_FREE, AS_GIVEN), ALL_FREE, "jointfit", ShapeBounds()
        )
        table = synthetic.truth.stars
        fine, coarse = (fit.stars for fit in measured.fits)
        expected = synthetic.truth.place("F277W", table["x"], table["y"])
        assert np.hypot(coarse.x - expected[0], coarse.y - expected[1]).max() < 0.1
        np.testing.assert_allclose(coarse.x_err / fine.x_err, 0.03 / 0.063, rtol=0.1)
        np.testing.assert_array_equal(coarse.star_id, fine.star_id)

    def test_as_well_as_on_one_grid(self, synthetic, bands):
        """The second band on fine pixels of the same depth gives the same errors."""
        one = make_scene(
            1, SHAPE, 12, FILTERS, snr=200, sersic=GALAXY, star_separation=7,
            star_snr=(20, 200), psf_size=101, offsets=OFFSET,
            psfs=synthetic.truth.library | {"F277W": _wider(synthetic)},
        )  # fmt: skip
        freedom, errors = Freedom(registration=(1,)), []
        for scene, own in ((synthetic, bands), (one, grid_bands(one))):
            result = run_ladder(own, grid_state(scene, own), freedom, AS_GIVEN)
            fit = measure_scene(result, freedom, "jointfit", ShapeBounds()).fits[0].sersic[0]
            errors.append([fit.x_0_err, fit.y_0_err, fit.r_eff_err, fit.n_err, fit.ellip_err])
        np.testing.assert_allclose(*errors, rtol=0.15)


def _wider(synthetic):
    """The PSF of the coarse band as the scene's pixels see it."""
    psf = synthetic.truth.library["F277W"]
    grid, scene = synthetic.truth.grid("F277W"), synthetic.truth.scene_grid
    turn = np.array([[np.cos(grid.rotation), -np.sin(grid.rotation)],
                     [np.sin(grid.rotation), np.cos(grid.rotation)]])  # fmt: skip
    back = turn / grid.scale_from(scene)
    covariances = []
    for xx, xy, yy in psf.covariances:
        own = back @ np.array([[xx, xy], [xy, yy]]) @ back.T
        covariances.append((own[0, 0], own[0, 1], own[1, 1]))
    return type(psf)(psf.weights, tuple(covariances))
