"""The ladder: the stars of a known scene are found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from engine_scenes import PINNED, bands_of, star_fluxes, true_state, truth_without_stars
from scipy.spatial import cKDTree

from galstep.core.detection.ladder import known_variance
from galstep.core.detection.ladder_options import ONE_PASS, LadderOptions
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.scene import Freedom, SceneState
from galstep.testing import make_scene

FILTERS = ("F090W", "F150W", "F277W")


def matched(synthetic, state, reach=1.0):
    """For each true star whether it was found, and for each found one whether it is true."""
    table = synthetic.truth.stars
    true = np.column_stack([table["x"], table["y"]])
    found = np.column_stack([state.x, state.y])
    if not len(true) or not len(found):
        return np.zeros(len(true), bool), np.zeros(len(found), bool)
    return (
        cKDTree(found).query(true)[0] < reach,
        cKDTree(true).query(found)[0] < reach,
    )


def start_of(synthetic, bands):
    """Galaxy and sky as they are, no stars."""
    return truth_without_stars(synthetic, bands)


@pytest.fixture(name="crowded", scope="module")
def _crowded():
    """Three bands, 40 stars well apart, S/N 8 to 300."""
    synthetic = make_scene(11, (101, 101), 40, FILTERS, snr=120, star_separation=5)
    bands = bands_of(synthetic)
    return synthetic, bands, run_ladder(bands, start_of(synthetic, bands))


class TestStarField:
    def test_stars_are_found_and_no_others(self, crowded):
        synthetic, _, result = crowded
        found, true = matched(synthetic, result.solution.state)
        best = np.max([synthetic.truth.stars[f"snr_{f}"] for f in FILTERS], axis=0)
        assert np.all(found[best > 10])
        assert found.mean() >= 0.95
        # one false star in twenty is what 4.5 sigma near bright ones may cost
        assert np.count_nonzero(~true) <= 2
        assert not result.limited

    def test_their_fluxes_and_positions_are_right(self, crowded):
        synthetic, bands, result = crowded
        state, table = result.solution.state, synthetic.truth.stars
        places = np.column_stack([table["x"], table["y"]])
        distance, nearest = cKDTree(places).query(np.column_stack([state.x, state.y]))
        true = distance < 1
        pull = state.star_flux - star_fluxes(synthetic, bands)[:, nearest]
        pull = (pull / result.covariance.star_flux_errors())[:, true]
        # n values of unit scatter: the rms has an error of 1 / sqrt(2 n); 5 sigma
        assert np.sqrt(np.mean(pull**2)) == pytest.approx(1, abs=5 / np.sqrt(2 * pull.size))
        x_err, _ = result.covariance.position_errors()
        assert np.median(np.abs(state.x - table["x"][nearest])[true] / x_err[true]) < 1.5

    def test_the_galaxy_is_right(self, crowded):
        synthetic, bands, result = crowded
        state = result.solution.state
        error = np.sqrt(np.diag(result.covariance.factor.border_inverse()))
        layout = result.covariance.layout
        for i, band in enumerate(bands):
            assert state.galaxy_flux[i, 0] == pytest.approx(
                synthetic.truth.fluxes[band.name], abs=4 * error[layout.galaxy_flux(i)]
            )
        np.testing.assert_allclose(
            (state.shapes[0] - synthetic.truth.sersic.to_vector()) / error[:6], 0, atol=4
        )

    def test_every_star_left_is_significant(self, crowded):
        _, _, result = crowded
        assert len(result.significance) == result.solution.state.n_stars
        assert np.all(result.significance > LadderOptions().keep)

    def test_the_history_has_every_pass(self, crowded):
        _, _, result = crowded
        thresholds = [entry["threshold"] for entry in result.history]
        descent, lowest = LadderOptions().thresholds, LadderOptions().thresholds[-1]
        passes = thresholds.index(lowest)
        # it goes down in order, unless it finds nothing three times in a row, and stays there
        assert passes >= LadderOptions().max_empty
        assert thresholds[:passes] == list(descent[:passes])
        leftovers = LadderOptions().refit.threshold
        assert set(thresholds[passes:]) == {lowest, leftovers}
        assert sum(entry["n_found"] for entry in result.history) >= result.solution.state.n_stars
        assert all(len(entry["shape"]) == 6 for entry in result.history)
        assert result.n_iterations >= len(result.history)

    def test_the_bands_given_are_not_changed(self, crowded):
        synthetic, bands, _ = crowded
        for band in bands:
            assert band.noise_scale == 1
            assert np.all(band.weight == synthetic.truth.noise_sigma[band.name] ** -2.0)

    @pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0]])
    def test_the_order_of_the_bands_does_not_matter(self, crowded, order):
        synthetic, bands, one = crowded
        bands = [bands[i] for i in order]
        two = run_ladder(bands, start_of(synthetic, bands))
        first, second = one.solution.state, two.solution.state
        assert second.n_stars == first.n_stars
        rank = [np.lexsort((state.y, state.x)) for state in (first, second)]
        np.testing.assert_allclose(second.x[rank[1]], first.x[rank[0]], atol=1e-4)
        np.testing.assert_allclose(second.galaxy_flux, first.galaxy_flux[order], rtol=1e-5)
        np.testing.assert_allclose(
            second.star_flux[:, rank[1]], first.star_flux[order][:, rank[0]], rtol=1e-3,
            atol=1e-3 * first.star_flux.max(),
        )  # fmt: skip

    def test_the_same_again(self, crowded):
        synthetic, bands, one = crowded
        two = run_ladder(bands, start_of(synthetic, bands))
        np.testing.assert_array_equal(two.solution.state.x, one.solution.state.x)
        np.testing.assert_array_equal(two.solution.state.star_flux, one.solution.state.star_flux)

    def test_faint_in_each_band(self):
        synthetic = make_scene(11, (81, 81), 12, FILTERS, snr=60, star_separation=8,
                               star_snr=(3.3, 3.4))  # fmt: skip
        bands = bands_of(synthetic)
        result = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY)
        combined, _ = matched(synthetic, result.solution.state)
        single = bands_of(synthetic, ["F150W"])
        alone = run_ladder(single, start_of(synthetic, single), PINNED_GALAXY)
        one, _ = matched(synthetic, alone.solution.state)
        assert combined.sum() >= 8 and one.sum() <= 3


PINNED_GALAXY = Freedom(shape=(False,) * 6)


class TestNoise:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("noise", ["white", "correlated"])
    def test_no_stars_in_noise(self, seed, noise):
        synthetic = make_scene(seed, (121, 121), 0, ("F090W", "F150W"), snr=60, noise=noise)
        bands = bands_of(synthetic)
        result = run_ladder(bands, start_of(synthetic, bands))
        # 2 bands x 14641 pixels / 13 per noise area x P(> 4.5 sigma) = 0.01, and 2 for the rest
        assert result.solution.state.n_stars <= 2
        assert not result.limited

    def test_unknown_noise_is_measured(self):
        synthetic = make_scene(11, (101, 101), 30, ("F150W",), snr=120, star_separation=5)
        sigma = synthetic.truth.noise_sigma["F150W"]
        band = bands_of(synthetic, error_known=False)[0]
        band = replace(band, weight=band.weight / 400)
        result = run_ladder([band], start_of(synthetic, [band]))
        assert result.bands[0].sigma == pytest.approx(sigma, rel=0.1)
        found, true = matched(synthetic, result.solution.state)
        assert found.mean() > 0.9 and np.count_nonzero(~true) <= 2

    def test_a_known_error_plane_is_kept(self, crowded):
        synthetic, _, result = crowded
        for band in result.bands:
            sigma = band.sigma / band.noise_scale
            assert sigma == pytest.approx(synthetic.truth.noise_sigma[band.name], rel=1e-6)
            assert 1 <= band.noise_scale < 1.1

    def test_known_variance(self):
        synthetic = make_scene(1, (31, 31), 0, ("F150W",), nan_edge=True)
        known, unknown = (bands_of(synthetic, error_known=k)[0] for k in (True, False))
        variance, none = known_variance([known, unknown])
        assert none is None
        good = ~known.mask
        np.testing.assert_allclose(variance[good], synthetic.truth.noise_sigma["F150W"] ** 2)
        assert np.isfinite(variance).all()


class TestRules:
    def test_density_bound(self, crowded):
        synthetic, bands, _ = crowded
        area = min(band.star_renderer.psf.noise_area for band in bands)
        options = replace(ONE_PASS, density=15.5 * area / 101**2)
        result = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY, options)
        assert result.limited and result.solution.state.n_stars <= 15
        # the brightest of them are what it keeps
        found, _ = matched(synthetic, result.solution.state)
        snr = np.linalg.norm([synthetic.truth.stars[f"snr_{f}"] for f in FILTERS], axis=0)
        assert np.all(found[np.argsort(-snr)[:8]])

    def test_two_entries_for_one_star_are_merged(self):
        synthetic = make_scene(3, (61, 61), 4, ("F150W",), star_separation=12, star_snr=(60, 80))
        bands = bands_of(synthetic)
        truth = true_state(synthetic, bands)
        x, y = truth.x[:1] + 0.05, truth.y[:1]
        double = replace(truth, star_flux=truth.star_flux * [[0.5, 1, 1, 1]])
        double = double.with_stars(x, y, truth.star_flux[:, :1] * 0.5)
        options = replace(ONE_PASS, thresholds=(), floor_passes=0)
        result = run_ladder(bands, double, PINNED, options)
        assert result.solution.state.n_stars == 4
        error = result.covariance.star_flux_errors()
        np.testing.assert_allclose(
            (result.solution.state.star_flux - truth.star_flux) / error, 0, atol=5
        )
        kept = run_ladder(bands, double, PINNED, replace(options, merge=0.0, keep=-np.inf))
        assert kept.solution.state.n_stars == 5

    @pytest.mark.parametrize("steps", [(0.4, -0.5), (0.5, -0.6, 0.55)])
    def test_a_star_in_pieces_is_not_lost(self, steps):
        # each piece alone is uncertain beside the others: together they are a star
        synthetic = star_scene([15.2, 45.0], [44.7, 12.0], [60.0, 60.0])
        bands = bands_of(synthetic)
        truth = true_state(synthetic, bands)
        n = len(steps)
        flux = np.full((1, n), truth.star_flux[0, 0] / (n + 1))
        pieces = replace(truth, star_flux=truth.star_flux * [[1 / (n + 1), 1.0]])
        pieces = pieces.with_stars(truth.x[0] + np.array(steps), truth.y[[0] * n], flux)
        result = run_ladder(bands, pieces)
        assert matched(synthetic, result.solution.state)[0].all()

    def test_bright_stars_are_found_with_a_psf_that_is_too_narrow(self):
        synthetic = make_scene(
            4, (101, 101), 40, ("F150W",), star_snr=(30, 1000), star_separation=5, psf_blur=0.5
        )
        bands = bands_of(synthetic)
        result = run_ladder(bands, start_of(synthetic, bands))
        assert matched(synthetic, result.solution.state)[0].all()

    def test_insignificant_stars_are_dropped_and_kept_on_request(self):
        synthetic = make_scene(3, (61, 61), 4, ("F150W",), star_separation=12, star_snr=(60, 80))
        bands = bands_of(synthetic)
        state = true_state(synthetic, bands).with_stars([8.0], [50.0], [[0.0]])
        options = replace(ONE_PASS, thresholds=(), floor_passes=0)
        assert run_ladder(bands, state, PINNED, options).solution.state.n_stars == 4
        kept = run_ladder(bands, state, PINNED, replace(options, keep=-np.inf))
        assert kept.solution.state.n_stars == 5

    def test_a_lower_threshold_beside_bright_stars(self):
        # S/N 200 and 15, 2.4 px apart, and S/N 15 alone
        synthetic = star_scene([15.2, 17.1, 45.0], [14.7, 16.1, 12.0], [200.0, 15.0, 15.0])
        bands = bands_of(synthetic)
        start = true_state(synthetic, bands).select_stars(np.array([0]))
        options = replace(ONE_PASS, thresholds=(30.0, 30.0), floor_passes=0)
        near = run_ladder(bands, start, PINNED_GALAXY, options)
        assert matched(synthetic, near.solution.state, 0.5)[0].tolist() == [True, True, False]
        for other in (dict(near_radius=0.3), dict(near_from=2), dict(near_significance=500.0)):
            far = run_ladder(bands, start, PINNED_GALAXY, replace(options, **other))
            assert matched(synthetic, far.solution.state, 0.5)[0].tolist() == [True, False, False]

    def test_no_lower_threshold_in_the_core_of_the_galaxy(self):
        # what a galaxy's profile leaves there is as sharp as a star, and has no say
        galaxy = make_scene(1, (61, 61), 0, ("F150W",), snr=40).truth.sersic
        x, y = galaxy.x_0 + 0.6 * galaxy.r_eff, galaxy.y_0 - 0.4 * galaxy.r_eff
        synthetic = star_scene([x, 45.0], [y, 12.0], [20.0, 20.0])
        bands = bands_of(synthetic)
        options = replace(ONE_PASS, thresholds=(40.0, 40.0), floor_passes=0)
        found = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY, options)
        assert found.solution.state.n_stars == 0

    def test_what_was_dropped_at_the_floor_is_not_tried_again(self):
        # every peak above 2 sigma may be tried, and few of them stay
        synthetic = make_scene(5, (81, 81), 15, ("F150W",), snr=80, star_separation=4)
        bands = bands_of(synthetic)
        options = replace(
            ONE_PASS, thresholds=(7.0, 2.5), keep=5.0, floor_passes=12, min_passes=12, patience=12
        )
        result = run_ladder(bands, start_of(synthetic, bands), PINNED, options)
        floor = [entry["n_found"] for entry in result.history[2:]]
        assert floor[0] > 0 and sum(floor[-3:]) < 0.1 * floor[0]
        assert matched(synthetic, result.solution.state)[1].mean() > 0.9

    def test_the_descent_ends_after_empty_passes(self):
        synthetic = make_scene(0, (61, 61), 0, ("F150W",), snr=60)
        bands = bands_of(synthetic)
        options = replace(
            ONE_PASS, thresholds=(30.0, 20.0, 15.0, 10.0, 8.0), max_empty=2, floor_passes=0
        )
        result = run_ladder(bands, start_of(synthetic, bands), options=options)
        assert [entry["threshold"] for entry in result.history] == [30.0, 20.0]

    def test_no_passes(self):
        synthetic = make_scene(3, (61, 61), 4, ("F150W",), star_snr=(60, 80))
        bands = bands_of(synthetic)
        options = replace(ONE_PASS, thresholds=(), floor_passes=0)
        result = run_ladder(bands, start_of(synthetic, bands), options=options)
        assert result.solution.state.n_stars == 0 and result.history == []
        assert not result.limited

    def test_stars_of_the_start_keep_their_identity(self):
        synthetic = make_scene(3, (61, 61), 6, ("F150W",), star_separation=8, star_snr=(40, 80))
        bands = bands_of(synthetic)
        known = true_state(synthetic, bands).select_stars(np.array([0, 2]))
        known = replace(known, star_id=np.array([71, 72]))
        state = run_ladder(bands, known).solution.state
        assert state.n_stars >= 6
        for star_id, x in ((71, known.x[0]), (72, known.x[1])):
            assert state.x[state.star_id == star_id] == pytest.approx([x], abs=0.2)
        assert np.count_nonzero(state.star_id < 0) == state.n_stars - 2


def star_scene(x, y, snr):
    """A faint galaxy and stars of this S/N."""
    reference = make_scene(1, (61, 61), 1, ("F150W",), snr=40)
    unit = reference.truth.stars["flux_F150W"][0] / reference.truth.stars["snr_F150W"][0]
    stars = Table({"x": x, "y": y, "flux_F150W": unit * np.array(snr)})
    return make_scene(1, (61, 61), filters=("F150W",), snr=40, stars=stars)


class TestUnusualScenes:
    def test_without_a_galaxy(self):
        synthetic = make_scene(3, (81, 81), 15, ("F150W",), star_separation=6, star_snr=(15, 80))
        band = bands_of(synthetic)[0]
        band = replace(band, data=band.data - synthetic.galaxy["F150W"])
        result = run_ladder([band], SceneState.start([band], np.zeros((0, 6))))
        found, true = matched(synthetic, result.solution.state)
        assert found.all() and true.all()

    def test_an_edge_without_data(self):
        synthetic = make_scene(
            3, (81, 81), 25, ("F150W", "F277W"), star_separation=4, star_snr=(15, 80),
            nan_edge=("F277W",),
        )  # fmt: skip
        bands = bands_of(synthetic)
        state = run_ladder(bands, start_of(synthetic, bands)).solution.state
        found, true = matched(synthetic, state)
        assert found.mean() > 0.95 and np.count_nonzero(~true) <= 1
        assert np.isfinite(state.star_flux).all() and np.isfinite(state.galaxy_flux).all()


class TestCentreMask:
    def test_a_star_on_the_core(self):
        galaxy = make_scene(1, (61, 61), 0, ("F150W",), snr=40).truth.sersic
        synthetic = star_scene([galaxy.x_0, 45.0], [galaxy.y_0, 12.0], [40.0, 40.0])
        bands = bands_of(synthetic)
        fwhm = bands[0].star_renderer.psf.fwhm
        for radius, expected in ((0.0, [True, True]), (1.5, [False, True])):
            options = replace(ONE_PASS, centre_mask=radius)
            state = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY, options)
            state = state.solution.state
            assert matched(synthetic, state, 0.7)[0].tolist() == expected
            distance = np.hypot(state.x_prior - galaxy.x_0, state.y_prior - galaxy.y_0)
            assert np.all(distance >= radius * fwhm)


@pytest.fixture(name="carpet", scope="module")
def _carpet():
    rng = np.random.default_rng(12)
    n = 900
    x, y = rng.uniform(-3, 84, (2, n))
    snr = 3 * rng.uniform(0.01, 1, n) ** -0.6
    unit = make_scene(1, (61, 61), 1, ("F150W",), snr=40).truth.stars
    unit = unit["flux_F150W"][0] / unit["snr_F150W"][0]
    stars = Table({"x": x, "y": y, "flux_F150W": unit * snr})
    synthetic = make_scene(1, (81, 81), filters=("F150W",), snr=300, stars=stars)
    bands = bands_of(synthetic)
    result = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY)
    return synthetic, bands, result


class TestUnresolvedStars:
    """A carpet of faint stars is noise: it is not fitted away."""

    def test_thresholds_are_in_units_of_the_map(self, carpet):
        _, bands, result = carpet
        # the carpet raises the noise by far more than its pixels' own
        assert result.bands[0].noise_scale > 2
        area = bands[0].star_renderer.psf.noise_area
        n_stars = result.solution.state.n_stars
        assert 5 < n_stars < 0.1 * 81**2 / area
        assert not result.limited

    def test_the_density_has_a_bound(self, carpet):
        synthetic, bands, free = carpet
        area = bands[0].star_renderer.psf.noise_area
        n_max = free.solution.state.n_stars // 2
        options = replace(ONE_PASS, density=(n_max + 0.5) * area / 81**2)
        result = run_ladder(bands, start_of(synthetic, bands), PINNED_GALAXY, options)
        assert result.limited and result.solution.state.n_stars <= n_max
