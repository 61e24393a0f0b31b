"""Bordered matrices against dense linear algebra."""

import numpy as np
import pytest
from engine_scenes import dense
from numpy.linalg import LinAlgError
from scipy.sparse import csc_matrix

from galstep.core.engine.bordered import BorderedMatrix


def random_matrix(seed, n_border=5, n_stars=40, density=0.05):
    """Positive definite, the body sparse, scales as different as those of a scene."""
    rng = np.random.default_rng(seed)
    factor = rng.random((n_stars, n_stars)) * (rng.random((n_stars, n_stars)) < density)
    body = csc_matrix(factor @ factor.T + np.diag(rng.uniform(0.5, 2.0, n_stars)))
    coupling = rng.normal(size=(n_border, n_stars))
    inner = coupling @ np.linalg.solve(body.toarray(), coupling.T)
    root = rng.normal(size=(n_border, n_border))
    border = inner + root @ root.T + 0.1 * np.eye(n_border)
    size = 10.0 ** rng.uniform(-4, 4, n_border)
    return BorderedMatrix(border * np.outer(size, size), coupling * size[:, None], body)


def relative(found, expected):
    """Largest difference, each row and column in units of its diagonal."""
    scale = np.sqrt(np.diag(expected))
    return np.abs((found - expected) / np.outer(scale, scale)).max()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n_border", "n_stars"), [(5, 40), (1, 3), (12, 1)])
def test_solve(seed, n_border, n_stars):
    matrix = random_matrix(seed, n_border, n_stars)
    rng = np.random.default_rng(100 + seed)
    full = dense(matrix)
    right = rng.normal(size=len(full)) * np.sqrt(np.diag(full))
    found = np.concatenate(matrix.factor().solve(right[:n_border], right[n_border:]))
    error = (found - np.linalg.solve(full, right)) * np.sqrt(np.diag(full))
    # the factor's diagonal is raised by 1e-12: the condition number times that
    assert np.abs(error).max() < 1e-7 * np.abs(found * np.sqrt(np.diag(full))).max()


@pytest.mark.parametrize("seed", range(4))
def test_border_inverse_is_the_marginal_covariance(seed):
    matrix = random_matrix(seed)
    expected = np.linalg.inv(dense(matrix))[:5, :5]
    assert relative(matrix.factor().border_inverse(), expected) < 1e-8


def test_border_solve_takes_vectors_and_columns():
    matrix = random_matrix(7)
    factor = matrix.factor()
    inverse = factor.border_inverse()
    columns = (
        np.random.default_rng(1).normal(size=(5, 3)) * np.sqrt(np.diag(matrix.border))[:, None]
    )
    solved = factor.border_solve(columns)
    np.testing.assert_allclose(solved, inverse @ columns, rtol=1e-7)
    np.testing.assert_array_equal(factor.border_solve(columns[:, 1].copy()), solved[:, 1])


def test_empty_body():
    border = random_matrix(3).border
    matrix = BorderedMatrix(border, np.zeros((5, 0)), csc_matrix((0, 0)))
    right = np.arange(1.0, 6.0) * np.sqrt(np.diag(border))
    solved, stars = matrix.factor().solve(right, np.zeros(0))
    assert stars.shape == (0,)
    np.testing.assert_allclose(border @ solved, right, rtol=1e-8)
    assert relative(matrix.factor().border_inverse(), np.linalg.inv(border)) < 1e-9


def test_damping_is_added_to_the_diagonal():
    matrix = random_matrix(2, 3, 6)
    damped = matrix.damped(np.array([1.0, 2.0, 3.0]), np.arange(6.0))
    expected = dense(matrix) + np.diag(np.concatenate([[1.0, 2.0, 3.0], np.arange(6.0)]))
    np.testing.assert_allclose(dense(damped), expected, rtol=1e-14)
    np.testing.assert_array_equal(dense(matrix), dense(random_matrix(2, 3, 6)))


def test_damping_an_empty_body():
    border = random_matrix(3).border
    matrix = BorderedMatrix(border, np.zeros((5, 0)), csc_matrix((0, 0)))
    damped = matrix.damped(np.ones(5), np.zeros(0))
    np.testing.assert_allclose(damped.border, border + np.eye(5))
    assert damped.stars.shape == (0, 0)


def test_singular_body():
    matrix = random_matrix(1, 2, 3)
    body = csc_matrix(np.diag([1.0, 0.0, 1.0]))
    with pytest.raises(LinAlgError, match="singular"):
        BorderedMatrix(matrix.border, matrix.coupling, body).factor()


def test_indefinite_border():
    matrix = BorderedMatrix(np.diag([1.0, -1.0]), np.zeros((2, 0)), csc_matrix((0, 0)))
    with pytest.raises(LinAlgError, match="not positive definite"):
        matrix.factor()


def test_coupling_too_strong_to_be_definite():
    # [1 2; 2 1]: both parts are positive definite, the whole is not
    matrix = BorderedMatrix(np.eye(1), np.full((1, 1), 2.0), csc_matrix(np.eye(1)))
    with pytest.raises(LinAlgError, match="not positive definite"):
        matrix.factor()
