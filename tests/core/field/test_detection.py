"""Sources on the stack of all bands, against what was put in."""

import numpy as np

from galstep.core.field import detection
from galstep.core.field.detection import DetectOptions, detect
from galstep.core.field.records import ArrayPixels, FieldBand
from galstep.core.field.rounds import run_here
from galstep.pixel_map import PixelMap
from galstep.testing.fields import field_psf
from galstep.testing.real_space import star_image
from galstep.testing.star_frames import star_positions

SHAPE = (150, 180)


def bands_of_stars(flux, seed=1, n_bands=2, sigma=5.0):
    rng = np.random.default_rng(seed)
    x, y = star_positions(rng, len(flux), SHAPE, 16.0, border=9.0)
    bands = []
    for number in range(n_bands):
        light = star_image(SHAPE, field_psf(3.4), x, y, flux)
        data = rng.normal(light + 30.0 * number, sigma)
        bands.append(FieldBand(f"b{number}", ArrayPixels(data), sigma, 0.0, None))
    return bands, x, y


def nearest(found, x, y):
    return np.hypot(found.x[:, None] - x, found.y[:, None] - y)


def test_all_bright_stars_and_nothing_else():
    bands, x, y = bands_of_stars(np.full(25, 1500.0))
    found = detect(bands, DetectOptions(), run_here)
    distance = nearest(found, x, y)
    assert len(found) == 25 and distance.min(axis=0).max() < 0.5
    assert np.all(np.diff(found.signal) <= 0)
    # 1-sigma width of the PSF and of the smoothing's absence: that of the stack itself
    assert 1.2 < np.median(found.a) < 2.2 and np.all(found.a >= found.b)


def test_noise_alone_is_nothing():
    bands, _, _ = bands_of_stars(np.zeros(0))
    assert len(detect(bands, DetectOptions(), run_here)) == 0


def test_two_bands_see_deeper_than_one():
    bands, x, y = bands_of_stars(np.full(25, 120.0), n_bands=4)
    deep = detect(bands, DetectOptions(), run_here)
    shallow = detect(bands[:1], DetectOptions(), run_here)
    assert len(shallow) < 15 < len(deep)


def test_tiles_do_not_matter(monkeypatch):
    bands, x, y = bands_of_stars(np.full(25, 3000.0))
    whole = detect(bands, DetectOptions(), run_here)
    monkeypatch.setattr(detection, "TILE", 64)
    tiled = detect(bands, DetectOptions(), run_here)
    assert len(tiled) == len(whole) == 25
    assert nearest(tiled, whole.x, whole.y).min(axis=1).max() < 0.2


def test_a_full_star_is_one_source():
    bands, x, y = bands_of_stars(np.concatenate([np.full(8, 3000.0), [2e6]]))
    for band in bands:
        band.pixels.data[band.pixels.data > 3e4] = np.nan
    found = detect(bands, DetectOptions(), run_here)
    distance = nearest(found, x, y)
    assert distance[:, -1].min() < 1.5
    assert np.count_nonzero(distance[:, -1] < 12) == 1


def test_a_band_on_other_pixels_is_seen_in_its_place():
    """The first band is nearly blind; the other is turned by 90 degrees and has larger pixels."""
    x, y = star_positions(np.random.default_rng(4), 12, (90, 120), 16.0, border=9.0)
    rng = np.random.default_rng(5)
    light = star_image((90, 120), field_psf(3.0), x, y, np.full(12, 1500.0))
    other = FieldBand("far", ArrayPixels(rng.normal(light, 5.0)), 5.0, 0.0, None,
                      PixelMap(((0.0, 0.8), (-0.8, 0.0)), (1.3, 88.2)))  # fmt: skip
    blind = FieldBand("blind", ArrayPixels(rng.normal(0, 300.0, (150, 110))), 300.0, 0.0, None)
    found = detect([blind, other], DetectOptions(), run_here)
    expected = other.pixel_map.inverse().points(x, y)
    inside = (expected[0] > 4) & (expected[0] < 105) & (expected[1] > 4) & (expected[1] < 145)
    assert inside.sum() > 8
    assert nearest(found, *expected).min(axis=0)[inside].max() < 0.6
    assert nearest(found, *expected).min(axis=1).max() < 0.6


def test_the_place_of_a_faint_source_is_less_certain():
    bands, _, _ = bands_of_stars(np.array([400.0, 30000.0]))
    found = detect(bands, DetectOptions(), run_here)
    assert len(found) == 2
    bright, faint = found.place_width
    assert 0.5 < bright < 0.52 < faint < 1.5
