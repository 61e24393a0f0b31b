"""Stars that are given keep their place, their id, their group and their sky."""

import numpy as np
import pytest
from photutils.psf import PSF_FLAGS
from star_scenes import make_field

from galstep.core.star_field.given import GivenStars, next_ids
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.photutils_engine import measure_by_photutils
from galstep.core.star_field.rows import rows_of_field
from galstep.core.star_field.tiles import FieldImage

NOT_FITTED = PSF_FLAGS.NON_FINITE_FLUX | PSF_FLAGS.NO_COVARIANCE


def field(**options):
    image, psfs, truth = make_field(**options)
    return FieldImage(image, np.full(image.shape, 0.5)), psfs, truth


@pytest.fixture(scope="module")
def scene():
    return field()


def rows_of(engine, image, psfs, options, given):
    if engine == "photutils":
        return measure_by_photutils(image, psfs, options, given).rows
    return rows_of_field(fit_star_field(image, psfs, options, given))


@pytest.mark.parametrize("engine", ["galstep", "photutils"])
@pytest.mark.parametrize("fixed", [False, True])
def test_every_row_stays(scene, engine, fixed):
    image, psfs, (x, y, flux) = scene
    nan, inf = np.nan, np.inf
    places = [
        (x[0], y[0]), (nan, 5.0), (5.0, inf), (-500.0, 20.0), (1e30, 1e30), (x[1], y[1]),
    ]  # fmt: skip
    ids = np.array([7, 3, 99, -2, 5, 12])
    given = GivenStars.of(*np.transpose(places), id=ids)
    options = StarFieldOptions(finder="none", free_positions=not fixed, half_size=3)
    rows = rows_of(engine, image, psfs, options, given)
    assert rows.id.tolist() == ids.tolist()
    assert np.isfinite(rows.flux_fit).tolist() == [True, False, False, False, False, True]
    assert np.isnan(rows.flux_err[1:5]).all()
    assert (rows.flags[1:5] & NOT_FITTED == NOT_FITTED).all()
    assert (rows.flags[1:3] & PSF_FLAGS.NON_FINITE_POSITION > 0).all()
    assert (rows.flags[3:5] & PSF_FLAGS.NO_OVERLAP > 0).all()
    assert rows.x_init[[0, 3, 5]] == pytest.approx([x[0], -500.0, x[1]])
    assert np.isnan(rows.x_fit[1:5]).all()


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("flux", [np.nan, 500.0])
def test_masked_star_is_not_measured(scene, fixed, flux):
    image, psfs, (x, y, _) = scene
    mask = np.hypot(*(np.indices(image.shape) - np.array([y[0], x[0]])[:, None, None])) < 12
    options = StarFieldOptions(finder="none", free_positions=not fixed)
    given = GivenStars.of(x[:2], y[:2], flux)
    rows = rows_of_field(
        fit_star_field(FieldImage(image.data, image.err, mask), psfs, options, given)
    )
    assert np.isnan([rows.flux_fit[0], rows.flux_err[0], rows.reduced_chi2[0]]).all()
    assert np.isfinite(rows.flux_fit[1])
    assert rows.flags[0] & PSF_FLAGS.FULLY_MASKED
    assert rows.flags[0] & PSF_FLAGS.NON_FINITE_FLUX
    assert not rows.flags[0] & PSF_FLAGS.NEGATIVE_FLUX
    # a place that was held is known, one that was to be fitted is not
    assert np.isnan(rows.x_fit[0]) == (not fixed)


def test_ids_of_found_stars_are_new(scene):
    image, psfs, (x, y, _) = scene
    rows = rows_of_field(
        fit_star_field(image, psfs, initial=GivenStars.of(x[:3], y[:3], id=np.array([5, 70, 2])))
    )
    assert rows.id[:3].tolist() == [5, 70, 2]
    assert rows.id[3:].tolist() == list(range(71, 71 + len(rows) - 3))
    assert next_ids(np.array(["a", "1", "b"]), 2).tolist() == ["2", "3"]


def test_groups_as_given(scene):
    image, psfs, (x, y, _) = scene
    given = GivenStars.of(x[:4], y[:4], group_id=np.array([3, 3, 8, 1]))
    rows = rows_of_field(fit_star_field(image, psfs, StarFieldOptions(finder="none"), given))
    assert rows.group_id.tolist() == [3, 3, 8, 1]
    assert rows.group_size.tolist() == [2, 2, 1, 1]
    found = rows_of_field(fit_star_field(image, psfs, StarFieldOptions(), given))
    assert found.group_id[:4].tolist() == [3, 3, 8, 1]
    assert found.group_id[4:].min() > 8


def test_stars_of_one_group_are_fitted_together(scene):
    """Two blended stars: in one group the errors know of the blend, in two they do not."""
    image, psfs, _ = scene
    x, y, flux = np.array([100.0, 101.5]), np.array([100.0, 100.0]), np.array([900.0, 900.0])
    frame = psfs.render(image.shape, (0, 0), x, y, flux, np.full(2, 30))
    noise = np.random.default_rng(4).normal(0, 0.5, image.shape)
    blend = FieldImage(frame + noise, np.full(image.shape, 0.5))
    options = StarFieldOptions(finder="none", background="none")
    together, apart = (
        rows_of_field(
            fit_star_field(blend, psfs, options, GivenStars.of(x, y, flux, group_id=np.array(ids)))
        )
        for ids in ([1, 1], [1, 2])
    )
    assert np.abs((together.flux_fit - flux) / together.flux_err).max() < 4
    assert (together.flux_err > 1.5 * apart.flux_err).all()


@pytest.mark.parametrize("engine", ["galstep", "photutils"])
@pytest.mark.parametrize("background", ["none", "local", "global"])
def test_sky_as_given(engine, background):
    image, psfs, (x, y, flux) = field(sky=3.0, count=20)
    level = np.full(len(x), 3.0)
    level[1], level[2] = 4.0, np.nan
    given = GivenStars.of(x, y, flux, local_bkg=level)
    options = StarFieldOptions(
        finder="none", background=background, free_positions=False, half_size=4
    )
    rows = rows_of(engine, image, psfs, options, given)
    known = np.isfinite(level)
    assert rows.local_bkg[known] == pytest.approx(level[known], abs=1e-6)
    assert (rows.flags & PSF_FLAGS.NON_FINITE_LOCALBKG > 0).tolist() == (~known).tolist()
    # one image unit too much beneath a star: what its box has of the PSF's own area
    right = rows_of(
        engine, image, psfs, options, GivenStars.of(x, y, flux, local_bkg=np.full(len(x), 3.0))
    )
    change = right.flux_fit[1] - rows.flux_fit[1]
    assert change == pytest.approx(psfs.mean.noise_area, rel=0.3)
