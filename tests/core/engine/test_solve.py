"""The fit: known scenes recovered, and what must not depend on how they are given."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import (
    PINNED,
    PINNED_SHAPE,
    bands_of,
    effective_psf,
    gaussian_psf,
    true_state,
    truth_without_stars,
)

from galstep.core.engine.normal import evaluate
from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing import make_scene

FREE = Freedom(position_prior=100.0)
SHARP = dict(max_iterations=40, tolerance=1e-8)
OFFSETS = {"F090W": (0.31, -0.22), "F277W": (-0.18, 0.4)}


@pytest.fixture(name="clean", scope="module")
def _clean():
    """One band, 12 stars, no noise."""
    return make_scene(1, (71, 75), 12, ("F150W",), snr=200, noise="none", star_separation=5)


@pytest.fixture(name="noisy", scope="module")
def _noisy():
    """Three bands with noise and registration."""
    return make_scene(4, (61, 65), 10, snr=150, star_separation=4, offsets=OFFSETS)


def disturbed(state, seed=0, size=1.0):
    """A state some way off, with the stars' priors where they now are."""
    rng = np.random.default_rng(seed)
    step = size * rng.choice([-1, 1], (len(state.shapes), 6))
    step *= [0.7, 0.7, 0.25, 0.1, 0.1, 0.25]
    x = state.x + size * rng.uniform(-0.3, 0.3, state.n_stars)
    y = state.y + size * rng.uniform(-0.3, 0.3, state.n_stars)
    return replace(
        state,
        shapes=state.shapes + step,
        galaxy_flux=0.5 * state.galaxy_flux,
        sky=tuple(np.zeros(3) for _ in state.sky),
        x=x,
        y=y,
        x_prior=x,
        y_prior=y,
        star_flux=state.star_flux * rng.uniform(0.3, 1.5, state.star_flux.shape),
    )


