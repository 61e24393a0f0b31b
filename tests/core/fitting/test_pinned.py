"""Errors of fluxes with a shape that another band measured, against fits with other shapes."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of

from galstep.core.fitting.fits import fit_forced
from galstep.core.imaging.sersic import shape_matrix
from galstep.core.measurement.matched import fraction_inside
from galstep.records import BandFit, SersicFit, SersicParams, SkyModel, StarList
from galstep.testing import make_scene

GALAXY = SersicParams(40.3, 39.8, 6.0, 1.6, 0.3, 0.7)
# parameter of the fit's vector, and the error that the base is given in it
ERRORS = {"ln r_eff": (2, 0.04), "e1": (3, 0.03), "ln n": (5, 0.08)}


@pytest.fixture(scope="module")
def band():
    scene = make_scene(3, (81, 81), 0, ("F150W",), snr=400.0, sersic=GALAXY, sky="none")
    return bands_of(scene)[0]


def base_with(vector, covariance=None):
    """What a base fit hands on: this shape, its covariance, no stars."""
    sersic = SersicFit(SersicParams.from_vector(vector), 1.0, 0.1, covariance=covariance)
    return BandFit(
        "basefit", (sersic,), SkyModel((0.0, 0.0, 0.0), 1, 40.0, 40.0, 40.0), StarList.empty()
    )


def forced(band, base):
    return fit_forced(band, base, register=False).fits[0]


@pytest.mark.parametrize("name", ERRORS)
def test_shape_error_in_the_fluxes_is_what_another_shape_makes_of_them(band, name):
    """Total, and inside the ellipse that stays: there the profile's own share changes too."""
    place, sigma = ERRORS[name]
    vector, covariance = GALAXY.to_vector(), np.zeros((7, 7))
    covariance[place, place] = sigma**2
    without, known = forced(band, base_with(vector)), forced(band, base_with(vector, covariance))
    ellipse = shape_matrix(*vector[2:5])
    totals, inside = [], []
    for sign in (-1, 1):
        moved = vector.copy()
        moved[place] += sign * 0.1 * sigma
        flux = forced(band, base_with(moved)).flux
        totals.append(flux)
        inside.append(flux * fraction_inside(moved, ellipse))
    for key, ends in (("flux_err", totals), ("matched_flux_err", inside)):
        slope = (ends[1] - ends[0]) / 0.2
        added = np.sqrt(getattr(known, key) ** 2 - getattr(without, key) ** 2)
        assert added == pytest.approx(abs(slope), rel=0.03, abs=0.02 * getattr(without, key))


def test_the_components_error_is_the_totals(band):
    covariance = np.zeros((7, 7))
    covariance[2, 2] = 0.05**2
    fit = forced(band, base_with(GALAXY.to_vector(), covariance))
    (own,) = fit.sersic
    assert own.flux_err == pytest.approx(fit.flux_err, rel=1e-6)
    # a base without errors of its shape adds none
    unknown = replace(base_with(GALAXY.to_vector()).sersic[0], covariance=np.full((7, 7), np.nan))
    base = replace(base_with(GALAXY.to_vector()), sersic=(unknown,))
    assert forced(band, base).flux_err < own.flux_err


def test_the_total_has_the_shapes_error_too(band):
    covariance = np.zeros((7, 7))
    covariance[2, 2] = 0.05**2
    known = forced(band, base_with(GALAXY.to_vector(), covariance))
    exact = forced(band, base_with(GALAXY.to_vector(), np.zeros((7, 7))))
    share = known.flux_err**2 - exact.flux_err**2
    assert share > 0
    assert known.total_flux_err**2 - exact.total_flux_err**2 == pytest.approx(share, rel=1e-3)
