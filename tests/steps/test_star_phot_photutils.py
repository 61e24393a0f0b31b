"""Behaviours of photutils' PSF photometry, tried on StarPhot: PSF models and parameters.

The list follows the tests of photutils 3 (``psf/tests/test_photometry.py`` and
``test_iterative.py``), a test here for each behaviour; data and first positions are in
``test_star_phot_photutils_inputs``, what comes out in ``test_star_phot_photutils_results``.
Where StarPhot does something else the docstring of the test says what photutils does. Left
out are private functions, deprecated attributes, and how fitters differ.
"""

import numpy as np
import pytest
from astropy.modeling.models import Gaussian1D, Gaussian2D, Moffat2D
from astropy.nddata import NDData
from astropy.table import Table
from photutils.datasets import make_model_image
from photutils.detection import DAOStarFinder
from photutils.psf import (
    AiryDiskPSF,
    CircularGaussianPRF,
    CircularGaussianPSF,
    CircularGaussianSigmaPRF,
    GaussianPRF,
    GaussianPSF,
    GriddedPSFModel,
    ImagePSF,
    MoffatPSF,
    PSFPhotometry,
    make_psf_model,
)
from photutils_scene import (
    DATA,
    ERROR,
    FLUX,
    PSF,
    SHAPE,
    X,
    Y,
    check,
    drawn,
    measured,
    rows_of,
    table,
)

from galstep.exceptions import InputError, ParameterError
from galstep.steps import StarPhot

# ----------------------------------------------------------------- PSF models

_SAMPLES = np.exp(-(np.add.outer(*[(np.arange(-40, 41) / 4) ** 2] * 2)) / (2 * 1.3**2))
_SAMPLES *= 16 / _SAMPLES.sum()
_GRID = {"grid_xypos": [(0, 0), (70, 0), (0, 60), (70, 60)], "oversampling": 4}
_ONE = Gaussian2D(1 / (2 * np.pi * 1.3**2), 0, 0, 1.3, 1.3)
MODELS = {
    "GaussianPSF": GaussianPSF(x_fwhm=3, y_fwhm=3.6, theta=30),
    "GaussianPRF": GaussianPRF(x_fwhm=3, y_fwhm=3.6, theta=30),
    "CircularGaussianPSF": CircularGaussianPSF(fwhm=3),
    "CircularGaussianPRF": CircularGaussianPRF(fwhm=3, flux=500, x_0=25, y_0=25),
    "CircularGaussianSigmaPRF": CircularGaussianSigmaPRF(sigma=1.3),
    "MoffatPSF": MoffatPSF(alpha=3, beta=4),
    "AiryDiskPSF": AiryDiskPSF(radius=3),
    "ImagePSF": ImagePSF(_SAMPLES, oversampling=4),
    "ImagePSF off centre": ImagePSF(
        np.pad(_SAMPLES, ((0, 0), (8, 0))), oversampling=4, origin=(48, 40)
    ),
    "GriddedPSFModel": GriddedPSFModel(NDData(np.array([_SAMPLES] * 4), meta=_GRID)),
    "formula of astropy": make_psf_model(Moffat2D(1, 0, 0, 3, 4), x_name="x_0", y_name="y_0"),
    "both centres named": make_psf_model(_ONE, x_name="x_mean", y_name="y_mean", normalize=False),
    "no centre named": make_psf_model(_ONE, normalize=False),
    "x named": make_psf_model(_ONE, x_name="x_mean", normalize=False),
    "y named": make_psf_model(_ONE, y_name="y_mean", normalize=False),
}


@pytest.mark.parametrize("name", MODELS)
def test_psf_models(name):
    rows = rows_of(drawn(MODELS[name]), MODELS[name], fit_shape=9)
    assert rows.flux_fit == pytest.approx(FLUX, rel=2e-4)
    assert rows.x_fit == pytest.approx(X, abs=1e-3)
    assert rows.y_fit == pytest.approx(Y, abs=1e-3)


def test_what_is_no_psf_model():
    with pytest.raises(InputError, match=r"psf must be .* a PSF model of photutils, .* got int"):
        measured(psf=1, init=table())


@pytest.mark.parametrize("model", [Gaussian1D(), Gaussian2D(), Moffat2D()])
def test_formula_that_is_no_psf_model(model):
    with pytest.raises(InputError, match="got .*: make a PSF model of it with .*make_psf_model"):
        measured(psf=model, init=table())


