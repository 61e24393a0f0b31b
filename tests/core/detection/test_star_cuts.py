"""Each cut drops what it is for, and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state
from ladder_scenes import NO_SEARCH, PINNED_GALAXY, ladder_of, run, star_scene

from galstep.core.detection.star_cuts import NO_CUTS, failing_stars

N = 8
RES_CEN, CFIT, CHI2 = (
    "cuts_res_cen_sigma_clip", "cuts_cfit_sigma_clip", "cuts_chi2dof_median_factor",
)  # fmt: skip


@pytest.fixture(name="field", scope="module")
def _field():
    """Eight stars far from each other, S/N 20 to 60."""
    places = [(x, y) for y in (10.3, 30.6, 50.2) for x in (9.7, 30.2, 50.4)]
    del places[4]  # the galaxy is there
    x, y = np.transpose(places)
    return star_scene(x, y, np.linspace(60, 20, N))


@pytest.fixture(name="fitted", scope="module")
def _fitted(field):
    bands = bands_of(field)
    return ladder_of(field, true_state(field, bands))


def with_spike(field, sigmas=60.0):
    """The field's band with a cosmic ray, and a state that has a star there."""
    band = bands_of(field)[0]
    data = band.data.copy()
    data[20, 20] += sigmas * band.sigma
    band = replace(band, data=data)
    flux = np.array([[sigmas * band.sigma * 4]])
    return band, true_state(field, [band]).with_stars([20.0], [20.0], flux)


def failed(ladder, **cuts):
    return failing_stars(
        ladder.bands, ladder.solution, ladder.late_covariance().value, replace(NO_CUTS, **cuts)
    )


class TestEachCut:
    def test_none_by_default(self, fitted):
        assert not NO_CUTS.any
        assert not any(own.any() for own in failed(fitted).values())

    @pytest.mark.parametrize(
        "cuts", [dict(central_residual=3.0), dict(cfit=3.0), dict(chi2=3.0), dict(snr=1.0)]
    )
    def test_good_stars_pass(self, fitted, cuts):
        assert replace(NO_CUTS, **cuts).any
        assert not any(own.any() for own in failed(fitted, **cuts).values())

    @pytest.mark.parametrize(
        ("name", "cuts"),
        [(RES_CEN, dict(central_residual=4.0)), (CFIT, dict(cfit=4.0)), (CHI2, dict(chi2=3.0))],
    )
    def test_a_spike_is_no_star(self, field, name, cuts):
        band, state = with_spike(field)
        ladder = ladder_of(field, state, bands=[band])
        own = failed(ladder, **cuts)
        assert own[name].tolist() == [False] * N + [True]
        assert sum(mask.sum() for mask in own.values()) == 1

    def test_uncertain_positions(self, fitted):
        x_err, y_err = fitted.late_covariance().value.position_errors()
        worst = np.maximum(x_err, y_err)
        limit = np.sort(worst)[-2:].mean()
        own = failed(fitted, position_error=limit)["cuts_pos_err_max"]
        assert own.tolist() == (worst > limit).tolist() and own.sum() == 1

    def test_pinned_positions_have_no_error(self, fitted):
        pinned = SimpleNamespace(
            position_errors=lambda: np.full((2, N), np.nan),
            star_flux_errors=lambda bands: np.ones((1, N)),
        )
        cuts = replace(NO_CUTS, position_error=1e-9)
        own = failing_stars(fitted.bands, fitted.solution, pinned, cuts)
        assert not own["cuts_pos_err_max"].any()

    def test_stars_that_went_away(self, fitted):
        state = fitted.solution.state
        distance = np.full(N, 0.05)
        distance[3] = 0.5
        moved = replace(state, x_prior=state.x - distance, y_prior=state.y)
        solution = replace(fitted.solution, state=moved)
        own = failing_stars(
            fitted.bands, solution, fitted.late_covariance().value, replace(NO_CUTS, moved=2.0)
        )
        assert np.flatnonzero(own["cuts_pos_diff_median_factor"]).tolist() == [3]

    @pytest.mark.parametrize(("snr", "n_failed"), [(1.0, 0), (30.0, 2), (1000.0, N)])
    def test_signal_to_noise(self, fitted, snr, n_failed):
        own = failed(fitted, snr=snr)["cuts_flux_SNR_min"]
        ratio = (
            fitted.solution.state.star_flux[0]
            / fitted.late_covariance().value.star_flux_errors()[0]
        )
        assert own.tolist() == (ratio < snr).tolist()
        assert abs(own.sum() - n_failed) <= 1

    def test_negative_fluxes_fail_signal_to_noise(self, fitted):
        state = fitted.solution.state
        negative = replace(state, star_flux=state.star_flux * ([1] * (N - 1) + [-1]))
        solution = replace(fitted.solution, state=negative)
        own = failing_stars(
            fitted.bands, solution, fitted.late_covariance().value, replace(NO_CUTS, snr=1.0)
        )
        assert np.flatnonzero(own["cuts_flux_SNR_min"]).tolist() == [N - 1]

    def test_four_stars_are_no_population(self, field):
        band, state = with_spike(field)
        state = state.select_stars(np.arange(N - 3, N + 1))
        own = failed(
            ladder_of(field, state, bands=[band]), central_residual=3.0, cfit=3.0, chi2=3.0,
            moved=1e-6,
        )  # fmt: skip
        assert not any(mask.any() for mask in own.values())

    def test_a_star_without_data_is_not_judged_by_pixels(self, field):
        band = bands_of(field)[0]
        mask = band.mask.copy()
        mask[:20, :20] = True
        band = replace(band, mask=mask, weight=np.where(mask, 0, band.weight),
                       data=np.where(mask, 0, band.data))  # fmt: skip
        state = true_state(field, [band])
        ladder = ladder_of(field, state, bands=[band])
        own = failed(ladder, snr=1.0, central_residual=3.0, cfit=3.0, chi2=3.0)
        assert not any(m[0] for m in own.values())


class TestInTheLadder:
    def test_the_scene_is_fitted_again_without(self, field, caplog):
        band, state = with_spike(field)
        cuts = replace(NO_CUTS, chi2=3.0, central_residual=4.0)
        with caplog.at_level("INFO"):
            result = run(field, bands=[band], state=state, **NO_SEARCH, cuts=cuts)
        assert result.solution.state.n_stars == N
        assert result.notes == (f"quality cuts dropped 1 of {N + 1} stars: {RES_CEN} 1, {CHI2} 1",)
        assert result.notes[0] in caplog.text
        assert len(result.significance) == N
        # its light is in the residual again
        assert result.solution.evaluation.residuals[0][20, 20] > 50 * band.sigma
        kept = run(field, bands=[band], state=state, **NO_SEARCH)
        assert kept.solution.state.n_stars == N + 1 and kept.notes == ()

    def test_what_was_cut_is_not_found_again(self, field):
        band, _ = with_spike(field)
        options = dict(thresholds=(20.0, 6.0), floor_passes=3)
        result = run(field, PINNED_GALAXY, [band], cuts=replace(NO_CUTS, chi2=3.0), **options)
        state = result.solution.state
        assert np.hypot(state.x - 20, state.y - 20).min() > 2 and state.n_stars >= N

    def test_without_stars(self, field):
        bare = true_state(field, bands_of(field)).select_stars(np.zeros(N, dtype=bool))
        result = run(field, state=bare, **NO_SEARCH, cuts=replace(NO_CUTS, snr=5.0))
        assert result.solution.state.n_stars == 0 and result.notes == ()
