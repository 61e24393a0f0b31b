import numpy as np
import pytest
from scipy.spatial import cKDTree
from star_scenes import make_field

from galstep.core.star_field.detect import (
    Peaks,
    apart,
    field_filter,
    finder_peaks,
    map_scatter,
    matched_filter_peaks,
)
from galstep.core.star_field.tiles import Tile, make_tiles
from galstep.core.star_field.wings import not_in_wings, wing_envelope


@pytest.fixture(scope="module")
def scene():
    image, psfs, truth = make_field(sky=0.0)
    return image, psfs, truth, field_filter(psfs)


def search(scene, size, mask=None):
    image, _, _, matched = scene
    weight = np.full(image.shape, 4.0)
    if mask is not None:
        weight[mask] = 0.0
    parts, samples = [], []
    for tile in make_tiles(image.shape, size):
        frame = tile.grown(13, image.shape)
        found, sample, _ = matched_filter_peaks(
            matched, np.where(weight > 0, image, 0)[frame.part], weight[frame.part], None, tile,
            frame, 6.0,
        )  # fmt: skip
        parts.append(found)
        samples.append(sample)
    return Peaks.joined(parts), np.concatenate(samples)


def test_every_star_is_a_peak(scene):
    found, _ = search(scene, 1000)
    x, y, flux = scene[2]
    distance, nearest = cKDTree(np.column_stack([found.x, found.y])).query(np.column_stack([x, y]))
    assert distance.max() < 0.35
    assert np.median(found.flux[nearest] / flux) == pytest.approx(0.94, abs=0.05)


@pytest.mark.parametrize("size", [40, 97])
def test_tiles_do_not_matter(scene, size):
    whole, samples = search(scene, 1000)
    parts, others = search(scene, size)
    order = [np.lexsort((p.x, p.y)) for p in (whole, parts)]
    assert len(whole) == len(parts)
    for name in ("x", "y", "flux", "significance"):
        one, other = (getattr(p, name)[o] for p, o in zip((whole, parts), order, strict=True))
        assert other == pytest.approx(one, rel=1e-9, abs=1e-9)
    assert np.sort(others) == pytest.approx(np.sort(samples), abs=1e-9)


def test_significance_is_that_of_white_noise(scene):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.5, (200, 200))
    tile = Tile(0, 0, 200, 200)
    _, samples, _ = matched_filter_peaks(
        scene[3], noise, np.full(noise.shape, 4.0), None, tile, tile, 99.0
    )
    assert samples.std() == pytest.approx(1.0, abs=0.05)
    assert map_scatter(samples) == pytest.approx(1.0, abs=0.06)
    assert map_scatter(samples * 0.2) == 1.0


def test_masked_pixels_make_no_peaks(scene):
    mask = np.zeros(scene[0].shape, bool)
    mask[50:120, 60:180] = True
    found, _ = search(scene, 64, mask)
    deep = (found.x > 63) & (found.x < 176) & (found.y > 53) & (found.y < 116)
    assert not deep.any()
    assert len(found) > 20


def test_doubt_hides_what_is_small(scene):
    image, _, _, matched = scene
    tile = Tile(0, 0, image.shape[1], image.shape[0])
    weight = np.full(image.shape, 4.0)
    sure, _, _ = matched_filter_peaks(matched, image, weight, None, tile, tile, 6.0)
    doubt = np.full(image.shape, 5.0)
    unsure, _, _ = matched_filter_peaks(matched, image, weight, doubt, tile, tile, 6.0)
    # 1 + w doubt^2 = 101
    keep = sure.significance > 6.0 * np.sqrt(101)
    assert 0 < len(unsure) < len(sure)
    assert unsure.significance == pytest.approx(sure.significance[keep] / np.sqrt(101))


@pytest.mark.parametrize("name", ["dao", "iraf"])
def test_finders_of_photutils(scene, name):
    image, psfs, (x, y, _), _ = scene
    frame = Tile(0, 0, image.shape[1], image.shape[0])
    tile = Tile(0, 0, 130, image.shape[0])
    good = np.ones(image.shape, bool)
    found = finder_peaks(name, image, good, tile, frame, 5.0, psfs.mean.fwhm)
    distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([found.x, found.y]))
    assert distance.max() < 0.5
    assert found.x.max() < 130
    assert len(found) > 0.6 * (x < 129).sum()
    assert len(finder_peaks(name, image, good, tile, frame, 1e6, psfs.mean.fwhm)) == 0


def test_peaks_keep_their_distance():
    peaks = Peaks(
        np.array([0.0, 0.5, 5.0, 9.0]), np.zeros(4), np.arange(4.0), np.array([3.0, 9.0, 5.0, 4.0])
    )
    kept = apart(peaks, np.array([9.2]), np.array([0.0]), 1.0)
    assert kept.x.tolist() == [0.5, 5.0]


def test_wings_of_a_bright_star_are_no_stars(scene):
    _, psfs, _, matched = scene
    envelope = wing_envelope(psfs, matched.kernel)
    assert envelope[0] == 1.0
    assert (np.diff(envelope) <= 0).all()
    far = np.searchsorted(-envelope, -1e-3)
    peaks = Peaks(
        np.array([50.0, 54.0, 50.0 + far + 8, 30.0]), np.full(4, 50.0),
        np.array([1e4, 1e4 * envelope[4] * 0.5, 50.0, 9e3]), np.full(4, 10.0),
    )  # fmt: skip
    assert not_in_wings(peaks, envelope).tolist() == [True, False, True, True]


def test_what_an_earlier_search_has_left_changes_nothing(scene):
    """The information of weights that stay is not summed up again."""
    rng = np.random.default_rng(3)
    image, weight = rng.normal(size=(90, 80)), rng.uniform(0.5, 2, (90, 80))
    weight[20:40, 30:50] = 0.0
    tile, matched = Tile(0, 0, 80, 90), scene[3]
    first, samples, root = matched_filter_peaks(matched, image, weight, None, tile, tile, 2.0)
    again, others, same = matched_filter_peaks(
        matched, image, weight, None, tile, tile, 2.0, root
    )  # fmt: skip
    assert same is root and len(first) > 5
    assert np.array_equal(first.significance, again.significance)
    assert np.array_equal(samples, others)
