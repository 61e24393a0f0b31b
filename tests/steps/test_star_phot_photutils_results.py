"""Behaviours of photutils' PSF photometry, tried on StarPhot: what comes out.

See ``test_star_phot_photutils``.
"""

import logging

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from photutils.datasets import make_model_image
from photutils.psf import PSF_FLAGS
from photutils.psf.flags import decode_psf_flags
from photutils_scene import (
    DATA,
    ENGINES,
    ERROR,
    FITTED,
    FLUX,
    PSF,
    SHAPE,
    X,
    Y,
    check,
    drawn,
    is_lost,
    measured,
    rows_of,
    table,
)

from galstep.core.star_field import photometry
from galstep.exceptions import InputError
from galstep.steps import StarPhot

# ------------------------------------------------------------------ the table


@ENGINES
def test_columns(engine):
    catalog = measured(init=table(), engine=engine).catalog
    assert isinstance(catalog, QTable)
    first = ["id", "group_id", "group_size", "iter_detected", "local_bkg"]
    assert catalog.colnames[:5] == first
    assert {"x_init", "y_init", "flux_init", "n_pixels_fit", "flags", *FITTED} <= set(
        catalog.colnames
    )


def test_a_run_leaves_nothing_to_the_next():
    step = StarPhot(finder="none", background="none")
    first = step.run(DATA, PSF, error=ERROR, init_params=table())
    step.run(DATA[::-1], PSF, error=ERROR, init_params=table()[:1])
    again = step.run(DATA, PSF, error=ERROR, init_params=table())
    assert again.rows.flux_fit.tolist() == first.rows.flux_fit.tolist()


def test_units():
    """Fluxes are in the image's unit times pixel; there in that of the image."""
    catalog = measured(DATA * u.Jy, error=ERROR * u.Jy, init=table()).catalog
    for name in ("flux_init", "flux_fit", "flux_err"):
        assert catalog[name].unit == u.Jy * u.pix
    assert catalog["local_bkg"].unit == u.Jy
    for name in ("qfit", "cfit", "reduced_chi2"):
        assert not isinstance(catalog[name], u.Quantity)


def test_numbers_without_units():
    """Without a unit of the image there are no units there; here ``rows`` has none."""
    result = measured(init=table())
    assert (result.rows.flux_fit > 500).all()
    assert result.rows.x_fit.tolist() == result.catalog["x_fit"].value.tolist()


@ENGINES
def test_written_and_read(tmp_path, engine):
    """How it was measured is written too: the parameters, and what the PSF is."""
    result = measured(init=table(), engine=engine, fit_shape=(7, 7), xy_bounds=(None, 1))
    result.save(tmp_path / "a.ecsv")
    again = QTable.read(tmp_path / "a.ecsv")
    assert again.colnames == result.catalog.colnames
    assert again.meta["psf"] == "CircularGaussianPRF"
    assert again.meta["engine"] == engine
    assert again.meta["parameters"]["fit_shape"] == 7
    assert again.meta["parameters"]["xy_bounds"] == [None, 1.0]


