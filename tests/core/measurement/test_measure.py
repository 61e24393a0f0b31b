"""From a fitted scene to its records: values, errors and every flag."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from engine_scenes import ALL_FREE, PINNED, PINNED_SHAPE, bands_of, true_state

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import ShapeBounds
from galstep.core.imaging.background import sky_basis, sky_image
from galstep.core.measurement.measure import measure_scene, without_faint
from galstep.flags import BandFlag, StarFlag, decode
from galstep.records import BandFit, SersicParams, SkyModel, StarList
from galstep.testing import make_scene

# the scene as it is given: no star is looked for, none is dropped
AS_GIVEN = replace(ONE_PASS, thresholds=(), floor_passes=0, keep=-np.inf, merge=0.0)
BOUNDS = ShapeBounds()
SHAPE = (81, 81)


def measured(bands, state, freedom=ALL_FREE, bounds=BOUNDS, **options):
    result = run_ladder(bands, state, freedom, AS_GIVEN, bounds)
    return measure_scene(result, freedom, "basefit", bounds, **options)


def star_table(x, y, snr, name="F150W"):
    reference = make_scene(3, SHAPE, 1, (name,), snr=150)
    unit = reference.truth.stars[f"flux_{name}"][0] / reference.truth.stars[f"snr_{name}"][0]
    return Table({"x": x, "y": y, f"flux_{name}": unit * np.asarray(snr)})


def one_band(stars, **options):
    synthetic = make_scene(3, SHAPE, filters=("F150W",), snr=150, stars=stars, **options)
    bands = bands_of(synthetic)
    return synthetic, bands, true_state(synthetic, bands)


def star_flags(bands, state, freedom=PINNED, band=0):
    """Names of each star's flags, but for ``forced``: with most freedoms positions are held."""
    flags = measured(bands, state, freedom).fits[band].stars.flags & ~int(StarFlag.FORCED)
    return [decode(flag, StarFlag) for flag in flags]


@pytest.fixture(name="scene", scope="module")
def _scene():
    """Two bands, the second displaced, everything free: synthetic and its measurement."""
    synthetic = make_scene(
        3, SHAPE, 30, ("F150W", "F277W"), snr=150, star_separation=6, offsets={"F277W": (0.4, -0.3)}
    )
    bands = bands_of(synthetic)
    state = true_state(synthetic, bands)
    freedom = Freedom(registration=(1,))
    result = run_ladder(bands, state, freedom, AS_GIVEN)
    return synthetic, result, measure_scene(result, freedom, "jointfit", BOUNDS, 5)


