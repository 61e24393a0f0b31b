"""AperPhot on models that hold the truth as their fit."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.serialise import plain
from galstep.exceptions import ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.mapped_records import mapped_fit
from galstep.pixel_map import PixelMap
from galstep.records import JointSummary, SersicParams
from galstep.steps import AperPhot
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model

FILTERS = ("F090W", "F150W", "F277W")
GALAXY = SersicParams(61.2, 59.4, 8.0, 1.5, 0.4, 0.9)


def scene(**options):
    settings = {"n_stars": 15, "psf_size": 101, "sersic": GALAXY}
    return make_scene(seed=6, shape=(121, 121), filters=FILTERS, **(settings | options))


@pytest.fixture(scope="module")
def noisy():
    return scene(offsets={"F277W": (1.3, -0.8)})


@pytest.fixture(scope="module")
def clean():
    return scene(noise="none")


# the block [aperture] of the configuration that is taken over
SEED = {
    "petro": 0.2,  # sphot: 0.5, a colour aperture; `galstep convert-config` keeps it
    "center_mask": 4.0,
    "plot": True,
    "isophot_base_filter": "F150W",
    "isophot_frac_min": 0.05,
    "isophot_frac_max": 0.95,
    "fit_isophot_to": "sersic_modelimg",
    "measure_on": "psf_sub_data",
    "error_on": "psf_sub_data_error",
    "measure_sky_on": "residual_masked",
    "fill_max_nan_frac": 0.7,
    "fill_replace_with": "median",
    "PSF_corr_base_filter": "F090W",
}


def test_every_key_of_the_seed_is_a_parameter_with_its_default():
    assert SEED.items() <= AperPhot().get_pars().items()


def measure(model, **parameters):
    return AperPhot(**parameters).run(model)


def test_every_filter_is_measured_in_one_ellipse_about_its_own_centre(noisy):
    result = measure(fitted_model(noisy), petro=0.2)
    for name, band in result.bands.items():
        found, (dx, dy) = band.aperture, noisy.truth.offsets[name]
        assert (found.aperture.x, found.aperture.y) == (GALAXY.x_0 + dx, GALAXY.y_0 + dy)
        assert found.petrosian_radius == found.aperture.a
        true_flux = found.frac_enclosed * noisy.truth.fluxes[name]
        assert abs(found.flux - true_flux) < 4 * found.flux_err
        assert found.flux_err < 0.1 * found.flux
        assert found.flags == 0
    assert len({band.aperture.aperture.a for band in result.bands.values()}) == 1
    assert result.meta.cal_step.gal_aperphot == "COMPLETE"


def test_a_smaller_ratio_is_a_larger_aperture_with_more_light(clean):
    half, fifth = (measure(fitted_model(clean), petro=p).bands["F150W"].aperture
                   for p in (0.5, 0.2))  # fmt: skip
    assert fifth.aperture.a > 2 * half.aperture.a
    assert half.frac_enclosed < 0.5
    assert fifth.frac_enclosed > 0.7


def test_corrected_fluxes_have_the_colour_of_the_galaxy(clean):
    """One shape in all filters: seen through one PSF, one share of the light."""
    result = measure(fitted_model(clean), petro=0.5)
    apertures = {name: band.aperture for name, band in result.bands.items()}
    assert apertures["F090W"].psf_correction == 0
    assert apertures["F277W"].psf_correction < -0.02
    shares = [
        a.flux * 10 ** (-0.4 * a.psf_correction) / clean.truth.fluxes[name]
        for name, a in apertures.items()
    ]
    np.testing.assert_allclose(shares, shares[0], rtol=2e-3)


def test_corrections_fall_back_to_the_base_filter(clean, caplog):
    with caplog.at_level(logging.INFO, logger="stpipe"):
        result = measure(fitted_model(clean), PSF_corr_base_filter="F115W")
    assert result.bands["F150W"].aperture.psf_correction == 0
    assert result.bands["F090W"].aperture.psf_correction > 0
    assert "PSF_corr_base_filter F115W has no fit" in caplog.text


def test_the_isophotes_may_be_those_of_another_filter_or_of_the_data(clean):
    default = measure(fitted_model(clean)).bands["F150W"].aperture.aperture
    other = measure(fitted_model(clean), isophot_base_filter="F277W")
    # the wider PSF spreads the light: the ratio falls further out
    assert other.bands["F150W"].aperture.aperture.a > 1.02 * default.a
    data = measure(fitted_model(clean), fit_isophot_to="psf_sub_data")
    on_data = data.bands["F150W"].aperture.aperture
    assert on_data.a == pytest.approx(default.a, rel=0.03)
    assert on_data.b == pytest.approx(default.b, rel=0.03)


def test_stars_can_be_left_in(clean):
    without = measure(fitted_model(clean), petro=0.2).bands["F150W"].aperture
    left_in = measure(fitted_model(clean), petro=0.2, measure_on="data").bands["F150W"].aperture
    model = fitted_model(clean).bands["F150W"]
    y, x = np.indices(model.shape)
    near = np.hypot(x - GALAXY.x_0, y - GALAXY.y_0) < without.aperture.a
    assert without.flux < left_in.flux < without.flux + model.stars[near].sum()
    assert left_in.star_err == 0


def test_noise_from_the_error_plane_or_from_the_residual(noisy):
    model = fitted_model(noisy)
    empirical = measure(model).bands["F150W"].aperture
    for band in model.bands.values():
        band.err = 5 * band.err
    plane = measure(model, error_on="data_error").bands["F150W"].aperture
    assert measure(model).bands["F150W"].aperture.flux_err == empirical.flux_err
    assert plane.noise_err == pytest.approx(5 * empirical.noise_err, rel=0.3)


@pytest.mark.parametrize("image", ["residual_masked", "residual", "psf_sub_data"])
def test_sky_images_differ_by_what_they_leave_in(noisy, image):
    model = fitted_model(noisy)
    band = model.bands["F150W"]
    band.data[10, 10] += 1e4 * noisy.truth.noise_sigma["F150W"]
    found = measure(model, measure_sky_on=image).bands["F150W"].aperture
    clean_err = measure(fitted_model(noisy)).bands["F150W"].aperture.noise_err
    if image == "residual_masked":
        assert found.noise_err == pytest.approx(clean_err, rel=0.02)
    else:
        assert found.noise_err > 5 * clean_err


def test_gaps_are_filled_and_flagged_and_too_many_are_not_measured(noisy):
    model = fitted_model(noisy)
    whole = measure(model, petro=0.2).bands
    model.bands["F090W"].mask[60:64] = True
    model.bands["F277W"].mask[:58] = model.bands["F277W"].mask[60:] = True
    result = measure(model, petro=0.2, fill_replace_with="sersic_modelimg")
    filled, lost = (result.bands[f].aperture for f in ("F090W", "F277W"))
    assert filled.flags == BandFlag.APERTURE_FILLED
    assert filled.flux == pytest.approx(whole["F090W"].aperture.flux, abs=3 * filled.flux_err)
    assert lost.flags & BandFlag.NO_APERTURE
    assert np.isnan(lost.flux)
    assert "% of the aperture is masked" in lost.reason


def test_further_apertures(clean):
    result = measure(fitted_model(clean), radii=[4.0, 12.0, 40.0, 400.0], circles=[0.3])
    found = result.bands["F277W"].aperture.others
    assert [f.kind for f in found] == ["kron", *4 * ["ellipse"], "circle"]
    assert [f.aperture.a for f in found[1:5]] == [4.0, 12.0, 40.0, 400.0]
    assert found[5].aperture.a == found[5].aperture.b == pytest.approx(10.0)
    shares = [f.frac_enclosed for f in found[1:4]]
    assert shares == sorted(shares)
    for flux in (*found[:4], found[5]):
        expected = flux.frac_enclosed * clean.truth.fluxes["F277W"]
        assert flux.flux == pytest.approx(expected, rel=3e-3)
    assert np.isnan(found[4].flux)
    assert found[4].flags == BandFlag.NO_APERTURE


def test_the_kron_ellipse_holds_most_of_the_light(clean):
    (kron,) = measure(fitted_model(clean)).bands["F150W"].aperture.others
    # 2.5 mean radii of n = 1.5 hold 94 % without a PSF (Graham & Driver 2005, table 1)
    assert 0.9 < kron.frac_enclosed < 0.97
    assert measure(fitted_model(clean), kron=False).bands["F150W"].aperture.others == ()


def test_a_curve_of_growth_reaches_the_edge_without_gaps(noisy):
    model = fitted_model(noisy)
    model.bands["F150W"].mask[:, 100:] = True
    curve = measure(model, kron=False, growth=12).bands["F150W"].aperture.others
    assert [f.kind for f in curve] == 12 * ["growth"]
    radii = np.array([f.aperture.a for f in curve])
    np.testing.assert_allclose(radii[1:] / radii[:-1], radii[1] / radii[0])
    assert radii[-1] == pytest.approx(120 - 61.2 + 0.5)
    for flux in curve:
        assert np.isfinite([flux.flux, flux.flux_err, flux.flux_corr]).all()
        true_flux = flux.frac_enclosed * noisy.truth.fluxes["F150W"]
        assert abs(flux.flux - true_flux) < 4.5 * flux.flux_err


def test_a_filter_with_other_pixels_has_the_same_ellipse_on_the_sky(clean):
    model = fitted_model(clean)
    band = model.bands["F277W"]
    half = PixelMap(matrix=((0.5, 0.0), (0.0, 0.5)))
    band.fit = replace(mapped_fit(half, band.fit), pixel_map=half)
    result = measure(model).bands
    small, base = (result[f].aperture for f in ("F277W", "F150W"))
    assert small.aperture.a == pytest.approx(base.aperture.a / 2)
    assert small.aperture.x == pytest.approx(base.aperture.x / 2)
    assert small.petrosian_radius == pytest.approx(base.petrosian_radius / 2)


def test_colours_are_better_known_than_their_fluxes_say(noisy):
    """Filters that were fitted together share the error of the shape."""
    model = fitted_model(noisy)
    covariance = np.diag([0, 0, 0.05**2, 0, 0, 0, 0.0])
    for band in model.bands.values():
        (fit,) = band.fit.sersic
        covariance[6, 6] = (0.01 * fit.flux) ** 2
        band.fit = replace(band.fit, sersic=(replace(fit, covariance=covariance.copy()),))
    fluxes = np.array([noisy.truth.fluxes[name] for name in FILTERS])
    model.joint = JointSummary(FILTERS, 0.9 * 1e-4 * np.outer(fluxes, fluxes))
    # in the bright inner part, where the shape's error is most of it
    apertures = {name: b.aperture for name, b in measure(model, petro=0.5).bands.items()}
    base, other = apertures["F150W"], apertures["F090W"]
    shared = other.covariance["F150W"] / (base.flux_corr_err * other.flux_corr_err)
    assert 0.7 < shared < 1
    assert other.covariance["F090W"] == pytest.approx(other.flux_corr_err**2)
    model.joint = None
    alone = measure(model).bands["F090W"].aperture
    assert abs(alone.covariance["F150W"]) < 0.2 * other.covariance["F150W"]


@pytest.mark.parametrize("method", ["model", "kernel"])
def test_both_corrections_agree_on_a_galaxy_of_one_shape(clean, method):
    found = measure(fitted_model(clean), PSF_corr_method=method).bands
    assert found["F277W"].aperture.psf_correction == pytest.approx(
        measure(fitted_model(clean)).bands["F277W"].aperture.psf_correction, abs=0.006
    )
    assert found["F090W"].aperture.psf_correction == pytest.approx(0, abs=1e-12)


def test_no_kernel_between_filters_with_other_pixels(clean):
    model = fitted_model(clean)
    band = model.bands["F277W"]
    half = PixelMap(matrix=((0.5, 0.0), (0.0, 0.5)))
    band.fit = replace(mapped_fit(half, band.fit), pixel_map=half)
    found = measure(model, PSF_corr_method="kernel").bands["F277W"].aperture
    assert "PSF correction is the model's: the filters have other pixels" in found.reason


def test_a_crowded_core_of_the_base_filter_counts_in_all(noisy):
    model = fitted_model(noisy)
    usual = measure(model).bands
    base = model.bands["F150W"]
    base.fit = replace(base.fit, flags=int(BandFlag.CORE_CROWDED))
    crowded = measure(model).bands
    for name in FILTERS:
        assert crowded[name].aperture.star_err > 1.5 * usual[name].aperture.star_err
        assert crowded[name].aperture.flux == usual[name].aperture.flux


def test_a_small_aperture_is_told(noisy, caplog):
    with caplog.at_level(logging.INFO, logger="stpipe"):
        measure(fitted_model(noisy), petro=0.5)
    assert "% of the galaxy's light; a lower petro makes it larger" in caplog.text


def test_a_filter_without_a_fit_is_flagged_until_it_has_one(noisy):
    model = fitted_model(noisy)
    fit = model.bands["F277W"].fit
    model.bands["F277W"].fit = None
    result = measure(model)
    band = result.bands["F277W"]
    assert band.aperture is None
    assert band.flags & BandFlag.NO_APERTURE
    assert band.reasons == ["no aperture photometry: this filter has no fit"]
    assert result.bands["F150W"].aperture.flags == 0
    band.fit = fit
    again = measure(result).bands["F277W"]
    assert not again.flags & BandFlag.NO_APERTURE
    assert again.reasons == []


def test_an_unknown_noise_is_measured(noisy):
    model = fitted_model(noisy)
    band = model.bands["F150W"]
    band.err, band.fit = None, replace(band.fit, noise_sigma=np.nan)
    found = measure(model, error_on="data_error").bands["F150W"].aperture
    expected = measure(fitted_model(noisy), error_on="data_error").bands["F150W"].aperture
    assert found.noise_err == pytest.approx(expected.noise_err, rel=0.05)


def test_without_a_fit_of_the_base_another_filter_shapes_the_aperture(noisy, caplog):
    model = fitted_model(noisy)
    model.bands["F150W"].fit = None
    with caplog.at_level(logging.INFO, logger="stpipe"):
        result = measure(model)
    assert np.isfinite(result.bands["F277W"].aperture.flux)
    assert "base filter F150W" in caplog.text


def test_nothing_fitted(noisy, caplog):
    with pytest.raises(PrerequisiteError, match="AperPhot needs a fitted galaxy: run BaseFit"):
        measure(unfitted_model(noisy))
    model = fitted_model(noisy)
    for band in model.bands.values():
        band.fit = None
    with caplog.at_level(logging.WARNING, logger="stpipe"):
        result = measure(model)
    assert result.meta.cal_step.gal_aperphot == "SKIPPED"
    assert "no filter has a fit" in caplog.text
    assert all(b.flags & BandFlag.NO_APERTURE for b in result.bands.values())


def test_a_ratio_that_is_not_reached_is_told_in_the_product(noisy, caplog):
    result = measure(fitted_model(noisy), petro=0.05, isophot_frac_max=0.5)
    found = result.bands["F150W"].aperture
    assert np.isnan(found.petrosian_radius)
    assert np.isfinite(found.flux)
    assert "aperture is the outermost isophote" in found.reason


def test_a_galaxy_of_no_significance_has_a_limit(noisy):
    model = fitted_model(noisy)
    band = model.bands["F090W"]
    band.data -= band.galaxy
    (sersic,) = band.fit.sersic
    band.fit = replace(band.fit, sersic=(replace(sersic, flux=-1e-3 * sersic.flux),))
    band.galaxy *= -1e-3
    found = measure(model).bands["F090W"].aperture
    assert abs(found.flux) < 4 * found.flux_err
    assert np.isfinite(found.psf_correction)


def test_runs_are_identical_and_leave_the_input_alone(noisy):
    model = fitted_model(noisy)
    before = model.bands["F150W"].aperture
    first, second = measure(model), measure(model)
    assert model.bands["F150W"].aperture is before
    for name in FILTERS:
        np.testing.assert_equal(
            plain(first.bands[name].aperture), plain(second.bands[name].aperture)
        )


def test_results_survive_the_file(noisy, tmp_path):
    result = measure(fitted_model(noisy), radii=[5.0, 9.0])
    again = GalaxyModel.open(result.save(tmp_path / "galaxy_gal.asdf"))
    for name in FILTERS:
        np.testing.assert_equal(
            plain(again.bands[name].aperture), plain(result.bands[name].aperture)
        )


def test_a_file_measured_again_gives_what_the_model_gives(noisy, tmp_path):
    model = measure(fitted_model(noisy))
    path = model.save(tmp_path / "galaxy_gal.asdf")
    from_file, in_memory = (measure(m, petro=0.2, circles=[0.5]) for m in (path, model))
    for name in FILTERS:
        again, first = (m.bands[name].aperture for m in (from_file, in_memory))
        np.testing.assert_equal(plain(again), plain(first))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"isophot_frac_min": 0.9, "isophot_frac_max": 0.2}, "must be below isophot_frac_max"),
        ({"radii": [3.0, -1.0]}, r"radii must be positive, got \[3.0, -1.0\]"),
        ({"circles": [0.0]}, r"circles must be positive, got \[0.0\]"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(noisy, parameters, message):
    with pytest.raises(ParameterError, match=message):
        measure(fitted_model(noisy), **parameters)
