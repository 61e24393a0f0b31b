"""Scenes: bands from arrays, the affine map, states and their stars."""

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.records import SersicParams

SHAPE = (30, 40)
SHEAR = np.array([[1.1, 0.2], [-0.1, 0.9]])


def plain_band(sigma=2.0, mask=None, **options):
    mask = np.zeros(SHAPE, dtype=bool) if mask is None else mask
    return make_band("F150W", np.ones(SHAPE), mask, gaussian_psf(), sigma, **options)


def state_with_stars(n_bands=1):
    bands = [plain_band()] * n_bands
    state = SceneState.start(bands, [SersicParams(20, 15, 4.0, 1, 0.2, 0.5).to_vector()])
    return state.with_stars(
        [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], np.arange(3.0 * n_bands).reshape(-1, 3)
    )


class TestBand:
    def test_masked_pixels_have_neither_data_nor_weight(self):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[3, 7] = mask[:, -1] = True
        data = np.where(mask, np.nan, 5.0)
        band = make_band("F150W", data, mask, gaussian_psf(), 2.0)
        assert np.all(band.data[mask] == 0) and np.all(band.data[~mask] == 5)
        assert np.all(band.weight[mask] == 0) and np.all(band.weight[~mask] == 0.25)
        assert band.shape == SHAPE and band.name == "F150W"

    def test_the_error_of_a_masked_pixel_does_not_matter(self):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[0, :3] = True
        sigma = np.full(SHAPE, 0.5)
        sigma[0, :3] = np.nan, 0.0, np.inf
        band = plain_band(sigma, mask)
        assert np.all(band.weight[0, :3] == 0) and np.all(band.weight[~mask] == 4)

    def test_a_plane_of_errors_is_kept_and_a_number_is_not(self):
        assert plain_band(np.full(SHAPE, 2.0)).error_known
        assert not plain_band(2.0).error_known
        assert plain_band(2.0, error_known=True).error_known
        assert not plain_band(np.full(SHAPE, 2.0), error_known=False).error_known

    def test_sigma_is_the_median_of_the_good_pixels(self):
        sigma = np.full(SHAPE, 3.0)
        sigma[:, :19] = 1.0
        mask = np.zeros(SHAPE, dtype=bool)
        assert plain_band(sigma).sigma == pytest.approx(3.0)
        mask[:, 19:] = True
        assert plain_band(sigma, mask).sigma == pytest.approx(1.0)
        assert plain_band(sigma, np.ones(SHAPE, dtype=bool)).sigma == np.inf

    @pytest.mark.parametrize(("order", "n_terms"), [(0, 1), (1, 3), (2, 6)])
    def test_sky_order(self, order, n_terms):
        assert plain_band(sky_order=order).basis.shape == (n_terms,) + SHAPE

    def test_affine_map(self):
        band = plain_band(matrix=SHEAR, origin=(5.0, -3.0))
        x, y = band.to_pixels([10.0, 0.0], [20.0, 0.0], (0.5, 0.25))
        for i, place in enumerate([(10.5, 20.25), (0.5, 0.25)]):
            assert (x[i], y[i]) == pytest.approx(SHEAR @ place + (5.0, -3.0))
        assert not band.on_scene_grid

    def test_the_default_map_is_the_identity(self):
        band = plain_band()
        assert band.on_scene_grid and plain_band(origin=(3.0, 1.0)).on_scene_grid
        assert band.to_pixels(3.0, 4.0, (0.0, 0.0)) == (3.0, 4.0)

    def test_only_the_centre_of_a_galaxy_is_mapped(self):
        vector = SersicParams(20, 15, 4.0, 1, 0.2, 0.5).to_vector()
        band = plain_band(matrix=SHEAR, origin=(5.0, -3.0))
        own = band.galaxy_vector(vector, (0.1, 0.2))
        assert own[:2] == pytest.approx(SHEAR @ (20.1, 15.2) + (5.0, -3.0))
        np.testing.assert_array_equal(own[2:], vector[2:])
        assert vector[0] == 20


