"""Apertures of a galaxy with knots and companions, against images that are known."""

from dataclasses import replace

import numpy as np
import pytest
from photutils.aperture import EllipticalAperture

from galstep.records import SersicParams
from galstep.steps import AperPhot
from galstep.testing import make_scene
from galstep.testing.models import fitted_model
from galstep.testing.structured_models import structured_model

FILTERS = ("F090W", "F150W", "F277W")
GALAXY = SersicParams(61.2, 59.4, 8.0, 1.5, 0.4, 0.9)
# within the target's Kron ellipse, half as bright
COMPANION = (SersicParams(79.0, 66.0, 4.0, 1.0, 0.3, 0.2), 0.5)
KNOTS = [(66.0, 64.0, 0.04), (55.0, 52.0, 0.06), (61.5, 70.0, 0.03)]


@pytest.fixture(scope="module")
def clean():
    return make_scene(
        seed=6, shape=(121, 121), filters=FILTERS, n_stars=15, psf_size=101, sersic=GALAXY,
        noise="none", offsets={"F277W": (1.3, -0.8)},
    )  # fmt: skip


def light_in(image, place):
    """The sum of an image inside an aperture, by photutils."""
    ellipse = EllipticalAperture((place.x, place.y), place.a, place.b, theta=place.theta)
    return float(ellipse.do_photometry(image, method="exact")[0][0])


def measure(model, **parameters):
    return AperPhot(petro=0.2, **parameters).run(model)


def all_apertures(band):
    return (band.aperture, *band.aperture.others)


@pytest.mark.parametrize("method", ["model", "kernel"])
def test_the_light_of_a_companion_is_not_the_targets(clean, method):
    options = {"PSF_corr_method": method}
    alone = measure(fitted_model(clean), **options)
    pair = measure(structured_model(clean, [COMPANION]), **options)
    for name in FILTERS:
        for one, other in zip(*(all_apertures(m.bands[name]) for m in (alone, pair)), strict=True):
            assert other.aperture == one.aperture
            assert other.flux == pytest.approx(one.flux, rel=1e-6)
            assert other.frac_enclosed == pytest.approx(one.frac_enclosed, rel=1e-9)
            assert other.psf_correction == pytest.approx(one.psf_correction, abs=1e-6)
            truth = light_in(clean.galaxy[name], other.aperture)
            assert other.flux == pytest.approx(truth, rel=1e-3)
        # it would have been seen
        kron = all_apertures(pair.bands[name])[1]
        inside = light_in(pair.bands[name].companions, kron.aperture)
        assert inside > 0.1 * kron.flux


def test_the_error_of_a_companion_is_part_of_the_fluxes(clean):
    alone = measure(fitted_model(clean))
    pair = measure(structured_model(clean, [COMPANION]))
    for name in FILTERS:
        for one, other in zip(*(all_apertures(m.bands[name]) for m in (alone, pair)), strict=True):
            # flux error of 5 %, shape without a covariance: of its light in the aperture
            added = 0.05 * light_in(pair.bands[name].companions, other.aperture)
            assert other.flux_err == pytest.approx(np.hypot(one.flux_err, added), rel=0.02)
            assert other.model_err**2 - one.model_err**2 == pytest.approx(added**2, rel=0.02)
            assert other.covariance[name] == pytest.approx(other.flux_corr_err**2)
            terms = (other.noise_err, other.sky_err, other.star_err, other.model_err)
            assert other.flux_err == pytest.approx(np.linalg.norm([*terms, other.fill_err]))


def test_knots_are_light_of_the_target(clean):
    model = structured_model(clean, knots=KNOTS)
    result = measure(model)
    for name, band in result.bands.items():
        truth = clean.galaxy[name] + model.bands[name].knots
        for found in all_apertures(band):
            inside = light_in(truth, found.aperture)
            assert found.flux == pytest.approx(inside, rel=1e-3)
            # of total_flux, which is that of components and knots
            assert found.frac_enclosed * band.fit.total_flux == pytest.approx(inside, rel=1e-3)


def test_radii_count_knots(clean):
    """Knots on a ring well outside the core move the light outwards."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    far = [(61.2 + 20 * np.cos(a), 59.4 + 20 * np.sin(a), 0.05) for a in angle]
    alone, ring = measure(fitted_model(clean)), measure(structured_model(clean, knots=far))
    for one, other in zip(*(all_apertures(m.bands["F150W"]) for m in (alone, ring)), strict=True):
        assert other.aperture.a > 1.1 * one.aperture.a


def test_the_psf_correction_is_that_of_galaxy_and_knots(clean):
    """To F277W's PSF: the knots' light in the aperture through either PSF is analytic."""
    from galstep.testing.real_space import SersicImage, star_image

    model = structured_model(clean, knots=KNOTS)
    result = measure(model, PSF_corr_base_filter="F277W")
    psfs, flux = clean.truth.psfs, clean.truth.fluxes["F150W"]
    found = result.bands["F150W"].aperture
    x, y, share = np.array(KNOTS).T
    seen = {
        name: flux * SersicImage(GALAXY, (121, 121), psfs[name].reach()).seen_through(psfs[name])
        + star_image((121, 121), psfs[name], x, y, flux * share)
        for name in ("F150W", "F277W")
    }
    here, there = (light_in(seen[name], found.aperture) for name in ("F150W", "F277W"))
    assert found.psf_correction == pytest.approx(-2.5 * np.log10(there / here), abs=1e-3)


@pytest.mark.parametrize("option", ["fit_isophot_to", "measure_sky_on"])
def test_choices_of_images_leave_companions_out(clean, option):
    """On data without stars, sky and companions nothing of the pair is left to see."""
    options = {option: "psf_sub_data"}
    alone = measure(fitted_model(clean), **options).bands["F150W"].aperture
    pair = measure(structured_model(clean, [COMPANION]), **options).bands["F150W"].aperture
    assert pair.aperture.a == pytest.approx(alone.aperture.a, rel=1e-3)
    assert pair.flux == pytest.approx(alone.flux, rel=1e-3)


def test_data_as_they_are_have_companions_and_no_error_of_theirs(clean):
    model = structured_model(clean, [COMPANION])
    found = measure(model, measure_on="data", center_mask=0.0).bands["F150W"].aperture
    band = model.bands["F150W"]
    truth = light_in(band.data - band.sky, found.aperture)
    assert found.flux == pytest.approx(truth, rel=1e-3)
    assert found.model_err == 0


def test_masked_pixels_are_filled_with_galaxy_and_knots(clean):
    model = structured_model(clean, knots=KNOTS)
    x, y, _ = KNOTS[1]
    for band in model.bands.values():
        dx, dy = clean.truth.offsets[band.name]
        at = np.s_[round(y + dy) - 1 : round(y + dy) + 2, round(x + dx) - 1 : round(x + dx) + 2]
        band.mask[at] = True
    result = measure(model, fill_replace_with="sersic_modelimg")
    for name, band in result.bands.items():
        truth = light_in(clean.galaxy[name] + band.knots, band.aperture.aperture)
        assert band.aperture.flux == pytest.approx(truth, rel=1e-3)


def test_a_companion_without_target_is_not_measured(clean):
    model = structured_model(clean, [COMPANION])
    band = model.bands["F090W"]
    band.fit = replace(band.fit, sersic=band.fit.companions)
    result = measure(model)
    assert result.bands["F090W"].aperture is None
    assert result.bands["F150W"].aperture is not None
