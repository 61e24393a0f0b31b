import numpy as np
import pytest

from galstep.core.align.match import (
    apply_affine,
    close_pairs,
    guess_transform,
    match_quality,
    refine_pairs,
)


def field(rng, count, side=1000.0):
    return rng.uniform(0, side, (count, 2))


def rotated(xy, degrees, shift, about=500.0):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (xy - about) @ np.array([[c, -s], [s, c]]).T + about + np.asarray(shift)


def test_pairs_are_mutual():
    reference = np.array([[0.0, 0.0], [10.0, 0.0]])
    image = np.array([[0.3, 0.0], [0.1, 0.0], [10.2, 0.0], [50.0, 0.0]])
    first, second = close_pairs(reference, image, 1.0)
    assert first.tolist() == [0, 1]
    assert second.tolist() == [1, 2]


def test_no_stars_no_pairs():
    first, second = close_pairs(np.zeros((0, 2)), np.ones((3, 2)), 1.0)
    assert len(first) == len(second) == 0


@pytest.mark.parametrize(("degrees", "shift"), [(0.0, (7.0, -3.0)), (1.0, (-20.0, 15.0))])
def test_guess_brings_stars_together(degrees, shift):
    rng = np.random.default_rng(1)
    reference = field(rng, 150)
    image = rotated(reference, -degrees, shift) + rng.normal(0, 0.1, (150, 2))
    # 40 per cent of both catalogues have no counterpart
    image[:60] = field(rng, 60)
    matrix, offset, _ = guess_transform(reference, image, 50.0, 2.0, rotate=True)
    away = np.hypot(*(apply_affine(matrix, offset, image) - reference)[60:].T)
    assert np.median(away) < 3.0


def test_guess_without_rotation_keeps_the_axes():
    rng = np.random.default_rng(2)
    reference = field(rng, 80)
    matrix, offset, n_trials = guess_transform(reference, reference + 5.0, 20.0, 1.0, rotate=False)
    assert np.array_equal(matrix, np.eye(2))
    assert offset == pytest.approx([-5, -5], abs=1e-9)
    assert n_trials == pytest.approx(400)


def test_refinement_keeps_true_pairs_only():
    rng = np.random.default_rng(3)
    reference = field(rng, 200)
    image = np.concatenate([reference[:120] + rng.normal(0, 0.05, (120, 2)), field(rng, 80)])

    def fit(a, b):
        return np.eye(2), np.median(a - b, axis=0)

    first, second, _, shift, radius = refine_pairs(
        reference, image, fit, np.eye(2), np.array([1.0, 1.0]), 4.0, 0.1
    )
    true = second < 120
    assert true.sum() >= 118
    assert np.array_equal(first[true], second[true])
    assert (~true).sum() <= 1
    assert np.abs(shift).max() < 0.02
    assert radius < 0.4


def test_same_stars_are_no_chance():
    rng = np.random.default_rng(4)
    reference = field(rng, 60)
    quality = match_quality(reference, reference + rng.normal(0, 0.1, (60, 2)), 0.5, 1e4)
    assert quality.n_pairs >= 58
    assert quality.n_chance < 1
    assert quality.is_real


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [15, 60, 300])
def test_unrelated_fields_are_chance(seed, count):
    rng = np.random.default_rng([seed, count])
    reference, image = field(rng, count), field(rng, count)

    def fit(a, b):
        return np.eye(2), np.mean(a - b, axis=0)

    matrix, shift, n_trials = guess_transform(reference, image, 60.0, 2.0, rotate=True)
    found = refine_pairs(reference, image, fit, matrix, shift, 4.0, 0.3)
    moved = apply_affine(found[2], found[3], image)
    assert not match_quality(reference, moved, found[4], n_trials).is_real