class TestState:
    def test_start_is_empty(self):
        bands = [plain_band(), plain_band(sky_order=2)]
        state = SceneState.start(bands, np.zeros((2, 6)))
        assert state.n_stars == 0
        assert state.galaxy_flux.shape == (2, 2) and not state.galaxy_flux.any()
        assert [len(terms) for terms in state.sky] == [3, 6]
        assert state.star_flux.shape == (2, 0) and state.shift.shape == (2, 2)

    def test_start_without_a_galaxy(self):
        state = SceneState.start([plain_band()], np.zeros((0, 6)))
        assert state.shapes.shape == (0, 6) and state.galaxy_flux.shape == (1, 0)
        assert not state.core(SHAPE).any()

    def test_start_copies_what_it_is_given(self):
        flux, sky, shift = np.array([[3.0]]), np.array([1.0, 2.0, 3.0]), np.array([[0.5, 0.1]])
        state = SceneState.start([plain_band()], np.zeros((1, 6)), flux, [sky], shift)
        flux[:], sky[:], shift[:] = 0, 0, 0
        assert state.galaxy_flux[0, 0] == 3
        assert tuple(state.sky[0]) == (1, 2, 3) and tuple(state.shift[0]) == (0.5, 0.1)

    def test_sky_of_another_order_is_cut_or_filled(self):
        bands = [plain_band(sky_order=order) for order in (0, 1, 2)]
        sky = SceneState.start(bands, np.zeros((1, 6)), sky=[[1.0, 2.0, 3.0]] * 3).sky
        assert [terms.tolist() for terms in sky] == [[1], [1, 2, 3], [1, 2, 3, 0, 0, 0]]

    def test_stars_are_appended_with_their_prior_where_they_are(self):
        state = state_with_stars().with_stars([9.0], [8.0], [[7.0]], [42])
        np.testing.assert_array_equal(state.x, [1, 2, 3, 9])
        np.testing.assert_array_equal(state.y_prior, [4, 5, 6, 8])
        np.testing.assert_array_equal(state.star_flux, [[0, 1, 2, 7]])
        np.testing.assert_array_equal(state.star_id, [-1, -1, -1, 42])

    def test_selected_stars_keep_everything_that_is_theirs(self):
        state = state_with_stars(2).select_stars(np.array([True, False, True]))
        np.testing.assert_array_equal(state.x, [1, 3])
        np.testing.assert_array_equal(state.y, [4, 6])
        np.testing.assert_array_equal(state.x_prior, [1, 3])
        np.testing.assert_array_equal(state.y_prior, [4, 6])
        np.testing.assert_array_equal(state.star_flux, [[0, 2], [3, 5]])
        assert len(state.star_id) == 2

    def test_only_new_stars_are_numbered(self):
        state = state_with_stars().with_stars([9.0], [8.0], [[7.0]], [2])
        state = state.select_stars(np.array([0, 3, 1])).numbered(11)
        np.testing.assert_array_equal(state.star_id, [11, 2, 12])
        np.testing.assert_array_equal(state.numbered(99).star_id, state.star_id)

    def test_core_is_a_disc_of_one_and_a_half_r_eff(self):
        core = state_with_stars().core(SHAPE)
        assert core[15, 25] and not core[15, 26] and core[10, 20] and not core[9, 20]
        assert core.sum() == pytest.approx(np.pi * 6.0**2, rel=0.05)

    def test_core_of_a_large_galaxy_is_limited(self):
        band = plain_band()
        state = SceneState.start([band], [SersicParams(0, 0, 500, 1, 0, 0).to_vector()])
        core = state.core((100, 100))
        assert core[0, 29] and not core[0, 30]

    def test_core_of_several_galaxies_is_their_union(self):
        vectors = [SersicParams(x, 10, 2.0, 1, 0, 0).to_vector() for x in (8, 30)]
        both = SceneState.start([plain_band()], vectors).core(SHAPE)
        single = [SceneState.start([plain_band()], [v]).core(SHAPE) for v in vectors]
        np.testing.assert_array_equal(both, single[0] | single[1])
        assert both.sum() == single[0].sum() + single[1].sum()


def test_everything_but_the_registration_is_free_by_default():
    freedom = Freedom()
    assert all(freedom.shape) and freedom.positions and freedom.registration == ()
