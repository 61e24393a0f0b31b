"""Sources fitted together: totals, errors, priors, limits, other grids."""

import numpy as np
import pytest
from scene_cases import ALL, evaluation, fitted, frame, galaxy, psf_map, source, star, vector

from galstep.core.scene.errors import scene_errors
from galstep.core.scene.source import SourceBounds, SourcePrior
from galstep.pixel_map import PixelMap

SHAPE = (121, 121)


@pytest.mark.parametrize("sky", [False, True], ids=["sky fixed", "sky free"])
@pytest.mark.parametrize("n", [1.0, 2.0, 3.0, 4.0])
def test_total_of_a_galaxy_without_noise(n, sky):
    true = vector(60.2, 59.7, 3.0, n)
    data = 1e4 * galaxy(true, SHAPE) + 0.5 * sky
    start = vector(60.5, 59.4, 3.6, 2.0, 0.2, 0.8)
    # the noise decides how far the light counts: the fainter, the farther
    fit = fitted([frame(data, sigma=1e-3, sky=sky)], [source(start)], [start])
    assert fit.converged
    assert fit.state.flux[0, 0] == pytest.approx(1e4, rel=1e-3 if n > 3 else 2e-4)
    assert fit.state.z[0, 5] == pytest.approx(np.log(n), abs=2e-3)


def blend():
    """A star and a galaxy two pixels apart, and a star of its own."""
    z = np.array([vector(30.3, 31.2, 2.5, 1.5), [32.1, 30.4, 0, 0, 0, 0], [52.0, 14.0, 0, 0, 0, 0]])
    flux = np.array([[3000.0], [1500.0], [800.0]])
    shape = (64, 64)
    parts = [galaxy(z[0], shape), star(*z[1, :2], shape), star(*z[2, :2], shape)]
    return z, flux, sum(f * p for f, p in zip(flux[:, 0], parts, strict=True))


def test_errors_are_those_of_many_realisations():
    z, flux, light = blend()
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(60):
        unit, sigma = 0.5, 2.0
        data = rng.normal(light + 1.0, np.sqrt(sigma**2 + unit * light))
        sources = [source(z[0]), source(z[1], point=True), source(z[2], point=True)]
        fit = fitted([frame(data, sigma, unit)], sources, z)
        errors = scene_errors(fit.equations()).sources
        own = []
        for k, covariance in enumerate(errors):
            free = sources[k].free
            change = np.concatenate([(fit.state.z[k] - z[k])[free], fit.state.flux[k] - flux[k]])
            own.append(change / np.sqrt(np.diag(covariance)))
        pulls.append(np.concatenate(own))
    pulls = np.array(pulls)
    assert np.abs(pulls.mean(axis=0)).max() < 0.5  # 3.5 errors of a mean of 60
    assert np.all((pulls.std(axis=0) > 0.72) & (pulls.std(axis=0) < 1.32))
    assert 0.9 < pulls.std() < 1.1


def test_a_blend_in_two_bands_shares_place_and_shape():
    z, flux, light = blend()
    second = light * 0.5
    frames = [frame(light, 1.0), frame(second, 1.0, name="i")]
    sources = [source(z[0]), source(z[1], point=True), source(z[2], point=True)]
    begin = z + np.array([0.3, -0.2, 0, 0, 0, 0])
    fit = fitted(frames, sources, begin)
    np.testing.assert_allclose(fit.state.flux[:, 0], flux[:, 0], rtol=2e-3)
    np.testing.assert_allclose(fit.state.flux[:, 1], 0.5 * flux[:, 0], rtol=2e-3)
    np.testing.assert_allclose(fit.state.z[:, :2], z[:, :2], atol=2e-3)


def test_prior_narrows_as_it_must():
    true = vector(32.0, 32.0, 3.0, 2.0)
    data = 2000 * galaxy(true, (65, 65)) + np.random.default_rng(1).normal(0, 1, (65, 65))
    free = ALL & np.array([True, True, True, True, True, False])
    widths = []
    for width in (np.inf, 0.01):
        precision = np.zeros((6, 6))
        precision[2, 2] = 1 / width**2
        prior = SourcePrior(true, precision, np.zeros(1), np.zeros(1))
        fit = fitted([frame(data)], [source(true, free=free, prior=prior)], [true])
        widths.append(np.sqrt(scene_errors(fit.equations()).sources[0][2, 2]))
    assert widths[0] > 0.015
    # the prior acts on one number, everything else marginalised
    assert widths[1] == pytest.approx(1 / np.hypot(1 / widths[0], 100.0), rel=0.03)


def test_forced_fluxes_are_the_linear_solution():
    z, _, light = blend()
    data = light + np.random.default_rng(2).normal(0, 1, light.shape)
    held = np.zeros(6, dtype=bool)
    sources = [source(z[0], free=held), *(source(k, point=True, free=held) for k in z[1:])]
    fit = fitted([frame(data)], sources, z)
    shape = light.shape
    columns = [galaxy(z[0], shape), star(*z[1, :2], shape), star(*z[2, :2], shape), np.ones(shape)]
    matrix = np.stack([c.ravel() for c in columns], axis=1)
    expected = np.linalg.lstsq(matrix, data.ravel(), rcond=None)[0]
    errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)))
    got = np.append(fit.state.flux[:, 0], fit.state.sky[0])
    # stamps end where the light does
    np.testing.assert_allclose(got, expected, atol=0.02 * errors.max())
    stated = [np.sqrt(c[0, 0]) for c in scene_errors(fit.equations()).sources]
    np.testing.assert_allclose(stated, errors[:3], rtol=0.01)
    np.testing.assert_array_equal(fit.state.z, z)