class TestKnownScenes:
    @pytest.mark.parametrize("seed", range(3))
    def test_one_band(self, clean, seed):
        bands = bands_of(clean)
        truth = true_state(clean, bands)
        fit = fit_scene(bands, disturbed(truth, seed), FREE, **SHARP)
        found = fit.state
        assert fit.converged and fit.chi2 < 0.1
        np.testing.assert_allclose(found.galaxy_flux, truth.galaxy_flux, rtol=1e-4)
        np.testing.assert_allclose(found.shapes, truth.shapes, atol=3e-4)
        np.testing.assert_allclose(found.star_flux, truth.star_flux, rtol=1e-3)
        np.testing.assert_allclose(found.x, truth.x, atol=1e-3)
        np.testing.assert_allclose(found.y, truth.y, atol=1e-3)
        np.testing.assert_allclose(found.sky, truth.sky, atol=1e-3 * bands[0].sigma)

    def test_three_bands_with_registration(self):
        synthetic = make_scene(
            4, (61, 65), 10, snr=150, noise="none", star_separation=4, offsets=OFFSETS
        )
        bands = bands_of(synthetic)
        truth = true_state(synthetic, bands)
        freedom = replace(FREE, registration=(0, 2), registration_prior=100.0)
        start = replace(disturbed(truth), shift=np.zeros((3, 2)))
        found = fit_scene(bands, start, freedom, **SHARP).state
        np.testing.assert_allclose(found.shift[[0, 2]], list(OFFSETS.values()), atol=1e-3)
        np.testing.assert_array_equal(found.shift[1], 0)
        np.testing.assert_allclose(found.galaxy_flux, truth.galaxy_flux, rtol=2e-4)
        np.testing.assert_allclose(found.shapes, truth.shapes, atol=3e-4)

    def test_bands_on_different_grids(self):
        # the second band is made from the first scene's galaxy by its own affine map
        matrix, origin = np.array([[0.6, 0.1], [-0.1, 0.6]]), np.array([4.0, 12.0])
        psf, mask = gaussian_psf(1.0, 8), np.zeros((61, 61), dtype=bool)
        zero = np.zeros((61, 61))
        bands = [
            make_band("a", zero, mask, psf, 1.0),
            make_band("b", zero, mask, psf, 1.0, matrix=matrix, origin=origin),
        ]
        truth = SceneState.start(
            bands, [SersicParams(29.5, 31.2, 7.0, 1.4, 0.4, 0.8).to_vector()], [[3e3], [2e3]]
        ).with_stars([12.0, 45.0], [20.0, 41.0], [[300.0, 200.0], [100.0, 400.0]])
        half = [np.full(2, 8)] * 2
        images = [-r for r in evaluate(bands, truth, half, PINNED).residuals]
        bands = [replace(band, data=image) for band, image in zip(bands, images, strict=True)]
        found = fit_scene(bands, disturbed(truth), FREE, **SHARP).state
        np.testing.assert_allclose(found.shapes, truth.shapes, atol=1e-5)
        np.testing.assert_allclose(found.galaxy_flux, truth.galaxy_flux, rtol=1e-5)
        np.testing.assert_allclose(found.x, truth.x, atol=1e-4)

    def test_two_galaxies(self):
        sersic = SersicParams(22.0, 30.0, 4.0, 1.0, 0.3, 0.4)
        other = SersicParams(40.3, 33.1, 3.0, 1.8, 0.2, 2.0)
        first, second = (
            make_scene(1, (61, 61), 0, ("F150W",), sersic=s, noise="none", sky="none")
            for s in (sersic, other)
        )
        band = bands_of(first)[0]
        band = replace(band, data=first.data["F150W"] + 0.5 * second.data["F150W"])
        flux = first.truth.fluxes["F150W"]
        shapes = np.array([sersic.to_vector(), other.to_vector()])
        start = SceneState.start([band], shapes + 0.15, [[0.4 * flux, 0.4 * flux]])
        found = fit_scene([band], start, FREE, **SHARP).state
        np.testing.assert_allclose(found.shapes, shapes, atol=3e-4)
        np.testing.assert_allclose(found.galaxy_flux[0], [flux, 0.5 * flux], rtol=1e-4)

    def test_a_linear_problem_takes_one_step(self, clean):
        bands = bands_of(clean)
        truth = true_state(clean, bands)
        fluxless = replace(truth, star_flux=0 * truth.star_flux, galaxy_flux=0 * truth.galaxy_flux)
        fit = fit_scene(bands, fluxless, PINNED, max_iterations=30, tolerance=1e-3)
        assert fit.n_iterations <= 5
        np.testing.assert_allclose(fit.state.galaxy_flux, truth.galaxy_flux, rtol=1e-4)
        np.testing.assert_allclose(fit.state.star_flux, truth.star_flux, rtol=1e-3)

    def test_masked_pixels_do_not_count(self, clean):
        bands = bands_of(clean)
        truth = true_state(clean, bands)
        data = clean.data["F150W"].copy()
        yy, xx = np.indices(data.shape)
        bad = (xx > 60) | (np.random.default_rng(1).random(data.shape) < 0.1)
        data[bad] = 1e9
        psf = effective_psf(clean, "F150W")
        found = fit_scene(
            [make_band("F150W", data, bad, psf, bands[0].sigma)], disturbed(truth), FREE, **SHARP
        ).state
        np.testing.assert_allclose(found.galaxy_flux, truth.galaxy_flux, rtol=2e-4)