class TestValues:
    def test_galaxy(self, scene):
        synthetic, _, measurement = scene
        for name, fit in zip(synthetic.truth.filters, measurement.fits, strict=True):
            (own,) = fit.sersic
            expected = synthetic.truth.sersic.moved(*synthetic.truth.offsets[name])
            assert own.flux == pytest.approx(synthetic.truth.fluxes[name], abs=4 * own.flux_err)
            for parameter in ("x_0", "y_0", "r_eff", "n", "ellip", "theta"):
                value, error = getattr(own.params, parameter), getattr(own, f"{parameter}_err")
                assert value == pytest.approx(getattr(expected, parameter), abs=4 * error)
                assert 0 < error < 0.5

    def test_sky(self, scene):
        synthetic, _, measurement = scene
        for name, fit, image in zip(
            synthetic.truth.filters, measurement.fits, measurement.sky, strict=True
        ):
            truth = synthetic.truth.sky[name]
            assert fit.sky.order == 1
            assert fit.sky.level == pytest.approx(truth.level, abs=4 * fit.sky.level_err)
            assert 0 < fit.sky.level_err < synthetic.truth.noise_sigma[name]
            np.testing.assert_allclose(sky_image(fit.sky, SHAPE), image, rtol=1e-9)

    @pytest.mark.parametrize("order", [0, 2])
    def test_sky_of_another_order(self, order):
        synthetic = make_scene(3, SHAPE, 2, ("F150W",), sky="none")
        band = bands_of(synthetic)[0]
        band = replace(band, basis=sky_basis(SHAPE, order))
        state = true_state(synthetic, [band])
        fit = measured([band], state).fits[0]
        assert fit.sky.order == order
        assert fit.sky.level == pytest.approx(0, abs=4 * fit.sky.level_err)

    def test_stars_are_in_the_pixels_of_their_band(self, scene):
        synthetic, _, measurement = scene
        table = synthetic.truth.stars
        for name, fit in zip(synthetic.truth.filters, measurement.fits, strict=True):
            dx, dy = synthetic.truth.offsets[name]
            stars = fit.stars
            np.testing.assert_allclose((stars.x - table["x"] - dx) / stars.x_err, 0, atol=5)
            np.testing.assert_allclose((stars.y - table["y"] - dy) / stars.y_err, 0, atol=5)
            pull = (stars.flux - table[f"flux_{name}"]) / stars.flux_err
            np.testing.assert_allclose(pull, 0, atol=4)

    def test_registration(self, scene):
        _, _, measurement = scene
        base, other = measurement.fits
        assert base.offset == (0.0, 0.0) and np.isnan(base.offset_err).all()
        for value, error, truth in zip(other.offset, other.offset_err, (0.4, -0.3), strict=True):
            assert value == pytest.approx(truth, abs=4 * error) and 0 < error < 0.1

    def test_images_add_up(self, scene):
        synthetic, _, measurement = scene
        for i, name in enumerate(synthetic.truth.filters):
            model = measurement.galaxy[i] + measurement.stars[i] + measurement.sky[i]
            residual = (synthetic.data[name] - model) / synthetic.truth.noise_sigma[name]
            assert np.mean(residual**2) == pytest.approx(1, abs=0.05)
            np.testing.assert_allclose(
                measurement.galaxy[i], synthetic.galaxy[name],
                atol=0.03 * synthetic.galaxy[name].max(),
            )  # fmt: skip

    def test_white_noise(self, scene):
        synthetic, _, measurement = scene
        for name, fit in zip(synthetic.truth.filters, measurement.fits, strict=True):
            sigma = synthetic.truth.noise_sigma[name]
            assert fit.noise_sigma == pytest.approx(sigma, rel=0.05)
            assert fit.chi2_reduced == pytest.approx(1, abs=0.05)
        # the three parameters of each star take their share of the pixels in its disc
        n_pixels = np.pi * synthetic.truth.psfs["F150W"].fwhm ** 2
        chi2 = measurement.fits[0].stars.chi2_reduced
        assert np.median(chi2) == pytest.approx(1 - 3 / n_pixels, abs=4 / np.sqrt(n_pixels * 30))

    def test_white_noise_is_not_correlated(self, scene):
        _, _, measurement = scene
        for fit in measurement.fits:
            # above one: the spectrum is measured on one small frame
            assert 0.9 < fit.noise_corr < 1.35

    def test_flux_covariance(self, scene):
        _, _, measurement = scene
        totals = [fit.total_flux_err for fit in measurement.fits]
        np.testing.assert_allclose(np.sqrt(np.diag(measurement.flux_covariance)), totals, 1e-5)
        # along the profile; the total's has the wings that no profile knows
        errors = [fit.sersic[0].flux_err for fit in measurement.fits]
        np.testing.assert_allclose([fit.flux_err for fit in measurement.fits], errors)
        assert (np.array(totals) > errors).all()
        np.testing.assert_allclose(
            [np.sqrt(fit.sersic[0].covariance[6, 6]) for fit in measurement.fits], errors
        )
        assert measurement.flux_covariance[0, 1] == measurement.flux_covariance[1, 0] > 0

    def test_step_and_counts(self, scene):
        _, result, measurement = scene
        assert [fit.step for fit in measurement.fits] == ["jointfit"] * 2
        assert measurement.n_iterations == result.n_iterations == measurement.fits[0].n_iterations
        assert measurement.chi2 == result.solution.chi2

    def test_correlated_noise_raises_the_errors(self):
        _, bands, state = one_band(None, n_stars=8, star_separation=8, noise="correlated")
        correlated = measured(bands, state).fits[0]
        _, bands, state = one_band(None, n_stars=8, star_separation=8)
        white = measured(bands, state).fits[0]
        assert correlated.noise_corr > 1.5 > 1.2 > white.noise_corr
        ratio = correlated.sersic[0].flux_err / white.sersic[0].flux_err
        assert ratio == pytest.approx(correlated.noise_corr / white.noise_corr, rel=0.3)


