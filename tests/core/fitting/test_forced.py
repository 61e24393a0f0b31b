"""Forced photometry of single images against frames drawn by formula."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from galstep.core.fitting.forced import forced_photometry
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError, ParameterError
from galstep.flags import StarFlag
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions

PSF = default_psf("F150W")
FWHM = PSF.fwhm
ARRAY = PSF.sampled(4, 161)
SHAPE = (61, 67)
SIGMA = 0.3
ERROR = np.full(SHAPE, SIGMA)
OPTIONS = dict(error=ERROR, oversample=4)


def field(seed=1, count=40, separation=2.5, faint=1.0, bright=300.0):
    """A crowded frame without noise, its positions and fluxes."""
    rng = np.random.default_rng(seed)
    x, y = star_positions(rng, count, SHAPE, separation)
    flux = np.exp(rng.uniform(np.log(faint), np.log(bright), count))
    return star_frame(SHAPE, PSF, x, y, flux), np.column_stack([x, y]), flux


def noise(seed):
    return np.random.default_rng(seed).normal(0, SIGMA, SHAPE)


def sky(c0=2.0, cx=0.3, cy=-0.2):
    yy, xx = np.indices(SHAPE)
    return c0 + cx * (xx / SHAPE[1]) + cy * (yy / SHAPE[0])


class TestTruth:
    def test_without_noise_fluxes_are_exact(self):
        image, places, flux = field()
        table = forced_photometry(image + sky(), ARRAY, places, **OPTIONS)
        np.testing.assert_allclose(table["flux"], flux, rtol=2e-3, atol=0.03)

    @pytest.mark.parametrize("error", [ERROR, None])
    def test_pulls_in_a_crowded_field(self, error):
        image, places, flux = field(2, count=80)
        table = forced_photometry(image + sky() + noise(3), ARRAY, places, error, oversample=4)
        pull = (table["flux"] - flux) / table["flux_err"]
        assert abs(pull.mean()) < 3 / np.sqrt(80)
        assert 0.8 < pull.std() < 1.2
        assert (table["flags"] & StarFlag.FORCED > 0).all()

    def test_places_without_a_star(self):
        image, places, flux = field(4, count=60, separation=3.0)
        dark = np.arange(60) % 2 == 0
        image = star_frame(SHAPE, PSF, *places[~dark].T, flux[~dark])
        table = forced_photometry(image + noise(5), ARRAY, places, **OPTIONS)
        snr = np.array(table["snr"])[dark]
        assert abs(snr.mean()) < 0.6 and snr.std() < 1.3
        assert 8 < (snr < 0).sum() < 22  # about half, and they have their flux
        assert np.isfinite(table["flux"]).all() and (table["flux_err"] > 0).all()

    def test_a_bright_neighbours_light_is_not_taken(self):
        places = np.array([[30.2, 30.4], [30.2 + 0.9 * FWHM, 30.4]])
        image = star_frame(SHAPE, PSF, *places.T, [10.0, 5000.0]) + noise(6)
        both = forced_photometry(image, ARRAY, places, **OPTIONS)[0]
        assert both["flux"] == pytest.approx(10.0, abs=4 * both["flux_err"])
        assert both["flux_err"] < 3.0
        alone = forced_photometry(image, ARRAY, places[:1], **OPTIONS)[0]
        assert alone["flux"] > 1000

    def test_wings_are_complete(self):
        # the wing of the first under the second is many times its error
        psf = PSF.blurred(3.0)
        places = np.array([[20.0, 30.0], [42.0, 30.0]])
        image = star_frame(SHAPE, psf, *places.T, [3e5, 20.0])
        table = forced_photometry(image + noise(7), psf.sampled(4, 241), places, **OPTIONS)
        assert table["flux"][1] == pytest.approx(20.0, abs=4 * table["flux_err"][1])

    @pytest.mark.parametrize("degree", [0, 1, 2, None])
    def test_sky(self, degree):
        image, places, flux = field(8, count=20, faint=20)
        yy, xx = np.indices(SHAPE)
        u_, v = (xx - 33) / 33, (yy - 30) / 30
        level = {0: 2.0, 1: 2 + u_, 2: 2 + u_ - u_ * v + v**2, None: 0.0}[degree]
        table = forced_photometry(image + level, ARRAY, places, sky_degree=degree, **OPTIONS)
        np.testing.assert_allclose(table["flux"], flux, rtol=2e-3, atol=0.03)
        assert len(table.meta["sky_coefficients"]) == {0: 1, 1: 3, 2: 6, None: 0}[degree]

    def test_noise_is_measured_where_it_is_not_given(self):
        image, places, _ = field(9, count=20)
        table = forced_photometry(image + noise(10), ARRAY, places, oversample=4)
        assert table.meta["pixel_sigma"] == pytest.approx(SIGMA, rel=0.1)


class TestInvariance:
    @pytest.mark.parametrize("seed", range(3))
    def test_linear_in_the_data(self, seed):
        image, places, _ = field(seed, count=25)
        first, second = image + noise(20 + seed), sky() + noise(40 + seed)
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(-2, 2, 2)

        def flux(data):
            return np.array(forced_photometry(data, ARRAY, places, **OPTIONS)["flux"])

        expected = a * flux(first) + b * flux(second)
        np.testing.assert_allclose(flux(a * first + b * second), expected, atol=0.05 * SIGMA)

    @pytest.mark.parametrize("mode", ["linear", "nonnegative", "free"])
    def test_order_of_the_positions(self, mode):
        image, places, _ = field(3, count=25)
        data = image + noise(4)
        order = np.random.default_rng(5).permutation(25)
        one = forced_photometry(data, ARRAY, places, mode=mode, **OPTIONS)[order]
        two = forced_photometry(data, ARRAY, places[order], mode=mode, **OPTIONS)
        for name in ("x", "y", "flux", "flux_err"):
            np.testing.assert_allclose(one[name], two[name], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(one["flags"], two["flags"])

    def test_unit_of_the_data(self):
        image, places, _ = field(6, count=10)
        data = image + noise(6)
        plain = forced_photometry(data, ARRAY, places, **OPTIONS)
        unit = u.MJy / u.sr
        table = forced_photometry(
            data * unit, ARRAY, places, (1e6 * ERROR) * u.Jy / u.sr, oversample=4
        )
        assert table["flux"].unit == unit * u.pix
        np.testing.assert_allclose(table["flux"].value, plain["flux"], rtol=1e-9)

    def test_norm_of_the_psf_does_not_matter(self):
        image, places, _ = field(6, count=10)
        one = forced_photometry(image, ARRAY, places, **OPTIONS)
        two = forced_photometry(image, 7 * ARRAY, places, **OPTIONS)
        three = forced_photometry(image, EffectivePSF.from_array(ARRAY, 4), places, ERROR)
        np.testing.assert_allclose(two["flux"], one["flux"], rtol=1e-9)
        np.testing.assert_allclose(three["flux"], one["flux"], rtol=1e-9)


class TestModes:
    def test_nonnegative_is_the_constrained_minimum(self):
        image, places, flux = field(11, count=30, separation=1.5)
        dark = np.arange(30) % 3 == 0
        data = star_frame(SHAPE, PSF, *places[~dark].T, flux[~dark]) + noise(12)
        free = forced_photometry(data, ARRAY, places, sky_degree=0, **OPTIONS)
        table = forced_photometry(data, ARRAY, places, mode="nonnegative", sky_degree=0, **OPTIONS)
        assert (free["flux"] < 0).sum() > 3
        assert (table["flux"] >= 0).all() and (table["flux"] == 0).sum() > 3
        # against non-negative least squares on the pixels
        from scipy.optimize import nnls

        columns = [star_frame(SHAPE, PSF, [x], [y], [1.0]).ravel() for x, y in places]
        columns += [np.ones(data.size), -np.ones(data.size)]
        expected, _ = nnls(np.column_stack(columns), data.ravel())
        np.testing.assert_allclose(table["flux"], expected[:30], atol=0.1 * SIGMA)
        # the error is that of the data, not of the condition
        np.testing.assert_allclose(table["flux_err"], free["flux_err"], rtol=0.05)

    def test_nonnegative_changes_nothing_where_all_are_bright(self):
        image, places, _ = field(12, count=15, faint=50, separation=4.0)
        data = image + noise(12)
        one = forced_photometry(data, ARRAY, places, **OPTIONS)
        two = forced_photometry(data, ARRAY, places, mode="nonnegative", **OPTIONS)
        np.testing.assert_allclose(two["flux"], one["flux"], rtol=1e-6)

    def test_free_positions_follow_the_data(self):
        image, places, flux = field(13, count=15, faint=80, separation=6.0)
        shifted = places + np.random.default_rng(1).uniform(-0.4, 0.4, places.shape)
        table = forced_photometry(image + noise(14), ARRAY, shifted, mode="free", **OPTIONS)
        np.testing.assert_allclose(table["x"], places[:, 0], atol=0.08)
        pull = (table["y"] - places[:, 1]) / table["y_err"]
        assert pull.std() < 1.6
        np.testing.assert_allclose(table["flux"], flux, atol=5 * table["flux_err"].max())
        assert not (table["flags"] & (StarFlag.FORCED | StarFlag.AT_BOUND)).any()
        held = forced_photometry(image + noise(14), ARRAY, shifted, **OPTIONS)
        assert np.isnan(held["x_err"]).all()

    @pytest.mark.parametrize("bounds", [0.2, 0.5])
    def test_bounds(self, bounds):
        place = np.array([[30.0, 30.0]])
        image = star_frame(SHAPE, PSF, [30.8], [30.0], [500.0]) + noise(15)
        options = dict(mode="free", xy_bounds=bounds, **OPTIONS)
        row = forced_photometry(image, ARRAY, place, **options)[0]
        assert row["x"] == pytest.approx(30 + bounds, abs=1e-3)
        assert row["flags"] & StarFlag.AT_BOUND
        inside = forced_photometry(image, ARRAY, place, mode="free", xy_bounds=1.5, **OPTIONS)[0]
        assert inside["x"] == pytest.approx(30.8, abs=0.03)
        assert not inside["flags"] & StarFlag.AT_BOUND


class TestLimits:
    @pytest.mark.parametrize("n_sigma", [2.0, 5.0])
    def test_limits(self, n_sigma):
        image, places, _ = field(16, count=40, faint=0.3, bright=30, separation=3.0)
        table = forced_photometry(image + noise(17), ARRAY, places, n_sigma=n_sigma, **OPTIONS)
        below = table["snr"] < n_sigma
        assert 5 < below.sum() < 38
        np.testing.assert_array_equal((table["flags"] & StarFlag.UPPER_LIMIT) > 0, below)
        expected = np.maximum(table["flux"], 0) + n_sigma * table["flux_err"]
        np.testing.assert_allclose(table["flux_limit"][below], expected[below])
        assert np.isnan(table["flux_limit"][~below]).all()
        assert table.meta["n_sigma"] == n_sigma


class TestRows:
    def test_ids_and_columns_of_a_table(self):
        image, places, _ = field(18, count=5)
        names = ["a", "b", "c", "d", "e"]
        given = Table({"id": names, "x": places[:, 0] * u.pix, "y": places[:, 1]})
        table = forced_photometry(image, ARRAY, given, **OPTIONS)
        assert list(table["id"]) == names
        same = forced_photometry(image, ARRAY, places, **OPTIONS)
        assert list(same["id"]) == [1, 2, 3, 4, 5]
        np.testing.assert_array_equal(table["flux"], same["flux"])
        assert all(table[name].info.description for name in table.colnames)

    def test_masked_entries_of_a_table_have_their_row(self):
        image, places, _ = field(18, count=4)
        given = Table({"x": np.ma.array(places[:, 0], mask=[0, 1, 0, 0]), "y": places[:, 1]})
        table = forced_photometry(image, ARRAY, given, **OPTIONS)
        assert np.isnan(table["flux"][1]) and np.isfinite(table["flux"][[0, 2, 3]]).all()

    def test_none(self):
        image, _, _ = field(18, count=4)
        table = forced_photometry(image, ARRAY, [], **OPTIONS)
        assert len(table) == 0 and "flux" in table.colnames


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (dict(mode="quick"), "mode must be one of linear, nonnegative, free, got 'quick'"),
            (dict(xy_bounds=0.0), "xy_bounds must be positive pixels, got 0.0"),
            (dict(n_sigma=-1), "n_sigma must be positive, got -1"),
            (dict(sky_degree=3), "sky_degree must be 0, 1, 2 or None, got 3"),
        ],
    )
    def test_parameters(self, options, message):
        with pytest.raises(ParameterError, match=message):
            forced_photometry(np.zeros(SHAPE), ARRAY, [(3, 3)], ERROR, oversample=4, **options)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (dict(data=np.zeros(5)), "data must be a 2-D image, got shape"),
            (dict(error=np.ones((3, 3))), r"error must have the shape of data \(61, 67\)"),
            (dict(mask=np.zeros((3, 3), bool)), "mask must have the shape of data"),
            (dict(data=np.full(SHAPE, np.nan)), "data: no pixel is good"),
            (dict(positions=[1, 2, 3]), r"positions must be of shape \(n, 2\), got \(3,\)"),
            (dict(positions=Table({"u": [1.0]})), "the table must have columns x and y"),
        ],
    )
    def test_images(self, changes, message):
        given = dict(data=np.zeros(SHAPE), psf=ARRAY, positions=[(3, 3)], **OPTIONS) | changes
        with pytest.raises(InputError, match=message):
            forced_photometry(**given)
