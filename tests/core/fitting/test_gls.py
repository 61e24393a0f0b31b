"""The generalised least-squares step: its equations, its errors, and what it gains."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import (
    PINNED,
    bands_of,
    dense,
    effective_psf,
    gaussian_psf,
    true_state,
)
from grid_scenes import grid_bands, grid_state, two_grids

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.covariance import covariance_of, scene_covariance
from galstep.core.engine.normal import evaluate
from galstep.core.engine.priors import ShapePrior
from galstep.core.engine.scene import Freedom, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting.gls import GlsMethod, gls_result, gls_step
from galstep.core.measurement.galaxy_covariance import galaxy_covariance
from galstep.core.noise.errors import influence_images
from galstep.core.noise.whitening import whitening_of
from galstep.testing import make_scene

BOUNDS = ShapeBounds()
PADDED = (135, 135)


def smooth_power(sigma=0.85):
    """The spectrum of white noise smoothed with a Gaussian."""
    fy, fx = np.fft.fftfreq(PADDED[0])[:, None], np.fft.rfftfreq(PADDED[1])
    return 4 * np.pi * sigma**2 * np.exp(-((2 * np.pi * np.hypot(fy, fx) * sigma) ** 2))


def method_for(bands, power):
    return GlsMethod(tuple(whitening_of(np.sqrt(b.weight), power, PADDED) for b in bands))


def sizes_of(bands, state):
    return tuple(np.full(state.n_stars, band.star_renderer.half_size) for band in bands)


def compact(synthetic):
    """The bands with a PSF that a star's stamp holds all of."""
    bands = []
    for name, width in zip(synthetic.truth.filters, (0.8, 1.2), strict=False):
        data = synthetic.data[name]
        sigma = np.full(data.shape, synthetic.truth.noise_sigma[name])
        psf = gaussian_psf(width, half=6)
        bands.append(make_band(name, data, ~np.isfinite(data), psf, sigma))
    return bands


def moved(state, layout, place, step):
    """A state with one parameter changed: ("border" or "stars", index)."""
    part, index = place
    if part == "stars":
        star, parameter = divmod(index, layout.block)
        if parameter < layout.n_bands:
            flux = state.star_flux.copy()
            flux[parameter, star] += step
            return replace(state, star_flux=flux)
        name = "xy"[parameter - layout.n_bands]
        values = getattr(state, name).copy()
        values[star] += step
        return replace(state, **{name: values})
    if index < len(layout.shape):
        shapes = state.shapes.copy()
        shapes[layout.shape.galaxy[index], layout.shape.parameter[index]] += step
        return replace(state, shapes=shapes)
    for band, own in layout.registration.items():
        if own.start <= index < own.stop:
            shift = state.shift.copy()
            shift[band, index - own.start] += step
            return replace(state, shift=shift)
    for band, own in enumerate(layout.linear):
        if index == own.start:
            flux = state.galaxy_flux.copy()
            flux[band, 0] += step
            return replace(state, galaxy_flux=flux)
        if own.start < index < own.stop:
            sky = [c.copy() for c in state.sky]
            sky[band][index - own.start - 1] += step
            return replace(state, sky=tuple(sky))
    raise AssertionError(place)


@pytest.fixture(name="case", scope="module")
def _case():
    synthetic = make_scene(3, (45, 49), 4, ("F150W", "F277W"), snr=80, star_separation=6)
    bands = compact(synthetic)
    bands[1].mask[:, :5] = True
    bands[1].weight[:, :5] = 0
    freedom = Freedom(
        registration=(1,), position_prior=0.5, shape_priors=(ShapePrior("n", 2.0, 0.5),)
    )
    state = true_state(synthetic, bands)
    state = replace(state, x_prior=state.x + 0.1, shift=np.array([[0.0, 0.0], [0.1, -0.2]]))
    method = method_for(bands, smooth_power())
    sizes = sizes_of(bands, state)
    evaluation = method.evaluate(bands, state, sizes, freedom)
    equations = method.normal_equations(bands, state, evaluation, sizes, freedom)
    return bands, state, freedom, method, sizes, evaluation, equations


