import numpy as np
import pytest

from galstep.core.star_field.tiles import FieldImage, Tile, make_tiles


@pytest.mark.parametrize("size", [7, 30, 100])
def test_tiles_cover_every_pixel_once(size):
    count = np.zeros((61, 45), int)
    for tile in make_tiles(count.shape, size):
        assert max(tile.shape) <= size
        count[tile.part] += 1
    assert (count == 1).all()


def test_margins_end_at_the_field():
    tile = Tile(10, 0, 20, 15)
    frame = tile.grown(6, (18, 40))
    assert frame == Tile(4, 0, 26, 18)
    field = np.arange(18 * 40).reshape(18, 40)
    assert np.array_equal(field[frame.part][tile.inside(frame)], field[tile.part])


def test_a_star_belongs_to_one_tile():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.5, 44.5, 500), rng.uniform(-0.5, 60.5, 500)
    held = sum(tile.holds(x, y).astype(int) for tile in make_tiles((61, 45), 13))
    assert (held == 1).all()
    assert Tile(0, 0, 5, 5).holds(np.array([6.0]), np.array([2.0]), reach=2).all()


def test_reading():
    data = np.arange(20.0).reshape(4, 5)
    data[1, 1] = np.nan
    err = np.full((4, 5), 2.0)
    err[2, 2], err[2, 3] = np.inf, 0.0
    mask = np.zeros((4, 5), bool)
    mask[3, 3] = True
    image = FieldImage(data, err, mask)
    tile = Tile(1, 1, 5, 4)
    got, good = image.read(tile)
    assert np.argwhere(~good).tolist() == [[0, 0], [1, 1], [1, 2], [2, 2]]
    assert (got[~good] == 0).all()
    weight = image.weight(tile, good)
    assert np.array_equal(weight, np.where(good, 0.25, 0.0))
    # single pixels are read in the same way
    at = np.mgrid[1:4, 1:5]
    one, fine = image.gather(tuple(at))
    assert np.array_equal(one, got)
    assert np.array_equal(fine, good)
    assert np.array_equal(image.gathered_weight(tuple(at), good, got), weight)


def test_noise_of_the_light():
    image = FieldImage(np.ones((2, 2)), sigma=2.0, gain=5.0)
    tile, good = Tile(0, 0, 2, 2), np.ones((2, 2), bool)
    light = np.array([[0.0, 10.0], [-3.0, 5.0]])
    assert image.weight_needs_model
    expected = 1 / np.array([[4.0, 6.0], [4.0, 5.0]])
    assert image.weight(tile, good, light) == pytest.approx(expected)
    assert image.gathered_weight(np.s_[:, :], good, light) == pytest.approx(expected)
    assert not FieldImage(np.ones((2, 2)), err=np.ones((2, 2)), gain=5.0).weight_needs_model
    assert image.with_sigma(3).sigma == 3.0