def _psf(**fixed):
    psf = CircularGaussianPRF(fwhm=3.1)
    for name, value in fixed.items():
        getattr(psf, name).fixed = value
    return psf


def test_fixed_position_of_the_model_is_forced_photometry():
    rows = rows_of(psf=_psf(x_0=True, y_0=True), init=Table({"x": X + 0.1, "y": Y}))
    assert rows.x_fit.tolist() == (X + 0.1).tolist()
    assert np.isnan(rows.x_err).all()
    theirs = PSFPhotometry(_psf(x_0=True, y_0=True), (11, 11), aperture_radius=4)(
        DATA, error=ERROR, init_params=Table({"x": X + 0.1, "y": Y})
    )
    assert rows_of(
        psf=_psf(x_0=True, y_0=True), init=Table({"x": X + 0.1, "y": Y}), fit_shape=11
    ).flux_fit == pytest.approx(np.asarray(theirs["flux_fit"]), rel=1e-4)


def test_fixed_position_of_the_model_needs_positions():
    """There the finder's positions are held."""
    with pytest.raises(ParameterError, match="PSF model is fixed, which needs init_params"):
        measured(psf=_psf(x_0=True, y_0=True), finder="galstep")


def test_free_shape_of_the_model():
    """Shapes are not fitted."""
    with pytest.raises(InputError, match="fwhm of the model must be fixed: StarPhot fits flux and"):
        measured(psf=_psf(fwhm=False), init=table())
    psf = make_psf_model(_ONE, x_name="x_mean", y_name="y_mean")
    psf.x_stddev_2.fixed = False
    with pytest.raises(InputError, match="x_stddev_2 of the model must be fixed"):
        measured(psf=psf, init=table())


def test_everything_of_the_model_fixed():
    with pytest.raises(InputError, match="flux of the model must be free"):
        measured(psf=_psf(x_0=True, y_0=True, flux=True), init=table())


def test_fixed_flux_of_the_model():
    """There positions alone are fitted."""
    with pytest.raises(InputError, match="flux of the model must be free: StarPhot fits the flux"):
        measured(psf=_psf(flux=True), init=table())


def test_one_coordinate_of_the_model_fixed():
    with pytest.raises(InputError, match="both free or both fixed, got only x_0 fixed"):
        measured(psf=_psf(x_0=True), init=table())


# ----------------------------------------------------------------- parameters


def test_fit_shape_is_the_box():
    assert rows_of(fit_shape=(5, 5)).n_pixels_fit.tolist() == [25] * 3
    assert rows_of(fit_shape=5).flux_fit.tolist() == rows_of(fit_shape=(5, 5)).flux_fit.tolist()


@pytest.mark.parametrize("shape", [4, (4, 4), (0, 0)])
def test_fit_shape_that_is_even(shape):
    with pytest.raises(ParameterError, match="fit_shape must be odd"):
        measured(fit_shape=shape, init=table())


@pytest.mark.parametrize(
    "shape", [-1, (-1, 1), np.nan, (np.nan, 3), (5, np.inf), (5, 7), (3, 3, 3)]
)
def test_fit_shape_that_is_none(shape):
    """A box with sides of two lengths is refused as well."""
    with pytest.raises(ParameterError, match="fit_shape"):
        measured(fit_shape=shape, init=table())


@pytest.mark.parametrize("engine", ["galstep", "photutils"])
@pytest.mark.parametrize("radius", [0, -1, np.nan, np.inf])
def test_aperture_radius(radius, engine):
    with pytest.raises(ParameterError, match="aperture_radius"):
        measured(aperture_radius=radius, init=table(), engine=engine)


def test_finder_that_is_an_object():
    """What it finds is given as a table."""
    finder = DAOStarFinder(6.0, 3.0)
    with pytest.raises(ParameterError, match="got a DAOStarFinder: give what it finds as init_par"):
        measured(finder=finder)
    rows = rows_of(init=finder(DATA))
    order = np.argsort(Y)
    check(rows, FLUX[order], X[order], Y[order])


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("psf_model", r"StarPhot\(\).run\(image, psf\)"),
        ("grouper", "group_separation"),
        ("local_bkg_estimator", "background='local' with local_radii"),
        ("fitter", "there is one fitter"),
        ("fitter_maxiters", "there is one fitter"),
        ("maxiters", "n_passes"),
        ("mode", "as in mode 'all'"),
        ("sub_shape", "as far as their light matters"),
        ("group_warning_threshold", "groups may be of any size"),
        ("progress_bar", "the log"),
    ],
)
def test_arguments_with_another_name(name, instead):
    with pytest.raises(ParameterError, match=f"unknown parameter {name}: .*{instead}"):
        StarPhot(**{name: 1})


