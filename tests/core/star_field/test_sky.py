import numpy as np
import pytest
from astropy.stats import mad_std

from galstep.core.star_field.sky import SkyMesh, annulus_levels, clipped_level, measure_mesh
from galstep.core.star_field.tiles import Tile, make_tiles


def plane(shape):
    yy, xx = np.indices(shape)
    return 3 + 0.001 * xx - 0.002 * yy


@pytest.mark.parametrize("shape", [(130, 200), (30, 200), (200, 30), (20, 25)])
def test_mesh_follows_a_plane(shape):
    rng = np.random.default_rng(1)
    image = plane(shape) + rng.normal(0, 0.1, shape)
    image[5, 7] = 1e4
    good = np.ones(shape, bool)
    mesh, scatter = measure_mesh(shape, 32, lambda t: (image[t.part], good[t.part]))
    whole = mesh.image(Tile(0, 0, shape[1], shape[0]))
    assert scatter == pytest.approx(0.1, rel=0.15)
    inner = np.s_[16:-16, 16:-16] if min(shape) > 60 else np.s_[:, :]
    tolerance = 0.03 if min(shape) > 60 else 0.06
    assert np.abs(whole - plane(shape))[inner].max() < tolerance


def test_mesh_is_the_same_on_every_part():
    shape = (100, 90)
    rng = np.random.default_rng(2)
    image = rng.normal(5, 1, shape)
    mesh, _ = measure_mesh(shape, 20, lambda t: (image[t.part], np.ones(t.shape, bool)))
    whole = mesh.image(Tile(0, 0, 90, 100))
    for tile in make_tiles(shape, 33):
        assert mesh.image(tile) == pytest.approx(whole[tile.part], abs=1e-12)
    rows, columns = np.array([[3, 4], [50, 51]]), np.array([[7, 8], [80, 81]])
    grids = mesh.on_grids(rows, columns)
    assert grids[1] == pytest.approx(whole[50:52, 80:82], abs=1e-12)


def test_boxes_without_data_take_the_median():
    shape = (64, 64)
    good = np.ones(shape, bool)
    good[:32, :32] = False
    image = np.full(shape, 4.0) + np.random.default_rng(3).normal(0, 0.1, shape)
    mesh, _ = measure_mesh(shape, 32, lambda t: (np.where(good, image, 0)[t.part], good[t.part]))
    assert mesh.levels == pytest.approx(np.full((2, 2), 4.0), abs=0.03)


def test_no_data():
    mesh, scatter = measure_mesh(
        (20, 20), 10, lambda t: (np.zeros(t.shape), np.zeros(t.shape, bool))
    )
    assert np.isnan(scatter)
    assert mesh.at(np.array([3.0]), np.array([4.0])).tolist() == [0.0]


def test_clipping():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(2, 0.5, 2000), np.full(300, 50.0)])
    level, scatter = clipped_level(values)
    assert level == pytest.approx(2.0, abs=0.06)
    assert scatter == pytest.approx(0.5, rel=0.1)


def test_flat_mesh():
    mesh = SkyMesh.flat(2.5)
    assert (mesh.image(Tile(3, 4, 6, 9)) == 2.5).all()
    assert mesh.image(Tile(3, 4, 6, 9)).shape == (5, 3)


def test_rings():
    image = plane((60, 60))
    good = np.ones((60, 60), bool)
    good[40:, 40:] = False
    x, y = np.array([20.0, 25.4, 59.0]), np.array([20.0, 30.2, 59.0])
    levels = annulus_levels(image, good, x, y, (4.0, 7.0))
    assert levels[:2] == pytest.approx(
        3 + 0.001 * np.rint(x[:2]) - 0.002 * np.rint(y[:2]), abs=0.001
    )
    # nothing is left of the third one's ring
    assert np.isnan(levels[2])  # no good pixel in its ring


@pytest.mark.parametrize("size", [200, 201, 5, 6])
def test_the_clipped_scatter_is_that_of_the_distances(size):
    rng = np.random.default_rng(size)
    values = np.concatenate([rng.normal(0, 1, size), [1e3, 1e3]])
    level, scatter = clipped_level(values)
    kept = values[:-2]
    while True:
        middle, spread = np.median(kept), mad_std(kept)
        inside = kept[np.abs(kept - middle) <= 3 * spread]
        if len(inside) == len(kept):
            break
        kept = inside
    assert (level, scatter) == pytest.approx((middle, spread), rel=1e-12)


def test_the_sky_fills_an_array():
    shape, rng = (60, 70), np.random.default_rng(4)
    image = rng.normal(5, 1, shape)
    mesh, _ = measure_mesh(shape, 20, lambda t: (image[t.part], np.ones(t.shape, bool)))
    tile, place = Tile(3, 5, 40, 50), np.zeros((45, 37))
    assert mesh.image(tile, out=place) is place
    assert np.array_equal(place, mesh.image(tile))
    flat = SkyMesh.flat(2.5)
    assert flat.image(tile, out=place) is place
    assert (place == 2.5).all()
