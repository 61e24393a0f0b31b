"""What is kept of galaxies that are drawn already: the image never, derivatives if they serve."""

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.engine.galaxy_stack import KEPT_CENTRE, KEPT_SHAPE, galaxy_stack
from galstep.core.engine.scene import make_band
from galstep.records import SersicParams

SHAPE = (31, 35)
TARGET = SersicParams(16.3, 14.8, 4.0, 1.3, 0.35, 0.6).to_vector()
OTHER = SersicParams(24.1, 9.4, 2.5, 0.9, 0.2, 2.1).to_vector()
SHEAR = np.array([[1.05, 0.15], [-0.1, 0.9]])


@pytest.fixture(name="band", params=[None, SHEAR], ids=["the scene's pixels", "others"])
def _band(request):
    grid = {} if request.param is None else dict(matrix=request.param, origin=[0.4, 1.1])
    nothing = np.zeros(SHAPE)
    return make_band("b", nothing, nothing > 0, gaussian_psf(1.1), 1.0, **grid)


def drawn(band, *shapes, shift=(0.1, -0.2), derivatives=True, known=None):
    return galaxy_stack(band, np.array(shapes), shift, derivatives, known)


def test_nothing_new_is_the_same_object(band):
    known = drawn(band, TARGET, OTHER)
    assert drawn(band, TARGET, OTHER, known=known) is known
    assert drawn(band, TARGET, OTHER, derivatives=False, known=known) is known


def test_galaxies_that_come_go_or_change_places_are_as_drawn_anew(band):
    known = drawn(band, TARGET, OTHER)
    new = TARGET + [0, 0, 0.2, 0, 0, 0.1]
    for shapes in ([OTHER, TARGET], [OTHER], [new, OTHER, TARGET]):
        again, fresh = drawn(band, *shapes, known=known), drawn(band, *shapes)
        np.testing.assert_array_equal(again.images, fresh.images)
        np.testing.assert_array_equal(again.derivatives, fresh.derivatives)
        np.testing.assert_array_equal(again.drawn, fresh.vectors)


def test_a_small_step_draws_the_image_and_keeps_derivatives_that_serve(band):
    known = drawn(band, TARGET, OTHER)
    step = 0.9 * np.array([KEPT_CENTRE / 2, 0, KEPT_SHAPE, 0, 0, -KEPT_SHAPE])
    after, fresh = drawn(band, TARGET + step, OTHER, known=known), drawn(band, TARGET + step, OTHER)
    np.testing.assert_array_equal(after.images, fresh.images)
    assert after.derivatives is known.derivatives
    for kept, own in zip(after.derivatives[0], fresh.derivatives[0], strict=True):
        assert np.linalg.norm(kept - own) < 0.03 * np.linalg.norm(own)


def test_steps_do_not_add_up(band):
    """Many small steps: the derivatives are never older than the limits allow."""
    stack, shape = drawn(band, TARGET), TARGET.copy()
    for _ in range(10):
        shape = shape + 0.4 * np.array([0, 0, KEPT_SHAPE, 0, 0, 0])
        stack = drawn(band, shape, known=stack)
        assert np.abs(stack.drawn - stack.vectors)[:, 2:].max() < KEPT_SHAPE
    assert stack.drawn[0, 2] > TARGET[2]


def test_images_without_derivatives_do_not_stand_for_them(band):
    bare = drawn(band, TARGET, derivatives=False)
    after, fresh = drawn(band, TARGET, known=bare), drawn(band, TARGET)
    np.testing.assert_array_equal(after.derivatives, fresh.derivatives)


def test_no_galaxy(band):
    none = galaxy_stack(band, np.zeros((0, 6)), (0, 0), True)
    assert none.images.shape == (0, *SHAPE) and none.derivatives.shape == (0, 6, *SHAPE)
