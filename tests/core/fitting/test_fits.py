"""The four fits on one synthetic galaxy in six filters."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, effective_psf
from scipy.spatial import cKDTree

from galstep.core.fitting.fits import fit_base, fit_forced, fit_scaled, shape_bounds
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.joint import fit_joint
from galstep.flags import StarFlag
from galstep.records import StarList
from galstep.testing import make_scene

FILTERS = ("F555W", "F814W", "F090W", "F150W", "F160W", "F277W")
BASE = FILTERS.index("F150W")
OFFSETS = {
    "F555W": (0.35, -0.2),
    "F814W": (0.3, -0.25),
    "F090W": (0.05, 0.02),
    "F160W": (-0.5, 0.45),
    "F277W": (-0.1, 0.08),
}
SHAPE = (91, 91)
SNR = {"F555W": 40.0, "F814W": 90.0, "F090W": 120.0, "F150W": 180.0, "F160W": 120.0, "F277W": 150.0}


@pytest.fixture(name="synthetic", scope="module")
def _synthetic():
    return make_scene(
        21, SHAPE, 20, FILTERS, snr=SNR, star_separation=7, star_snr=(25, 300), offsets=OFFSETS
    )


@pytest.fixture(name="bands", scope="module")
def _bands(synthetic):
    return bands_of(synthetic)


@pytest.fixture(name="base", scope="module")
def _base(synthetic, bands):
    data = synthetic.data["F150W"]
    first = robust_galaxy_fit(
        data, bands[BASE].mask, bands[BASE].sigma, effective_psf(synthetic, "F150W")
    )
    return fit_base(bands[BASE], first)


@pytest.fixture(name="scaled", scope="module")
def _scaled(bands, base):
    return [
        base.fits[0] if i == BASE else fit_scaled(band, base.fits[0], first_star_id=100 * i).fits[0]
        for i, band in enumerate(bands)
    ]


@pytest.fixture(name="forced", scope="module")
def _forced(bands, base):
    return [
        base.fits[0] if i == BASE else fit_forced(band, base.fits[0]).fits[0]
        for i, band in enumerate(bands)
    ]


@pytest.fixture(name="joint", scope="module")
def _joint(bands, scaled):
    return fit_joint(bands, scaled, BASE)


def check_stars(synthetic, name, fit, sigmas=4.5):
    """Fluxes of the stars of a fit that are true, and how many they are."""
    table, (dx, dy) = synthetic.truth.stars, synthetic.truth.offsets[name]
    places = np.column_stack([table["x"] + dx, table["y"] + dy])
    distance, nearest = cKDTree(places).query(np.column_stack([fit.stars.x, fit.stars.y]))
    true = distance < 0.5
    pull = (fit.stars.flux - table[f"flux_{name}"][nearest])[true] / fit.stars.flux_err[true]
    assert np.abs(pull).max() < sigmas
    return np.count_nonzero(true)


def check_galaxy(synthetic, name, fit, sigmas=4.0):
    own = fit.sersic[0]
    assert own.flux == pytest.approx(synthetic.truth.fluxes[name], abs=sigmas * own.flux_err)
    assert 0 < own.flux_err < 0.1 * own.flux


class TestBase:
    def test_galaxy(self, synthetic, base):
        fit = base.fits[0]
        check_galaxy(synthetic, "F150W", fit)
        own = fit.sersic[0]
        for name in ("x_0", "y_0", "r_eff", "n", "ellip", "theta"):
            truth = getattr(synthetic.truth.sersic, name)
            assert getattr(own.params, name) == pytest.approx(
                truth, abs=4 * getattr(own, f"{name}_err")
            )
        assert fit.step == "basefit" and fit.offset == (0.0, 0.0)

    def test_stars(self, synthetic, base):
        fit = base.fits[0]
        assert check_stars(synthetic, "F150W", fit) >= 19
        assert len(fit.stars) <= 21
        assert sorted(fit.stars.star_id) == list(range(1, len(fit.stars) + 1))


class TestScaled:
    def test_fluxes_and_stars(self, synthetic, scaled):
        for name, fit in zip(FILTERS, scaled, strict=True):
            check_galaxy(synthetic, name, fit)
            assert check_stars(synthetic, name, fit) >= 16

    def test_registration(self, synthetic, scaled):
        for name, fit in zip(FILTERS, scaled, strict=True):
            if name == "F150W":
                continue
            for value, error, truth in zip(fit.offset, fit.offset_err, OFFSETS[name], strict=True):
                # the error does not hold that of the base's stars, 0.04 px for those
                # that are faint there and bright here
                assert value == pytest.approx(truth, abs=0.04)
                assert 0 < error < 0.04

    def test_the_error_of_the_registration_is_true(self, scaled):
        pulls = [
            np.subtract(fit.offset, OFFSETS[name]) / fit.offset_err
            for name, fit in zip(FILTERS, scaled, strict=True)
            if name != "F150W"
        ]
        assert np.abs(pulls).max() < 4

    def test_the_shape_is_that_of_the_base(self, scaled):
        base = scaled[BASE].sersic[0]
        for fit in scaled:
            own = fit.sersic[0]
            for name in ("r_eff", "n", "ellip", "theta"):
                assert getattr(own.params, name) == pytest.approx(
                    getattr(base.params, name), rel=1e-12
                )
                assert getattr(own, f"{name}_err") == getattr(base, f"{name}_err")
            assert own.params.x_0 - fit.offset[0] == pytest.approx(base.params.x_0, abs=1e-9)
            assert own.params.y_0 - fit.offset[1] == pytest.approx(base.params.y_0, abs=1e-9)

    def test_stars_keep_their_identity(self, scaled):
        base = scaled[BASE].stars
        for i, fit in enumerate(scaled):
            known = np.isin(fit.stars.star_id, base.star_id)
            assert np.all(known | (fit.stars.star_id >= 100 * i))
            assert len(set(fit.stars.star_id)) == len(fit.stars)
            order = np.searchsorted(np.sort(base.star_id), fit.stars.star_id[known])
            same = np.argsort(base.star_id)[order]
            moved = np.hypot(
                fit.stars.x[known] - fit.offset[0] - base.x[same],
                fit.stars.y[known] - fit.offset[1] - base.y[same],
            )
            assert moved.max() < 0.5

    def test_without_registration(self, bands, base):
        i = FILTERS.index("F090W")
        fit = fit_scaled(bands[i], base.fits[0], register=False).fits[0]
        assert fit.offset == (0.0, 0.0) and np.isnan(fit.offset_err).all()

    def test_a_star_that_the_base_does_not_know(self, bands, base):
        i = FILTERS.index("F277W")
        stars = base.fits[0].stars
        brightest = int(np.argmax(stars.flux))
        less = replace(base.fits[0], stars=stars.select(np.arange(len(stars)) != brightest))
        fit = fit_scaled(bands[i], less, first_star_id=500).fits[0]
        new = fit.stars.select(fit.stars.star_id >= 500)
        distance = np.hypot(
            new.x - fit.offset[0] - stars.x[brightest], new.y - fit.offset[1] - stars.y[brightest]
        )
        assert distance.min() < 0.3

    def test_a_base_without_stars(self, synthetic, bands, base):
        i = FILTERS.index("F090W")
        bare = replace(base.fits[0], stars=StarList.empty())
        fit = fit_scaled(bands[i], bare).fits[0]
        check_galaxy(synthetic, "F090W", fit, 5.0)
        assert check_stars(synthetic, "F090W", fit, 5.0) >= 16


class TestForced:
    def test_fluxes_and_stars(self, synthetic, forced):
        for name, fit in zip(FILTERS, forced, strict=True):
            check_galaxy(synthetic, name, fit)
            # the base's positions are not perfect: bright stars lose a little
            assert check_stars(synthetic, name, fit, 6.0) >= 19

    def test_positions_are_exactly_those_of_the_base(self, forced):
        base = forced[BASE].stars
        for i, fit in enumerate(forced):
            np.testing.assert_array_equal(fit.stars.star_id, base.star_id)
            np.testing.assert_array_equal(fit.stars.x, base.x + fit.offset[0])
            np.testing.assert_array_equal(fit.stars.y, base.y + fit.offset[1])
            if i != BASE:
                assert np.isnan(fit.stars.x_err).all()
                assert fit.step == "forcedscalefit"

    def test_fluxes_below_zero(self, synthetic, bands, base):
        # places without a star: what is measured there scatters about zero
        i = FILTERS.index("F814W")
        stars = base.fits[0].stars
        rng = np.random.default_rng(2)
        candidates = rng.uniform(6, 84, (400, 2))
        table = synthetic.truth.stars
        taken = np.column_stack([table["x"], table["y"]])
        far = cKDTree(taken).query(candidates)[0] > 5
        far &= np.hypot(*(candidates - 45).T) > 15
        x, y = candidates[far][:12].T
        none = np.zeros(12)
        empty = StarList(np.arange(900, 912), x, y, none, none, none, none, none, none.astype(int))
        both = StarList(*(
            np.concatenate([getattr(stars, name), getattr(empty, name)])
            for name in StarList.__dataclass_fields__
        ))  # fmt: skip
        fit = fit_forced(bands[i], replace(base.fits[0], stars=both)).fits[0]
        own = fit.stars.select(fit.stars.star_id >= 900)
        assert len(own) == 12
        negative = own.flux < 0
        assert 2 <= np.count_nonzero(negative) <= 10
        assert np.all((own.flags[negative] & StarFlag.NEGATIVE) > 0)
        assert np.abs(own.flux / own.flux_err).max() < 4

    def test_a_galaxy_that_is_not_there(self, synthetic, bands, base):
        i = FILTERS.index("F555W")
        data = bands[i].data - 1.5 * synthetic.galaxy["F555W"]
        fit = fit_forced(replace(bands[i], data=data), base.fits[0]).fits[0]
        own = fit.sersic[0]
        truth = -0.5 * synthetic.truth.fluxes["F555W"]
        assert own.flux == pytest.approx(truth, abs=4 * own.flux_err)
        assert own.flux < 0

    def test_the_problem_is_linear(self, bands, base):
        i = FILTERS.index("F090W")
        one = fit_forced(bands[i], base.fits[0], register=False).fits[0]
        large = replace(bands[i], data=1e6 * bands[i].data, weight=bands[i].weight / 1e12)
        two = fit_forced(large, base.fits[0], register=False).fits[0]
        assert two.sersic[0].flux == pytest.approx(1e6 * one.sersic[0].flux, rel=1e-5)
        assert two.sersic[0].flux_err == pytest.approx(1e6 * one.sersic[0].flux_err, rel=1e-3)

    def test_a_base_without_stars(self, bands, base):
        i = FILTERS.index("F090W")
        bare = replace(base.fits[0], stars=StarList.empty())
        fit = fit_forced(bands[i], bare, register=False).fits[0]
        assert len(fit.stars) == 0 and np.isfinite(fit.sersic[0].flux)


class TestJoint:
    def test_galaxy(self, synthetic, joint):
        for name, fit in zip(FILTERS, joint.fits, strict=True):
            check_galaxy(synthetic, name, fit)
            own, truth = fit.sersic[0], synthetic.truth.sersic.moved(*synthetic.truth.offsets[name])
            for key in ("r_eff", "n", "ellip", "theta"):
                error = getattr(own, f"{key}_err")
                assert getattr(own.params, key) == pytest.approx(getattr(truth, key), abs=4 * error)

    def test_stars(self, synthetic, joint):
        for name, fit in zip(FILTERS, joint.fits, strict=True):
            assert check_stars(synthetic, name, fit) >= 19
            np.testing.assert_array_equal(fit.stars.star_id, joint.fits[0].stars.star_id)
        assert len(joint.fits[0].stars) <= 22
        assert len(set(joint.fits[0].stars.star_id)) == len(joint.fits[0].stars)

    def test_registration(self, joint):
        for name, fit in zip(FILTERS, joint.fits, strict=True):
            if name == "F150W":
                assert fit.offset == (0.0, 0.0)
                continue
            for value, error, truth in zip(fit.offset, fit.offset_err, OFFSETS[name], strict=True):
                assert value == pytest.approx(truth, abs=4 * error)
                assert 0 < error < 0.1

    def test_better_known_than_from_one_band(self, base, joint):
        one, six = base.fits[0].sersic[0], joint.fits[BASE].sersic[0]
        for key in ("r_eff", "n", "ellip", "flux"):
            assert getattr(six, f"{key}_err") < getattr(one, f"{key}_err")

    def test_colours(self, synthetic, joint):
        # fluxes share the shape's error: the ratio is better known than either
        flux = np.array([fit.sersic[0].flux for fit in joint.fits])
        relative = joint.flux_covariance / np.outer(flux, flux)
        truth = np.array([synthetic.truth.fluxes[name] for name in FILTERS])
        for i in range(len(FILTERS)):
            if i == BASE:
                continue
            variance = relative[i, i] + relative[BASE, BASE] - 2 * relative[i, BASE]
            assert variance > 0 and relative[i, BASE] > 0
            pull = np.log(flux[i] / truth[i] * truth[BASE] / flux[BASE]) / np.sqrt(variance)
            assert abs(pull) < 4
        assert np.all(np.linalg.eigvalsh(joint.flux_covariance) > 0)

    @pytest.mark.slow
    def test_the_order_of_the_bands_does_not_matter(self, bands, scaled, joint):
        order = [3, 5, 0, 4, 1, 2]
        again = fit_joint([bands[i] for i in order], [scaled[i] for i in order], order.index(BASE))
        for place, i in enumerate(order):
            one, two = joint.fits[i], again.fits[place]
            assert two.sersic[0].flux == pytest.approx(one.sersic[0].flux, rel=1e-4)
            assert len(two.stars) == len(one.stars)
            np.testing.assert_allclose(np.sort(two.stars.x), np.sort(one.stars.x), atol=1e-3)
        np.testing.assert_allclose(
            again.flux_covariance, joint.flux_covariance[np.ix_(order, order)], rtol=1e-2
        )

    def test_one_band(self, synthetic, bands, base):
        joint = fit_joint([bands[BASE]], base.fits, 0)
        check_galaxy(synthetic, "F150W", joint.fits[0])
        assert joint.fits[0].step == "jointfit"

    def test_without_registration(self, bands, scaled):
        joint = fit_joint(bands[2:4], scaled[2:4], 1, register=False)
        assert np.isnan(joint.fits[0].offset_err).all()
        assert joint.fits[0].offset == scaled[2].offset


def test_bounds_of_the_radius_follow_the_frame():
    assert shape_bounds((50, 120)).r_eff == (0.5, 60.0)


def test_annealing_leaves_a_good_fit_as_it_is(synthetic, bands, base):
    data = synthetic.data["F150W"]
    psf = effective_psf(synthetic, "F150W")
    first = robust_galaxy_fit(data, bands[BASE].mask, bands[BASE].sigma, psf)
    again = fit_base(bands[BASE], first, annealing=True)
    assert again.fits[0].sersic[0].params == base.fits[0].sersic[0].params
    assert again.fits[0].flux == base.fits[0].flux
