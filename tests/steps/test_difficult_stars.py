"""Stars that are hard to measure: each has a defined result and a flag, and its truth is known.

The table "What happens to a difficult star" in docs/steps/forced_scale_fit.rst, line by line:
through BaseFit, which has to find them, and through ForcedScaleFit at given positions.
"""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from galstep.flags import StarFlag
from galstep.records import SersicParams
from galstep.steps import BaseFit, ForcedScaleFit
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model
from galstep.testing.psfs import default_psf

BASE, OTHER = "F150W", "F277W"
SHAPE, GALAXY = (81, 85), SersicParams(42.3, 40.8, 5.0, 1.2, 0.3, 0.7)
FWHM = default_psf(BASE).fwhm
FLUX = 45.0  # of the galaxy, in both filters


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def make(x, y, snr, seed=2):
    """A galaxy and these stars, of this S/N in the pixel noise of both filters."""
    options = dict(
        snr=200.0, sersic=GALAXY, fluxes={BASE: FLUX, OTHER: FLUX}, psf_size=101
    )  # fmt: skip
    noise = make_scene(seed, SHAPE, 1, (BASE, OTHER), **options).truth.noise_sigma
    stars = Table({"x": np.array(x, float), "y": np.array(y, float)})
    for name in (BASE, OTHER):
        one_sigma = noise[name] * np.sqrt(default_psf(name).noise_area)
        stars[f"flux_{name}"] = np.array(snr) * one_sigma
    return make_scene(seed, SHAPE, 0, (BASE, OTHER), stars=stars, **options)


def found(scene, mask=None, **options):
    """The base filter's fit."""
    model = unfitted_model(scene)
    if mask is not None:
        model.bands[BASE].mask |= mask
        model.bands[BASE].data[mask] = np.nan
    return BaseFit(**options).run(model).bands[BASE].fit


def held(scene, tmp_path, mask=None, name=BASE, **options):
    """Forced photometry at the true positions, beside the true galaxy."""
    stars = scene.truth.stars
    path = tmp_path / "true.csv"
    Table({"x": stars["x"], "y": stars["y"]}).write(path, overwrite=True)
    model = fitted_model(scene)
    # the PSF is the true one: bright stars are to have the errors of their noise
    model.bands[name].psf_kernel = replace(model.bands[name].psf_kernel, errors=())
    if mask is not None:
        model.bands[name].mask |= mask
        model.bands[name].data[mask] = np.nan
    options |= dict(filters=[name], catalog=str(path), positions_from="none")
    step = ForcedScaleFit(**options)
    return step.run(model).bands[name].forced


def pulls(scene, stars, name=BASE):
    return (stars.flux - scene.truth.stars[f"flux_{name}"]) / stars.flux_err


def has(stars, *flags):
    return all(np.all(stars.flags & int(flag)) for flag in flags)


def disc(x, y, radius):
    yy, xx = np.indices(SHAPE)
    return np.hypot(xx - x, yy - y) <= radius


class TestMaskedCore:
    def scene(self):
        return make([20.2], [20.1], [400.0])

    def test_the_wings_are_fitted(self, tmp_path):
        scene, mask = self.scene(), disc(20.2, 20.1, 0.9 * FWHM)
        assert mask[20, 20]
        stars = held(scene, tmp_path, mask)
        assert abs(pulls(scene, stars)[0]) < 3.5
        assert has(stars, StarFlag.CORE_MASKED, StarFlag.MASKED_PIXELS)
        whole = held(scene, tmp_path)
        assert stars.flux_err[0] > 3 * whole.flux_err[0]
        assert not whole.flags[0] & StarFlag.CORE_MASKED

    def test_it_is_found(self):
        scene = self.scene()
        fit = found(scene, disc(20.2, 20.1, 0.6 * FWHM))
        assert len(fit.stars) == 1 and has(fit.stars, StarFlag.CORE_MASKED)
        assert fit.stars.x[0] == pytest.approx(20.2, abs=0.1)
        assert abs(pulls(scene, fit.stars)[0]) < 3.5
        assert fit.flux == pytest.approx(FLUX, abs=4 * fit.flux_err)

    def test_all_of_it(self, tmp_path):
        stars = held(self.scene(), tmp_path, disc(20.2, 20.1, 3 * FWHM))
        assert np.isnan(stars.flux[0]) and has(stars, StarFlag.NO_DATA, StarFlag.CORE_MASKED)


@pytest.mark.slow
class TestEdge:
    @pytest.mark.parametrize(("x", "y"), [(0.3, 20.0), slow(20.0, 79.8), slow(84.3, 50.4)])
    def test_just_inside(self, x, y, tmp_path):
        scene = make([x], [y], [150.0])
        for stars in (found(scene).stars, held(scene, tmp_path)):
            assert len(stars.flux) == 1 and has(stars, StarFlag.NEAR_EDGE)
            assert not stars.flags[0] & StarFlag.OFF_FRAME
            assert abs(pulls(scene, stars)[0]) < 3.5
            assert stars.x[0] == pytest.approx(x, abs=0.1)

    @pytest.mark.parametrize(("x", "y"), [(-1.0, 20.0), slow(30.0, 81.1)])
    def test_just_outside(self, x, y, tmp_path):
        scene = make([x], [y], [300.0])
        stars = held(scene, tmp_path)
        assert has(stars, StarFlag.NEAR_EDGE, StarFlag.OFF_FRAME)
        assert abs(pulls(scene, stars)[0]) < 3.5
        fit = found(scene)
        assert len(fit.stars) == 1 and has(fit.stars, StarFlag.OFF_FRAME)
        assert fit.flux == pytest.approx(FLUX, abs=4 * fit.flux_err)

    def test_farther_outside(self, tmp_path):
        scene = make([-9.0], [20.0], [100.0])
        stars = held(scene, tmp_path)
        assert np.isnan(stars.flux[0]) and has(stars, StarFlag.NO_DATA, StarFlag.OFF_FRAME)
        assert len(found(scene).stars) == 0


