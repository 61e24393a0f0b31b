"""Three stars within a FWHM, given to a tenth of a pixel: their errors hold, and they converge."""

import numpy as np
import pytest
from photutils.psf import PSF_FLAGS

from galstep.core.star_field.blends import moved_in_blends
from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.model import StarState
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.rows import rows_of_field
from galstep.core.star_field.tiles import FieldImage
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

STAR = GaussianMixturePSF.gaussian(1.3)
FWHM = 1.3 * 2.3548
PSFS = PsfField.from_grid(16 * STAR.sampled(4, 101)[None], np.zeros((1, 2)), 4)
SIDE, STEP = 201, 25  # 49 blends
N = 49


def blends(apart, flux, rng, jitter=0.1):
    """Rows and true fluxes of triangles of stars of a side of ``apart`` FWHM."""
    grid = np.mgrid[1:8, 1:8].reshape(2, N) * STEP + rng.uniform(-0.5, 0.5, (2, N))
    angle = rng.uniform(0, 2 * np.pi, N) + 2 * np.pi / 3 * np.arange(3)[:, None]
    radius = apart * FWHM / np.sqrt(3)
    x, y = (grid[0] + radius * np.cos(angle)).ravel(), (grid[1] + radius * np.sin(angle)).ravel()
    truth = np.repeat(flux, N)
    image = star_frame((SIDE, SIDE), STAR, x, y, truth) + rng.normal(0, 1, (SIDE, SIDE))
    given = GivenStars.of(*(v + jitter * rng.normal(size=v.size) for v in (x, y)), truth)
    options = StarFieldOptions(finder="none", background="none")
    field = fit_star_field(FieldImage(image, np.ones(image.shape)), PSFS, options, given)
    return rows_of_field(field), truth


@pytest.mark.parametrize("apart", [0.3, 0.45, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("flux", [(100, 100, 100), (50, 50, 50), (200, 50, 50), (1000, 200, 50)])
def test_errors_hold(apart, flux):
    """A star alone has S/N 10 to 200. A Gaussian has 0.3 % beyond three errors."""
    rows, truth = blends(apart, flux, np.random.default_rng(1))
    pull = (rows.flux_fit - truth) / rows.flux_err
    far = np.mean(np.abs(pull) > 3)
    # before, 36 % of the stars 0.3 FWHM apart
    assert far < (0.1 if apart < 0.5 else 0.035)
    if apart > 0.7:
        assert 0.8 < np.std(pull) < 1.2


@pytest.mark.parametrize("flux", [(20000, 5000, 500), (2000, 1000, 100)])
def test_bright_blends_converge(flux):
    """In steps that were held back a tenth and a third of them crept until the end."""
    rows, _ = blends(0.4, flux, np.random.default_rng(0))
    assert np.mean(rows.flags & PSF_FLAGS.NO_CONVERGENCE > 0) < 0.05


def state(first, last):
    begun = StarState.start(*np.transpose(first), np.ones(len(first)), 0.3)
    begun.x[:], begun.y[:] = np.transpose(last)
    return begun


@pytest.mark.parametrize(("last", "expected"), [
    ([(0, 0), (2, 0)], False), ([(-0.3, 0), (2, 0)], False), ([(-1, 0), (2, 0)], True),
    ([(0, 0), (9, 0)], True),
])  # fmt: skip
def test_which_have_moved(last, expected):
    """Two stars 2 pixels apart at the start, FWHM 3."""
    assert moved_in_blends(state([(0, 0), (2, 0)], last), 3.0).tolist() == [expected] * 2


def test_apart_or_alone_nothing_is_a_blend():
    assert not moved_in_blends(state([(0, 0), (9, 0)], [(1, 0), (8, 0)]), 3.0).any()
    assert not moved_in_blends(state([(0, 0)], [(1, 0)]), 3.0).any()
    assert moved_in_blends(state([(0, 0), (9, 0)], [(4, 0), (6, 0)]), 3.0).all()