class TestEquations:
    @pytest.mark.parametrize(
        "place", [("border", i) for i in range(16)] + [("stars", i) for i in (0, 1, 2, 7)]
    )
    def test_the_gradient_is_that_of_chi2(self, case, place):
        bands, state, freedom, method, sizes, _, equations = case
        layout, (part, index) = equations.layout, place
        right = equations.border_gradient if part == "border" else equations.star_gradient
        matrix = equations.matrix.border if part == "border" else equations.matrix.stars
        step = 1e-3 / np.sqrt(matrix.diagonal()[index])
        chi2 = [
            method.evaluate(bands, moved(state, layout, place, s), sizes, freedom).chi2
            for s in (-step, step)
        ]
        slope = (chi2[1] - chi2[0]) / (2 * step)
        # in units of the parameter's own sigma
        scale = np.sqrt(matrix.diagonal()[index])
        assert -2 * right[index] / scale == pytest.approx(slope / scale, abs=5e-3, rel=1e-3)

    def test_the_matrix_is_that_of_the_whitened_columns(self, case):
        bands, state, freedom, method, sizes, _, equations = case
        layout = equations.layout
        places = [("border", i) for i in range(layout.n_border)]
        places += [("stars", i) for i in range(layout.block * layout.n_stars)]
        full = dense(equations.matrix)
        columns = []
        for k, place in enumerate(places):
            step, white = 1e-2 / np.sqrt(full[k, k]), []
            for s in (-step, step):
                after = evaluate(bands, moved(state, layout, place, s), sizes, freedom)
                white.append([
                    w.whiten(r).ravel()
                    for w, r in zip(method.whitenings, after.residuals, strict=True)
                ])  # fmt: skip
            columns.append((np.concatenate(white[0]) - np.concatenate(white[1])) / (2 * step))
        columns = np.array(columns)
        difference = full - columns @ columns.T
        size = np.sqrt(np.diag(full))
        difference /= size[:, None] * size
        off = difference - np.diag(np.diag(difference))
        assert np.abs(off).max() < 2e-3
        # the diagonal holds the priors
        stars = np.arange(layout.n_stars)
        x = layout.n_border + layout.star(stars, layout.n_bands)
        prior = np.diag(difference)[x] * size[x] ** 2
        np.testing.assert_allclose(prior, 1 / 0.5**2, rtol=0.05)

    def test_chi2_has_the_priors_once(self, case):
        bands, state, freedom, method, sizes, evaluation, _ = case
        loose = method.evaluate(bands, state, sizes, Freedom(position_prior=1e9))
        plain = [
            evaluate(bands, state, sizes, f).chi2 for f in (freedom, Freedom(position_prior=1e9))
        ]
        assert evaluation.chi2 - loose.chi2 == pytest.approx(plain[0] - plain[1], rel=1e-6)


class TestWhiteNoise:
    def test_a_flat_spectrum_gives_the_fit_with_independent_pixels(self):
        synthetic = make_scene(5, (51, 51), 5, ("F150W",), snr=100, star_separation=6)
        bands, freedom = bands_of(synthetic), Freedom(position_prior=1e4)
        start = true_state(synthetic, bands)
        sharp = dict(max_iterations=30, tolerance=1e-9)
        one = fit_scene(bands, start, freedom, **sharp)
        method = method_for(bands, np.ones_like(smooth_power()))
        two = fit_scene(bands, start, freedom, method=method, **sharp)
        assert two.chi2 == pytest.approx(one.chi2, abs=1e-3)
        # but for the wings of the stars in the gradient, which one of them cuts
        np.testing.assert_allclose(two.state.shapes, one.state.shapes, atol=2e-3)
        np.testing.assert_allclose(two.state.star_flux, one.state.star_flux, rtol=2e-3)

    def test_the_step_changes_next_to_nothing(self):
        synthetic = make_scene(6, (81, 81), 8, ("F150W",), snr=100, star_separation=6)
        bands, freedom = bands_of(synthetic), Freedom()
        fit = fit_scene(bands, true_state(synthetic, bands), freedom)
        covariance = scene_covariance(bands, fit, freedom)
        better, gls = gls_step(bands, fit, covariance, freedom, BOUNDS)
        error = np.sqrt(np.diag(covariance.factor.border_inverse()))
        assert np.all(np.abs(better.state.shapes - fit.state.shapes)[0] < 0.2 * error[:6])
        flux_error = covariance.star_flux_errors()
        assert np.all(np.abs(better.state.star_flux - fit.state.star_flux) < 0.2 * flux_error)
        np.testing.assert_allclose(gls.star_flux_errors(), flux_error, rtol=0.15)
        assert 0 <= better.chi2 - fit.chi2 < 2
        for own, other in ((fit, covariance), (better, gls)):
            _, matrix, _ = galaxy_covariance(bands, own, other)
            np.testing.assert_allclose(np.sqrt(np.diag(matrix))[:6], error[:6], rtol=0.25)


