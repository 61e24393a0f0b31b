import numpy as np
import pytest
from scipy.spatial import cKDTree
from star_scenes import make_field

from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.photutils_engine import measure_by_photutils
from galstep.core.star_field.rows import rows_of_field
from galstep.core.star_field.tiles import FieldImage, Tile
from galstep.exceptions import ParameterError


def matched(found, truth):
    """Index of the true star of every one that was found, and the distances."""
    tree = cKDTree(np.column_stack(truth[:2]))
    return tree.query(np.column_stack(found))[::-1]


@pytest.fixture(scope="module")
def scene():
    image, psfs, truth = make_field(count=70, separation=7.0)
    return FieldImage(image, np.full(image.shape, 0.5)), psfs, truth


@pytest.fixture(scope="module")
def result(scene):
    return fit_star_field(scene[0], scene[1])


def test_all_stars_and_no_others(result, scene):
    own, distance = matched((result.state.x, result.state.y), scene[2])
    assert len(result.state) == 70
    assert len(np.unique(own)) == 70
    assert distance.max() < 0.5


def test_pulls(scene):
    pulls = []
    for seed in range(1, 6):
        image, psfs, truth = make_field(seed, count=60, separation=7.0)
        found = fit_star_field(FieldImage(image, np.full(image.shape, 0.5)), psfs)
        own, distance = matched((found.state.x, found.state.y), truth)
        assert distance.max() < 0.5
        for value, true, error in zip(
            (found.state.flux, found.state.x, found.state.y),
            (truth[2], truth[0], truth[1]),
            found.errors.T,
            strict=True,
        ):
            pulls.append((value - true[own]) / error)
    pulls = np.concatenate(pulls)
    assert pulls.std() == pytest.approx(1.0, abs=0.06)
    assert abs(pulls.mean()) < 0.1


@pytest.mark.parametrize(("size", "background"), [(64, "global"), (111, "local")])
def test_tiles_do_not_matter(scene, size, background):
    image, psfs, _ = scene
    found = [
        fit_star_field(image, psfs, StarFieldOptions(tile_size=s, background=background))
        for s in (2000, size)
    ]
    rows = [rows_of_field(f) for f in found]
    assert len(rows[0]) == len(rows[1])
    for name in rows[0].__dataclass_fields__:
        one, other = (getattr(r, name) for r in rows)
        assert other == pytest.approx(one, rel=1e-6, abs=1e-9, nan_ok=True), name


def test_residual_is_noise(result, scene):
    whole = Tile(0, 0, 260, 220)
    residual = result.residual(whole)
    assert residual.std() == pytest.approx(0.5, rel=0.03)
    assert abs(np.median(residual)) < 0.02
    assert result.local_bkg() == pytest.approx(np.full(70, 3.0), abs=0.15)
    part = Tile(30, 40, 90, 100)
    assert result.residual(part) == pytest.approx(residual[part.part], abs=1e-12)
    assert np.median(result.quality.reduced_chi2) == pytest.approx(1.0, abs=0.1)


def test_noise_is_measured_where_it_is_not_given(scene, result):
    image, psfs, _ = scene
    found = fit_star_field(FieldImage(image.data), psfs)
    assert found.model.image.sigma == pytest.approx(0.5, rel=0.06)
    assert len(found.state) == 70
    assert np.median(found.errors[:, 0] / result.errors[:, 0]) == pytest.approx(1.0, abs=0.06)


def test_blends_are_taken_apart():
    rng = np.random.default_rng(3)
    _, psfs, _ = make_field()
    x = np.concatenate([[40.0 + 40 * i, 42.8 + 40 * i] for i in range(5)])
    y = np.tile([100.0, 100.7], 5)
    flux = np.tile([4000.0, 900.0], 5)
    image = psfs.render((220, 260), (0, 0), x, y, flux, np.full(10, 22))
    image += rng.normal(0, 0.5, image.shape)
    found = fit_star_field(FieldImage(image, np.full(image.shape, 0.5)), psfs)
    own, distance = matched((found.state.x, found.state.y), (x, y))
    assert len(found.state) == 10
    assert distance.max() < 0.2
    pulls = (found.state.flux - flux[own]) / found.errors[:, 0]
    assert np.abs(pulls).max() < 4
    assert (found.group_size == 2).all()


def test_forced_photometry(scene):
    image, psfs, (x, y, flux) = scene
    dark = np.array([[130.0], [8.0]])
    places = np.concatenate([[x, y], dark], axis=1)
    unknown = np.full(71, np.nan)
    options = StarFieldOptions(finder="none", free_positions=False)
    found = fit_star_field(image, psfs, options, GivenStars.of(*places, unknown))
    assert np.array_equal([found.state.x, found.state.y], places)
    pulls = (found.state.flux - np.append(flux, 0.0)) / found.errors[:, 0]
    assert np.abs(pulls).max() < 4.5
    assert pulls.std() == pytest.approx(1.0, abs=0.2)
    assert np.isnan(found.errors[:, 1:]).all()


