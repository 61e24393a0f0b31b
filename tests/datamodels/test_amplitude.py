"""Amplitude of a Sersic against the integral of astropy's profile."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.modeling.models import Sersic1D
from sample_models import make_fit
from scipy.integrate import quad

from galstep.core.imaging import sersic
from galstep.datamodels.tables.amplitude import amplitude_and_error
from galstep.records import SersicFit, SersicParams


def unit_flux_fit(vector, flux=1.0):
    return SersicFit(SersicParams.from_vector(vector), flux)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("ellip", [0.0, 0.6])
def test_profile_of_this_amplitude_holds_the_flux(n, ellip):
    params = SersicParams(0, 0, 3.0, n, ellip, 1.0)
    amplitude, _ = amplitude_and_error(SersicFit(params, 250.0))
    profile = Sersic1D(amplitude, r_eff=3.0, n=n)
    # r = t^4 tames the cusp and the wings
    flux, _ = quad(lambda t: 2 * np.pi * t**4 * profile(t**4) * 4 * t**3, 0, 20, limit=500)
    assert (1 - ellip) * flux == pytest.approx(250.0, rel=1e-5)


@pytest.mark.parametrize("n", [0.5, 3.0, 6.0])
def test_agrees_with_the_core(n):
    # the data models may not import the core, so the formula stands in both
    fit = SersicFit(SersicParams(0, 0, 3.0, n, 0.4, 1.0), 250.0)
    assert amplitude_and_error(fit)[0] == pytest.approx(sersic.amplitude(250.0, 3.0, n, 0.4))


def numerical_gradient(vector, flux):
    gradient = []
    for i in range(7):
        steps = []
        for sign in (1, -1):
            changed = np.append(vector, flux)
            changed[i] += sign * 1e-5
            steps.append(amplitude_and_error(unit_flux_fit(changed[:6], changed[6]))[0])
        gradient.append((steps[0] - steps[1]) / 2e-5)
    return np.array(gradient)


def test_error_follows_from_the_covariance():
    rng = np.random.default_rng(4)
    root = rng.normal(size=(7, 7)) * 0.01
    fit = replace(make_fit("F150W").sersic[0], covariance=root @ root.T)
    gradient = numerical_gradient(fit.params.to_vector(), fit.flux)
    expected = np.sqrt(gradient @ fit.covariance @ gradient)
    assert amplitude_and_error(fit)[1] == pytest.approx(expected, rel=1e-6)


def test_round_galaxy_has_an_error():
    params = SersicParams(0, 0, 5.0, 2.0, 0.0, 0.0)
    covariance = np.diag([0, 0, 0, 1e-4, 0, 0, 0.0])
    amplitude, error = amplitude_and_error(SersicFit(params, 10.0, covariance=covariance))
    # -ln q = 2 e to first order
    assert error == pytest.approx(amplitude * 2 * 0.01, rel=1e-6)


def test_pinned_parameters_count_as_exact():
    covariance = np.full((7, 7), np.nan)
    covariance[6, 6] = 25.0
    fit = replace(make_fit("F150W").sersic[0], covariance=covariance)
    amplitude, error = amplitude_and_error(fit)
    assert error == pytest.approx(amplitude * 5.0 / fit.flux)
    without = replace(fit, covariance=None, flux_err=5.0)
    assert amplitude_and_error(without)[1] == pytest.approx(error)


def test_unknown_flux_error_gives_an_unknown_error():
    fit = replace(make_fit("F150W").sersic[0], covariance=np.full((7, 7), np.nan))
    assert np.isnan(amplitude_and_error(fit)[1])


def test_negative_flux_has_a_negative_amplitude_and_a_positive_error():
    fit = replace(make_fit("F150W").sersic[0], flux=-3.0, covariance=None)
    amplitude, error = amplitude_and_error(fit)
    assert amplitude < 0 < error
