"""Chips of one exposure move together; sets without overlap find the catalogue by themselves."""

import numpy as np
import pytest
from astropy.modeling import models
from astropy.table import Table

from galstep.core.align.catalog import Positions
from galstep.testing.star_frames import tan_wcs

pytest.importorskip("tweakwcs")

import gwcs

from galstep.core.align.images import (
    AlignImage,
    MatchOptions,
    align_images,
    align_sets_to_catalog,
    align_to_catalog,
)
from galstep.core.align.sky import sky_of
from galstep.testing.gwcs_models import exposure_gwcs, mosaic_gwcs

SHAPE = (400, 500)
SCALE = 0.031
CHIP_STEP = 430 * SCALE / 3600  # chips lie above each other, with a gap
CENTRE = (150.1, 2.2)


def chip_centre(number, ra=0.0):
    return CENTRE[0] + ra, CENTRE[1] + number * CHIP_STEP


def stars_of(wcs, sky, rng=None, scatter=0.0, keep=None):
    x, y = wcs.all_world2pix(*sky, 0)
    inside = (x > 0) & (y > 0) & (x < SHAPE[1] - 1) & (y < SHAPE[0] - 1)
    x, y = x[inside][:keep], y[inside][:keep]
    if scatter:
        x, y = x + rng.normal(0, scatter, len(x)), y + rng.normal(0, scatter, len(y))
    return Positions(x, y, np.ones(len(x)), np.full(len(x), 0.03))


@pytest.fixture(scope="module")
def sky():
    rng = np.random.default_rng(3)
    side = 1400 * SCALE / 3600
    return (
        CENTRE[0] + rng.uniform(-0.5, 0.5, 500) * side,
        CENTRE[1] + CHIP_STEP / 2 + rng.uniform(-0.5, 0.5, 500) * side,
    )


def exposure(sky, name, shift, keep=None, kind="fits"):
    """Two chips, both off by one shift; of the upper one ``keep`` stars."""
    images = []
    for number in (0, 1):
        claimed = tan_wcs(SHAPE, centre=chip_centre(number))
        true = tan_wcs(SHAPE, centre=chip_centre(number), shift=shift)
        wcs, info = exposure_gwcs(claimed, SHAPE) if kind == "exposure" else (claimed, None)
        own = stars_of(true, sky, keep=keep if number else None)
        images.append(AlignImage(f"{name}{number}", SHAPE, wcs, own, info, name))
    return images


def places(wcs):
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 499, 4), np.linspace(0, 399, 4)))
    return np.array(sky_of(wcs, x, y))


@pytest.mark.parametrize("kind", ["fits", "exposure"])
@pytest.mark.parametrize("keep", [None, 4, 0])
def test_chips_move_together(sky, keep, kind):
    """Also a chip with few stars, or none, which by itself could not be aligned."""
    images = [*exposure(sky, "a", (0, 0)), *exposure(sky, "b", (5.0, -3.0), keep, kind)]
    found = align_images(images, MatchOptions(minobj=15))
    assert [a.status for a in found] == ["reference", "reference", "aligned", "aligned"]
    for number in (0, 1):
        true = tan_wcs(SHAPE, centre=chip_centre(number), shift=(5.0, -3.0))
        apart = (places(found[2 + number].wcs) - places(true)) * 3.6e6
        assert np.abs(apart).max() < 0.01  # mas
        assert found[2 + number].pixel_shift == pytest.approx([5.0, -3.0], abs=1e-2)
    # each chip with the matches of its own stars
    assert found[2].n_matches > 30
    assert found[3].n_matches == (found[3].n_stars if keep is not None else found[3].n_matches)
    assert (found[3].n_matches > 30) == (keep is None)
    alone = align_images([*images[:2], *(AlignImage(f"{i}", im.shape, im.wcs, im.stars, im.wcsinfo)
                                         for i, im in enumerate(images[2:]))],
                         MatchOptions(minobj=15))  # fmt: skip
    assert alone[3].status == ("aligned" if keep is None else "failed")


def test_chips_keep_their_places_to_one_another(sky):
    """Their own errors are not fitted away: the second chip is 1 px off in both exposures' eyes."""
    rng = np.random.default_rng(1)
    images = [*exposure(sky, "a", (0, 0)), *exposure(sky, "b", (5.0, -3.0))]
    noisy = [
        AlignImage(im.name, im.shape, im.wcs, Positions(
            im.stars.x + rng.normal(0, 0.05, len(im.stars)), im.stars.y, im.stars.flux,
            im.stars.error), None, im.group)
        for im in images
    ]  # fmt: skip
    found = align_images(noisy, MatchOptions(fitgeometry="shift"))
    # one shift of the sky for both, to the precision of the arithmetic
    assert found[2].shift == pytest.approx(found[3].shift, abs=1e-7)
    assert found[2].correction[2] == pytest.approx(found[3].correction[2])


