"""Three stars, and what the tests of photutils' behaviours do with them."""

import numpy as np
import pytest
from astropy.table import QTable, Table
from photutils.datasets import make_model_image
from photutils.psf import CircularGaussianPRF

from galstep.steps import StarPhot

SHAPE, NOISE = (61, 71), 0.5
PSF = CircularGaussianPRF(fwhm=3.1)
X, Y = np.array([15.3, 50.6, 35.1]), np.array([18.2, 25.9, 45.4])
FLUX = np.array([900.0, 600.0, 2000.0])
ERROR = np.full(SHAPE, NOISE)

FITTED = ["x_fit", "y_fit", "flux_fit", "x_err", "y_err", "flux_err", "qfit", "cfit",
          "reduced_chi2"]  # fmt: skip
ENGINES = pytest.mark.parametrize("engine", ["galstep", "photutils"])


def drawn(psf=PSF):
    """The three stars without noise."""
    names = {n: getattr(psf, f"{n}_name", f"{n}_0") for n in ("x", "y")}
    stars = {names["x"]: X, names["y"]: Y, getattr(psf, "flux_name", "flux"): FLUX}
    return make_model_image(
        SHAPE, psf, Table(stars), model_shape=(61, 61), x_name=names["x"], y_name=names["y"]
    )


DATA = drawn() + np.random.default_rng(3).normal(0, NOISE, SHAPE)


def table(**columns):
    """First positions: the true ones."""
    return QTable({"x": X, "y": Y, **columns})


def measured(data=DATA, psf=PSF, init=None, error=ERROR, mask=None, **options):
    """The result, without a search and a sky unless asked for."""
    options = {"finder": "none", "background": "none", **options}
    return StarPhot(**options).run(data, psf, error=error, mask=mask, init_params=init)


def rows_of(*args, **options):
    """The rows of `measured`, by default from the true positions."""
    options.setdefault("init", table())
    return measured(*args, **options).rows


def check(rows, flux=FLUX, x=X, y=Y):
    """The right stars, within four errors and a twentieth of a pixel."""
    assert (np.abs(rows.flux_fit - flux) < 4 * rows.flux_err).all()
    assert np.abs(rows.x_fit - x).max() < 0.05
    assert np.abs(rows.y_fit - y).max() < 0.05


def is_lost(rows, which):
    """Whether nothing of these rows was measured."""
    return all(np.isnan(getattr(rows, name)[which]).all() for name in FITTED)
