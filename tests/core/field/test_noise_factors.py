"""Errors in correlated noise, against noise of a known kernel."""

import numpy as np
import pytest
from scipy import ndimage

from galstep.core.field.noise_factors import (
    NoiseFactors,
    measure_noise,
    noise_tasks,
    summed_noise,
)
from galstep.core.field.options import FieldOptions
from galstep.core.field.records import ArrayPixels, Box, FieldBand, FieldSources, SourceType
from galstep.core.field.rounds import fit_field
from galstep.core.field.sky_mesh import SkyKnowledge, SkyMesh
from galstep.core.field.state import FieldState
from galstep.core.scene.psf_map import PsfMap
from galstep.exceptions import GalstepError
from galstep.testing.fields import field_psf
from galstep.testing.real_space import star_image
from galstep.testing.star_frames import star_positions

SHAPE, SIGMA, FWHM, WIDTH = (200, 220), 5.0, 3.5, 0.8


def smoothed_noise(seed, width, sigma=SIGMA):
    """Noise of ``sigma`` per pixel, smoothed by a Gaussian."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    if width:
        one = np.zeros((41, 41))
        one[20, 20] = 1.0
        kernel = ndimage.gaussian_filter(one, width)
        noise = ndimage.gaussian_filter(noise, width, mode="wrap") / np.sqrt((kernel**2).sum())
    return sigma * noise


def psf_array(half=20, oversample=2):
    offsets = np.arange(-half * oversample, half * oversample + 1) / oversample
    array = field_psf(FWHM)(offsets[None, :], offsets[:, None])
    return array / array.sum()


def band_of(data, sigma=SIGMA):
    return FieldBand("r", ArrayPixels(data), sigma, 0.0, PsfMap.single(psf_array(), 2))


def expected(width, size=0.0):
    """By direct sums over pixels: the factor for a source's own image as weights."""
    offsets = np.arange(-30, 31.0)
    weights = field_psf(FWHM)(offsets[None, :], offsets[:, None])
    if size:
        weights = ndimage.gaussian_filter(weights, size / 1.1774)
    one = np.zeros((61, 61))
    one[30, 30] = 1.0
    kernel = ndimage.gaussian_filter(one, width) if width else one
    kernel /= np.sqrt((kernel**2).sum())
    seen = ndimage.convolve(weights, kernel, mode="constant")
    return np.sqrt((seen**2).sum() / (weights**2).sum())


def noise_of(band):
    sources = FieldSources.make(np.zeros(0), np.zeros(0), 1)
    state = FieldState(sources, FieldOptions())
    sky = SkyKnowledge(SkyMesh(SHAPE, np.inf), 0.0, band.sigma)
    tasks = noise_tasks([band], Box(0, 0, SHAPE[1], SHAPE[0]), state, [sky])
    return summed_noise([measure_noise(task) for task in tasks], 1)


@pytest.mark.parametrize("width", [0.0, WIDTH])
def test_factor_of_a_known_kernel(width):
    found = noise_of(band_of(smoothed_noise(1, width)))
    assert found.measured.all()
    for size, factor in zip(found.sizes[:4], found.factors[0], strict=False):
        # 44 000 pixels have some 360 independent cells of such a size: 4 percent, more if larger
        assert factor == pytest.approx(expected(width, size), rel=0.08 + 0.02 * size)
    if not width:
        assert found.factors[0, 0] == pytest.approx(1.0, abs=0.04)


def test_errors_that_are_stated_too_small_are_seen():
    found = noise_of(band_of(smoothed_noise(2, 0.0), sigma=SIGMA / 1.5))
    assert found.factors[0, 0] == pytest.approx(1.5, rel=0.04)


def test_what_cannot_be_measured_is_white():
    empty = noise_of(band_of(np.full(SHAPE, np.nan)))
    assert not empty.measured.any() and np.all(empty.factors == 1.0)
    lost = summed_noise([GalstepError("lost")], 2)
    assert np.all(lost.at(np.zeros((3, 2))) == 1.0)
    assert np.all(NoiseFactors.white(1).at(np.ones((4, 1))) == 1.0)


def test_pulls_in_correlated_noise():
    """Stated errors cover the truth; without the factor they are 2.5 times too small."""
    rng = np.random.default_rng(5)
    x, y = star_positions(rng, 70, SHAPE, 15.0, border=10.0)
    flux = np.exp(rng.uniform(np.log(500), np.log(5000), 70))
    light = star_image(SHAPE, field_psf(FWHM), x, y, flux)
    band = band_of(light + smoothed_noise(6, WIDTH))
    sources = FieldSources.make(x, y, 1, kind=SourceType.STAR)
    pulls = {}
    for noise in ("measured", "stated"):
        options = FieldOptions(noise=noise, detect=False, sky="constant", rounds=3)
        result = fit_field([band], sources, options)
        pulls[noise] = ((result.sources.flux[:, 0] - flux) / result.errors.flux[:, 0]).std()
    assert 0.8 < pulls["measured"] < 1.2  # of 70: 0.9 to 1.1 is one sigma
    assert pulls["stated"] > 1.4
