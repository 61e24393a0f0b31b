from dataclasses import replace

import numpy as np
import pytest
from star_scenes import make_field

from galstep.core.star_field import solve as star_field_solve
from galstep.core.star_field.boxes import boxes_are_cheaper
from galstep.core.star_field.model import FieldModel, StarState
from galstep.core.star_field.quality import fit_quality, star_errors, star_flags
from galstep.core.star_field.solve import field_equations
from galstep.core.star_field.tiles import FieldImage, make_tiles


def start(size=1000, seed=0, **kwargs):
    image, psfs, truth = make_field(seed, sky=0.0, separation=4.0, **kwargs)
    field = FieldImage(image, np.full(image.shape, 0.5))
    model = FieldModel(field, psfs, make_tiles(image.shape, size), 5)
    rng = np.random.default_rng(9)
    x, y, flux = truth
    state = StarState.start(
        x + rng.normal(0, 0.05, len(x)), y + rng.normal(0, 0.05, len(x)), 0.9 * flux, 0.3
    )
    return model, state, truth


def without_boxes(monkeypatch):
    monkeypatch.setattr(star_field_solve, "boxes_are_cheaper", lambda *args: None)


def same(one, other):
    for name in ("right", "blocks"):
        scale = np.abs(getattr(one, name)).max()
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-10 * scale)
    assert np.array_equal(one.first, other.first)
    assert np.array_equal(one.second, other.second)


def test_tiles_and_boxes_give_the_same_equations(monkeypatch):
    model, state, _ = start()
    assert boxes_are_cheaper(model, state, np.arange(len(state))) is not None
    from_boxes, _ = field_equations(model, state)
    without_boxes(monkeypatch)
    for size in (1000, 57):
        tiled, _ = field_equations(start(size)[0], state)
        same(from_boxes, tiled)


def test_some_stars_alone(monkeypatch):
    model, state, _ = start()
    who = np.array([3, 17, 18, 40])
    every, _ = field_equations(model, state)
    some, _ = field_equations(model, state, who)
    assert some.right == pytest.approx(every.right[who], rel=1e-9)
    without_boxes(monkeypatch)
    same(some, field_equations(start(57)[0], state, who)[0])


def test_gradient_is_that_of_chi_squared():
    # one star alone, so that its box is all that counts; the start is off by 0.3 px
    model, _, (x, y, flux) = start(count=1)
    x, y, flux = x[0] + 0.2, y[0] - 0.2, 0.8 * flux[0]
    alone = StarState.start([x], [y], [flux], 0.3)
    equations, _ = field_equations(model, alone)
    ix, iy = round(x), round(y)

    def chi2(x, y, flux):
        frame = model.tiles[0].grown(0, model.image.shape)
        moved = replace(alone, x=np.array([x]), y=np.array([y]), flux=np.array([flux]))
        residual, weight, _, _ = model.look(frame, moved)
        return (weight * residual**2)[iy - 5 : iy + 6, ix - 5 : ix + 6].sum()

    steps = ((2, flux, 0.01), (0, x, 1e-4), (1, y, 1e-4))
    for place, (index, value, step) in enumerate(steps):
        arguments = [x, y, flux]
        ends = []
        for sign in (1, -1):
            arguments[index] = value + sign * step
            ends.append(chi2(*arguments))
        numeric = -(ends[0] - ends[1]) / (4 * step)
        assert equations.right[0, place] == pytest.approx(numeric, rel=1e-2)


def test_steps_lead_to_the_truth():
    model, state, (x, y, flux) = start()
    for _ in range(6):
        equations, state = field_equations(model, state)
        step = equations.steps(state.trust)
        state = replace(
            state, flux=state.flux + step[:, 0], x=state.x + step[:, 1], y=state.y + step[:, 2]
        )
    errors = star_errors(field_equations(model, state)[0])
    pulls = np.column_stack([state.flux - flux, state.x - x, state.y - y]) / errors
    assert np.abs(pulls).max() < 4.5
    assert pulls.std() == pytest.approx(1.0, abs=0.15)


