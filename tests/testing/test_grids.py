"""Synthetic pixel grids: the affine relation, the WCS and the images drawn on them."""

import numpy as np
import pytest

from galstep.exceptions import ParameterError
from galstep.records import SersicParams
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid

SCENE = PixelGrid((101, 121))
GRID = PixelGrid((60, 70), 0.063, np.radians(20), (0.3, -0.2))
GALAXY = SersicParams(60.3, 52.0, 7.0, 1.3, 0.4, 0.6)


def test_the_middle_of_the_grid_is_where_it_is_put():
    x, y = GRID.place(SCENE, 60 + 0.3 / 0.03, 50 - 0.2 / 0.03)
    assert (x, y) == pytest.approx((34.5, 29.5))


def test_a_step_on_the_sky_is_turned_and_scaled():
    first, second = (np.array(GRID.place(SCENE, x, 50.0)) for x in (60.0, 70.0))
    dx, dy = second - first
    assert np.hypot(dx, dy) == pytest.approx(10 * 0.03 / 0.063)
    assert np.arctan2(dy, dx) == pytest.approx(-np.radians(20))


def test_as_a_map():
    x, y = np.random.default_rng(1).uniform(0, 100, (2, 20))
    np.testing.assert_allclose(GRID.map_from(SCENE).points(x, y), GRID.place(SCENE, x, y))


def test_the_wcs_says_the_same():
    x, y = np.random.default_rng(0).uniform(0, 100, (2, 20))
    seen = GRID.wcs().world_to_pixel(SCENE.wcs().pixel_to_world(x, y))
    np.testing.assert_allclose(seen, GRID.place(SCENE, x, y), atol=1e-6)
    assert GRID.wcs().proj_plane_pixel_area().to_value("arcsec2") == pytest.approx(0.063**2)


def test_north_is_up_and_east_to_the_left():
    wcs = SCENE.wcs()
    middle, above, right = (wcs.pixel_to_world(x, y) for x, y in ((60, 50), (60, 60), (70, 50)))
    assert above.dec > middle.dec
    assert right.ra < middle.ra


def test_the_same_galaxy_has_the_same_light_on_any_pixels():
    psf = default_psf("F150W")
    options = dict(n_stars=0, sersic=GALAXY, sky="none", noise="none")
    fluxes = {"F150W": 50.0, "F277W": 50.0 * (0.03 / 0.063) ** 2}
    psfs = {"F150W": psf, "F277W": default_psf("F277W", 1.8)}
    scene = make_scene(
        1, (101, 121), filters=("F150W", "F277W"), fluxes=fluxes, psfs=psfs,
        grids={"F277W": GRID}, **options,
    )  # fmt: skip
    fine, coarse = (scene.galaxy[name] for name in ("F150W", "F277W"))
    assert coarse.shape == (60, 70)
    assert scene.truth.mag_ab("F150W") == pytest.approx(scene.truth.mag_ab("F277W"))
    # as a surface brightness, a few r_eff out where the PSFs do not matter
    x, y = 75.0, 60.0
    own_x, own_y = (round(float(v)) for v in GRID.place(SCENE, x, y))
    back = PixelGrid.place(SCENE, SCENE, x, y)
    assert back == pytest.approx((x, y))
    seen = scene.truth.galaxy("F277W")
    assert seen.r_eff == pytest.approx(7 * 0.03 / 0.063)
    yy, xx = np.indices(fine.shape)
    near = [
        np.abs(np.array(GRID.place(SCENE, xx, yy))[axis] - value) < 0.5
        for axis, value in ((0, own_x), (1, own_y))
    ]
    inside = near[0] & near[1]
    assert coarse[own_y, own_x] == pytest.approx(fine[inside].mean(), rel=0.05)


def test_offsets_are_pixels_of_the_scene():
    scene = make_scene(
        1, (101, 121), 3, ("F150W", "F277W"), sersic=GALAXY, grids={"F277W": GRID},
        offsets={"F277W": (2.0, -1.0)},
    )  # fmt: skip
    expected = GRID.place(SCENE, GALAXY.x_0 + 2, GALAXY.y_0 - 1)
    own = scene.truth.galaxy("F277W")
    assert (own.x_0, own.y_0) == pytest.approx(expected)
    assert scene.truth.place("F277W", GALAXY.x_0, GALAXY.y_0) == pytest.approx(expected)
    assert scene.truth.sky["F277W"].x_ref == 34.5


def test_a_scene_without_grids_is_as_it_was():
    scene = make_scene(5, (61, 71), 12, ("F150W", "F277W"))
    assert scene.wcs() == {}
    assert scene.truth.grid("F277W") == PixelGrid((61, 71))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((10, 40),), "shape must be .* of 16 pixels or more, got"),
        (((40, 40), 0.0), "pixel_scale must be positive, got 0.0"),
    ],
)
def test_what_is_no_grid(arguments, message):
    with pytest.raises(ParameterError, match=message):
        PixelGrid(*arguments)


def test_a_grid_of_no_filter():
    with pytest.raises(ParameterError, match="grids names filters .*: F444W"):
        make_scene(1, (61, 71), 0, ("F150W",), grids={"F444W": GRID})