class TestLinearity:
    @pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6, 1e12])
    def test_units_do_not_matter(self, noisy, factor):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands))
        freedom = replace(FREE, registration=(0, 2))
        plain = fit_scene(bands, start, freedom).state
        scaled_bands = [
            replace(b, data=b.data * factor, weight=b.weight / factor**2) for b in bands
        ]
        scaled_start = replace(
            start, galaxy_flux=start.galaxy_flux * factor, star_flux=start.star_flux * factor
        )
        scaled = fit_scene(scaled_bands, scaled_start, freedom).state
        np.testing.assert_allclose(scaled.galaxy_flux / factor, plain.galaxy_flux, rtol=1e-6)
        np.testing.assert_allclose(scaled.star_flux / factor, plain.star_flux, rtol=1e-5)
        np.testing.assert_allclose(scaled.shapes, plain.shapes, atol=1e-6)

    def test_negative_data_give_negative_fluxes(self, noisy):
        bands = bands_of(noisy)
        start = true_state(noisy, bands)
        mirrored = [replace(b, data=-b.data) for b in bands]
        plain = fit_scene(bands, start, PINNED, **SHARP).state
        negative = fit_scene(
            mirrored,
            replace(start, galaxy_flux=-start.galaxy_flux, star_flux=-start.star_flux),
            PINNED,
            **SHARP,
        ).state
        np.testing.assert_allclose(negative.galaxy_flux, -plain.galaxy_flux, rtol=1e-6)
        np.testing.assert_allclose(
            negative.star_flux, -plain.star_flux, atol=1e-4 * np.abs(plain.star_flux).max()
        )

    def test_fluxes_of_a_sum_are_the_sum_of_fluxes(self, noisy, clean):
        bands = bands_of(noisy)
        start = replace(true_state(noisy, bands), star_flux=np.full((3, 10), 0.1))
        rng = np.random.default_rng(3)
        other = [replace(b, data=b.sigma * rng.normal(size=b.shape)) for b in bands]
        both = [replace(a, data=2 * a.data - b.data) for a, b in zip(bands, other, strict=True)]
        one, two, three = (
            fit_scene(set_of, start, PINNED, max_iterations=20, tolerance=1e-9).state
            for set_of in (bands, other, both)
        )
        np.testing.assert_allclose(
            three.galaxy_flux, 2 * one.galaxy_flux - two.galaxy_flux, rtol=1e-5
        )