def test_errors_of_a_blend_are_those_of_the_whole_matrix():
    model, state, _ = start(count=40, shape=(60, 70))
    equations, _ = field_equations(model, state)
    n = len(state)
    matrix = np.zeros((3 * n, 3 * n))
    for i, j, block in zip(equations.first, equations.second, equations.blocks, strict=True):
        matrix[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = block
        matrix[3 * j : 3 * j + 3, 3 * i : 3 * i + 3] = block.T
    whole = np.sqrt(np.diag(np.linalg.inv(matrix))).reshape(n, 3)
    assert star_errors(equations) == pytest.approx(whole, rel=0.02)


def test_held_positions_stay():
    model, state, _ = start()
    which = np.zeros(len(state), bool)
    which[::2] = True
    equations = field_equations(model, state)[0].held(which)
    step = equations.steps(state.trust)
    assert (step[which, 1:] == 0).all()
    assert (step[~which, 1:] != 0).any(axis=1).all()
    errors = star_errors(equations)
    assert np.isnan(errors[which, 1:]).all()
    assert np.isfinite(errors[which, 0]).all()
    assert np.isfinite(errors[~which]).all()
    # what is held does not have to be found out
    free = star_errors(field_equations(model, state)[0])
    assert (errors[:, 0] <= free[:, 0] * (1 + 1e-9)).all()


def test_groups_are_fitted_beside_each_other():
    model, state, _ = start()
    groups = np.arange(len(state))
    alone, _ = field_equations(model, state, groups=groups)
    assert len(alone.first) == len(state)
    together, _ = field_equations(model, state)
    assert alone.right == pytest.approx(together.right)


def test_star_without_data_keeps_its_flux():
    image, psfs, (x, y, flux) = make_field(sky=0.0)
    error = np.full(image.shape, 0.5)
    mask = np.hypot(*(np.indices(image.shape) - np.array([y[0], x[0]])[:, None, None])) < 12
    model = FieldModel(FieldImage(image, error, mask), psfs, make_tiles(image.shape, 1000), 5)
    state = StarState.start(x, y, flux, 0.3)
    equations, _ = field_equations(model, state)
    assert equations.steps(state.trust)[0] == pytest.approx([0, 0, 0], abs=1e-12)


def test_no_stars():
    model, state, _ = start()
    none = state.select(np.zeros(0, int))
    equations, _ = field_equations(model, none)
    assert equations.steps(none.trust).shape == (0, 3)
    assert star_errors(equations).shape == (0, 3)


@pytest.mark.parametrize("size", [1000, 57])
def test_quality(monkeypatch, size):
    from galstep.core.star_field import quality as star_field_quality

    model, _, (x, y, flux) = start(size)
    state = StarState.start(x, y, flux, 0.3)
    by_boxes = fit_quality(model, state, np.full(len(x), 3))
    monkeypatch.setattr(star_field_quality, "boxes_are_cheaper", lambda *args: None)
    by_tiles = fit_quality(model, state, np.full(len(x), 3))
    for name in ("qfit", "cfit", "reduced_chi2", "n_pixels_fit"):
        assert getattr(by_tiles, name) == pytest.approx(
            getattr(by_boxes, name), rel=1e-9, abs=1e-12
        )
    assert np.median(by_tiles.reduced_chi2) == pytest.approx(1.0, abs=0.08)
    # noise 0.5 in 121 pixels: sum of |n| is 121 * 0.5 * sqrt(2 / pi)
    inside = by_tiles.n_pixels_fit == 121
    assert np.median((by_tiles.qfit * flux)[inside]) == pytest.approx(48.3, rel=0.05)


def test_flags():
    model, _, (x, y, flux) = start()
    x, y = np.array([2.0, 100.0, 50.0, 261.0]), np.array([100.0, 100.0, 50.0, 100.0])
    state = StarState.start(x, y, np.array([100.0, -5.0, 100.0, 100.0]), 0.3)
    state = replace(state, x=state.x + np.array([0, 0, 0.5, 0]))
    quality = fit_quality(model, state, np.full(4, 3))
    errors = np.ones((4, 3))
    errors[2] = np.nan
    still = np.array([True, False, True, True])
    flags = star_flags(state, errors, quality, model.image.shape, 5, still, (0.5, 0.5))
    assert flags.tolist() == [1, 4 + 8, 16 + 32, 1 + 2]
