"""Fits of stars in windows, with pinned or bounded positions, in small squares."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state
from ladder_scenes import PINNED_GALAXY, star_scene

from galstep.core.detection.star_fitters import StarFitter, fit_without_stars, with_render_side
from galstep.core.detection.star_groups import StarsAlone
from galstep.core.engine.simplex import fit_simplex
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError


@pytest.fixture(name="scene", scope="module")
def _scene():
    synthetic = star_scene([15.2, 45.4, 16.7], [14.7, 12.1, 48.3], [60.0, 40.0, 25.0])
    bands = bands_of(synthetic)
    return bands, true_state(synthetic, bands)


def spoiled(band, x, y, half):
    """The band with other data outside of boxes about these places."""
    yy, xx = np.indices(band.shape)
    far = np.ones(band.shape, dtype=bool)
    for at_x, at_y in zip(np.rint(x), np.rint(y), strict=True):
        far &= np.maximum(abs(xx - at_x), abs(yy - at_y)) > half
    return replace(band, data=np.where(far, band.data + 5 * band.sigma, band.data))


class TestDefault:
    def test_it_is_the_fit_itself(self, scene):
        one = StarFitter()(*scene, PINNED_GALAXY, max_iterations=4)
        two = fit_scene(*scene, PINNED_GALAXY, max_iterations=4)
        assert np.array_equal(one.state.star_flux, two.state.star_flux)

    @pytest.mark.parametrize("options", [dict(window=5), dict(separation=2.0)])
    def test_another_galaxy_fitter_cannot_hold_stars(self, options):
        with pytest.raises(ParameterError, match="galaxy_fitter must be varpro where stars are"):
            StarFitter(fit_simplex, **options)

    def test_a_window_has_a_middle(self):
        with pytest.raises(ParameterError, match="window must be an odd number of pixels, got 6"):
            StarFitter(window=6)


class TestWindow:
    def test_pixels_outside_do_not_move_stars(self, scene):
        bands, state = scene
        # galaxy and sky are known: only the stars see a window
        other = [spoiled(bands[0], state.x, state.y, half=4)]
        fits = [self.stars_only(StarFitter(window=7), b, state) for b in (bands, other)]
        np.testing.assert_allclose(fits[1].star_flux, fits[0].star_flux, rtol=1e-9)
        whole = [self.stars_only(StarFitter(window=41), b, state) for b in (bands, other)]
        assert np.all(whole[1].star_flux / whole[0].star_flux > 1.001)

    @staticmethod
    def stars_only(fitter, bands, state):
        inside = [fitter._windowed(band, i, state) for i, band in enumerate(bands)]
        return fit_scene(inside, state, PINNED_GALAXY, method=StarsAlone()).state

    def test_stars_and_galaxy_agree_in_the_end(self, scene):
        bands, state = scene
        result = StarFitter(window=11)(bands, state, PINNED_GALAXY, max_iterations=8)
        best = fit_scene(bands, state, PINNED_GALAXY, max_iterations=8)
        errors = best.state.star_flux[0] / [60.0, 40.0, 25.0]
        assert np.all(abs(result.state.star_flux[0] - best.state.star_flux[0]) < errors)
        assert np.all(result.state.star_flux != best.state.star_flux)
        assert result.converged and result.equations is not None
        assert result.chi2 == pytest.approx(best.chi2, abs=10)
        assert result.chi2 >= best.chi2 - 0.1

    def test_galaxy_and_sky_alone(self, scene):
        bands, state = scene
        result = fit_without_stars(bands, state, PINNED_GALAXY)
        assert np.array_equal(result.state.star_flux, state.star_flux)
        assert np.array_equal(result.state.x, state.x)
        assert np.all(result.state.galaxy_flux != state.galaxy_flux)


class TestPositions:
    def test_pinned(self, scene):
        bands, state = scene
        result = StarFitter(reach=0.0)(bands, state, PINNED_GALAXY)
        assert np.array_equal(result.state.x, state.x)
        assert np.all(result.state.star_flux != state.star_flux)
        assert result.equations.layout.positions  # errors are those of free positions

    def test_within_a_distance(self, scene):
        bands, truth = scene
        moved = replace(truth, x=truth.x + [0.5, 0.02, 0.0], x_prior=truth.x_prior)
        result = StarFitter(reach=0.2)(bands, moved, PINNED_GALAXY, max_iterations=8).state
        distance = np.hypot(result.x - moved.x, result.y - moved.y)
        assert distance[0] == pytest.approx(0.2, rel=0.01)
        assert np.all(distance[1:] < 0.2)
        assert np.array_equal(result.x_prior, truth.x_prior)
        free = StarFitter()(bands, moved, PINNED_GALAXY, max_iterations=8).state
        assert free.x[0] == pytest.approx(truth.x[0], abs=0.1)


class TestRenderSide:
    def test_a_star_has_no_light_beyond(self, scene):
        band = with_render_side(scene[0][0], 25)
        image = band.star_renderer.render((61, 61), *np.array([[30.0], [30.0], [1.0]]))
        yy, xx = np.nonzero(image)
        assert (np.ptp(yy) + 1, np.ptp(xx) + 1) == (25, 25)
        whole = scene[0][0].star_renderer.render((61, 61), *np.array([[30.0], [30.0], [1.0]]))
        assert image.sum() < whole.sum()

    def test_none(self, scene):
        assert with_render_side(scene[0][0], 0) is scene[0][0]
