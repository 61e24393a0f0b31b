"""A galaxy gets the parameters that it has, and no others."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars, with_galaxy

from galstep.core.detection.ladder import known_variance
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import ShapeBounds
from galstep.core.fitting.fits import AS_LISTED
from galstep.core.fitting.model_choice import (
    SHAPE_FREEDOMS,
    choose_gradient,
    gradient_of,
    run_again,
    with_components,
    with_gradient,
    without_sky_player,
)
from galstep.exceptions import ParameterError
from galstep.records import SersicParams
from galstep.testing import make_scene

FILTERS = ("F090W", "F150W", "F277W")
LOG_WAVELENGTH = dict(zip(FILTERS, np.log(np.array([0.9, 1.5, 2.77]) / 1.5), strict=True))
GALAXY = SersicParams(40.3, 39.6, 6.0, 1.4, 0.3, 0.7)
BOUNDS = ShapeBounds(r_eff=(0.5, 40.0))
# d ln r_eff and d ln n over a factor e in wavelength
SLOPES = {"r_eff": (-0.3, 0.0), "n": (0.0, 0.5), "r_eff+n": (-0.3, 0.5), "pinned": (0.0, 0.0)}


def scene(kind, snr=400.0, seed=3, stars=0):
    """A galaxy whose shape changes with wavelength as `SLOPES` says."""
    synthetic = make_scene(seed, (81, 81), stars, FILTERS, snr=snr, sersic=GALAXY)
    components = {}
    for name, t in LOG_WAVELENGTH.items():
        slope_r, slope_n = SLOPES[kind]
        params = replace(
            GALAXY, r_eff=GALAXY.r_eff * np.exp(slope_r * t), n=GALAXY.n * np.exp(slope_n * t)
        )
        components[name] = [(synthetic.truth.fluxes[name], params)]
    return with_galaxy(synthetic, components)


def two_component_scene(snr=600.0, seed=5):
    """A compact bulge in a disc, bluer outside."""
    synthetic = make_scene(seed, (81, 81), 0, FILTERS, snr=snr, sersic=GALAXY)
    bulge = replace(GALAXY, r_eff=1.8, n=2.5, ellip=0.1)
    disc = replace(GALAXY, r_eff=9.0, n=1.0)
    share = dict(zip(FILTERS, (0.2, 0.35, 0.5), strict=True))
    total = synthetic.truth.fluxes
    parts = {
        name: [(share[name] * total[name], bulge), ((1 - share[name]) * total[name], disc)]
        for name in FILTERS
    }
    return with_galaxy(synthetic, parts), parts


def fitted(synthetic):
    """The fit with one shape for all bands."""
    bands = [
        replace(band, log_wavelength=LOG_WAVELENGTH[band.name]) for band in bands_of(synthetic)
    ]
    state, base = truth_without_stars(synthetic, bands), known_variance(bands)
    return run_ladder(bands, state, Freedom(), AS_LISTED, BOUNDS, base), base


@pytest.mark.parametrize("kind", SLOPES)
def test_auto_finds_what_changes(kind):
    result, _ = fitted(scene(kind))
    assert choose_gradient(result.bands, result.solution, Freedom()) == kind


@pytest.mark.parametrize("seed", range(6))
def test_auto_leaves_a_faint_galaxy_its_one_shape(seed):
    result, _ = fitted(scene("r_eff", snr=15.0, seed=seed))
    assert choose_gradient(result.bands, result.solution, Freedom()) == "pinned"


@pytest.mark.parametrize("kind", ["r_eff", "r_eff+n"])
def test_the_slopes_are_measured(kind):
    synthetic = scene(kind)
    result, base = fitted(synthetic)
    freedom, name = with_gradient(result, Freedom(), kind)
    again = run_again(result, result.solution.state, freedom, AS_LISTED, BOUNDS, base)
    assert name == kind and freedom.gradient == SHAPE_FREEDOMS[kind]
    found = again.solution.state.gradients[0, 0]
    variance = np.diag(again.covariance.factor.border_inverse())
    for k, slope in ((2, SLOPES[kind][0]), (5, SLOPES[kind][1])):
        place = again.covariance.layout.shape_place(0, k, power=1)
        if place is None:
            assert found[k] == 0
        else:
            assert found[k] == pytest.approx(slope, abs=4 * np.sqrt(variance[place]))
            assert variance[place] < 0.03**2
    flux = again.solution.state.galaxy_flux[:, 0]
    truth = [synthetic.truth.fluxes[name] for name in FILTERS]
    np.testing.assert_allclose(flux, truth, rtol=0.02)


def test_pinned_changes_nothing():
    result, _ = fitted(scene("r_eff"))
    assert with_gradient(result, Freedom(), "pinned") == (Freedom(), "pinned")


@pytest.fixture(name="both", scope="module")
def _both():
    synthetic, parts = two_component_scene()
    result, base = fitted(synthetic)
    return result, with_components(result, Freedom(), AS_LISTED, BOUNDS, base, "auto"), parts


class TestTwoComponents:
    def test_both_are_found(self, both):
        _, result, parts = both
        state = result.solution.state
        assert state.target.tolist() == [True, True]
        np.testing.assert_array_equal(state.shapes[0, :2], state.shapes[1, :2])
        bulge, disc = (SersicParams.from_vector(shape) for shape in state.shapes)
        assert bulge.r_eff == pytest.approx(1.8, rel=0.1)
        assert disc.r_eff == pytest.approx(9.0, rel=0.05)
        assert disc.n == pytest.approx(1.0, rel=0.1)
        for i, name in enumerate(FILTERS):
            true = [flux for flux, _ in parts[name]]
            assert state.galaxy_flux[i].sum() == pytest.approx(sum(true), rel=0.02)
            np.testing.assert_allclose(state.galaxy_flux[i], true, rtol=0.1)

    def test_the_fit_is_better(self, both):
        one, two, _ = both
        sigma = [two_component_scene()[0].truth.noise_sigma[name] for name in FILTERS]
        chi2 = [
            sum(np.sum((r / s) ** 2) for r, s in zip(fit.evaluation.residuals, sigma, strict=True))
            for fit in (one.solution, two.solution)
        ]
        pixels = 3 * 81 * 81
        assert chi2[1] == pytest.approx(pixels, rel=0.03) and chi2[0] > 1.1 * pixels

    def test_one_that_plays_the_sky_is_left_out(self):
        synthetic = scene("pinned")
        result, base = fitted(synthetic)
        state = result.solution.state
        sky = replace(GALAXY, r_eff=BOUNDS.r_eff[1], n=4.0).to_vector()
        flux = state.galaxy_flux
        state = replace(
            state,
            shapes=np.concatenate([state.shapes, [sky]]),
            galaxy_flux=np.concatenate([flux, 2 * flux], axis=1),
            gradients=np.zeros((0, 2, 6)),
            galaxy_id=np.zeros(2, dtype=int),
        )
        solution = replace(result.solution, state=state)
        how = Freedom(), AS_LISTED, BOUNDS, base
        left = without_sky_player(replace(result, solution=solution), *how).solution.state
        assert left.target.tolist() == [True]
        assert np.exp(left.shapes[0, 2]) == pytest.approx(GALAXY.r_eff, rel=0.05)
        truth = [synthetic.truth.fluxes[name] for name in FILTERS]
        assert left.galaxy_flux[:, 0] == pytest.approx(truth, rel=0.02)

    def test_two_within_the_frame_stay_two(self, both):
        _, two, _ = both
        assert without_sky_player(two, Freedom(), AS_LISTED, BOUNDS, None) is two

    @pytest.mark.parametrize("seed", range(4))
    def test_one_component_stays_one(self, seed):
        result, base = fitted(scene("pinned", seed=seed))
        kept = with_components(result, Freedom(), AS_LISTED, BOUNDS, base, "auto")
        assert kept is result

    def test_false_does_not_try(self, both):
        result, _, _ = both
        same = with_components(result, Freedom(), AS_LISTED, BOUNDS, [None] * 3, "false")
        assert same is result

    def test_other_words(self, both):
        result, _, _ = both
        with pytest.raises(ParameterError, match="must be false, true or auto, got 'maybe'"):
            with_components(result, Freedom(), AS_LISTED, BOUNDS, [None] * 3, "maybe")


def test_unknown_freedom():
    with pytest.raises(ParameterError, match="shape_freedom must be one of pinned, .* got 'size'"):
        gradient_of("size")


def test_the_centre_has_no_gradient():
    with pytest.raises(ParameterError, match="gradient of x_0 and y_0 must be 0"):
        Freedom(gradient=(1, 0, 0, 0, 0, 0))


def test_a_pinned_parameter_has_no_gradient():
    shape = (True, True, False, True, True, True)
    with pytest.raises(ParameterError, match="needs the same shape parameters to be free"):
        Freedom(shape=shape, gradient=(0, 0, 1, 0, 0, 0))
