"""The sky that all blocks know together."""

import numpy as np

from galstep.core.field.sky_mesh import SkyKnowledge, SkyMesh, SkyMessage
from galstep.core.scene.box import Box

SHAPE = (90, 200)
PARTS = [Box(0, 0, 70, 90), Box(70, 0, 150, 90), Box(150, 0, 200, 90)]


def posterior(prior, box, data):
    """Mean and covariance of the knots of a box, from its pixels and a prior."""
    basis = prior.mesh.basis(box).reshape(len(prior.index), -1)
    precision = basis @ basis.T + prior.precision
    covariance = np.linalg.inv(precision)
    right = basis @ data[box.part].ravel() + prior.precision @ prior.mean
    return covariance @ right, covariance


def test_hats_add_to_one_and_draw_a_plane():
    mesh = SkyMesh(SHAPE, 50.0)
    box = Box(13, 7, 190, 80)
    basis = mesh.basis(box)
    np.testing.assert_allclose(basis.sum(axis=0), 1.0)
    assert len(basis) == len(mesh.touched(box))
    y, x = np.indices(SHAPE)
    plane = 3 + 0.1 * x - 0.2 * y
    knots = [3 + 0.1 * a - 0.2 * b for b in mesh._knots(0) for a in mesh._knots(1)]
    np.testing.assert_allclose(mesh.image(box, np.array(knots)), plane[box.part], atol=1e-9)
    np.testing.assert_allclose(mesh.values([20.0, 100.5], [11.0, 3.25], np.array(knots)),
                               [3 + 2.0 - 2.2, 3 + 10.05 - 0.65])  # fmt: skip


def test_a_constant_and_no_sky_are_meshes_too():
    assert SkyMesh(SHAPE, np.inf).n_terms == 1
    np.testing.assert_array_equal(SkyMesh(SHAPE, np.inf).basis(Box(0, 0, 3, 2)), np.ones((1, 2, 3)))
    assert SkyMesh(SHAPE, 0.0).basis(Box(0, 0, 3, 2)).shape == (0, 2, 3)


def test_blocks_that_tell_each_other_know_what_all_pixels_know():
    rng = np.random.default_rng(0)
    data = rng.normal(2.0, 1.0, SHAPE)
    mesh = SkyMesh(SHAPE, 60.0)
    sky = SkyKnowledge(mesh, 2.0, 1.0)
    for k, box in enumerate(PARTS):
        prior = sky.prior(box, k)
        mean, covariance = posterior(prior, box, data)
        sky.tell(k, SkyMessage.from_posterior(prior.index, mean, covariance, prior, 1.0))
    whole = SkyKnowledge(mesh, 2.0, 1.0).prior(Box(0, 0, 200, 90))
    mean, covariance = posterior(whole, Box(0, 0, 200, 90), data)
    np.testing.assert_allclose(sky.factors(), mean, atol=1e-4)
    # the first block, told by the others, is where the joint solution is, with its errors
    prior = sky.prior(PARTS[0], 0)
    own, own_covariance = posterior(prior, PARTS[0], data)
    np.testing.assert_allclose(own, mean[prior.index], atol=1e-4)
    expected = covariance[np.ix_(prior.index, prior.index)]
    np.testing.assert_allclose(own_covariance, expected, rtol=1e-3, atol=1e-6)