class TestEquivariance:
    def embedded(self, synthetic, x, y, size=85):
        """The frame at (x, y) of a larger one without data."""
        ny, nx = synthetic.truth.shape
        data, mask = np.zeros((size, size)), np.ones((size, size), dtype=bool)
        data[y : y + ny, x : x + nx] = synthetic.data["F150W"]
        mask[y : y + ny, x : x + nx] = False
        psf = effective_psf(synthetic, "F150W")
        return make_band("F150W", data, mask, psf, synthetic.truth.noise_sigma["F150W"])

    def moved(self, state, dx, dy):
        shapes = state.shapes.copy()
        shapes[:, :2] += dx, dy
        return replace(
            state, shapes=shapes, x=state.x + dx, y=state.y + dy,
            x_prior=state.x_prior + dx, y_prior=state.y_prior + dy,
        )  # fmt: skip

    def test_whole_pixels(self):
        synthetic = make_scene(6, (61, 61), 8, ("F150W",), star_separation=4)
        band = self.embedded(synthetic, 3, 20)
        start = disturbed(self.moved(true_state(synthetic, [band]), 3, 20))
        one = fit_scene([band], start, Freedom(), **SHARP)
        band = self.embedded(synthetic, 17, 9)
        two = fit_scene([band], self.moved(start, 14, -11), Freedom(), **SHARP)
        assert two.chi2 == pytest.approx(one.chi2, rel=1e-6)
        np.testing.assert_allclose(two.state.shapes[:, 2:], one.state.shapes[:, 2:], atol=1e-4)
        np.testing.assert_allclose(two.state.x, one.state.x + 14, atol=1e-3)
        np.testing.assert_allclose(two.state.y, one.state.y - 11, atol=1e-3)
        np.testing.assert_allclose(two.state.galaxy_flux, one.state.galaxy_flux, rtol=1e-4)

    def test_quarter_turn(self):
        synthetic = make_scene(6, (61, 65), 8, ("F150W",), star_separation=4)
        ny, nx = 61, 65
        sigma = synthetic.truth.noise_sigma["F150W"]
        band = bands_of(synthetic)[0]
        start = disturbed(true_state(synthetic, [band]))
        one = fit_scene([band], start, Freedom(), **SHARP)
        # np.rot90 takes the pixel (x, y) to (y, nx - 1 - x): theta falls by 90 degrees
        psf = EffectivePSF.from_array(np.rot90(synthetic.psf_arrays["F150W"]), 4)
        data = np.rot90(synthetic.data["F150W"]).copy()
        band = make_band(
            "F150W", data, np.zeros((nx, ny), dtype=bool), psf, np.full((nx, ny), sigma)
        )
        x, y = start.y, nx - 1 - start.x

        def turned(shapes):
            shapes = shapes[:, [1, 0, 2, 3, 4, 5]] * [1, -1, 1, -1, -1, 1]
            return shapes + [0, nx - 1, 0, 0, 0, 0]

        two = fit_scene(
            [band],
            replace(start, shapes=turned(start.shapes), x=x, y=y, x_prior=x, y_prior=y),
            Freedom(),
            **SHARP,
        )
        assert two.chi2 == pytest.approx(one.chi2, rel=1e-6)
        np.testing.assert_allclose(two.state.shapes, turned(one.state.shapes), atol=1e-3)
        np.testing.assert_allclose(two.state.galaxy_flux, one.state.galaxy_flux, rtol=1e-4)
        np.testing.assert_allclose(two.state.x, one.state.y, atol=1e-3)

    def test_the_order_of_the_bands(self, noisy):
        freedom = replace(FREE, registration=(0, 2))
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands))
        one = fit_scene(bands, start, freedom, **SHARP)
        order = [2, 0, 1]
        two = fit_scene(
            [bands[i] for i in order],
            replace(
                start,
                galaxy_flux=start.galaxy_flux[order],
                star_flux=start.star_flux[order],
                sky=tuple(start.sky[i] for i in order),
                shift=start.shift[order],
            ),
            replace(freedom, registration=(0, 1)),
            **SHARP,
        )
        assert two.chi2 == pytest.approx(one.chi2, rel=1e-8)
        np.testing.assert_allclose(two.state.galaxy_flux, one.state.galaxy_flux[order], rtol=1e-6)
        np.testing.assert_allclose(two.state.shift, one.state.shift[order], atol=1e-5)
        np.testing.assert_allclose(two.state.shapes, one.state.shapes, atol=1e-5)

    def test_the_order_of_the_stars(self, noisy):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands))
        order = np.random.default_rng(0).permutation(start.n_stars)
        one = fit_scene(bands, start, FREE, **SHARP)
        two = fit_scene(bands, start.select_stars(order), FREE, **SHARP)
        np.testing.assert_allclose(two.state.galaxy_flux, one.state.galaxy_flux, rtol=1e-6)
        np.testing.assert_allclose(two.state.star_flux, one.state.star_flux[:, order], rtol=1e-4)