class TestErrors:
    @pytest.mark.parametrize(("ellip", "theta"), [(0.4, 0.3), (0.4, 2.9), (0.7, 1.5), (0.2, 1.0)])
    def test_ellipticity_and_angle_against_draws(self, ellip, theta):
        galaxy = SersicParams(40.2, 39.7, 6.0, 1.3, ellip, theta)
        synthetic = make_scene(3, SHAPE, 2, ("F150W",), snr=200, sersic=galaxy)
        bands = bands_of(synthetic)
        own = measured(bands, true_state(synthetic, bands)).fits[0].sersic[0]
        rng = np.random.default_rng(1)
        vectors = rng.multivariate_normal(own.params.to_vector(), own.covariance[:6, :6], 3000)
        draws = [SersicParams.from_vector(vector) for vector in vectors]
        assert own.ellip_err == pytest.approx(np.std([d.ellip for d in draws]), rel=0.08)
        turn = [(d.theta - own.params.theta + np.pi / 2) % np.pi - np.pi / 2 for d in draws]
        assert own.theta_err == pytest.approx(np.std(turn), rel=0.08)
        assert own.r_eff_err == pytest.approx(np.std([d.r_eff for d in draws]), rel=0.08)
        assert own.n_err == pytest.approx(np.std([d.n for d in draws]), rel=0.08)

    def test_the_angle_of_a_round_galaxy_is_not_known(self):
        galaxy = SersicParams(40.2, 39.7, 6.0, 1.3, 0.0, 0.0)
        synthetic = make_scene(3, SHAPE, 2, ("F150W",), snr=40, sersic=galaxy)
        bands = bands_of(synthetic)
        own = measured(bands, true_state(synthetic, bands)).fits[0].sersic[0]
        assert 0.3 < own.theta_err <= np.pi / np.sqrt(12) + 1e-12
        assert 0 < own.ellip_err < 0.2

    def test_what_was_pinned_has_no_error(self):
        _, bands, state = one_band(None, n_stars=4)
        own = measured(bands, state, PINNED_SHAPE).fits[0].sersic[0]
        for name in ("x_0", "y_0", "r_eff", "n", "ellip", "theta"):
            assert np.isnan(getattr(own, f"{name}_err"))
        assert np.isnan(own.covariance[:6]).all() and np.isnan(own.covariance[:, :6]).all()
        assert own.flux_err > 0 and own.covariance[6, 6] == pytest.approx(own.flux_err**2)
        some = Freedom(shape=(True, True, False, False, False, True))
        own = measured(bands, state, some).fits[0].sersic[0]
        assert own.x_0_err > 0 and own.n_err > 0
        assert np.isnan([own.r_eff_err, own.ellip_err, own.theta_err]).all()

    def test_pinned_stars_have_no_position_error(self):
        _, bands, state = one_band(None, n_stars=4)
        stars = measured(bands, state, PINNED).fits[0].stars
        assert np.isnan(stars.x_err).all() and np.isnan(stars.y_err).all()
        assert np.all(stars.flux_err > 0)

    def test_a_galaxy_without_any_star(self):
        _, bands, state = one_band(None, n_stars=0)
        fit = measured(bands, state).fits[0]
        assert len(fit.stars) == 0 and fit.sersic[0].flux_err > 0


