"""The structure of a galaxy: nothing where there is none, arms where there are, and no stars."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, truth_without_stars

from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.core.engine.structure_fit import NO_STRUCTURE, solve_structure
from galstep.core.imaging.structure_modes import MAX_ORDER
from galstep.records import SersicParams
from galstep.testing import make_scene

GALAXY = SersicParams(45.4, 44.7, 9.0, 1.0, 0.25, 0.7)
SHAPE = (91, 91)
FILTERS = ("F150W", "F277W")


def scene(seed=1, snr=500.0, filters=("F150W",), stars=0, **options):
    return make_scene(seed, SHAPE, stars, filters, sersic=GALAXY, snr=snr, **options)


def arms_of(synthetic, name="F150W", share=0.3):
    """Two arms of pitch 25 degrees in a galaxy's light, that do not reach its centre."""
    yy, xx = np.indices(SHAPE)
    z = ((xx - GALAXY.x_0) + 1j * (yy - GALAXY.y_0)) * np.exp(-1j * GALAXY.theta)
    z = z.real + 1j * z.imag / (1 - GALAXY.ellip)
    radius, phi = np.abs(z), np.angle(z)
    wave = np.cos(2 * (phi - np.log(radius + 0.1) / np.tan(np.radians(25))))
    return share * synthetic.galaxy[name] * wave * (1 - np.exp(-((radius / 4) ** 2)))


def fitted(synthetic, extra=None, freedom=PINNED):
    """Bands, the fit of their galaxies without structure, and the structure."""
    bands = bands_of(synthetic)
    if extra is not None:
        bands = [replace(b, data=b.data + own) for b, own in zip(bands, extra, strict=True)]
    fit = fit_scene(bands, truth_without_stars(synthetic, bands), freedom)
    return bands, fit, solve_structure(bands, fit.state, fit.evaluation)


@pytest.mark.parametrize("seed", range(8))
def test_a_galaxy_without_structure_is_given_none(seed):
    synthetic = scene(seed)
    _, fit, (found,) = fitted(synthetic)
    assert (found.precision == NO_STRUCTURE).all()
    assert found.n_determined < 0.1
    assert np.abs(found.image).sum() < 1e-3 * fit.state.galaxy_flux[0, 0]


@pytest.fixture(name="arms", scope="module")
def _arms():
    synthetic = scene(3)
    arms = arms_of(synthetic)
    return synthetic, arms, fitted(synthetic, [arms])


class TestArms:
    def test_they_are_found(self, arms):
        synthetic, truth, (_, _, (found,)) = arms
        two = found.order == 2
        assert (found.precision[two] < 1e4).all()
        left = np.sqrt(np.mean((found.image - truth) ** 2) / np.mean(truth**2))
        assert left < 0.3
        assert np.vdot(found.image, truth) / np.vdot(truth, truth) == pytest.approx(1, abs=0.1)
        assert 5 < found.n_determined < 40

    def test_what_is_left_is_noise(self, arms):
        synthetic, truth, (bands, fit, (found,)) = arms
        band = bands[0].with_structure(found)
        before = np.sum(bands[0].weight * fit.evaluation.residuals[0] ** 2)
        again = fit_scene([band], fit.state, Freedom())
        assert before > 1.3 * band.data.size
        assert again.chi2 == pytest.approx(band.data.size, rel=0.05)

    def test_the_total_is_that_of_the_galaxy(self, arms):
        synthetic, truth, (bands, fit, (found,)) = arms
        again = fit_scene([bands[0].with_structure(found)], fit.state, Freedom())
        light = synthetic.truth.fluxes["F150W"] + truth.sum()
        total = again.state.galaxy_flux[0, 0] + found.image.sum()
        assert total == pytest.approx(light, rel=0.01)

    def test_its_error_is_bounded_by_the_prior(self, arms):
        _, _, (_, _, (found,)) = arms
        errors = [found.flux_error(corr) for corr in (0.5, 1.0, 2.0, 16.0, 1e6)]
        prior = np.sqrt((found.response**2 / found.precision).sum())
        assert errors[0] == errors[1] < errors[2] < errors[3] < errors[4]
        assert errors[2] < 2 * errors[1]
        assert errors[4] == pytest.approx(prior, rel=1e-6)

    def test_a_structure_can_be_solved_again(self, arms):
        # the modes see the data as they were, with what was taken off put back
        synthetic, truth, (bands, fit, (found,)) = arms
        band = bands[0].with_structure(found)
        evaluation = fit.evaluation.of_other_data(bands, [band])
        (again,) = solve_structure([band], fit.state, evaluation)
        np.testing.assert_allclose(again.coefficients, found.coefficients, atol=1e-6)
        back = band.with_structure(None)
        np.testing.assert_allclose(back.data, bands[0].data, atol=1e-12)

    @pytest.mark.parametrize("factor", [1e-9, 1e9])
    def test_units_do_not_matter(self, arms, factor):
        synthetic, truth, (bands, fit, (found,)) = arms
        band = replace(bands[0], data=factor * bands[0].data, weight=bands[0].weight / factor**2)
        state = replace(
            fit.state,
            galaxy_flux=factor * fit.state.galaxy_flux,
            sky=tuple(factor * own for own in fit.state.sky),
        )
        residuals = tuple(factor * own for own in fit.evaluation.residuals)
        evaluation = replace(fit.evaluation, residuals=residuals)
        (again,) = solve_structure([band], state, evaluation)
        np.testing.assert_allclose(again.coefficients, found.coefficients, atol=1e-5)


