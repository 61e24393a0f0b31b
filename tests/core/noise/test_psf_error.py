"""What the PSF's error does to a fit, against the fit with the other PSF."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, effective_psf, true_state

from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.core.measurement.measure_galaxy import border_quantities
from galstep.core.noise.psf_error import psf_covariance, relative_star_errors
from galstep.core.psf.cache import displaced_psfs
from galstep.records import PsfKernel
from galstep.testing import make_scene

FILTERS = ("F150W", "F277W")
KERNEL = PsfKernel("gaussian", (0.05,))


@pytest.fixture(name="fitted", scope="module")
def _fitted():
    synthetic = make_scene(6, (81, 81), 12, FILTERS, snr=500, star_separation=8)
    bands = bands_of(synthetic)
    wider = [effective_psf(synthetic, name).convolved(KERNEL) for name in FILTERS]
    bands = [replace(b, displaced_psfs=(p,)) for b, p in zip(bands, wider, strict=True)]
    solution = fit_scene(bands, true_state(synthetic, bands), Freedom(), tolerance=1e-4)
    return bands, solution, wider


def refitted(bands, solution, wider, index):
    """The fit with one band's PSF exchanged."""
    other = list(bands)
    renderers = dict(
        galaxy_renderer=GalaxyRenderer(bands[index].shape, wider[index]),
        star_renderer=StarRenderer(wider[index]),
    )
    other[index] = replace(bands[index], **renderers)
    return fit_scene(other, solution.state, Freedom(), tolerance=1e-4, max_iterations=30)


@pytest.mark.parametrize("index", [0, 1])
def test_the_covariance_is_that_of_the_change(fitted, index):
    bands, solution, wider = fitted
    only = [replace(b, displaced_psfs=b.displaced_psfs * (i == index)) for i, b in enumerate(bands)]
    covariance = scene_covariance(only, solution, Freedom())
    quantities = border_quantities(only, solution.state, covariance.layout)
    predicted = psf_covariance(only, solution, covariance, quantities.rows)
    other = refitted(bands, solution, wider, index)
    shape = (other.state.shapes - solution.state.shapes)[0]
    flux = (other.state.galaxy_flux - solution.state.galaxy_flux)[:, 0]
    rows = [2, 5, quantities.flux(0, 0), quantities.flux(1, 0)]
    moved = np.array([shape[2], shape[5], *flux])
    found = np.sqrt(np.diag(predicted))[rows]
    np.testing.assert_allclose(found, np.abs(moved), rtol=0.15, atol=0.02 * np.abs(moved).max())
    signs = np.sign(predicted[np.ix_(rows, rows)])
    large = np.abs(moved) > 0.1 * np.abs(moved).max()
    expected = np.sign(np.outer(moved, moved))
    assert np.array_equal(signs[np.ix_(large, large)], expected[np.ix_(large, large)])


def test_directions_and_bands_add_in_quadrature(fitted):
    """Each is independent of the others, so each one's refit counts, whatever the order."""
    bands, solution, wider = fitted
    other = effective_psf_of(bands[0]).convolved(PsfKernel("gaussian", (0.03,)))
    covariance = scene_covariance(bands, solution, Freedom())
    quantities = border_quantities(bands, solution.state, covariance.layout)

    def matrix(*directions):
        own = [replace(b, displaced_psfs=d) for b, d in zip(bands, directions, strict=True)]
        return psf_covariance(own, solution, covariance, quantities.rows)

    apart = [matrix((wider[0],), ()), matrix((other,), ()), matrix((), (wider[1],))]
    for pair in ((wider[0], other), (other, wider[0])):
        both = matrix(pair, (wider[1],))
        np.testing.assert_allclose(both, sum(apart), rtol=1e-9, atol=1e-12 * np.abs(both).max())
    # one direction is as long as the change of a refit with that PSF
    flux = quantities.flux(0, 0)
    moved = [
        refitted(bands, solution, [psf, wider[1]], 0).state.galaxy_flux[0, 0]
        - solution.state.galaxy_flux[0, 0]
        for psf in (wider[0], other)
    ]
    own = matrix((wider[0], other), ())[flux, flux]
    assert np.sqrt(own) == pytest.approx(np.hypot(*moved), rel=0.15)


def test_a_stars_error_is_that_of_all_directions(fitted):
    bands, _, wider = fitted
    other = effective_psf_of(bands[0]).convolved(PsfKernel("gaussian", (0.03,)))
    one, two, both = (
        relative_star_errors(replace(bands[0], displaced_psfs=directions))
        for directions in ((wider[0],), (other,), (wider[0], other))
    )
    assert both == pytest.approx(np.hypot(one, two), rel=1e-9)
    assert min(one, two) > 0.2 * max(one, two)


def effective_psf_of(band):
    return band.star_renderer.psf


def test_a_psf_without_errors_adds_nothing(fitted):
    bands, solution, _ = fitted
    exact = [replace(band, displaced_psfs=()) for band in bands]
    covariance = scene_covariance(exact, solution, Freedom())
    quantities = border_quantities(exact, solution.state, covariance.layout)
    assert not psf_covariance(exact, solution, covariance, quantities.rows).any()
    assert relative_star_errors(exact[0]) == 0


def test_stars_change_by_their_relative_error(fitted):
    bands, solution, wider = fitted
    other = refitted(bands, solution, wider, 0).state.star_flux[0]
    own = solution.state.star_flux[0]
    bright = own > np.median(own)
    change = np.median(other[bright] / own[bright]) - 1
    assert relative_star_errors(bands[0]) == pytest.approx(abs(change), rel=0.3)


class TestDisplaced:
    ARRAY = np.exp(-0.5 * (np.hypot(*np.mgrid[-30:31, -30:31]) / 4) ** 2)

    def test_one_per_known_error(self):
        kernel = PsfKernel("drizzle", (0.1, 1.0), (0.02, np.nan))
        (moved,) = displaced_psfs(self.ARRAY, 4, kernel)
        expected = effective = displaced_psfs(self.ARRAY, 4, replace(kernel, errors=(0.02,)))[0]
        assert np.array_equal(moved.array, expected.array) and moved is effective

    def test_it_is_one_sigma_wider(self):
        kernel = PsfKernel("gaussian", (0.3,), (0.1,))
        (moved,) = displaced_psfs(self.ARRAY, 4, kernel)
        # the second moment of a Gaussian kernel is added to that of the PSF
        yy, xx = np.indices(moved.array.shape)
        centre = (moved.array.shape[0] - 1) / 2
        moment = (moved.array * (xx - centre) ** 2).sum() / 16
        assert moment == pytest.approx(1.0 + 0.4, rel=0.01)

    @pytest.mark.parametrize("kernel", [None, PsfKernel(), PsfKernel("gaussian", (0.3,))])
    def test_none_without_errors(self, kernel):
        assert displaced_psfs(self.ARRAY, 4, kernel) == ()