@pytest.mark.slow
class TestClosePair:
    @pytest.mark.parametrize("name", [BASE, OTHER])
    def test_held_both_fluxes_are_right(self, name, tmp_path):
        scene = make([20.0, 20.0 + 0.4 * FWHM], [20.0, 20.0], [200.0, 120.0])
        stars = held(scene, tmp_path, name=name)
        assert has(stars, StarFlag.CLOSE_PAIR, StarFlag.BLENDED)
        assert np.abs(pulls(scene, stars, name)).max() < 3.5
        alone = held(make([20.0], [20.0], [200.0]), tmp_path, name=name)
        assert (stars.flux_err > 1.5 * alone.flux_err).all()
        # what one has too much the other has too little: their sum is known better
        wrong = stars.flux - scene.truth.stars[f"flux_{name}"]
        assert abs(wrong.sum()) < 5 * alone.flux_err[0]

    def test_the_registration_has_its_share_of_the_errors(self, tmp_path):
        scene = make([20.0, 20.0 + 0.4 * FWHM], [20.0, 20.0], [200.0, 120.0])
        given = held(scene, tmp_path, name=OTHER, registration=False)
        measured = held(scene, tmp_path, name=OTHER)
        assert (measured.flux_err > 1.3 * given.flux_err).all()

    def test_bright_ones_are_found_as_two(self):
        scene = make([20.0, 20.0 + 0.45 * FWHM], [20.0, 20.0], [600.0, 450.0], seed=3)
        stars = found(scene).stars
        assert len(stars) == 2 and has(stars, StarFlag.CLOSE_PAIR, StarFlag.BLENDED)
        order = np.argsort(stars.x)
        truth = scene.truth.stars[f"flux_{BASE}"]
        np.testing.assert_allclose(stars.flux[order], truth, atol=4 * stars.flux_err.max())

    @pytest.mark.parametrize("seed", [1, slow(2)])
    def test_however_many_are_found_their_light_is_that_of_both(self, seed):
        # where two peaks are not seen, one or three stars may do; all say that they are close
        scene = make([20.0, 20.0 + 0.45 * FWHM], [20.0, 20.0], [600.0, 450.0], seed=seed)
        fit = found(scene)
        assert 1 <= len(fit.stars) <= 3
        total = scene.truth.stars[f"flux_{BASE}"].sum()
        assert fit.stars.flux.sum() == pytest.approx(total, rel=0.02)
        assert len(fit.stars) == 1 or has(fit.stars, StarFlag.CLOSE_PAIR)
        assert fit.flux == pytest.approx(FLUX, abs=4 * fit.flux_err)

    def test_faint_ones_are_one_with_the_sum(self):
        scene = make([20.0, 20.0 + 0.3 * FWHM], [20.0, 20.0], [20.0, 15.0])
        stars = found(scene).stars
        assert len(stars) == 1 and not stars.flags[0] & StarFlag.CLOSE_PAIR
        total = scene.truth.stars[f"flux_{BASE}"].sum()
        assert stars.flux[0] == pytest.approx(total, abs=4 * stars.flux_err[0])
        assert stars.x[0] == pytest.approx(20.0 + 0.3 * FWHM * 15 / 35, abs=0.2)

    def test_positions_that_coincide(self, tmp_path):
        scene = make([20.0, 20.0 + 0.05 * FWHM], [20.0, 20.0], [100.0, 80.0])
        stars = held(scene, tmp_path)
        assert has(stars, StarFlag.DUPLICATE) and stars.flux[0] == stars.flux[1]
        total = scene.truth.stars[f"flux_{BASE}"].sum()
        assert stars.flux[0] == pytest.approx(total, abs=4 * stars.flux_err[0])


class TestOnTheCore:
    # by itself the galaxy swallows it: n 1.5 to 4 and, at S/N 150, at its bound
    @pytest.mark.parametrize("snr", [slow(20.0), 60.0, 150.0, slow(500.0)])
    def test_galaxy_and_star_are_told_apart(self, snr):
        scene = make([GALAXY.x_0], [GALAXY.y_0], [snr])
        # no other star in the frame says that there are any: it may count as a knot
        # beside one profile: a second component or a ring of structure would share its light
        fit = found(scene, model_structure=False, fit_complex_model="false")
        assert len(fit.sources) == 1
        assert has(fit.sources, StarFlag.ON_CORE, StarFlag.IN_CORE)
        assert abs(pulls(scene, fit.sources)[0]) < 3
        assert abs(fit.flux - FLUX) < 3 * fit.flux_err
        assert fit.sersic[0].params.n == pytest.approx(1.2, abs=0.2)

    @pytest.mark.parametrize("name", [BASE, OTHER])
    def test_held(self, name, tmp_path):
        scene = make([GALAXY.x_0 + 0.3], [GALAXY.y_0], [100.0])
        stars = held(scene, tmp_path, name=name)
        assert has(stars, StarFlag.ON_CORE) and abs(pulls(scene, stars, name)[0]) < 3.5

    def test_a_steep_galaxy_is_left_as_it_is(self):
        steep = SersicParams(42.3, 40.8, 6.0, 5.5, 0.2, 0.7)
        scene = make_scene(
            4, SHAPE, 0, (BASE,), snr=400.0, sersic=steep, fluxes={BASE: FLUX}, psf_size=101
        )  # fmt: skip
        fit = found(scene)
        assert fit.sersic[0].params.n > 3.5
        assert not (fit.stars.flags & StarFlag.ON_CORE).any()
