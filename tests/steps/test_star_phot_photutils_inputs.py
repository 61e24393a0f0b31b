"""Behaviours of photutils' PSF photometry, tried on StarPhot: data and first positions.

See ``test_star_phot_photutils``.
"""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import NDData, StdDevUncertainty
from astropy.table import QTable, Table
from photutils_scene import DATA, ERROR, FLUX, SHAPE, X, Y, check, measured, rows_of, table

from galstep.exceptions import InputError, ParameterError

# --------------------------------------------------------- data, errors, masks


@pytest.mark.parametrize("data", [np.arange(3), np.ones((2, 3, 3))])
def test_data_that_are_no_image(data):
    with pytest.raises(InputError, match="must be a 2-D image"):
        measured(data, init=table())


def test_error_of_another_shape():
    with pytest.raises(InputError, match="error must have the shape of the image"):
        measured(error=np.ones((3, 3)), init=table())


def test_mask_of_another_shape():
    with pytest.raises(InputError, match="mask must be boolean and have the shape of the image"):
        measured(mask=np.ones((3, 3)), init=table())


def test_nddata_is_data_and_error():
    nddata = NDData(DATA, uncertainty=StdDevUncertainty(ERROR))
    one, two = rows_of(), rows_of(nddata, error=None)
    for name, values in vars(one).items():
        assert getattr(two, name).tolist() == values.tolist(), name


def test_nddata_with_a_unit():
    nddata = NDData(DATA, uncertainty=StdDevUncertainty(ERROR), unit=u.Jy)
    result = measured(nddata, error=None, init=table())
    check(result.rows)
    assert result.catalog["flux_fit"].unit == u.Jy * u.pix
    assert result.make_residual_image().unit == u.Jy


def test_errors_of_zero_everywhere():
    with pytest.raises(InputError, match="no usable pixel: all are .* without an error"):
        measured(error=np.zeros(SHAPE), init=table())


@pytest.mark.parametrize("mask", [np.ma.nomask, np.zeros(SHAPE, bool)])
def test_no_mask(mask):
    assert rows_of(mask=mask).flux_fit.tolist() == rows_of().flux_fit.tolist()


@pytest.mark.parametrize("masked", ["none", "all", "but one"])
def test_pixels_that_are_not_finite(masked):
    """They are masked, with no warning: ``n_pixels_fit`` and ``flags`` tell of them."""
    bad = np.zeros(SHAPE, bool)
    bad[19, 10:20] = True
    wanted = rows_of(mask=bad)
    mask = bad & (masked != "none")
    mask[19, 15] &= masked != "but one"
    rows = rows_of(np.where(bad, np.nan, DATA), mask=mask)
    for name, values in vars(wanted).items():
        assert getattr(rows, name).tolist() == values.tolist(), name
    assert rows.flags.tolist() == [1, 0, 0]
    check(rows)


def test_all_pixels_masked():
    """There nothing is found, or all rows are NaN."""
    with pytest.raises(InputError, match="no usable pixel"):
        measured(mask=np.ones(SHAPE, bool), init=table())


# -------------------------------------------------------------- first positions


@pytest.mark.parametrize("given", [1, np.ones((3, 2))])
def test_init_params_that_are_no_table(given):
    with pytest.raises(InputError, match="init_params must be a file, a table with named columns"):
        measured(init=given)


def test_init_params_without_positions():
    with pytest.raises(InputError, match="init_params: a column 'x' is needed"):
        measured(init=Table({"a": np.arange(3)}))


def test_neither_finder_nor_init_params():
    with pytest.raises(ParameterError, match="finder none needs init_params"):
        measured()


@pytest.mark.parametrize("group_id", [[1.1, 2.0, 3.0], [1, np.nan, 2]])
def test_group_id_that_is_no_whole_number(group_id):
    with pytest.raises(InputError, match="'group_id' must hold whole numbers, in every row"):
        measured(init=table(group_id=group_id))


@pytest.mark.parametrize("group_id", [0, -1])
def test_group_id_below_one(group_id):
    with pytest.raises(InputError, match=f"must be 1 or more in every row, got {group_id}"):
        measured(init=table(group_id=[group_id, 1, 1]))


_PIXELS = ["_init", "init", "centroid", "_centroid", "_peak", "", "cen", "_cen", "pos", "_pos",
           "_0", "0"]  # fmt: skip
_FLUXES = ["flux_init", "flux_0", "flux0", "flux", "source_sum", "segment_flux", "kron_flux"]


@pytest.mark.parametrize("number", range(12))
def test_names_of_columns(number):
    suffix, flux = _PIXELS[number], _FLUXES[number % 7]
    rows = rows_of(init=Table({f"x{suffix}": X, f"y{suffix}": Y, flux: FLUX + 1}))
    assert rows.x_init.tolist() == X.tolist()
    assert rows.flux_init.tolist() == (FLUX + 1).tolist()
    check(rows)


@pytest.mark.parametrize("name", ["x", "x_init", "xcentroid", "xpos", "x_peak", "xcen", "x_fit"])
def test_names_that_finders_give(name):
    check(rows_of(init=Table({name: X, name.replace("x", "y", 1): Y})))


def test_names_that_no_finder_gives():
    with pytest.raises(InputError, match="a column 'x' is needed .* it has x_invalid, y_invalid"):
        measured(init=Table({"x_invalid": X, "y_invalid": Y}))


def test_the_first_name_that_fits():
    rows = rows_of(
        init=table(flux=FLUX, x_cen=X + 0.1, y_cen=Y + 0.1, flux0=FLUX + 1), fixed_positions=True
    )
    assert rows.x_init.tolist() == X.tolist()
    assert rows.flux_init.tolist() == FLUX.tolist()


def test_positions_measured_before():
    """``x_fit`` of a catalogue comes before its ``x_init``; there it is the other way round."""
    rows = rows_of(init=Table({"x_init": X + 0.2, "y_init": Y, "x_fit": X, "y_fit": Y}))
    assert rows.x_init.tolist() == X.tolist()


def test_positions_in_pixels():
    check(rows_of(init=QTable({"x": X * u.pix, "y": Y * u.pix})))


def test_flux_that_is_missing():
    """It is that of the fit at the first position, not of an aperture."""
    rows = rows_of()
    assert rows.flux_init == pytest.approx(FLUX, rel=0.02)
    check(rows)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_flux_that_is_not_finite(value):
    """It counts as missing; there the star is not fitted."""
    rows = rows_of(init=table(flux=[900.0, value, 2000.0]))
    check(rows)
    assert rows.flags.tolist() == [0] * 3


@pytest.mark.parametrize("name", ["flux", "local_bkg"])
def test_unit_beside_data_without(name):
    with pytest.raises(InputError, match=f"column '{name}' must be in no unit or pix, got Jy"):
        measured(init=table(**{name: np.ones(3) * u.Jy}))


@pytest.mark.parametrize("name", ["flux", "local_bkg"])
def test_unit_of_another_kind(name):
    with pytest.raises(InputError, match=f"column '{name}' must be in Jy or Jy pix, got m"):
        measured(DATA * u.Jy, error=ERROR * u.Jy, init=table(**{name: np.ones(3) * u.m}))


def test_no_unit_beside_data_with_one():
    """Plain numbers are in the unit of the image; there they are refused."""
    rows = rows_of(
        DATA * u.Jy, error=ERROR * u.Jy, init=table(flux=FLUX, local_bkg=[0.0, 1.0, 0.0])
    )
    assert rows.flux_init.tolist() == FLUX.tolist()
    assert rows.local_bkg.tolist() == [0.0, 1.0, 0.0]