def test_given_stars_come_first_and_stay(scene):
    image, psfs, (x, y, flux) = scene
    # two true ones, and a place without a star
    empty = _empty_place(x, y)
    given = (np.array([x[5], x[3], empty[0]]), np.array([y[5], y[3], empty[1]]),
             np.array([flux[5], np.nan, np.nan]))  # fmt: skip
    found = fit_star_field(image, psfs, StarFieldOptions(), GivenStars.of(*given))
    assert len(found.state) == 71
    assert np.hypot(found.state.x[:2] - given[0][:2], found.state.y[:2] - given[1][:2]).max() < 0.3
    assert (np.diff(found.state.y[3:]) >= 0).all()
    assert abs(found.state.flux[2]) < 5 * found.errors[2, 0]


def _empty_place(x, y):
    yy, xx = np.mgrid[20:200:5, 20:240:5]
    distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([xx.ravel(), yy.ravel()]))
    best = np.argmax(distance)
    return xx.ravel()[best], yy.ravel()[best]


def test_bounds(scene):
    image, psfs, (x, y, flux) = scene
    start = (x + 0.3, y, flux)
    options = StarFieldOptions(finder="none", xy_bound=0.1)
    found = fit_star_field(image, psfs, options, GivenStars.of(*start))
    assert np.abs(found.state.x - start[0]).max() <= 0.1 + 1e-12
    assert (found.flags & 32).all()


def test_groups(scene, result):
    image, psfs, _ = scene
    found = fit_star_field(image, psfs, StarFieldOptions(group_separation=5.0))
    assert len(found.state) == 70
    # the same minimum by another way
    assert found.state.flux == pytest.approx(result.state.flux, rel=1e-3)
    assert found.group_size.max() <= result.group_size.max()


@pytest.mark.parametrize("finder", ["dao", "iraf"])
def test_other_finders(scene, finder):
    image, psfs, truth = scene
    image = FieldImage(image.data - 3.0, image.err)
    found = fit_star_field(image, psfs, StarFieldOptions(finder=finder, background="none"))
    own, distance = matched((found.state.x, found.state.y), truth)
    assert len(np.unique(own)) >= 60
    assert np.mean(distance < 0.5) > 0.97


def test_masked_and_empty_images(scene):
    image, psfs, _ = scene
    mask = np.zeros(image.shape, bool)
    mask[:, 130:] = True
    data = np.where(mask, np.nan, image.data)
    found = fit_star_field(FieldImage(data, image.err), psfs)
    assert found.state.x.max() < 133
    assert np.isfinite(found.state.flux).all()
    for nothing in (np.full((60, 60), np.nan), np.zeros((60, 60))):
        none = fit_star_field(FieldImage(nothing), psfs)
        assert len(none.state) == 0
        assert len(rows_of_field(none)) == 0


@pytest.mark.parametrize("passes", [1, 2])
def test_photutils_measures_the_same(scene, result, passes):
    image, psfs, _ = scene
    options = StarFieldOptions(n_passes=passes, half_size=5)
    peer = measure_by_photutils(image, psfs, options).rows
    own, distance = matched((peer.x_fit, peer.y_fit), (result.state.x, result.state.y))
    good = (distance < 0.3) & (peer.flags == 0)
    assert good.sum() > 55
    difference = (peer.flux_fit - result.state.flux[own])[good] / peer.flux_err[good]
    assert np.median(np.abs(difference)) < 0.5
    assert peer.local_bkg == pytest.approx(np.full(len(peer), 3.0), abs=0.3)


def test_photutils_with_given_stars(scene):
    image, psfs, (x, y, flux) = scene
    options = StarFieldOptions(finder="none", free_positions=False, half_size=3,
                               background="local", group_separation=4.0)  # fmt: skip
    found = measure_by_photutils(image, psfs, options, GivenStars.of(x, y, flux))
    assert np.array_equal(found.rows.x_fit, x)
    assert np.nanstd(found.residual(Tile(50, 50, 150, 150))) < 2.0
    some = GivenStars.of(x, y, np.where(np.arange(len(flux)) == 3, np.nan, flux))
    again = measure_by_photutils(image, psfs, options, some)
    assert again.rows.flux_fit == pytest.approx(found.rows.flux_fit, abs=1e-2 * flux.min())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(finder="eye"), "finder must be one of galstep, dao, iraf, none, got 'eye'"),
        (dict(background="flat"), "background must be one of global, local, none, got 'flat'"),
        (dict(local_radii=(5, 3)), r"a larger outer radius of at .*, got \(5, 3\)"),
    ],
)
def test_bad_options(values, message):
    with pytest.raises(ParameterError, match=message):
        StarFieldOptions(**values)