def test_one_group_is_not_aligned_with_itself(sky):
    found = align_images(exposure(sky, "a", (0, 0)), MatchOptions())
    assert [a.status for a in found] == ["failed", "failed"]
    assert "at least two exposures are needed" in found[0].reason


def test_group_without_stars(sky):
    empty = [
        AlignImage(im.name, im.shape, im.wcs, Positions.empty(), None, im.group)
        for im in exposure(sky, "c", (0, 0))
    ]
    images = [*exposure(sky, "a", (0, 0)), *empty, *exposure(sky, "b", (2.0, 1.0))]
    found = align_images(images, MatchOptions())
    assert [a.status for a in found] == ["reference"] * 2 + ["failed"] * 2 + ["aligned"] * 2
    assert {a.reason for a in found[2:4]} == {"no stars found"}


def test_expanding_with_a_chip_without_stars(sky):
    """The catalogue grows by the right stars also behind an empty chip."""
    first = exposure(sky, "b", (5.0, -3.0), keep=0)
    images = [*exposure(sky, "a", (0, 0)), first[1], first[0]]
    found = align_images(images, MatchOptions(), enforce_user_order=True, expand_refcat=True)
    assert [a.status for a in found] == ["reference", "reference", "aligned", "aligned"]


# ------------------------------------------------------------------- catalogue


def catalogue(sky, north=0.0):
    return Table({"RA": sky[0], "DEC": sky[1] + north / 3600})


def test_images_without_mutual_overlap_are_each_tried(sky):
    far = 900 * SCALE / 3600
    images = []
    for i, (ra, shift) in enumerate(((0.0, (3.0, 0.0)), (far, (-4.0, 2.0)))):
        centre = (CENTRE[0] - far / 2 + ra, CENTRE[1])
        own = stars_of(tan_wcs(SHAPE, centre=centre, shift=shift), sky)
        assert len(own) > 20
        images.append(AlignImage(f"{i}", SHAPE, tan_wcs(SHAPE, centre=centre), own))
    relative = align_images(images, MatchOptions())
    assert [a.status for a in relative] == ["reference", "failed"]
    found = align_sets_to_catalog(images, relative, catalogue(sky), MatchOptions(searchrad=6.0))
    assert [a.status for a in found] == ["aligned", "aligned"]
    assert found[0].pixel_shift == pytest.approx([3.0, 0.0], abs=0.02)
    assert found[1].pixel_shift == pytest.approx([-4.0, 2.0], abs=0.02)


def test_group_that_failed_goes_to_the_catalogue_as_one(sky):
    """Its second chip has too few stars for itself."""
    second = exposure(sky, "b", (5.0, -3.0), keep=3)
    images = [*exposure(sky, "a", (0, 0)), *second]
    relative = align_images(images, MatchOptions(minobj=1000))
    assert [a.status for a in relative[2:]] == ["failed", "failed"]
    options = MatchOptions(searchrad=6.0, minobj=15)
    found = align_sets_to_catalog(images, relative, catalogue(sky, north=0.4), options)
    assert [a.status for a in found] == ["aligned"] * 4
    assert found[3].n_matches == 3
    for alignment, true in zip(found, [(0, 0), (0, 0), (5.0, -3.0), (5.0, -3.0)], strict=True):
        # 0.4 arcsec to the north is 12.9 px up
        expected = np.array(true) - [0.0, 0.4 / SCALE]
        assert alignment.pixel_shift == pytest.approx(expected, abs=0.02)


def test_catalogue_elsewhere(sky):
    image = exposure(sky, "a", (0, 0))[:1]
    (found,) = align_to_catalog(image, Table({"RA": [10.0], "DEC": [70.0]}), MatchOptions())
    assert (found.status, found.reason) == ("failed", "the catalogue does not reach the image")


