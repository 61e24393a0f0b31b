"""Clumps of a galaxy that are as sharp as stars: counted with it, and told from stars."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.solve import ShapeBounds
from galstep.core.fitting.knots import scene_membership, with_knots
from galstep.core.measurement.measure import measure_scene
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.testing import make_scene

FILTERS = ("F090W", "F150W", "F277W")
GALAXY = SersicParams(45.4, 44.7, 9.0, 1.0, 0.25, 0.7)
BOUNDS = ShapeBounds(r_eff=(0.5, 45.0))
LISTED = replace(ONE_PASS, thresholds=(), floor_passes=0, keep=-np.inf, modes=False)
PINNED_GALAXY = Freedom(shape=(False,) * 6)
# clumps along a spiral within 1.6 r_eff, each a share of the light under it: eight times as
# many sources as the stars of the frame let expect there
N_CLUMPS, SHARE = 30, 0.15


@pytest.fixture(name="clumpy", scope="module")
def _clumpy():
    """A galaxy with clumps of its own colours among stars, all of them listed and fitted."""
    synthetic = make_scene(
        7, (91, 91), 10, FILTERS, sersic=GALAXY, snr=1500, star_separation=5, star_snr=(25, 200)
    )
    bands = bands_of(synthetic)
    angle = np.linspace(0, 4 * np.pi, N_CLUMPS)
    radius = np.linspace(3.5, 14.0, N_CLUMPS)
    x, y = GALAXY.x_0 + radius * np.cos(angle), GALAXY.y_0 + radius * np.sin(angle)
    state, fluxes = true_state(synthetic, bands), []
    for i, band in enumerate(bands):
        light = synthetic.galaxy[band.name][np.rint(y).astype(int), np.rint(x).astype(int)]
        flux = SHARE * light * band.star_renderer.psf.noise_area
        image = band.star_renderer.render(band.shape, x, y, flux)
        bands[i] = replace(band, data=band.data + image, log_wavelength=[-0.5, 0.0, 0.6][i])
        fluxes.append(flux)
    n_stars = state.n_stars
    state = state.with_stars(x, y, np.array(fluxes))
    result = run_ladder(bands, state, PINNED_GALAXY, LISTED, BOUNDS)
    measured = measure_scene(result, PINNED_GALAXY, "jointfit", BOUNDS, 1000)
    return synthetic, np.array(fluxes), n_stars, result, measured


def divided_by_hand(measured, result, n_stars, probability=None):
    """As if it were known which sources are pieces of the galaxy."""
    state = result.solution.state
    share = np.where(np.arange(state.n_stars) < n_stars, 1.0, 0.0)
    state = replace(state, star_probability=share if probability is None else probability)
    result = replace(result, solution=replace(result.solution, state=state))
    return with_knots(measured, result)


def test_most_clumps_are_knots_and_most_stars_stars(clumpy):
    synthetic, _, n_stars, result, _ = clumpy
    found = scene_membership(result)
    assert found.star_probability.shape == (n_stars + N_CLUMPS,)
    knot = ~found.is_star
    assert knot[n_stars:].mean() > 0.8
    assert (found.star_probability[:n_stars] > 0.9).all()


def test_the_light_of_knots_is_the_galaxys(clumpy):
    synthetic, fluxes, n_stars, result, measured = clumpy
    divided = divided_by_hand(measured, result, n_stars)
    for i, (fit, before) in enumerate(zip(divided.fits, measured.fits, strict=True)):
        true = synthetic.truth.fluxes[FILTERS[i]] + fluxes[i].sum()
        assert len(fit.knots) == N_CLUMPS and len(fit.stars) == n_stars
        assert fit.knot_flux == pytest.approx(fluxes[i].sum(), rel=0.1)
        assert fit.total_flux == pytest.approx(before.total_flux + fit.knot_flux)
        assert fit.total_flux == pytest.approx(true, rel=0.03)
        assert fit.total_flux_err >= before.total_flux_err
        assert fit.flags & BandFlag.KNOTS
        assert f"{N_CLUMPS} knots hold" in fit.reason


def test_images_and_covariance_add_up(clumpy):
    _, _, n_stars, result, measured = clumpy
    divided = divided_by_hand(measured, result, n_stars)
    for i, band in enumerate(result.bands):
        knots, stars = divided.knots[i], divided.stars[i]
        np.testing.assert_allclose(knots + stars, measured.stars[i], atol=1e-12)
        assert knots.sum() == pytest.approx(divided.fits[i].knot_flux, rel=0.02)
        parts = (divided.galaxy, divided.knots, divided.companions, divided.stars, divided.sky)
        residual = np.where(band.mask, 0.0, band.data - sum(own[i] for own in parts))
        expected = result.solution.evaluation.residuals[i]
        np.testing.assert_allclose(residual, expected, atol=1e-9 * np.abs(band.data).max())
    grown = divided.flux_covariance - measured.flux_covariance
    assert np.linalg.eigvalsh(grown).min() >= -1e-12 * np.abs(grown).max()


def test_what_is_open_is_in_the_error(clumpy):
    # each clump a star with even chance: the total of a coin thrown for each
    _, _, n_stars, result, measured = clumpy
    n = n_stars + N_CLUMPS
    share = np.where(np.arange(n) < n_stars, 1.0, 0.49)
    divided = divided_by_hand(measured, result, n_stars, share)
    flux = result.solution.state.star_flux[:, n_stars:]
    for i, (fit, before) in enumerate(zip(divided.fits, measured.fits, strict=True)):
        thrown = np.sqrt(0.49 * 0.51 * (flux[i] ** 2).sum())
        left = fit.total_flux_err**2 - before.total_flux_err**2
        assert np.sqrt(left) == pytest.approx(thrown, rel=0.1)
        # bands err together: it is the same source
        for j in range(len(FILTERS)):
            grown = (divided.flux_covariance - measured.flux_covariance)[i, j]
            if i != j:
                assert grown == pytest.approx(0.49 * 0.51 * flux[i] @ flux[j], rel=1e-6)


def test_a_scene_without_sources_is_left_alone(clumpy):
    synthetic, _, _, result, _ = clumpy
    state = result.solution.state.select_stars(np.zeros(result.solution.state.n_stars, bool))
    none = run_ladder(result.bands, state, PINNED_GALAXY, LISTED, BOUNDS)
    assert scene_membership(none) is None
    measured = measure_scene(none, PINNED_GALAXY, "jointfit", BOUNDS)
    assert with_knots(measured, none) is measured


def test_what_lies_far_from_the_target_is_no_piece_of_it():
    """Another galaxy in the corner, without a profile: bright there, where the target is not."""
    small = replace(GALAXY, r_eff=4.0)
    synthetic = make_scene(
        7, (91, 91), 10, FILTERS, sersic=small, snr=500, star_separation=5, star_snr=(25, 200)
    )
    bands = bands_of(synthetic)
    state, fluxes = true_state(synthetic, bands), []
    rng = np.random.default_rng(3)
    x, y = 80 + 6 * rng.normal(size=25), 10 + 6 * rng.normal(size=25)
    yy, xx = np.indices((91, 91))
    blob = np.exp(-((xx - 80) ** 2 + (yy - 10) ** 2) / (2 * 8.0**2))
    for i, band in enumerate(bands):
        flux = np.full(25, 60 * band.sigma * np.sqrt(band.star_renderer.psf.noise_area))
        image = 40 * band.sigma * blob + band.star_renderer.render(band.shape, x, y, flux)
        bands[i] = replace(band, data=band.data + image, log_wavelength=[-0.5, 0.0, 0.6][i])
        fluxes.append(flux)
    n_stars = state.n_stars
    state = state.with_stars(x, y, np.array(fluxes))
    result = run_ladder(bands, state, PINNED_GALAXY, LISTED, BOUNDS)
    membership = scene_membership(result)
    assert not membership.inside[n_stars:].any()
    assert (membership.star_probability[n_stars:] == 1).all()
