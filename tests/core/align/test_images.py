import numpy as np
import pytest
from astropy.table import Table

from galstep.core.align.catalog import Positions
from galstep.exceptions import InputError
from galstep.testing.star_frames import tan_wcs

pytest.importorskip("tweakwcs")

from galstep.core.align.images import (
    AlignImage,
    MatchOptions,
    align_images,
    align_to_catalog,
    common_plane,
    pixel_side,
)
from galstep.core.align.tangent_plane import make_corrector
from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

SHAPE = (800, 1000)
# shift (px), rotation (deg), scale
MOVED = dict(shift=(12.3, -7.1), rotation=0.4, scale=0.031 * 1.0005)


def catalog(wcs, sky, rng, scatter=0.03):
    """Stars of a frame with a little error."""
    x, y = wcs.all_world2pix(*sky, 0)
    x, y = x + rng.normal(0, scatter, len(x)), y + rng.normal(0, scatter, len(x))
    inside = (x > 0) & (y > 0) & (x < SHAPE[1] - 1) & (y < SHAPE[0] - 1)
    x, y = x[inside], y[inside]
    return Positions(x, y, np.ones(len(x)), np.full(len(x), scatter))


@pytest.fixture(scope="module")
def pair():
    """Two catalogues, the second one from where its WCS does not say; the true WCS."""
    rng = np.random.default_rng(7)
    claimed, true = tan_wcs(SHAPE), tan_wcs(SHAPE, **MOVED)
    x, y = rng.uniform(-50, 1050, (2, 150))
    sky = claimed.all_pix2world(x, y, 0)
    return catalog(claimed, sky, rng), catalog(true, sky, rng), true


def error_over_frame(found, true):
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 999, 7), np.linspace(0, 799, 7)))
    got = true.all_world2pix(*found.pixel_to_world_values(x, y), 0)
    return np.sqrt(np.mean((got[0] - x) ** 2 + (got[1] - y) ** 2))


def claimed_wcs(kind):
    wcs = tan_wcs(SHAPE)
    if kind == "fits":
        return wcs, None
    if kind == "exposure":
        return exposure_gwcs(wcs, SHAPE)
    return mosaic_gwcs(wcs, SHAPE), None


@pytest.mark.parametrize("kind", ["fits", "exposure", "mosaic"])
def test_known_transformation_is_found(pair, kind):
    first, second, true = pair
    wcs, info = claimed_wcs(kind)
    images = [AlignImage("a", SHAPE, wcs, first, info), AlignImage("b", SHAPE, wcs, second, info)]
    reference, aligned = align_images(images, MatchOptions(fitgeometry="rscale"))
    assert reference.status == "reference"
    assert aligned.status == "aligned"
    assert error_over_frame(aligned.wcs, true) < 0.02
    assert aligned.pixel_shift == pytest.approx([12.3, -7.1], abs=0.3)
    assert aligned.rotation == pytest.approx(-0.4, abs=0.002)
    assert aligned.scale == pytest.approx(1.0005, abs=2e-5)
    assert aligned.rms / 0.031 == pytest.approx(0.03 * np.sqrt(2), rel=0.3)
    assert 80 < aligned.n_matches <= aligned.n_stars
    # what came in is as it was
    assert np.allclose(
        images[1].wcs.pixel_to_world_values(10, 20), wcs.pixel_to_world_values(10, 20)
    )


def test_gwcs_stays_a_gwcs_with_its_inverse(pair):
    first, second, _ = pair
    wcs = mosaic_gwcs(tan_wcs(SHAPE), SHAPE)
    images = [AlignImage("a", SHAPE, wcs, first), AlignImage("b", SHAPE, wcs, second)]
    aligned = align_images(images, MatchOptions())[1]
    assert aligned.wcs.available_frames == ["detector", "world"]
    assert aligned.wcs.pixel_shape == SHAPE[::-1]
    assert aligned.wcs.invert(*aligned.wcs(333.0, 222.0)) == pytest.approx((333.0, 222.0), abs=1e-6)


def test_header_gets_the_same_correction(pair):
    first, second, _ = pair
    wcs = tan_wcs(SHAPE)
    images = [
        AlignImage("a", SHAPE, wcs, first),
        AlignImage("b", SHAPE, mosaic_gwcs(wcs, SHAPE), second),
    ]
    aligned = align_images(images, MatchOptions())[1]
    header = aligned.correct(wcs, SHAPE)
    for x, y in ((0, 0), (999, 10), (500, 799)):
        assert header.pixel_to_world_values(x, y) == pytest.approx(aligned.wcs(x, y), abs=2e-9)