def distorted_chips():
    """Two chips whose gwcs has no inverse, with stars, and where the stars really are.

    The true sky is 0.25 percent larger than they say, turned by 0.1 degrees and moved.
    """
    images, expected = [], []
    for number in (0, 1):
        wcs = without_inverse(mosaic_gwcs(tan_wcs(SHAPE, centre=chip_centre(number)), SHAPE))
        x, y = np.random.default_rng(number).uniform(5, 395, (2, 60))
        stars = Positions(x, y, np.ones(60), np.full(60, 0.1))
        images.append(AlignImage(f"{number}", SHAPE, wcs, stars, None, "exposure"))
        expected.append(sky_of(wcs, x, y))
    ra, dec = (np.concatenate(v) for v in zip(*expected, strict=True))
    angle, cos = np.radians(0.1), np.cos(np.radians(CENTRE[1]))
    east, north = (ra - CENTRE[0]) * cos, dec - CENTRE[1]
    moved = 1.0025 * np.array([east * np.cos(angle) - north * np.sin(angle),
                               east * np.sin(angle) + north * np.cos(angle)])  # fmt: skip
    true = np.array([CENTRE[0] + moved[0] / cos + 1e-4, CENTRE[1] + moved[1] - 2e-4])
    return images, true


@pytest.mark.parametrize("reference", ["catalogue", "image"])
def test_two_distorted_chips_without_inverse(reference):
    """As of HST: both at once, with another scale, exactly."""
    images, true = distorted_chips()
    options = MatchOptions(fitgeometry="general", nclip=0, searchrad=6.0, tolerance=0.3)
    if reference == "catalogue":
        found = align_to_catalog(images, Table({"RA": true[0], "DEC": true[1]}), options)
    else:
        # one large image that sees all of them
        shape = (1200, 900)
        wcs = tan_wcs(shape, centre=(CENTRE[0], CENTRE[1] + CHIP_STEP / 2))
        x, y = wcs.all_world2pix(*true, 0)
        own = Positions(x, y, np.ones(120), np.full(120, 0.1))
        whole = AlignImage("whole", shape, wcs, own)
        first, *found = align_images([whole, *images], options, enforce_user_order=True)
        assert first.status == "reference"
    assert [a.status for a in found] == ["aligned", "aligned"], found[0].reason
    # what remains is that the sky is round: the map above is affine in angles, not in the plane
    assert found[0].scale == pytest.approx(1.0025, abs=1e-6)
    pairs = zip(found, images, strict=True)
    got = np.hstack([sky_of(a.wcs, im.stars.x, im.stars.y) for a, im in pairs])
    assert np.sqrt(np.mean((got - true) ** 2)) < 3e-9


def without_inverse(wcs):
    """The same gwcs behind a distortion that astropy cannot invert."""
    x = models.Polynomial2D(2, c1_0=1.0, c2_0=2e-6, c1_1=-1e-6)
    y = models.Polynomial2D(2, c0_1=1.0, c0_2=1e-6)
    distortion = models.Mapping((0, 1, 0, 1)) | x & y
    pipeline = [(step.frame, step.transform) for step in wcs.pipeline]
    pipeline[0] = pipeline[0][0], distortion | pipeline[0][1]
    found = gwcs.WCS(pipeline)
    found.bounding_box = ((-0.5, SHAPE[1] - 0.5), (-0.5, SHAPE[0] - 0.5))
    found.pixel_shape = SHAPE[::-1]
    return found


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("kind", ["exposure", "mosaic"])
def test_gwcs_without_inverse(sky, kind, box):
    claimed = tan_wcs(SHAPE)
    wcs, info = (
        exposure_gwcs(claimed, SHAPE) if kind == "exposure" else (mosaic_gwcs(claimed, SHAPE), None)
    )
    wcs = without_inverse(wcs)
    if not box:
        wcs.bounding_box = None
    with pytest.raises(NotImplementedError):
        wcs.backward_transform  # noqa: B018
    rng = np.random.default_rng(2)
    x, y = rng.uniform(10, 390, (2, 50))
    stars = [
        Positions(x + dx, y + dy, np.ones(50), np.full(50, 0.1)) for dx, dy in ((0, 0), (6, -4))
    ]
    images = [AlignImage(n, SHAPE, wcs, own, info) for n, own in zip("ab", stars, strict=True)]
    found = align_images(images, MatchOptions())[1]
    assert found.status == "aligned", found.reason
    assert found.pixel_shift == pytest.approx([6.0, -4.0], abs=0.05)
    apart = np.subtract(sky_of(found.wcs, x + 6, y - 4), sky_of(wcs, x, y)) * 3.6e6
    assert np.sqrt(np.mean(apart**2)) < 1.0  # mas: the distortion is not the same 7 px away