class TestStarsInside:
    SNR = 40

    def with_star(self, place, armed):
        """Data of a galaxy with a star, without it, the star's image, place and flux."""
        synthetic = scene(5)
        (band,) = bands_of(synthetic)
        x = GALAXY.x_0 + place[0] * GALAXY.r_eff * np.cos(place[1])
        y = GALAXY.y_0 + place[0] * GALAXY.r_eff * np.sin(place[1])
        flux = self.SNR * band.sigma * np.sqrt(band.star_renderer.psf.noise_area)
        star = band.star_renderer.render(SHAPE, *np.array([[x], [y], [flux]]))
        own = arms_of(synthetic) if armed else np.zeros(SHAPE)
        return synthetic, own + star, own, star, (x, y, flux)

    # at half of r_eff in an arm a quarter of it is taken: then the list of stars must help
    @pytest.mark.parametrize(("armed", "place"), [
        (False, (0.5, 0.3)), (False, (1.2, 2.0)), (False, (2.0, 4.0)),
        (True, (1.2, 2.0)), (True, (2.0, 4.0)),
    ])  # fmt: skip
    def test_not_eaten_although_not_listed(self, place, armed):
        synthetic, both, own, star, _ = self.with_star(place, armed)
        _, _, (without,) = fitted(synthetic, [own])
        _, _, (found,) = fitted(synthetic, [both])
        # what the star adds to the structure, seen through the star's own filter
        eaten = np.vdot(found.image - without.image, star) / np.vdot(star, star)
        assert abs(eaten) < 0.1

    @pytest.mark.parametrize("armed", [False, True])
    @pytest.mark.parametrize("place", [(0.5, 0.3), (1.2, 2.0), (2.0, 4.0)])
    def test_as_bright_as_it_is_when_listed(self, place, armed):
        synthetic, both, _, _, (x, y, flux) = self.with_star(place, armed)
        (band,) = bands_of(synthetic)
        band = replace(band, data=band.data + both)
        state = truth_without_stars(synthetic, [band]).with_stars([x], [y], [[0.5 * flux]])
        for _ in range(3):
            fit = fit_scene([band], state, PINNED)
            (found,) = solve_structure([band], fit.state, fit.evaluation)
            band, state = band.with_structure(found), fit.state
        found = fit_scene([band], state, PINNED).state.star_flux[0, 0]
        error = flux / self.SNR
        assert found == pytest.approx(flux, abs=5 * error)


def test_all_bands_have_a_say():
    # arms that each band alone would not believe
    synthetic = scene(2, filters=FILTERS)
    share = 0.03
    arms = [arms_of(synthetic, name, share) for name in FILTERS]
    _, _, found = fitted(synthetic, arms)
    for own, truth in zip(found, arms, strict=True):
        assert (own.precision[own.order == 2] < NO_STRUCTURE).all()
        assert np.vdot(own.image, truth) / np.vdot(truth, truth) > 0.5


def test_only_the_target_has_structure():
    synthetic = scene(4)
    bands = bands_of(synthetic)
    state = truth_without_stars(synthetic, bands)
    # its light given to a companion: the target, elsewhere and faint, has no arms
    away = SersicParams(12.0, 12.0, 3.0, 1.0, 0.0, 0.0).to_vector()
    state = replace(
        state,
        shapes=np.array([away, state.shapes[0]]),
        galaxy_flux=np.array([[0.0, state.galaxy_flux[0, 0]]]),
        gradients=np.zeros((0, 2, 6)),
        galaxy_id=np.array([0, 1]),
    )
    bands = [replace(bands[0], data=bands[0].data + arms_of(synthetic))]
    fit = fit_scene(bands, state, PINNED)
    (found,) = solve_structure(bands, fit.state, fit.evaluation)
    assert found is None or np.abs(found.image).sum() < 1e-3 * state.galaxy_flux[0, 1]


@pytest.mark.parametrize("snr", [3.0, 10.0])
def test_a_faint_galaxy_has_none(snr):
    _, fit, (found,) = fitted(scene(1, snr=snr))
    assert found is None or np.abs(found.image).sum() < 0.01 * abs(fit.state.galaxy_flux[0, 0])


def test_a_band_without_data():
    synthetic = scene(1, filters=FILTERS)
    bands = bands_of(synthetic)
    nothing = np.ones(SHAPE, dtype=bool)
    bands[1] = replace(bands[1], mask=nothing, data=np.zeros(SHAPE), weight=np.zeros(SHAPE))
    fit = fit_scene(bands, truth_without_stars(synthetic, bands), PINNED)
    found = solve_structure(bands, fit.state, fit.evaluation)
    assert (found[0].precision == NO_STRUCTURE).all()
    assert found[1] is None or not found[1].image.any()


def test_orders_up_to_the_highest():
    _, _, (found,) = fitted(scene(1))
    assert found.order.max() == MAX_ORDER
