"""Places of parameters: each has one, and none is shared."""

import numpy as np
import pytest
from engine_scenes import ALL_FREE, gaussian_psf

from galstep.core.engine.layout import Layout
from galstep.core.engine.scene import Freedom, SceneState, make_band

SHAPE = (12, 12)
SOME = (True, False, True, False, False, True)


def layout_of(n_bands=3, n_galaxies=2, n_stars=4, freedom=ALL_FREE, sky_order=1):
    mask = np.zeros(SHAPE, dtype=bool)
    band = make_band("a", np.zeros(SHAPE), mask, gaussian_psf(), 1.0, sky_order=sky_order)
    state = SceneState.start([band] * n_bands, np.zeros((n_galaxies, 6)))
    state = state.with_stars(np.zeros(n_stars), np.zeros(n_stars), np.zeros((n_bands, n_stars)))
    return Layout.of([band] * n_bands, state, freedom)


@pytest.mark.parametrize("n_galaxies", [0, 1, 2])
@pytest.mark.parametrize("registration", [(), (1,), (2, 0)])
@pytest.mark.parametrize("shape", [(True,) * 6, SOME, (False,) * 6])
def test_every_border_parameter_has_its_own_place(n_galaxies, registration, shape):
    layout = layout_of(3, n_galaxies, freedom=Freedom(shape=shape, registration=registration))
    places = []
    for g in range(n_galaxies):
        own = [layout.shape_place(g, k) for k in range(6)]
        assert [place is not None for place in own] == list(shape)
        places += [place for place in own if place is not None]
    for band in registration:
        own = layout.registration[band]
        places += [own.start, own.start + 1]
        assert own.stop - own.start == 2
    n_nonlinear = len(places)
    assert sorted(places) == list(range(*layout.nonlinear_border().indices(layout.n_border)))
    for band in range(3):
        places += [layout.galaxy_flux(band, g) for g in range(n_galaxies)]
        places += range(*layout.sky(band).indices(layout.n_border))
    assert sorted(places) == list(range(layout.n_border))
    assert layout.n_border == n_nonlinear + 3 * (n_galaxies + 3)


@pytest.mark.parametrize("positions", [True, False])
def test_every_star_parameter_has_its_own_place(positions):
    layout = layout_of(n_stars=5, freedom=Freedom(positions=positions))
    assert layout.block == (5 if positions else 3)
    places = [layout.star(np.arange(5), k) for k in range(layout.block)]
    assert sorted(np.concatenate(places)) == list(range(5 * layout.block))
    # star by star: what belongs to one star stands together
    own = [places[k][2] for k in range(layout.block)]
    assert own == list(range(2 * layout.block, 3 * layout.block))


def test_bands_of_different_sky():
    mask = np.zeros(SHAPE, dtype=bool)
    bands = [
        make_band("a", np.zeros(SHAPE), mask, gaussian_psf(), 1.0, sky_order=order)
        for order in (0, 2)
    ]
    layout = Layout.of(bands, SceneState.start(bands, np.zeros((1, 6))), Freedom())
    assert layout.sky(0).stop - layout.sky(0).start == 1
    assert layout.sky(1).stop - layout.sky(1).start == 6
    assert layout.n_border == 6 + 2 + 7


def test_counts():
    layout = layout_of(3, 2, 4)
    assert (layout.n_bands, layout.n_galaxies, layout.n_stars) == (3, 2, 4)
    assert len(layout.shape) == 12 and layout.positions