class TestBounds:
    def test_a_point_source_ends_at_the_smallest_radius(self):
        synthetic = make_scene(1, (61, 61), 0, ("F150W",), sky="none")
        band = bands_of(synthetic)[0]
        star = band.star_renderer.render((61, 61), [30.2], [29.9], [40.0])
        noise = synthetic.data["F150W"] - synthetic.galaxy["F150W"]
        band = replace(band, data=star + noise)
        bounds = ShapeBounds()
        shape = SersicParams(30, 30, 3.0, 1.0, 0.1, 0.3).to_vector()
        fit = fit_scene([band], SceneState.start([band], [shape]), FREE, bounds=bounds, **SHARP)
        assert np.exp(fit.state.shapes[0, 2]) == pytest.approx(0.5, rel=1e-9)
        assert "r_eff" in bounds.at_bound(fit.state.shapes[0])

    def test_a_bound_is_kept_and_the_rest_is_fitted(self, clean):
        bounds = ShapeBounds(n=(0.35, 1.0))
        sersic = replace(clean.truth.sersic, n=2.0)
        synthetic = make_scene(1, (71, 75), 0, ("F150W",), snr=200, sersic=sersic, noise="none")
        bands = bands_of(synthetic)
        start = truth_without_stars(synthetic, bands)
        start = replace(start, shapes=np.array([bounds.clip(start.shapes[0])]))
        fit = fit_scene(bands, start, FREE, bounds=bounds, **SHARP)
        assert bounds.at_bound(fit.state.shapes[0]) == ["n"]
        assert np.exp(fit.state.shapes[0, 5]) == pytest.approx(1.0, abs=1e-9)
        assert fit.state.shapes[0, :2] == pytest.approx([sersic.x_0, sersic.y_0], abs=0.01)
        # the same as with n pinned there
        pinned = Freedom(shape=(True,) * 5 + (False,), position_prior=100.0)
        other = fit_scene(bands, start, pinned, bounds=bounds, **SHARP)
        np.testing.assert_allclose(fit.state.shapes, other.state.shapes, atol=1e-3)
        np.testing.assert_allclose(fit.state.galaxy_flux, other.state.galaxy_flux, rtol=1e-3)

    def test_clip(self):
        bounds = ShapeBounds(r_eff=(1.0, 10.0), n=(0.5, 4.0), e=0.5)
        inside = SersicParams(3, 4, 5.0, 2.0, 0.3, 1.0).to_vector()
        np.testing.assert_array_equal(bounds.clip(inside), inside)
        small = bounds.clip([3, 4, np.log(0.1), 0.6, -0.8, np.log(0.1)])
        np.testing.assert_allclose(small, [3, 4, 0, 0.3, -0.4, np.log(0.5)], atol=1e-12)
        large = bounds.clip([3, 4, 50.0, 0, 0, 50.0])
        np.testing.assert_allclose(np.exp(large[[2, 5]]), [10, 4])

    def test_clip_does_not_change_its_argument(self):
        shape = np.array([0, 0, 99.0, 2.0, 0, 99.0])
        ShapeBounds().clip(shape)
        np.testing.assert_array_equal(shape, [0, 0, 99.0, 2.0, 0, 99.0])

    def test_at_bound(self):
        bounds = ShapeBounds(r_eff=(1.0, 10.0), n=(0.5, 4.0), e=0.5)
        assert bounds.at_bound(SersicParams(0, 0, 5.0, 2.0, 0.3, 1.0).to_vector()) == []
        assert bounds.at_bound(bounds.clip([0, 0, 9, 9, 9, 9])) == ["r_eff", "n", "ellip"]
        assert bounds.at_bound(bounds.clip([0, 0, -9, 0, 0, -9])) == ["r_eff", "n"]