def test_what_ends_at_a_limit_says_so():
    true = vector(32.0, 32.0, 3.0, 2.0)
    start = vector(30.0, 32.0, 1.0, 2.0)
    bounds = SourceBounds(x=(29.5, 30.5), y=(27.0, 37.0), r_eff=(0.3, 1.5))
    own = source(start)
    own = type(own)(False, ALL, bounds)
    fit = fitted([frame(1e4 * galaxy(true, (65, 65)))], [own], [start])
    names = bounds.at_bound(fit.state.z[0], own.free)
    assert "x@upper" in names
    assert "r_eff@upper" in names


def test_derivatives_are_those_of_the_image_on_any_grid():
    pixel_map = PixelMap(((1.2, 0.3), (-0.25, 1.1)), (4.0, 9.0))
    for point in (False, True):
        z = vector(25.3, 22.1) if not point else np.array([25.3, 22.1, 0, 0, 0, 0])
        blank = frame(np.zeros((80, 80)), pixel_map=pixel_map)
        one = source(point=point)
        stamp = evaluation([blank], [one], [z], [[1e4]]).stamps[0].fit[0]
        for k in range(2 if point else 6):
            step = np.zeros(6)
            step[k] = 1e-4
            images = [
                evaluation([blank], [one], [z + s], [[1e4]]).stamps[0].fit[0].values[0]
                for s in (step, -step)
            ]
            numeric = (images[0] - images[1]) / 2e-4
            scale = np.abs(numeric).max()
            np.testing.assert_allclose(stamp.values[1 + k], numeric, atol=2e-4 * scale)


def test_bands_on_other_grids_are_fitted_without_resampling():
    turn = PixelMap(((0.8, 0.6), (-0.6, 0.8)), (-8.0, 30.0))
    true = vector(40.3, 38.2, 3.0, 1.5)
    shape = (81, 81)
    second = turn.vector(true)
    frames = [
        frame(3e3 * galaxy(true, shape), 0.5),
        frame(5e3 * galaxy(second, shape), 0.5, pixel_map=turn, name="i"),
    ]
    start = vector(40.8, 37.9, 2.5, 2.0, 0.1, 0.0)
    fit = fitted(frames, [source(start)], [start])
    np.testing.assert_allclose(fit.state.flux[0], [3e3, 5e3], rtol=2e-3)
    np.testing.assert_allclose(fit.state.z[0, :2], true[:2], atol=2e-3)
    np.testing.assert_allclose(fit.state.z[0, 2:5], true[2:5], atol=5e-3)


def test_errors_are_the_inverse_of_the_whole_matrix():
    z, flux, light = blend()
    sources = [source(z[0]), source(z[1], point=True), source(z[2], point=True)]
    fit = fitted([frame(light, 1.0)], sources, z, flux)
    equations = fit.equations()
    n = equations.layout.n_body
    whole = np.block(
        [
            [equations.body.toarray(), equations.coupling.T],
            [equations.coupling, equations.border],
        ]
    )
    inverse = np.linalg.inv(whole)
    errors = scene_errors(equations)
    for k in range(3):
        own = equations.layout.of(k)
        np.testing.assert_allclose(np.diag(errors.sources[k]), np.diag(inverse)[own], rtol=1e-5)
    np.testing.assert_allclose(errors.sky, inverse[n:, n:], rtol=1e-5)


def test_masked_core_of_a_star_leaves_its_flux_to_the_wings():
    psf = psf_map()
    data = 1e5 * star(40.2, 39.9, (81, 81)) + np.random.default_rng(3).normal(0, 1, (81, 81))
    y, x = np.indices(data.shape)
    mask = np.hypot(x - 40, y - 40) < 3
    z = np.array([40.4, 40.1, 0, 0, 0, 0])
    fit = fitted([frame(data, mask=mask, psf=psf)], [source(z, point=True)], [z])
    error = np.sqrt(scene_errors(fit.equations()).sources[0][2, 2])
    assert error < 3e3
    assert abs(fit.state.flux[0, 0] - 1e5) < 3.5 * error


def test_two_sources_on_one_place_do_not_stop_the_fit():
    z = np.array([[20.0, 20.0, 0, 0, 0, 0], [20.0, 20.0, 0, 0, 0, 0]])
    data = 1e3 * star(20.0, 20.0, (41, 41)) + np.random.default_rng(4).normal(0, 1, (41, 41))
    fit = fitted([frame(data)], [source(k, point=True) for k in z], z)
    assert fit.state.flux.sum() == pytest.approx(1e3, abs=40)


def test_a_band_without_pixels_leaves_the_rest_alone():
    z, flux, light = blend()
    sources = [source(z[0]), source(z[1], point=True), source(z[2], point=True)]
    blind = frame(light, mask=np.ones(light.shape, dtype=bool), name="i")
    nothing = frame(np.zeros((0, 0)), name="z", origin=(500, 500))
    fit = fitted([frame(light), blind, nothing], sources, z)
    np.testing.assert_allclose(fit.state.flux[:, 0], flux[:, 0], rtol=2e-3)
    assert np.isfinite(fit.state.flux).all()


def test_a_prior_on_a_flux_is_weighed_against_the_data():
    held, place = np.zeros(6, dtype=bool), np.array([20.0, 21.0, 0, 0, 0, 0])
    data = 900.0 * star(*place[:2], (41, 41))
    free = fitted([frame(data)], [source(place, point=True, free=held)], [place])
    (known,) = scene_errors(free.equations()).sources
    width = np.sqrt(known[0, 0])
    prior = SourcePrior(place, np.zeros((6, 6)), np.array([1000.0]), np.array([1 / width**2]))
    own = source(place, point=True, free=held, prior=prior)
    fit = fitted([frame(data)], [own], [place])
    assert fit.state.flux[0, 0] == pytest.approx(950.0, abs=0.5)