BOUNDS = {
    "a number": 0.1,
    "a pair": (0.1, 0.1),
    "a list of one": [0.1],
    "an array": np.full(2, 0.1),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_xy_bounds(name):
    rows = rows_of(init=Table({"x": X + 0.5, "y": Y - 0.5}), xy_bounds=BOUNDS[name])
    assert rows.x_fit == pytest.approx(X + 0.4)
    assert rows.y_fit == pytest.approx(Y - 0.4)
    assert rows.flags.tolist() == [32] * 3


@pytest.mark.parametrize("engine", ["galstep", "photutils"])
def test_xy_bounds_on_one_axis(engine):
    given = Table({"x": X + 0.4, "y": Y + 0.4})
    rows = rows_of(init=given, xy_bounds=(None, 0.1), engine=engine)
    assert rows.x_fit == pytest.approx(X, abs=0.05)
    assert rows.y_fit == pytest.approx(Y + 0.3)
    rows = rows_of(init=given, xy_bounds=(0.1, None), engine=engine)
    assert rows.x_fit == pytest.approx(X + 0.3)
    assert rows.y_fit == pytest.approx(Y, abs=0.05)


def test_xy_bounds_that_bind_nothing():
    rows = rows_of(init=Table({"x": X + 0.4, "y": Y + 0.4}), xy_bounds=(None, None))
    check(rows)
    assert rows.flags.tolist() == [0] * 3


def test_near_a_bound_on_each_axis():
    """0.4 pixels off on both axes is 0.57 away, and within a bound of 0.5."""
    rows = rows_of(init=Table({"x": X + 0.4, "y": Y + 0.4}), xy_bounds=0.5)
    check(rows)
    assert rows.flags.tolist() == [0] * 3


@pytest.mark.parametrize(
    "bounds", [(1, 2, 3), np.ones((1, 1)), (-1, 2), (np.nan, 2), np.nan, np.inf, 0, -1, (0, 1), "a"]
)
def test_xy_bounds_that_are_none(bounds):
    with pytest.raises(ParameterError, match="xy_bounds"):
        measured(xy_bounds=bounds, init=table())


def test_groups_with_two_bounds():
    x, y = X[0] + np.array([0.0, 2.5, 5.0]), Y[0] + np.array([0.0, 1.0, 3.0])
    data = make_model_image(SHAPE, PSF, Table({"x_0": x, "y_0": y, "flux": FLUX}))
    given = Table({"x": x + 0.3, "y": y + 0.3, "flux": FLUX})
    rows = rows_of(data, init=given, xy_bounds=(0.2, 1.5), group_separation=5)
    assert rows.group_size.tolist() == [3] * 3
    assert np.abs(rows.x_fit - given["x"]).max() <= 0.2 + 1e-9
    assert np.abs(rows.y_fit - given["y"]).max() <= 1.5


def test_all_in_one_call():
    given = Table({"x": X + 0.4, "y": Y + 0.4})
    options = {
        "finder": "none",
        "background": "none",
        "fit_shape": (7, 7),
        "xy_bounds": (None, 0.1),
    }
    one = StarPhot.call(DATA, PSF, error=ERROR, init_params=given, **options).rows
    two = measured(init=given, **options).rows
    assert one.flux_fit.tolist() == two.flux_fit.tolist()
    assert one.y_fit == pytest.approx(Y + 0.3)
    with pytest.raises(ParameterError, match="unknown parameter grouper: use group_separation"):
        StarPhot.call(DATA, PSF, grouper=1)


def test_repr():
    assert repr(StarPhot()) == "StarPhot()"
    assert repr(StarPhot(threshold=4.0, xy_bounds=(None, 1))) == (
        "StarPhot(threshold=4.0, xy_bounds=[None, 1.0])"
    )
    assert repr(measured(init=table())) == "<StarFieldModel of 'image': 3 stars>"
