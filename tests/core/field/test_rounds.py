"""A field fitted block by block: truth, order, workers, borders, failures."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from field_cases import SERSIC, STAR, bands, catalogue, truth

from galstep.core.field.options import FieldOptions
from galstep.core.field.records import FieldSources, SourcePriors, SourceType
from galstep.core.field.rounds import fit_field, run_here
from galstep.core.field.tasks import fit_block
from galstep.exceptions import InputError
from galstep.flags import FieldFlag

OPTIONS = FieldOptions(detect=False)


@pytest.fixture(scope="module")
def whole():
    return fit_field(bands(), catalogue(), OPTIONS)


def pulls(result, rows=slice(None)):
    z, _, flux = truth()
    own = (result.sources.flux - flux) / result.errors.flux
    x = (result.sources.x - z[:, 0]) / result.errors.x
    return np.column_stack([own, x])[rows]


def test_what_comes_out_is_what_was_put_in(whole):
    assert not whole.failed
    assert whole.converged.all()
    assert np.abs(pulls(whole)).max() < 4
    assert 0.6 < pulls(whole).std() < 1.4
    assert np.all(whole.sources.flags & ~int(FieldFlag.BLENDED) == 0)
    # two pairs overlap, and only they are blends
    assert set(np.flatnonzero(whole.blend > 0.05)) == {0, 3, 5, 10}
    y, x = whole.sources.y, whole.sources.x
    np.testing.assert_allclose(whole.sky[:, 0], 1 + 0.004 * x - 0.003 * y, atol=0.25)
    assert whole.names(4, ["g", "r"]) == ["x", "y", "flux_g", "flux_r"]
    assert [c.shape[0] for c in whole.covariance] == [8] * 4 + [4] * 8


def test_the_order_of_the_rows_does_not_matter(whole):
    order = np.random.default_rng(3).permutation(12)
    other = fit_field(bands(), catalogue().rows(order), OPTIONS)
    np.testing.assert_allclose(other.sources.flux, whole.sources.flux[order], rtol=1e-6)


def test_who_carries_out_the_tasks_does_not_matter(whole):
    options = replace(OPTIONS, block_size=4)

    def elsewhere(function, tasks):
        """Backwards, each task and result through a pickle, as worker processes do it."""
        results = [None] * len(tasks)
        for k in reversed(range(len(tasks))):
            task = pickle.loads(pickle.dumps(tasks[k]))
            assert task.key == tasks[k].key
            results[k] = pickle.loads(pickle.dumps(function(task)))
        return results

    here, there = (fit_field(bands(), catalogue(), options, run) for run in (run_here, elsewhere))
    assert len(here.blocks) > 2
    np.testing.assert_array_equal(here.sources.flux, there.sources.flux)
    np.testing.assert_array_equal(here.errors.r_eff, there.errors.r_eff)


@pytest.mark.parametrize("size", [3, 6])
def test_fluxes_do_not_know_where_borders_are(whole, size):
    other = fit_field(bands(), catalogue(), replace(OPTIONS, block_size=size, rounds=10))
    change = np.abs(other.sources.flux - whole.sources.flux) / whole.errors.flux
    # blocks of a handful of sources, whose frames overlap nearly everywhere
    assert np.median(change) < 0.06
    assert change.max() < 0.3
    np.testing.assert_allclose(other.errors.flux, whole.errors.flux, rtol=0.05)


def test_a_block_that_fails_costs_its_own_rows(whole):
    def failing(function, tasks):
        results = run_here(function, tasks)
        if function is fit_block:
            for k, task in enumerate(tasks):
                if task.block == 0:
                    results[k] = RuntimeError("worker lost")
        return results

    result = fit_field(bands(), catalogue(), replace(OPTIONS, block_size=4), failing)
    assert result.failed
    bad = result.sources.flags & int(FieldFlag.FAILED) != 0
    assert 0 < bad.sum() < 8
    assert all(
        ("worker lost" in issue) == own for issue, own in zip(result.issues, bad, strict=True)
    )
    assert np.isnan(result.errors.flux[bad]).all()
    far = ~bad & (whole.blend < 0.01)
    np.testing.assert_allclose(
        result.sources.flux[far], whole.sources.flux[far], atol=np.nanmax(whole.errors.flux)
    )


def test_rows_that_are_not_fitted_stay_as_they_are(whole):
    start = catalogue()
    rows = np.concatenate([np.arange(12), [0]])
    both = start.rows(rows)
    fit = np.arange(13) < 12
    both = both.with_columns(fit=fit, flags=np.where(fit, 0, int(FieldFlag.CROPPED)))
    result = fit_field(bands(), both, OPTIONS)
    assert result.sources.x[12] == start.x[0]
    assert result.sources.flags[12] == int(FieldFlag.CROPPED)
    assert result.block[12] == -1
    assert len(result.covariance[12]) == 0
    np.testing.assert_allclose(result.sources.flux[:12], whole.sources.flux, rtol=1e-6)


def test_forced_photometry_is_linear_and_holds_places():
    z, kind, flux = truth()
    start = FieldSources.make(
        z[:, 0], z[:, 1], 2, kind=kind, r_eff=np.exp(z[:, 2]), n=np.exp(z[:, 5]),
        ellip=2 * np.hypot(z[:, 3], z[:, 4]) / (1 + np.hypot(z[:, 3], z[:, 4])),
        theta=0.5 * np.arctan2(z[:, 4], z[:, 3]),
    )  # fmt: skip
    result = fit_field(bands(), start, replace(OPTIONS, forced="shape"))
    np.testing.assert_array_equal(result.sources.x, z[:, 0])
    np.testing.assert_allclose(result.sources.r_eff[:4], np.exp(z[:4, 2]))
    assert np.isnan(result.errors.x).all()
    assert np.abs((result.sources.flux - flux) / result.errors.flux).max() < 4
    # with the shape known the flux is known better
    position = fit_field(bands(), start, replace(OPTIONS, forced="position"))
    assert np.all(position.errors.flux[:4] > result.errors.flux[:4])
    assert np.isnan(position.errors.x).all()
    assert np.isfinite(position.errors.n[:4]).all()


def test_a_source_without_pixels_in_a_band_has_no_flux_there():
    # nothing within 30 pixels of the star at (150.2, 20.8) in the second band
    result = fit_field(bands(mask=(115, 170, 0, 62)), catalogue(), OPTIONS)
    assert np.isnan(result.sources.flux[7, 1])
    assert np.isnan(result.errors.flux[7, 1])
    assert np.isfinite(result.sources.flux[7, 0])
    assert result.sources.flags[7] & int(FieldFlag.NO_DATA)
    assert result.sources.flags[7] & int(FieldFlag.MOSTLY_MASKED)
    others = [0, 2, 3, 4, 5, 6, 8, 9, 10]
    assert np.abs(pulls(result, others)).max() < 4


def test_light_that_the_catalogue_lacks_is_added_and_fitted(whole):
    rows = [k for k in range(12) if k not in (1, 9)]
    result = fit_field(bands(), catalogue(rows), replace(OPTIONS, detect=True, rounds=8))
    new = np.flatnonzero(result.sources.flags & int(FieldFlag.ADDED))
    assert len(new) == 2
    z, _, flux = truth()
    for own, true in zip(new, sorted((1, 9), key=lambda k: z[k, 1]), strict=True):
        assert (
            np.hypot(result.sources.x[own] - z[true, 0], result.sources.y[own] - z[true, 1]) < 0.3
        )
        np.testing.assert_allclose(result.sources.flux[own], flux[true], rtol=0.1)
    kinds = result.sources.kind[new]
    assert set(kinds) == {STAR, SERSIC}
    change = np.abs(result.sources.flux[:10] - whole.sources.flux[rows]) / whole.errors.flux[rows]
    assert change.max() < 0.5


def test_types_that_are_not_given_are_chosen():
    result = fit_field(bands(), catalogue(kind=0, r_eff=np.nan), OPTIONS)
    _, kind, flux = truth()
    star = kind == STAR
    assert (result.sources.kind[star] == SourceType.STAR).all()
    assert (result.sources.kind[~star] != SourceType.STAR).all()
    assert (result.sources.flags & int(FieldFlag.TYPE_CHOSEN) != 0).all()
    chosen = result.type_chi2[np.arange(12), result.sources.kind - 1]
    np.testing.assert_allclose(chosen, 0, atol=1e-9)
    # n = 1.0 and 1.2 are no more than EXP, 2.5 is
    assert result.sources.kind[1] == SourceType.SERSIC
    assert np.abs((result.sources.flux - flux) / result.errors.flux)[star].max() < 4


def test_priors_of_the_catalogue_act(whole):
    none = SourcePriors.none(12, 2)
    width = np.full(12, 0.03)
    priors = replace(none, r_eff=width)
    z, _, _ = truth()
    true = catalogue().with_columns(r_eff=np.exp(z[:, 2]), priors=priors)
    result = fit_field(bands(), true, OPTIONS)
    free = whole.errors.r_eff[:4]
    expected = 1 / np.hypot(1 / free, 1 / 0.03)
    np.testing.assert_allclose(result.errors.r_eff[:4], expected, rtol=0.15)
    assert not np.allclose(expected, free, rtol=0.02)
    off = fit_field(bands(), true, replace(OPTIONS, use_priors=False))
    np.testing.assert_allclose(off.errors.r_eff[:4], free, rtol=0.03)


def test_correlated_noise_makes_errors_larger():
    wide = [replace(band, noise_factor=1.5) for band in bands()]
    stated = replace(OPTIONS, noise="stated")
    whole, result = (fit_field(own, catalogue(), stated) for own in (bands(), wide))
    np.testing.assert_allclose(result.errors.flux, 1.5 * whole.errors.flux, rtol=1e-3)
    np.testing.assert_allclose(result.errors.x, 1.5 * whole.errors.x, rtol=1e-3)


def test_a_position_box_holds_and_says_so():
    start = catalogue()
    x = start.x.copy()
    x[9] += 1.5
    result = fit_field(bands(), start.with_columns(x=x, max_shift=np.full(12, 0.8)), OPTIONS)
    assert result.at_bound[9] == "x@lower"
    assert result.sources.flags[9] & int(FieldFlag.AT_BOUND)
    assert result.sources.x[9] == pytest.approx(x[9] - 0.8)


def test_fluxes_for_other_bands_are_refused():
    with pytest.raises(InputError, match="got 2 for 1"):
        fit_field(bands()[:1], catalogue(), OPTIONS)


def test_a_field_without_sources_is_one():
    result = fit_field(bands(), FieldSources.make([], [], 2), OPTIONS)
    assert len(result.sources) == 0
    assert not result.failed