@pytest.mark.parametrize("order", [[2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("groups", [None, [1, 1, 2], [11, 20, 11]])
@pytest.mark.parametrize("ids", [[1, 2, 3], [4, 19, 77]])
def test_order_of_the_rows(order, groups, ids):
    """Rows stay in the order of the table; there they are sorted by ``id``."""
    given = table(id=ids, local_bkg=[0.1, -0.2, 0.3])
    given["x"][1] = 1000.0
    if groups is not None:
        given["group_id"] = groups
    one, two = rows_of(init=given), rows_of(init=given[order])
    for name in (
        "id",
        "group_size",
        "local_bkg",
        "n_pixels_fit",
        *(["group_id"] if groups else []),
    ):
        assert np.array_equal(getattr(two, name), getattr(one, name)[order], equal_nan=True), name
    for name in FITTED:
        assert getattr(two, name) == pytest.approx(getattr(one, name)[order], nan_ok=True), name


def test_reduced_chi2():
    assert rows_of().reduced_chi2 == pytest.approx(np.ones(3), abs=0.3)
    assert rows_of(error=2 * ERROR).reduced_chi2 == pytest.approx(rows_of().reduced_chi2 / 4)


def test_reduced_chi2_without_errors():
    """It is that of the noise measured on the residual; there it is NaN."""
    assert rows_of(error=None).reduced_chi2 == pytest.approx(np.ones(3), abs=0.3)


@pytest.mark.parametrize("factor", [None, 0.1, 10.0])
def test_qfit_and_cfit_for_any_error(factor):
    one, two = rows_of(), rows_of(error=None if factor is None else factor * ERROR)
    assert (one.qfit > 0).all()
    assert two.qfit == pytest.approx(one.qfit, rel=1e-4)
    assert two.cfit == pytest.approx(one.cfit, rel=1e-3)


# ------------------------------------------------------------------ the images


@ENGINES
def test_model_and_residual(engine):
    result = measured(DATA + 10, init=table(), engine=engine, background="global", bkg_boxsize=16)
    model, whole = (result.make_model_image(SHAPE, include_local_bkg=b) for b in (False, True))
    assert model == pytest.approx(drawn(), abs=1.0)
    assert whole == pytest.approx(drawn() + 10, abs=1.2)
    rest, no_sky = (result.make_residual_image(include_local_bkg=b) for b in (False, True))
    assert rest == pytest.approx(DATA + 10 - model)
    assert no_sky == pytest.approx(DATA + 10 - whole)
    assert no_sky == pytest.approx(result.residual_image())
    assert result.make_residual_image(DATA) == pytest.approx(DATA - model)


@ENGINES
def test_images_have_the_unit_of_the_data(engine):
    result = measured(DATA * u.Jy, error=ERROR * u.Jy, init=table(), engine=engine)
    assert result.make_model_image().unit == u.Jy
    assert result.make_residual_image(1e3 * DATA * u.mJy).unit == u.Jy
    assert result.make_residual_image(1e3 * DATA * u.mJy).value == pytest.approx(
        result.make_residual_image().value, abs=1e-9
    )


def test_images_that_cannot_be_drawn():
    result = measured(DATA * u.Jy, error=ERROR * u.Jy, init=table())
    with pytest.raises(InputError, match=r"shape must be that of the image \(61, 71\), got \(3, 3"):
        result.make_model_image((3, 3))
    with pytest.raises(InputError, match="data must be in Jy, as the image, got m"):
        result.make_residual_image(DATA * u.m)


@ENGINES
def test_images_beside_stars_that_cannot_be_measured(engine):
    given = Table({"x": [*X, 1000.0, np.nan], "y": [*Y, 5.0, 5.0], "flux": [*FLUX, 1.0, 1.0],
                   "local_bkg": [0.0, np.nan, np.inf, 0.0, 0.0]})  # fmt: skip
    result = measured(init=given, engine=engine)
    assert result.make_model_image(include_local_bkg=True) == pytest.approx(drawn(), abs=0.7)
    assert np.isfinite(result.make_residual_image(include_local_bkg=True)).all()


@ENGINES
def test_results_for_another_run(engine):
    """``results_to_init_params``; there is no ``results_to_model_params`` beside it."""
    given = table(id=[8, 5, 9], group_id=[2, 2, 3])
    given["x"][1] = 1000.0
    result = measured(DATA * u.Jy, error=ERROR * u.Jy, init=given, engine=engine)
    again = result.results_to_init_params()
    assert again["id"].tolist() == [8, 9]
    assert again["group_id"].tolist() == [2, 3]
    second = measured(DATA * u.Jy, error=ERROR * u.Jy, init=again, engine=engine).rows
    assert second.x_init == pytest.approx(result.rows.x_fit[[0, 2]])
    assert second.flux_fit == pytest.approx(result.rows.flux_fit[[0, 2]], rel=1e-4)


def test_names_of_flags():
    data = make_model_image(
        SHAPE, PSF, Table({"x_0": X, "y_0": Y, "flux": FLUX * [1, -1, 1]}), model_shape=(41, 41)
    )
    given = Table({"x": [*X, 200.0], "y": [*Y, 10.0]})
    result = measured(data, init=given, fixed_positions=True)
    names = result.decode_flags()
    assert names == decode_psf_flags(result.rows.flags)
    assert names[:3] == [[], ["negative_flux"], []]
    assert "no_overlap" in names[3]


# --------------------------------------------------------------------- flags


@ENGINES
def test_star_without_overlap(engine):
    rows = rows_of(init=Table({"x": [-63.0, X[0]], "y": [-49.0, Y[0]]}), engine=engine)
    assert is_lost(rows, [0])
    assert not is_lost(rows, [1])
    assert rows.n_pixels_fit[0] == 0
    assert rows.group_size.tolist() == [1, 1]
    assert rows.flags[0] & PSF_FLAGS.NO_OVERLAP
    assert rows.flags[0] & PSF_FLAGS.NO_COVARIANCE


@ENGINES
def test_star_that_is_all_masked(engine):
    mask = np.zeros(SHAPE, bool)
    mask[5:32, 2:29] = True
    rows = rows_of(mask=mask, engine=engine)
    assert is_lost(rows, [0])
    assert rows.n_pixels_fit[0] == 0
    assert rows.flags[0] & PSF_FLAGS.FULLY_MASKED
    assert not rows.flags[0] & PSF_FLAGS.TOO_FEW_PIXELS
    assert rows.flags[1:].tolist() == [0, 0]


@ENGINES
@pytest.mark.parametrize("n_pixels", [1, 2])
def test_star_with_too_few_pixels(n_pixels, engine):
    mask = np.zeros(SHAPE, bool)
    mask[5:32, 2:29] = True
    mask[18, 15 : 15 + n_pixels] = False
    result = measured(mask=mask, init=table(flux=FLUX), engine=engine)
    rows = result.rows
    assert is_lost(rows, [0])
    assert rows.n_pixels_fit[0] == n_pixels
    assert rows.flags[0] & PSF_FLAGS.TOO_FEW_PIXELS
    assert not rows.flags[0] & PSF_FLAGS.FULLY_MASKED
    assert np.abs(result.make_model_image()[5:32, 2:29]).max() < 1


def test_few_pixels_are_enough_for_a_flux():
    mask = np.zeros(SHAPE, bool)
    mask[5:32, 2:29] = True
    mask[18, 15] = False
    rows = rows_of(mask=mask, fixed_positions=True)
    assert abs(rows.flux_fit[0] - FLUX[0]) < 4 * rows.flux_err[0]
    assert rows.n_pixels_fit[0] == 1


@ENGINES
def test_masked_pixel_in_the_middle(engine):
    mask = np.zeros(SHAPE, bool)
    mask[18, 15] = True
    rows = rows_of(mask=mask, engine=engine)
    check(rows)
    assert np.isnan(rows.cfit).tolist() == [True, False, False]
    assert rows.flags.tolist() == [1, 0, 0]


def test_stars_at_the_border():
    x = np.array([-0.4, 70.4, -1.0, 71.0, 15.0, 15.0, 45.0, 45.0])
    y = np.array([10.0, 10.0, 30.0, 30.0, -0.4, 60.4, -1.0, 61.0])
    stars = Table({"x_0": x, "y_0": y, "flux": np.full(8, 500.0)})
    data = make_model_image(SHAPE, PSF, stars, model_shape=(31, 31))
    rows = rows_of(data, init=stars, fit_shape=(5, 5))
    assert rows.flux_fit == pytest.approx(np.full(8, 500.0), rel=1e-3)
    assert rows.flags.tolist() == [1, 1, 3, 3, 1, 1, 3, 3]
    assert rows.x_init.tolist() == x.tolist()
    assert np.isnan(rows.cfit).tolist() == [False, False, True, True] * 2


@ENGINES
def test_positions_that_are_not_finite(engine):
    rows = rows_of(
        init=Table({"x": [X[0], np.nan, 12.0], "y": [Y[0], 12.0, np.inf]}), engine=engine
    )
    assert is_lost(rows, [1, 2])
    assert (rows.flags & PSF_FLAGS.NON_FINITE_POSITION > 0).tolist() == [False, True, True]
    assert abs(rows.flux_fit[0] - FLUX[0]) < 4 * rows.flux_err[0]


def test_fits_that_have_not_converged(monkeypatch, caplog):
    """The flag and the log tell of them; there is no warning."""
    caplog.set_level(logging.INFO)
    for name in ("STEPS_PER_PASS", "FINAL_STEPS"):
        monkeypatch.setattr(photometry, name, 1)
    rows = rows_of(init=Table({"x": X + 1.5, "y": Y}))
    assert (rows.flags & PSF_FLAGS.NO_CONVERGENCE > 0).all()
    assert "not_converged 3" in caplog.text