def fitted(seed, noise="correlated", **kwargs):
    """A fit of one scene, and the same after the step."""
    synthetic = make_scene(
        seed, (61, 61), 10, ("F150W",), snr=100, star_separation=5, noise=noise, **kwargs
    )
    bands, freedom = bands_of(synthetic), Freedom()
    truth = true_state(synthetic, bands)
    fit = fit_scene(bands, truth, freedom)
    covariance = scene_covariance(bands, fit, freedom)
    return truth, (fit, covariance), gls_step(bands, fit, covariance, freedom, BOUNDS)


def test_stars_scatter_less_in_correlated_noise_and_know_it():
    flux, place, pulls = ([[], []] for _ in range(3))
    for seed in range(6):
        truth, *both = fitted(seed)
        first = both[0][1]
        for k, (fit, covariance) in enumerate(both):
            off = (fit.state.star_flux - truth.star_flux)[0]
            # in units of the errors with independent pixels: faint and bright count alike
            flux[k] += list(off / first.star_flux_errors()[0])
            place[k] += list((fit.state.x - truth.x) / first.position_errors()[0])
            pulls[k] += list(off / covariance.star_flux_errors()[0])
    flux, place, pulls = (np.std(values, axis=1) for values in (flux, place, pulls))
    assert flux[1] < 0.85 * flux[0]
    assert place[1] < 0.8 * place[0]
    assert pulls[0] > 1.8
    assert 0.8 < pulls[1] < 1.3


class TestErrors:
    def test_influence_images_are_how_data_move_the_estimate(self):
        """A linear fit: one pixel changed, the whole estimate made again."""
        synthetic = make_scene(7, (45, 45), 4, ("F150W",), snr=80, star_separation=7)
        bands = compact(synthetic)
        state, method = true_state(synthetic, bands), method_for(bands, smooth_power())
        sizes, sharp = sizes_of(bands, state), dict(max_iterations=30, tolerance=1e-10)

        def galaxy(bands):
            return fit_scene(bands, state, PINNED, method=method, **sharp)

        fit = galaxy(bands)
        equations = method.normal_equations(bands, fit.state, fit.evaluation, sizes, PINNED)
        covariance = replace(covariance_of(equations, fit.state), whitenings=method.whitenings)
        rows = np.zeros((1, covariance.layout.n_border))
        rows[0, covariance.layout.galaxy_flux(0)] = 1
        (influence,) = influence_images(bands, fit, covariance, rows)
        y, x = (round(v) for v in (state.shapes[0, 1], state.shapes[0, 0]))
        star = round(state.y[0]), round(state.x[0])
        largest = np.abs(influence).max()
        for place in ((y, x), (y + 3, x - 2), star, (2, 3)):
            data = bands[0].data.copy()
            data[place] += 5 * bands[0].sigma
            change = (
                galaxy([replace(bands[0], data=data)]).state.galaxy_flux - fit.state.galaxy_flux
            )
            expected = change[0, 0] / (5 * bands[0].sigma)
            assert influence[0][place] == pytest.approx(expected, abs=0.02 * largest)

    def test_those_of_the_galaxy_are_not_larger_in_correlated_noise(self):
        ratios = []
        for seed in (1, 2):
            synthetic = make_scene(seed, (61, 61), 8, ("F150W",), noise="correlated")
            bands, freedom = bands_of(synthetic), Freedom()
            fit = fit_scene(bands, true_state(synthetic, bands), freedom)
            covariance = scene_covariance(bands, fit, freedom)
            both = (fit, covariance), gls_step(bands, fit, covariance, freedom, BOUNDS)
            errors = [np.sqrt(np.diag(galaxy_covariance(bands, *one)[1])) for one in both]
            ratios.append(errors[1] / errors[0])
        mean = np.mean(ratios, axis=0)
        # x, y, ln r_eff, e1, e2, ln n, flux, sky
        assert np.all(mean < 1.05)
        assert np.all(mean[[0, 1, 5]] < 0.97)