class TestIdentities:
    def test_new_stars_are_numbered(self):
        _, bands, state = one_band(None, n_stars=4, star_separation=8)
        state = replace(state, star_id=np.array([-1, 9, -1, 2]))
        stars = measured(bands, state, PINNED, first_star_id=30).fits[0].stars
        assert stars.star_id.tolist() == [30, 9, 31, 2]

    def test_the_same_star_has_the_same_number_in_every_band(self, scene):
        _, _, measurement = scene
        one, two = (fit.stars.star_id for fit in measurement.fits)
        np.testing.assert_array_equal(one, two)


class TestStarFlags:
    # the galaxy is near (40, 40)
    def test_a_plain_star_has_none(self):
        _, bands, state = one_band(star_table([15.0, 62.3], [60.2, 18.0], [80.0, 30.0]))
        assert star_flags(bands, state) == [[], []]
        assert star_flags(bands, state, PINNED_SHAPE) == [[], []]

    @pytest.mark.parametrize(("freedom", "forced"), [(PINNED, True), (PINNED_SHAPE, False)])
    def test_held_positions_are_forced(self, freedom, forced):
        _, bands, state = one_band(star_table([15.0, 62.3], [60.2, 18.0], [80.0, 30.0]))
        flags = measured(bands, state, freedom).fits[0].stars.flags
        assert np.all((flags & StarFlag.FORCED > 0) == forced)

    def test_near_edge(self):
        x, y = [1.5, 60.0, 79.0, 20.0, 2.5, -0.8], [20.0, 1.2, 50.0, 78.8, 60.0, 70.0]
        _, bands, state = one_band(star_table(x, y, [80.0] * 6))
        near = ["near_edge" in names for names in star_flags(bands, state)]
        assert near == [True, True, True, True, False, True]

    def test_masked_pixels(self):
        _, bands, state = one_band(star_table([15.0, 62.3, 62.0], [60.2, 18.0, 60.0], [80.0] * 3))
        bands[0].mask[60, 17] = bands[0].mask[18, 66] = True
        bands[0] = replace(bands[0], weight=np.where(bands[0].mask, 0, bands[0].weight))
        assert star_flags(bands, state) == [["masked_pixels"], [], []]

    def test_blended(self):
        # FWHM 2.2 px
        x, y = [15.0, 16.9, 60.0, 62.7], [60.0, 60.0, 18.0, 18.0]
        _, bands, state = one_band(star_table(x, y, [80.0] * 4))
        assert star_flags(bands, state) == [["blended"], ["blended"], [], []]

    def test_in_core(self):
        table = star_table([15.0, 62.0], [60.0, 18.0], [80.0, 80.0])
        galaxy = make_scene(3, SHAPE, 0, ("F150W",)).truth.sersic
        table["x"][0] = galaxy.x_0 + 0.8 * galaxy.r_eff
        table["y"][0] = galaxy.y_0
        _, bands, state = one_band(table)
        assert star_flags(bands, state) == [["in_core"], []]
        table["x"][0] = galaxy.x_0 + 1.2 * galaxy.r_eff
        _, bands, state = one_band(table)
        assert star_flags(bands, state) == [[], []]

    def test_negative(self):
        _, bands, state = one_band(star_table([15.0, 62.3], [60.2, 18.0], [-40.0, 40.0]))
        assert star_flags(bands, state) == [["negative"], []]
        stars = measured(bands, state, PINNED).fits[0].stars
        assert stars.flux[0] < -10 * stars.flux_err[0]

    def test_no_data(self):
        _, bands, state = one_band(
            star_table([15.0, 62.3, 95.0, 20.0], [60.2, 18.0, 40.0, 20.0], [80.0] * 4)
        )
        yy, xx = np.indices(SHAPE)
        bands[0].mask[np.hypot(xx - 15, yy - 60) < 9] = True
        bands[0] = replace(bands[0], weight=np.where(bands[0].mask, 0, bands[0].weight))
        names = star_flags(bands, state)
        assert ["no_data" in own for own in names] == [True, False, True, False]
        stars = measured(bands, state, PINNED).fits[0].stars
        assert np.isnan(stars.flux[[0, 2]]).all() and np.isnan(stars.flux_err[[0, 2]]).all()
        assert np.isnan(stars.chi2_reduced[[0, 2]]).all()
        assert np.isfinite(stars.flux[[1, 3]]).all()
        assert "negative" not in names[0] + names[2]

    def test_moved(self):
        _, bands, state = one_band(star_table([15.0, 62.3], [60.2, 18.0], [80.0, 80.0]))
        state = replace(state, x_prior=state.x + [1.3, 0.7])
        free = replace(PINNED_SHAPE, position_prior=100.0)
        assert star_flags(bands, state, free) == [["moved"], []]

    def test_poor_fit(self):
        _, bands, state = one_band(star_table([15.0, 62.3], [60.2, 18.0], [80.0, 80.0]))
        data = bands[0].data.copy()
        sign = (-1.0) ** np.add(*np.indices((5, 5)))
        data[58:63, 13:18] += 6 * bands[0].sigma * sign
        bands[0] = replace(bands[0], data=data)
        stars = measured(bands, state, PINNED).fits[0].stars
        names = [decode(flag, StarFlag) for flag in stars.flags]
        assert names == [["poor_fit", "forced"], ["forced"]]
        assert stars.chi2_reduced[0] > 3 > 1.8 > stars.chi2_reduced[1]

    def test_flags_are_those_of_the_band(self):
        # masked in the second band only, which is displaced
        synthetic = make_scene(
            3, SHAPE, 6, ("F150W", "F277W"), snr=150, star_separation=8,
            nan_edge=("F277W",), offsets={"F277W": (0.4, -0.3)},
        )  # fmt: skip
        bands = bands_of(synthetic)
        state = true_state(synthetic, bands).with_stars([75.0], [30.0], [[5.0], [5.0]])
        one, two = (
            [decode(flag, StarFlag) for flag in fit.stars.flags]
            for fit in measured(bands, state, PINNED).fits
        )
        assert one[-1] == ["forced"] and "no_data" in two[-1]


