"""Stars in images of rounded numbers: unbiased, with errors that hold, at every step.

Over frames whose sky lies anywhere within a step, for two widths of the PSF, stars from a
few steps high to thousands of them: other scenes than those of any measurement before.
"""

import functools

import numpy as np
import pytest
from scipy.special import erf

from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.rows import rows_of_field
from galstep.core.star_field.tiles import FieldImage

SHAPE = (120, 120)
X, Y = (v.ravel() for v in np.meshgrid([20.0, 47.0, 73.0, 100.0], [20.0, 47.0, 73.0, 100.0]))
SAMPLES = np.arange(-80, 81) / 4
STEPS = (0.1, 1.0, 3.0, 10.0, 30.0)
N_FRAMES = 12


def gaussian(offsets, width):
    scaled = np.sqrt(2) * width
    return 0.5 * (erf((offsets + 0.5) / scaled) - erf((offsets - 0.5) / scaled))


def psf_of(width):
    line = gaussian(SAMPLES, width)
    return PsfField.from_grid(np.outer(line, line)[None], np.zeros((1, 2)), 4)


def frame(step, width, seed):
    """Noise 1; stars of 60 to 3e4 times that of their own sum, at least three steps high."""
    rng = np.random.default_rng([seed, int(10 * step), int(10 * width)])
    x, y = X + rng.uniform(-2, 2, X.size), Y + rng.uniform(-2, 2, Y.size)
    faintest = max(60.0, 3 * step) * 4 * np.pi * width**2
    flux = faintest * 10 ** rng.uniform(0, 2.5, X.size)
    rows, columns = np.arange(SHAPE[0]), np.arange(SHAPE[1])
    light = sum(
        f * np.outer(gaussian(rows - b, width), gaussian(columns - a, width))
        for a, b, f in zip(x, y, flux, strict=True)
    )
    # the frames' skies lie evenly within a step
    data = light + (seed % N_FRAMES + 0.5) * step / N_FRAMES + rng.normal(size=SHAPE)
    return step * np.rint(data / step), (x, y, flux)


@functools.cache
def measured(step, width, with_errors):
    """Deviation of the flux and its error, for (frame, star)."""
    off, error = [], []
    for seed in range(100, 100 + N_FRAMES):
        data, (x, y, flux) = frame(step, width, seed)
        err = np.full(SHAPE, np.hypot(1, step / np.sqrt(12))) if with_errors else None
        rows = rows_of_field(
            fit_star_field(FieldImage(data, err), psf_of(width), StarFieldOptions())
        )
        distance = np.hypot(rows.x_fit[:, None] - x, rows.y_fit[:, None] - y)
        own = distance.argmin(axis=0)
        assert distance.min(axis=0).max() < 0.7
        off.append(rows.flux_fit[own] - flux)
        error.append(rows.flux_err[own])
    return np.array(off), np.array(error)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("width", [1.0, pytest.param(1.8, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "with_errors", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["alone", "err"]
)
def test_pulls_and_bias(step, width, with_errors):
    off, error = measured(step, width, with_errors)
    pulls = off / error
    assert 0.78 < np.sqrt(np.mean(pulls**2)) < 1.25
    # the stars of a frame are off together, so frames count and not stars
    mean = pulls.mean(axis=1)
    assert abs(mean.mean()) < 3 * mean.std(ddof=1) / np.sqrt(N_FRAMES)
