"""What users of photutils' PSF photometry rely on.

A list of behaviours, after going through the tests of photutils 3 (``psf/tests``); those that
are about inputs stand in ``test_star_phot_inputs``, groups and skies in
``tests/core/star_field/test_given``. Not meant: choosing fitters and their warnings, free
shape parameters of the PSF model, ``repr`` and the pickling of the photometry object,
``finder`` as an object. Other than there: plain numbers in ``error`` beside an image with a
unit are in that unit, and pixels whose error is 0 or NaN are bad instead of an error.
"""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from photutils.psf import PSF_FLAGS, CircularGaussianPSF, PSFPhotometry

from galstep.steps import StarPhot
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

SHAPE, NOISE = (61, 71), 0.5
STAR = GaussianMixturePSF.gaussian(1.3)
PSF = CircularGaussianPSF(fwhm=1.3 * np.sqrt(8 * np.log(2)))
X, Y = np.array([15.3, 50.6, 35.1]), np.array([18.2, 25.9, 45.4])
FLUX = np.array([900.0, 600.0, 2000.0])
ERROR = np.full(SHAPE, NOISE)


def frame(x=X, y=Y, flux=FLUX, seed=3):
    return star_frame(SHAPE, STAR, x, y, flux) + np.random.default_rng(seed).normal(0, NOISE, SHAPE)


def given(data, x=X, y=Y, error=ERROR, **options):
    columns = options.pop("columns", {})
    table = Table({"x": np.atleast_1d(x), "y": np.atleast_1d(y), **columns})
    options = {"finder": "none", "background": "none", **options}
    return StarPhot(**options).run(data, PSF, error=error, init_params=table)


def test_the_same_numbers_as_photutils():
    data = frame()
    ours = given(data, fit_shape=7).rows
    theirs = PSFPhotometry(PSF, (7, 7), aperture_radius=4)(
        data, error=ERROR, init_params=Table({"x": X, "y": Y})
    )
    for name in ("x_fit", "y_fit", "flux_fit"):
        assert getattr(ours, name) == pytest.approx(np.asarray(theirs[name]), rel=1e-3)
    assert ours.flux_err == pytest.approx(np.asarray(theirs["flux_err"]), rel=0.03)
    assert ours.qfit == pytest.approx(np.asarray(theirs["qfit"]), rel=0.05)
    assert ours.n_pixels_fit.tolist() == [49] * 3


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0]])
def test_rows_in_the_order_of_the_table(order):
    ids = np.array([30, 10, 20])
    rows = given(frame(), X[order], Y[order], columns={"id": ids[order]}).rows
    assert rows.id.tolist() == ids[order].tolist()
    assert rows.flux_fit == pytest.approx(FLUX[order], rel=0.05)


def test_errors_scale_and_qfit_stays():
    one, two = (given(frame(), error=k * ERROR).rows for k in (1, 3))
    assert two.flux_err == pytest.approx(3 * one.flux_err, rel=1e-3)
    assert two.reduced_chi2 == pytest.approx(one.reduced_chi2 / 9, rel=1e-3)
    assert two.qfit == pytest.approx(one.qfit, rel=1e-3)
    assert two.cfit == pytest.approx(one.cfit, rel=1e-2)
    assert one.reduced_chi2 == pytest.approx(np.ones(3), abs=0.5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0])
def test_pixels_without_an_error_are_bad(value):
    data, error = frame(), ERROR.copy()
    data[18, 16], error[18, 16] = 1e5, value
    rows = given(data, error=error).rows
    assert rows.flux_fit == pytest.approx(FLUX, rel=0.05)
    assert rows.flags[0] & PSF_FLAGS.N_PIXELS_FIT_PARTIAL


def test_units_come_out():
    catalog = given(frame() * u.nJy, error=ERROR * u.nJy).catalog
    assert catalog["flux_fit"].unit.is_equivalent(u.nJy * u.pix)
    assert catalog["local_bkg"].unit == u.nJy


@pytest.mark.parametrize("place", [(-0.3, 30.0), (70.4, 30.0), (30.0, -0.4), (30.0, 60.45)])
def test_star_on_the_border(place):
    x, y = (np.array([v]) for v in place)
    rows = given(frame(x, y, FLUX[2:]), x, y).rows
    assert abs(rows.flux_fit[0] - FLUX[2]) < 4 * rows.flux_err[0]
    assert rows.flags[0] & PSF_FLAGS.N_PIXELS_FIT_PARTIAL


@pytest.mark.parametrize("place", [(-1.6, 30.0), (30.0, 61.8)])
def test_star_beside_the_frame(place):
    """What reaches in is measured, and that it lies outside is said."""
    x, y = (np.array([v]) for v in place)
    rows = given(frame(x, y, 20 * FLUX[2:]), x, y, fixed_positions=True).rows
    assert abs(rows.flux_fit[0] - 20 * FLUX[2]) < 4 * rows.flux_err[0]
    assert rows.flags[0] & PSF_FLAGS.OUTSIDE_BOUNDS


def test_bounds_are_kept_and_flagged():
    rows = given(frame(), X + 0.5, xy_bounds=0.1).rows
    assert np.abs(rows.x_fit - X - 0.5).max() <= 0.1 + 1e-9
    assert (rows.flags & PSF_FLAGS.NEAR_BOUND > 0).all()


def test_negative_flux():
    rows = given(frame(flux=-FLUX), fixed_positions=True).rows
    assert rows.flux_fit == pytest.approx(-FLUX, rel=0.05)
    assert (rows.flags & PSF_FLAGS.NEGATIVE_FLUX > 0).all()


def test_table_is_read_back(tmp_path):
    result = given(frame() * u.nJy, error=ERROR * u.nJy)
    result.save(tmp_path / "a.ecsv")
    again = QTable.read(tmp_path / "a.ecsv")
    assert again.colnames == result.catalog.colnames
    assert again["flux_fit"].unit == result.catalog["flux_fit"].unit
    assert again["flux_fit"].value == pytest.approx(result.catalog["flux_fit"].value)


def test_error_of_the_notebook():
    """``error = sqrt(abs(data))``: as good as photutils on the same pixels."""
    rng = np.random.default_rng(7)
    data = 30 + star_frame(SHAPE, STAR, X, Y, 50 * FLUX)
    data = rng.poisson(data) - 30.0
    error = np.sqrt(np.abs(data))
    ours = given(data, error=error, fit_shape=7).rows
    theirs = PSFPhotometry(PSF, (7, 7), aperture_radius=4)(
        data, error=np.where(error > 0, error, 1.0), mask=error == 0,
        init_params=Table({"x": X, "y": Y}),
    )  # fmt: skip
    assert ours.flux_fit == pytest.approx(np.asarray(theirs["flux_fit"]), rel=2e-3)
