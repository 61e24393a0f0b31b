"""A galaxy of a hundred pixels beside twenty small sources, drawn in real space."""

from functools import lru_cache

import numpy as np
import pytest
from field_cases import bands as small_bands
from field_cases import catalogue as small_catalogue
from often import first_often
from scene_cases import PSF, galaxy, psf_map, star, vector

from galstep.core.field.blocks import field_area
from galstep.core.field.large_objects import CoarseImage, CoarseTask, coarse_tile, fit_large
from galstep.core.field.options import FieldOptions
from galstep.core.field.records import ArrayPixels, FieldBand, FieldSources, SourceType
from galstep.core.field.rounds import fit_field
from galstep.pixel_map import PixelMap
from galstep.records import SersicParams
from galstep.testing.real_space import SersicImage
from galstep.testing.star_frames import star_positions

SIDE, SIGMA, UNIT = 600, 5.0, 0.5
GIANT = vector(288.3, 312.4, 100.0, 2.0, 0.3, 0.5)
# 45 counts per pixel within r_eff: nine times the noise
GIANT_FLUX = 45 * 2 * np.pi * 100**2 * 0.7
HALF = 60


def _add(image, stamp, x, y):
    x0, y0 = x - HALF, y - HALF
    part = np.s_[max(y0, 0) : y0 + 2 * HALF + 1, max(x0, 0) : x0 + 2 * HALF + 1]
    h, w = image[part].shape
    top, left = max(-y0, 0), max(-x0, 0)
    image[part] += stamp[top : top + h, left : left + w]


@lru_cache(maxsize=1)
def field():
    """The band, places and fluxes; the giant is the last of 21."""
    rng = np.random.default_rng(4)
    x, y = star_positions(rng, 21, (SIDE, SIDE), 25.0, border=25.0)
    x, y = x[:20], y[:20]
    flux = np.exp(rng.uniform(np.log(2000), np.log(30000), 20))
    image = GIANT_FLUX * SersicImage(
        SersicParams.from_vector(GIANT), (SIDE, SIDE), 20, 3
    ).seen_through(PSF)
    for k in range(20):
        ix, iy = round(x[k]), round(y[k])
        place = x[k] - ix + HALF, y[k] - iy + HALF
        shape = (2 * HALF + 1,) * 2
        if k < 12:
            stamp = star(*place, shape)
        else:
            own = vector(
                *place, rng.uniform(2, 5), rng.uniform(0.8, 2), rng.uniform(0, 0.5), 0.3 * k
            )
            stamp = galaxy(own, shape)
        _add(image, flux[k] * stamp, ix, iy)
    data = 3 + rng.normal(image, np.sqrt(SIGMA**2 + UNIT * image))
    band = FieldBand("g", ArrayPixels(data), SIGMA, UNIT, psf_map())
    return band, np.append(x, GIANT[0]), np.append(y, GIANT[1]), np.append(flux, GIANT_FLUX)


def catalogue(given):
    """What a user has: places and types, and shapes if ``given``."""
    _, x, y, _ = field()
    rng = np.random.default_rng(6)
    kind = np.where(np.arange(21) < 12, SourceType.STAR, SourceType.SERSIC)
    r_eff = np.full(21, np.nan)
    if given:
        r_eff[12:], r_eff[20] = 3.0, 70.0
    dx, dy = rng.normal(0, 0.3, (2, 21))
    return FieldSources.make(x + dx, y + dy, 1, kind=kind, r_eff=r_eff)


@pytest.mark.parametrize(("given", "size"), first_often([(True, 100), (False, 100), (False, 6)], 1))
def test_a_giant_and_what_is_beside_it_are_measured(given, size):
    """Also across the borders of blocks, where the giant is a guest."""
    band, _, _, flux = field()
    result = fit_field([band], catalogue(given), FieldOptions(detect=False, block_size=size))
    own, errors = result.sources.flux[:, 0], result.errors.flux[:, 0]
    assert result.converged.all()
    assert not any(result.at_bound)
    assert own[20] == pytest.approx(flux[20], rel=0.02)
    assert result.sources.r_eff[20] == pytest.approx(100, rel=0.02)
    pulls = ((own - flux) / errors)[:20]
    assert abs(pulls.mean()) < 3 / np.sqrt(20)
    assert 0.6 < pulls.std() < 1.4
    assert np.abs(pulls).max() < 3.5


def coarse(bands):
    area = field_area(bands)
    return CoarseImage(bands, area, [area], [coarse_tile(CoarseTask(tuple(bands), area))])


def test_the_giant_is_found_and_nothing_else():
    band, x, y, flux = field()
    rows, light = fit_large(coarse([band]), x, y, np.arange(21), 5.0)
    assert rows.tolist() == [20]
    assert np.exp(light.z[0, 2]) == pytest.approx(100, rel=0.1)
    assert light.flux[0, 0] == pytest.approx(flux[20], rel=0.1)


def test_a_field_of_small_sources_has_no_large_object():
    start = small_catalogue()
    rows, light = fit_large(coarse(small_bands()), start.x, start.y, np.arange(12), 5.0)
    assert not len(rows)
    assert light.flux.shape == (0, 2)


def test_cells_hold_the_light_whatever_the_grid_of_the_band():
    """A band of half the pixel size has a quarter of the light in each."""
    y, x = np.indices((96, 96))
    light = np.exp(-0.5 * ((x - 40) ** 2 + (y - 50) ** 2) / 15**2)
    fine = PixelMap(((2.0, 0.0), (0.0, 2.0)), (0.5, 0.5))
    bands = [
        FieldBand("one", ArrayPixels(light), 1.0, 0.0, psf_map()),
        FieldBand(
            "two", ArrayPixels(np.kron(light / 4, np.ones((2, 2)))), 1.0, 0.0, psf_map(), fine
        ),
    ]
    means = coarse_tile(CoarseTask(tuple(bands), field_area(bands[:1])))
    np.testing.assert_allclose(means[1], means[0], atol=1e-9)
    np.testing.assert_allclose(means[0].sum() * 64, light.sum(), rtol=1e-9)