@pytest.mark.parametrize(("sign", "status"), [(1, "aligned"), (-1, "failed")])
def test_first_guess_by_the_user(pair, sign, status):
    """12.3 px to the right of a frame with east on the left is to the west."""
    wcs = tan_wcs(SHAPE)
    images = [AlignImage("a", SHAPE, wcs, pair[0]), AlignImage("b", SHAPE, wcs, pair[1])]
    offset = dict(xoffset=-sign * 12.3 * 0.031, yoffset=-sign * 7.1 * 0.031)
    options = MatchOptions(use2dhist=False, tolerance=0.25, **offset)
    assert align_images(images, options)[1].status == status


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_fields_are_refused(seed):
    rng = np.random.default_rng(seed)
    stars = [
        Positions(*rng.uniform(0, 800, (2, 300)), np.ones(300), np.full(300, 0.05)) for _ in "ab"
    ]
    wcs = tan_wcs(SHAPE)
    images = [AlignImage(name, SHAPE, wcs, own) for name, own in zip("ab", stars, strict=True)]
    found = align_images(images, MatchOptions())[1]
    assert found.status == "failed"
    assert "match" in found.reason
    assert found.wcs is wcs


def test_too_few_matches(pair):
    first, second, _ = pair
    wcs = tan_wcs(SHAPE)
    images = [AlignImage("a", SHAPE, wcs, first), AlignImage("b", SHAPE, wcs, second)]
    found = align_images(images, MatchOptions(minobj=500))[1]
    assert found.status == "failed"
    assert "stars match, 500 are needed" in found.reason


def test_images_without_stars(pair):
    wcs = tan_wcs(SHAPE)
    images = [
        AlignImage("a", SHAPE, wcs, pair[0]),
        AlignImage("b", SHAPE, wcs, Positions.empty()),
    ]
    found = align_images(images, MatchOptions())
    assert [a.status for a in found] == ["failed", "failed"]
    assert found[0].reason == "there is no other image with stars"
    assert found[1].reason == "no stars found"


def test_expansion_reaches_images_that_the_first_does_not_see():
    rng = np.random.default_rng(11)
    step = 700 * 0.031 / 3600
    sky = np.array([150.1, 2.2])[:, None] + rng.uniform(-1, 3.5, (2, 2500)) * step
    images, true = [], []
    for i in range(3):
        centre = (150.1 + i * step, 2.2)
        claimed = tan_wcs(SHAPE, centre=centre)
        true.append(tan_wcs(SHAPE, centre=centre, shift=(3.0 * i, -2.0 * i)))
        images.append(AlignImage(f"{i}", SHAPE, claimed, catalog(true[i], sky, rng)))
    options = MatchOptions(fitgeometry="shift", minobj=20)
    alone = align_images(images, options, enforce_user_order=True)
    grown = align_images(images, options, enforce_user_order=True, expand_refcat=True)
    assert [a.status for a in alone] == ["reference", "aligned", "failed"]
    assert [a.status for a in grown] == ["reference", "aligned", "aligned"]
    for found, wcs in zip(grown, true, strict=True):
        assert error_over_frame(found.wcs, wcs) < 0.05


def test_absolute_alignment_moves_all_together(pair):
    first, second, true = pair
    rng = np.random.default_rng(8)
    # the catalogue is 0.3 arcsec north of what the first image says
    sky = np.array(tan_wcs(SHAPE).all_pix2world(first.x, first.y, 0))
    table = Table({"RA": sky[0], "DEC": sky[1] + 0.3 / 3600})
    far = Table({"RA": rng.uniform(0, 360, 500), "DEC": rng.uniform(-90, 90, 500)})
    table = Table({name: np.concatenate([table[name], far[name]]) for name in table.colnames})
    images = [AlignImage("a", SHAPE, tan_wcs(SHAPE), first), AlignImage("b", SHAPE, true, second)]
    found = align_to_catalog(images, table, MatchOptions(searchrad=6.0, separation=0.1))
    for alignment in found:
        assert alignment.status == "aligned"
        assert alignment.shift == pytest.approx([0.0, 0.3], abs=0.01)


def test_absolute_alignment_without_a_match(pair):
    images = [AlignImage("a", SHAPE, tan_wcs(SHAPE), pair[0])]
    far = Table({"RA": [10.0, 11.0], "DEC": [70.0, 71.0]})
    (found,) = align_to_catalog(images, far, MatchOptions())
    assert found.status == "failed"
    (found,) = align_to_catalog(images, far[:0], MatchOptions())
    assert found.reason == "the catalogue is empty"


def test_plane_and_scale():
    wcs = tan_wcs(SHAPE, centre=(0.001, -60.0))
    images = [AlignImage("a", SHAPE, wcs, Positions.empty())]
    plane = common_plane(images)
    x, y = np.ravel(plane.world_to_tanp(0.001, -60.0))
    # the middle of the frame is the tangent point; east and north are positive
    assert (x, y) == pytest.approx((0, 0), abs=1e-6)
    east, north = np.ravel(plane.world_to_tanp(0.002, -59.999))
    assert east == pytest.approx(0.001 * 3600 * np.cos(np.radians(60)), rel=1e-3)
    assert north == pytest.approx(3.6, rel=1e-4)
    assert pixel_side(wcs, SHAPE) == pytest.approx(0.031, rel=1e-6)


def test_wcs_that_cannot_be_corrected():
    with pytest.raises(InputError, match="image 'a': its WCS cannot be corrected"):
        make_corrector("a", object(), SHAPE, None)
