"""The normal equations of stars against the design that they stand for."""

import numpy as np
import pytest

from galstep.core.imaging.stars import StarRenderer, gram_cut_stamps, gram_stamps
from galstep.core.psf.effective import EffectivePSF
from galstep.core.scene.star_system import StarSystem
from galstep.exceptions import ParameterError
from galstep.testing.psfs import default_psf

SHAPE = (90, 100)
RENDERER = StarRenderer(EffectivePSF.from_array(default_psf("F150W").sampled(4, 121), 4))


def scene(n_stars=6, seed=5, half=7):
    """Weights, residuals, stamps with middles; and the design (3 n, pixels) with 20 pixels more."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(-4, 103, n_stars), random.uniform(-4, 93, n_stars)
    weight, residual = random.uniform(0, 2, SHAPE), random.normal(size=SHAPE)
    stamps, ix, iy = RENDERER.stamps(x, y, half)
    design = np.zeros((n_stars, 3, SHAPE[0] + 40, SHAPE[1] + 40))
    for own, column, row, stamp in zip(design, ix + 20, iy + 20, stamps, strict=True):
        own[:, row - half : row + half + 1, column - half : column + half + 1] = stamp
    inside = design[:, :, 20:-20, 20:-20].reshape(3 * n_stars, -1)
    return weight, residual, (stamps, ix, iy), inside


def test_system_is_that_of_the_design():
    weight, residual, stamps, design = scene(40)
    system = StarSystem.of_stamps(weight, residual, *stamps)
    assert len(system.first) > 45
    expected = (design * weight.ravel()) @ design.T
    np.testing.assert_allclose(system.matrix().toarray(), expected, rtol=1e-9, atol=1e-9)
    right = design @ (weight * residual).ravel()
    np.testing.assert_allclose(system.right.ravel(), right, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(system.diagonal.ravel(), np.diag(expected), rtol=1e-9, atol=1e-12)


def test_weights_of_boxes_and_cut_stamps_give_the_same_products():
    weight, _, (stamps, ix, iy), _ = scene(40)
    pairs = np.array([(i, j) for i in range(40) for j in range(i, 40)]).T
    whole = gram_stamps(weight, stamps, ix, iy, *pairs)
    padded = np.pad(weight, 20)
    boxes = np.array(
        [padded[y + 13 : y + 28, x + 13 : x + 28] for x, y in zip(ix, iy, strict=True)]
    )
    np.testing.assert_allclose(gram_stamps(boxes, stamps, ix, iy, *pairs), whole, atol=1e-12)
    cut, corners = [], []
    for stamp, x, y in zip(stamps, ix, iy, strict=True):
        y0, y1, x0, x1 = max(7 - y, 0), min(15, 97 - y), max(7 - x, 0), min(15, 107 - x)
        cut.append(stamp[:, y0:y1, x0:x1])
        corners.append((y - 7 + y0, x - 7 + x0))
    products = gram_cut_stamps(weight, cut, np.array(corners), *pairs)
    np.testing.assert_allclose(products, whole, atol=1e-12)
    assert gram_cut_stamps(weight, [], np.zeros((0, 2)), *pairs[:, :0]).shape == (0, 3, 3)


@pytest.mark.parametrize("solver", ["cg", "direct"])
def test_steps_solve_the_damped_equations(solver):
    weight, residual, stamps, design = scene(40)
    weight[:] += 0.1
    step = StarSystem.of_stamps(weight, residual, *stamps).steps(0.3, solver)
    matrix = (design * weight.ravel()) @ design.T
    prior = np.tile([0.0, 1 / 0.09, 1 / 0.09], 40)
    seen = np.repeat(np.diag(matrix)[::3] > 0, 3)
    matrix = (matrix + np.diag(prior))[np.ix_(seen, seen)]
    right = (design @ (weight * residual).ravel())[seen]
    assert step.ravel()[seen] == pytest.approx(np.linalg.solve(matrix, right), rel=1e-5, abs=1e-7)
    assert (step.ravel()[~seen] == 0).all()


def test_what_is_held_or_not_seen_stays():
    weight, residual, stamps, _ = scene(20)
    system = StarSystem.of_stamps(weight, residual, *stamps)
    which = np.arange(20) % 2 == 0
    step = system.held(which).steps(0.3)
    assert (step[which, 1:] == 0).all()
    assert (step[~which & ~system.unseen] != 0).all()
    blind = StarSystem(*(getattr(system, n) for n in ("right", "first", "second", "blocks")),
                       seen=np.where(which, 1e-4, 1.0))  # fmt: skip
    assert (blind.steps(0.3)[which] == 0).all()


def test_unknown_solver():
    with pytest.raises(ParameterError, match="solver must be one of cg, direct, got 'qr'"):
        StarSystem(*(np.zeros(0),) * 4).steps(0.3, "qr")