class TestScenes:
    def test_two_bands_with_registration(self):
        synthetic = make_scene(
            9, (61, 61), 6, ("F150W", "F277W"), noise="correlated", star_separation=6,
            offsets={"F277W": (0.2, -0.3)},
        )  # fmt: skip
        bands, freedom = bands_of(synthetic), Freedom(registration=(1,))
        truth = true_state(synthetic, bands)
        fit = fit_scene(bands, truth, freedom)
        better, covariance = gls_step(
            bands, fit, scene_covariance(bands, fit, freedom), freedom, BOUNDS
        )
        error = covariance.registration_error(1)
        assert np.all(np.abs(better.state.shift[1] - [0.2, -0.3]) < 5 * np.array(error))
        quantities, matrix, _ = galaxy_covariance(bands, better, covariance)
        assert np.linalg.eigvalsh(matrix / np.sqrt(np.outer(*[np.diag(matrix)] * 2)))[0] > 0
        for band in (0, 1):
            row = quantities.flux(band, 0)
            off = better.state.galaxy_flux[band, 0] - truth.galaxy_flux[band, 0]
            assert abs(off) < 5 * np.sqrt(matrix[row, row])

    def test_bands_on_different_grids(self):
        synthetic = two_grids(noise="correlated")
        bands, freedom = grid_bands(synthetic), Freedom(registration=(1,))
        truth = grid_state(synthetic, bands)
        fit = fit_scene(bands, truth, freedom)
        covariance = scene_covariance(bands, fit, freedom)
        better, gls = gls_step(bands, fit, covariance, freedom, BOUNDS)
        pulls = [
            (own.state.star_flux - truth.star_flux) / covariance.star_flux_errors()
            for own in (fit, better)
        ]
        assert np.std(pulls[1]) < np.std(pulls[0])
        quantities, matrix, _ = galaxy_covariance(bands, better, gls)
        error = np.sqrt(np.diag(matrix))
        off = better.state.galaxy_flux - truth.galaxy_flux
        assert all(abs(off[band, 0]) < 4 * error[quantities.flux(band, 0)] for band in (0, 1))
        assert np.all(np.abs(better.state.shapes - truth.shapes)[0] < 4 * error[:6])

    def test_a_star_without_data_keeps_its_flux(self):
        synthetic = make_scene(4, (61, 61), 5, ("F150W",), star_separation=8)
        band = bands_of(synthetic)[0]
        state = true_state(synthetic, [band])
        y, x = round(state.y[2]), round(state.x[2])
        mask = band.mask.copy()
        mask[y - 6 : y + 7, x - 6 : x + 7] = True
        band = make_band("F150W", band.data, mask, effective_psf(synthetic, "F150W"), band.sigma)
        fit = fit_scene([band], state, Freedom())
        covariance = scene_covariance([band], fit, Freedom())
        better, gls = gls_step([band], fit, covariance, Freedom(), BOUNDS)
        errors = gls.star_flux_errors([band])[0]
        assert np.isinf(errors[2]) and np.isfinite(np.delete(errors, 2)).all()
        assert better.state.star_flux[0, 2] == pytest.approx(fit.state.star_flux[0, 2], rel=1e-9)

    def test_a_galaxy_without_stars(self):
        synthetic = make_scene(2, (61, 61), 0, ("F150W",), noise="correlated")
        bands = bands_of(synthetic)
        fit = fit_scene(bands, true_state(synthetic, bands), Freedom())
        covariance = scene_covariance(bands, fit, Freedom())
        better, gls = gls_step(bands, fit, covariance, Freedom(), BOUNDS)
        quantities, matrix, _ = galaxy_covariance(bands, better, gls)
        off = better.state.galaxy_flux[0, 0] - synthetic.truth.fluxes["F150W"]
        row = quantities.flux(0, 0)
        assert 0 < abs(off) < 5 * np.sqrt(matrix[row, row])

    def test_the_result_of_a_ladder(self):
        synthetic = make_scene(3, (61, 61), 5, ("F150W",), noise="correlated", star_separation=8)
        bands = bands_of(synthetic)
        result = run_ladder(
            bands, true_state(synthetic, bands), Freedom(),
            replace(ONE_PASS, thresholds=(), floor_passes=0), BOUNDS,
        )  # fmt: skip
        after = gls_result(result, Freedom(), BOUNDS)
        assert after.solution.state.n_stars == result.solution.state.n_stars
        assert after.n_iterations > result.n_iterations
        assert after.covariance.whitenings is not None and result.covariance.whitenings is None
        # the minimum of chi2 with independent pixels is that of the first fit
        assert after.solution.chi2 > result.solution.chi2
        assert after.solution.converged == result.solution.converged