class TestBandFlags:
    def flags(self, bands, state, *args, **options):
        fit = measured(bands, state, *args, **options).fits[0]
        return decode(fit.flags, BandFlag), fit.reason

    def test_a_plain_galaxy_has_none(self):
        _, bands, state = one_band(None, n_stars=5, star_separation=8)
        state = run_ladder(bands, state, Freedom(), AS_GIVEN).solution.state
        assert self.flags(bands, state) == ([], "")

    def test_at_bound(self):
        _, bands, state = one_band(None, n_stars=5, star_separation=8, sersic=SersicParams(
            40.2, 39.7, 6.0, 2.0, 0.3, 1.0))  # fmt: skip
        bounds = ShapeBounds(n=(0.35, 1.0))
        state = replace(state, shapes=np.array([bounds.clip(state.shapes[0])]))
        names, reason = self.flags(bands, state, bounds=bounds)
        assert "at_bound" in names and "n at the bound" in reason
        # a shape that is not fitted is not at a bound
        assert "at_bound" not in self.flags(bands, state, PINNED_SHAPE, bounds=bounds)[0]

    def test_faint(self):
        for snr, expected in ((3.0, True), (60.0, False)):
            synthetic = make_scene(3, SHAPE, 0, ("F150W",), snr=snr)
            bands = bands_of(synthetic)
            state = true_state(synthetic, bands).with_stars([15.0], [60.0], [[0.0]])
            names, reason = self.flags(bands, state, PINNED)
            assert ("faint" in names) == expected == (reason.startswith("flux "))

    def test_a_negative_galaxy_is_faint(self):
        synthetic, bands, state = one_band(None, n_stars=2)
        data = bands[0].data - 2 * synthetic.galaxy["F150W"]
        assert self.flags([replace(bands[0], data=data)], state, PINNED)[0] == ["faint"]

    @pytest.mark.parametrize(("share", "expected"), [(0.07, False), (0.14, True)])
    def test_galaxy_masked(self, share, expected):
        synthetic, bands, state = one_band(None, n_stars=3)
        galaxy = synthetic.truth.sersic
        yy, xx = np.indices(SHAPE)
        angle = np.arctan2(yy - galaxy.y_0, xx - galaxy.x_0) / (2 * np.pi) + 0.5
        bands[0].mask[angle < share] = True
        bands[0] = replace(bands[0], weight=np.where(bands[0].mask, 0, bands[0].weight))
        names, reason = self.flags(bands, state, PINNED)
        assert ("galaxy_masked" in names) == expected
        assert ("% of the pixels inside 2 r_eff masked" in reason) == expected

    @pytest.mark.parametrize(("inner", "outer", "expected"), [(0.0, 0.9, True), (2.1, 4.5, False)])
    def test_what_is_masked_beyond_two_radii_is_not_the_galaxy(self, inner, outer, expected):
        """A ring about the galaxy in which nothing of its core is lost."""
        synthetic, bands, state = one_band(None, n_stars=3)
        galaxy = synthetic.truth.sersic
        yy, xx = np.indices(SHAPE)
        radius = np.hypot(xx - galaxy.x_0, yy - galaxy.y_0) / galaxy.r_eff
        bands[0].mask[(radius >= inner) & (radius < outer)] = True
        bands[0] = replace(bands[0], weight=np.where(bands[0].mask, 0, bands[0].weight))
        names, reason = self.flags(bands, state, PINNED)
        assert ("galaxy_masked" in names) == expected
        share = np.mean(bands[0].mask[radius < 2])
        assert (f"{100 * share:.0f} % of the pixels" in reason) == expected

    def test_stars_limited(self):
        _, bands, state = one_band(None, n_stars=5, star_separation=8)
        result = run_ladder(bands, state, PINNED, AS_GIVEN)
        for limited in (True, False):
            fit = measure_scene(replace(result, limited=limited), PINNED, "x", BOUNDS).fits[0]
            assert ("stars_limited" in decode(fit.flags)) == limited
            assert ("star list at its density bound" in fit.reason) == limited

    def test_not_converged(self):
        _, bands, state = one_band(None, n_stars=5, star_separation=8)
        result = run_ladder(bands, state, PINNED, AS_GIVEN)
        stopped = replace(result, solution=replace(result.solution, converged=False))
        fit = measure_scene(stopped, PINNED, "basefit", BOUNDS).fits[0]
        assert decode(fit.flags) == ["not_converged"] and "still" in fit.reason


@pytest.mark.parametrize(("total", "faint"), [(40.0, True), (60.0, False)])
def test_a_galaxy_seen_by_its_knots_is_not_faint(total, faint):
    fit = BandFit(
        step="basefit",
        sersic=(),
        sky=SkyModel((0.0,), 0, 0.0, 0.0, 1.0),
        stars=StarList.empty(),
        flux=20.0,
        flux_err=9.0,
        total_flux=total,
        total_flux_err=10.0,
        flags=int(BandFlag.FAINT | BandFlag.AT_BOUND),
        reason="n at the bound; flux 20 +- 9",
    )
    found = without_faint(fit)
    assert bool(found.flags & BandFlag.FAINT) is faint
    assert found.flags & BandFlag.AT_BOUND
    assert found.reason == (fit.reason if faint else "n at the bound")