class TestPromises:
    @pytest.mark.parametrize("free", [(0, 1), (2,), (3, 4), (5,), ()])
    def test_pinned_shape_parameters_are_the_same_bits(self, noisy, free):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands), size=0.7)
        shape = tuple(k in free for k in range(6))
        fit = fit_scene(bands, start, Freedom(shape=shape))
        pinned = [k for k in range(6) if k not in free]
        np.testing.assert_array_equal(fit.state.shapes[:, pinned], start.shapes[:, pinned])
        assert np.all(fit.state.shapes[:, list(free)] != start.shapes[:, list(free)])
        assert np.all(fit.state.x != start.x)
        np.testing.assert_array_equal(fit.state.shift, start.shift)

    def test_pinned_positions_are_the_same_bits(self, noisy):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands))
        freedom = Freedom(positions=False, registration=(2,))
        fit = fit_scene(bands, start, freedom)
        np.testing.assert_array_equal(fit.state.x, start.x)
        np.testing.assert_array_equal(fit.state.y, start.y)
        np.testing.assert_array_equal(fit.state.shift[:2], start.shift[:2])
        assert np.all(fit.state.shift[2] != start.shift[2])

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("freedom", [Freedom(), PINNED, PINNED_SHAPE])
    def test_never_worse_than_the_start(self, noisy, seed, freedom):
        bands = bands_of(noisy, ["F150W"])
        truth = true_state(noisy, bands)
        start = disturbed(truth, seed, size=3.0)
        start = replace(start, shapes=np.array([ShapeBounds().clip(start.shapes[0])]))
        chi2 = [
            fit_scene(bands, start, freedom, max_iterations=count, tolerance=1e-6).chi2
            for count in (0, 1, 3, 8)
        ]
        assert np.all(np.diff(chi2) <= 1e-5)
        assert chi2[-1] < chi2[0]

    def test_the_start_is_left_alone(self, noisy):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands))
        before = [start.shapes.copy(), start.x.copy(), start.star_flux.copy(), start.sky[0].copy()]
        fit_scene(bands, start, Freedom(registration=(0,)), max_iterations=3)
        after = [start.shapes, start.x, start.star_flux, start.sky[0]]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_evaluation_is_that_of_the_state(self, noisy):
        bands = bands_of(noisy)
        fit = fit_scene(bands, disturbed(true_state(noisy, bands)), FREE, max_iterations=3)
        again = evaluate(bands, fit.state, fit.half_sizes, FREE)
        # but for the stars' far wings, which are those of the start of the fit
        assert fit.chi2 == pytest.approx(again.chi2, rel=1e-8)
        np.testing.assert_allclose(
            fit.evaluation.residuals[0], again.residuals[0], atol=1e-4 * bands[0].sigma
        )

    def test_ending_early_is_not_convergence(self, noisy):
        bands = bands_of(noisy)
        start = disturbed(true_state(noisy, bands), size=2.0)
        early = fit_scene(bands, start, FREE, max_iterations=1)
        assert not early.converged and early.n_iterations == 1
        late = fit_scene(bands, start, FREE, max_iterations=40)
        assert late.converged and 1 < late.n_iterations < 40

    def test_more_stars_than_the_data_can_tell_apart(self, noisy):
        # two at one place: the ridge keeps the matrix regular
        bands = bands_of(noisy)
        truth = true_state(noisy, bands)
        doubled = truth.with_stars(truth.x[:1], truth.y[:1], np.zeros((3, 1)))
        fit = fit_scene(bands, doubled, PINNED)
        plain = fit_scene(bands, truth, PINNED)
        assert fit.chi2 <= plain.chi2 + 0.1
        both = fit.state.star_flux[:, 0] + fit.state.star_flux[:, -1]
        np.testing.assert_allclose(both, plain.state.star_flux[:, 0], rtol=0.02)


class TestMissingData:
    def test_a_star_keeps_its_flux_where_a_band_has_no_data(self, noisy):
        bands = bands_of(noisy)
        truth = true_state(noisy, bands)
        mask = bands[0].mask.copy()
        yy, xx = np.indices(mask.shape)
        x, y = bands[0].to_pixels(truth.x[4], truth.y[4], truth.shift[0])
        mask |= np.hypot(xx - x, yy - y) < 12
        bands[0] = replace(bands[0], mask=mask, weight=np.where(mask, 0, bands[0].weight))
        start = replace(truth, star_flux=truth.star_flux * 0.9)
        found = fit_scene(bands, start, PINNED_SHAPE).state
        assert found.star_flux[0, 4] == pytest.approx(start.star_flux[0, 4], rel=1e-6)
        error = bands[1].sigma * np.sqrt(bands[1].star_renderer.psf.noise_area)
        assert found.star_flux[1, 4] == pytest.approx(truth.star_flux[1, 4], abs=5 * error)

    def test_stars_far_outside_the_frame(self, noisy):
        bands = bands_of(noisy)
        truth = true_state(noisy, bands)
        far = truth.with_stars([-80.0, 300.0], [20.0, 400.0], np.ones((3, 2)))
        found = fit_scene(bands, far, FREE).state
        plain = fit_scene(bands, truth, FREE).state
        np.testing.assert_allclose(found.galaxy_flux, plain.galaxy_flux, rtol=1e-5)
        np.testing.assert_array_equal(np.isfinite(found.star_flux), True)
