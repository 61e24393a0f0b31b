"""Behaviours of photutils' PSF photometry, tried on StarPhot: groups, skies, searches.

See ``test_star_phot_photutils``.
"""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from photutils.datasets import make_model_image
from photutils.psf import PSF_FLAGS, CircularGaussianPRF, make_psf_model_image
from photutils_scene import (
    DATA,
    ENGINES,
    FLUX,
    NOISE,
    PSF,
    SHAPE,
    X,
    Y,
    check,
    is_lost,
    measured,
    rows_of,
    table,
)

from galstep.exceptions import ParameterError
from galstep.steps import StarPhot

# --------------------------------------------------------------- groups, sky


@ENGINES
def test_groups_by_distance(engine):
    x, y = np.array([10.0, 14.0, 18.0, 50.0, 53.0]), np.array([20.0, 21.0, 20.0, 40.0, 41.0])
    stars = Table({"x_0": x, "y_0": y, "flux": [900.0, 500.0, 900.0, 600.0, 600.0]})
    data = make_model_image(SHAPE, PSF, stars, model_shape=(31, 31))
    rows = rows_of(data, init=stars, group_separation=5.0, engine=engine)
    assert rows.group_id.tolist() == [1, 1, 1, 2, 2]
    assert rows.group_size.tolist() == [3, 3, 3, 2, 2]
    assert rows.flux_fit == pytest.approx(np.asarray(stars["flux"]), rel=1e-3)


@ENGINES
@pytest.mark.parametrize("separation", [None, 5.0])
def test_groups_that_are_given(engine, separation):
    rows = rows_of(init=table(group_id=[1, 1, 1]), engine=engine, group_separation=separation)
    assert rows.group_id.tolist() == [1, 1, 1]
    assert rows.group_size.tolist() == [3, 3, 3]
    check(rows)


@ENGINES
def test_groups_with_stars_that_cannot_be_measured(engine):
    given = Table({"x": [X[0], 1000.0, X[1], -500.0, 900.0], "y": [Y[0], 5.0, Y[1], 5.0, 5.0],
                   "group_id": [7, 7, 4, 9, 9]})  # fmt: skip
    rows = rows_of(init=given, engine=engine)
    assert rows.group_id.tolist() == [7, 7, 4, 9, 9]
    assert rows.group_size.tolist() == [2, 2, 1, 2, 2]
    assert is_lost(rows, [1, 3, 4])
    assert rows.flux_fit[[0, 2]] == pytest.approx(FLUX[:2], rel=0.02)


def test_large_groups():
    """They cost nothing, so that none is warned of."""
    psf = CircularGaussianPRF(fwhm=2)
    data, stars = make_psf_model_image(
        (201, 201), psf, 50, model_shape=(15, 15), flux=(500, 700), min_separation=10, seed=0
    )
    rows = rows_of(data, psf, init=stars, error=None, group_separation=100)
    assert rows.group_size.tolist() == [50] * 50
    assert rows.flux_fit == pytest.approx(np.asarray(stars["flux"]), rel=1e-4)


@ENGINES
def test_local_background(engine):
    rows = rows_of(DATA + 10, background="local", local_radii=(8, 14), engine=engine)
    assert rows.local_bkg == pytest.approx(np.full(3, 10), abs=0.2)
    assert rows.flux_fit == pytest.approx(FLUX, rel=0.02)


@pytest.mark.parametrize("background", ["none", "local", "global"])
def test_local_bkg_that_is_not_finite(background):
    """The sky is measured there, if any is; there it is none, and reported as it was given."""
    given = table(local_bkg=[10.0, np.nan, np.inf])
    rows = rows_of(DATA + 10, init=given, background=background, bkg_boxsize=16)
    assert (rows.flags & PSF_FLAGS.NON_FINITE_LOCALBKG > 0).tolist() == [False, True, True]
    expected = [10.0, *[0.0 if background == "none" else 10.0] * 2]
    assert rows.local_bkg == pytest.approx(expected, abs=0.2)


@ENGINES
def test_ring_without_a_good_pixel(engine):
    mask = np.ones(SHAPE, bool)
    mask[13:24, 10:21] = mask[:, 40:] = False
    rows = rows_of(
        DATA, mask=mask, init=table()[:2], background="local", fit_shape=7, engine=engine
    )
    assert np.isnan(rows.local_bkg).tolist() == [True, False]
    assert rows.flags.tolist() == [PSF_FLAGS.NON_FINITE_LOCALBKG, 0]
    assert rows.flux_fit == pytest.approx(FLUX[:2], rel=0.02)
    assert (rows.flux_err > 0).all()


# ------------------------------------------------------------- again and again


def test_some_given_and_the_others_found():
    result = measured(init=table()[1:2], finder="galstep")
    order = [1, 0, 2]
    check(result.rows, FLUX[order], X[order], Y[order])
    assert result.rows.iter_detected.tolist() == [1, 2, 2]
    assert result.rows.id.tolist() == [1, 2, 3]


def test_faint_stars_beside_bright_ones():
    stars = QTable({"x_0": [50.0, 45, 55, 27, 22, 77, 82], "y_0": [50.0, 52, 48, 27, 30, 77, 79],
                    "flux": [1000.0, 100, 50, 1000, 100, 1000, 100]})  # fmt: skip
    psf = CircularGaussianPRF(fwhm=9.4)
    data = make_model_image((101, 101), psf, stars, model_shape=(61, 61))
    result = StarPhot(background="none", psf_error=0, n_passes=3).run(data * u.Jy, psf)
    rows, order = result.rows, np.argsort(stars["y_0"])
    by_y = np.argsort(rows.y_fit)
    assert rows.flux_fit[by_y] == pytest.approx(stars["flux"][order], rel=1e-4)
    assert rows.iter_detected[by_y].tolist() == np.where(stars["flux"][order] > 500, 1, 2).tolist()
    assert result.make_residual_image().value == pytest.approx(np.zeros((101, 101)), abs=1e-3)


@pytest.mark.parametrize("finder", ["galstep", "dao", "iraf"])
def test_nothing_is_found(finder):
    """An empty table; there is a warning and none."""
    noise = np.random.default_rng(1).normal(0, NOISE, SHAPE)
    result = measured(noise, error=None, finder=finder, threshold=1000)
    assert len(result.catalog) == 0
    assert result.decode_flags() == []
    assert result.make_residual_image() == pytest.approx(noise)


def test_stars_beyond_the_edge_of_a_part():
    psf = CircularGaussianPRF(fwhm=3.5)
    data, stars = make_psf_model_image(
        (150, 150), psf, 300, model_shape=(21, 21), flux=(50, 100), min_separation=4, seed=0
    )
    data = (data + np.random.default_rng(0).normal(0, 0.1, data.shape))[:50, :50]
    rows = measured(data, psf, error=np.full(data.shape, 0.1), finder="galstep").rows
    inside = stars[(stars["x_0"] < 47) & (stars["y_0"] < 47)]
    for x, y, flux in zip(inside["x_0"], inside["y_0"], inside["flux"], strict=True):
        nearest = np.argmin(np.hypot(rows.x_fit - x, rows.y_fit - y))
        assert abs(rows.flux_fit[nearest] - flux) < 5 * rows.flux_err[nearest]


@pytest.mark.parametrize("n_passes", [-1, 0, 3.14, [1, 2]])
def test_number_of_searches(n_passes):
    with pytest.raises(
        ParameterError, match=r"'n_passes': .* \(needed: integer\(min=1, max=20\)\)"
    ):
        StarPhot(n_passes=n_passes)
