"""Alignment of images by their stars: matching and fitting with `tweakwcs`.

Everything happens in one tangent plane for all images, x to the east and y to
the north, in arcsec. `tweakwcs` orders the images, fits the transformation and
corrects the WCS. The matcher that it is given (`StarMatch`) adds what a match
needs before it is believed: see `galstep.core.align.match`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from tweakwcs import FITSWCSCorrector, XYXYMatch, align_wcs
from tweakwcs.imalign import NotEnoughCatalogs
from tweakwcs.linearfit import iter_linear_fit
from tweakwcs.matchutils import MatchCatalogs, MatchSourceConfusionError

from galstep.core.align.catalog import Positions
from galstep.core.align.match import (
    LEAST_RADIUS,
    MatchQuality,
    apply_affine,
    guess_transform,
    match_quality,
    refine_pairs,
)
from galstep.core.align.tangent_plane import make_corrector

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AlignImage",
    "Alignment",
    "MatchOptions",
    "StarMatch",
    "align_images",
    "align_to_catalog",
    "common_plane",
    "rotation_of",
]

log = logging.getLogger("stpipe.galstep.align")

# Votes for an offset agree when they are as close as this, pixels.
VOTE_STEP = 2.0
# tweakwcs hands the matcher no names: the ids of the stars tell the image.
IDS_PER_IMAGE = 1_000_000


@dataclass(frozen=True, eq=False)
class AlignImage:
    """One image to be aligned: its name, (ny, nx), WCS and stars.

    ``wcsinfo`` has v2_ref, v3_ref and roll_ref for a gwcs of an exposure.
    """

    name: str
    shape: tuple
    wcs: Any
    stars: Positions
    wcsinfo: dict | None = None


@dataclass(frozen=True)
class MatchOptions:
    """How catalogues are matched and fitted; lengths in arcsec.

    Names and meaning as the parameters of ``TweakReg``.
    """

    minobj: int = 15
    searchrad: float = 2.0
    use2dhist: bool = True
    separation: float = 1.0
    tolerance: float = 0.7
    xoffset: float = 0.0
    yoffset: float = 0.0
    fitgeometry: str = "rshift"
    nclip: int = 3
    sigma: float = 3.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """What became of one image.

    Parameters
    ----------
    name : str
    status : str
        reference, aligned or failed.
    wcs : WCS
        Corrected, or as it came.
    reason : str
        Why it failed.
    shift : (2,) array
        Motion of the image's centre on the sky, to the east and to the north (arcsec).
    pixel_shift : (2,) array
        How far, in pixels of the image, its content was from where the WCS
        said, at the centre: position in the image minus position expected.
    rotation, scale : float
        Of the correction: degrees counter-clockwise in the plane, ratio.
    n_stars, n_matches : int
        Stars in the catalogue, and those the fit used.
    rms : float
        Of the fit on one axis, arcsec.
    quality : `galstep.core.align.match.MatchQuality`
    correction : tuple
        The tangent plane's corrector, and matrix and shift (arcsec) in it.
    """

    name: str
    status: str
    wcs: Any
    reason: str = ""
    shift: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    pixel_shift: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    rotation: float = np.nan
    scale: float = np.nan
    n_stars: int = 0
    n_matches: int = 0
    rms: float = np.nan
    quality: MatchQuality = MatchQuality()
    correction: tuple = ()

    def corrected_header(self, wcs: WCS, shape: tuple[int, int]) -> WCS:
        """A FITS WCS of the same image with the same correction.

        Parameters
        ----------
        wcs : `astropy.wcs.WCS`
        shape : (ny, nx)

        Returns
        -------
        `astropy.wcs.WCS`
        """
        plane, matrix, shift = self.correction
        corrector = make_corrector(self.name, wcs, shape, plane)
        corrector.set_correction(matrix, shift, ref_tpwcs=plane)
        return corrector.wcs


def _plane(table):
    return np.column_stack([table["TPx"], table["TPy"]]).astype(float)


class StarMatch(MatchCatalogs):
    """Matches two catalogues in the tangent plane, or says why it does not.

    Offset and rotation are found by votes, pairs by `tweakwcs.XYXYMatch`; they
    are refined with all stars and compared with chance.

    Parameters
    ----------
    options : `MatchOptions`
    pixel : float
        Side of a pixel, arcsec.

    Attributes
    ----------
    quality : `MatchQuality`
        Of the last match.
    reason : str
        Why the last match gave nothing; empty if it did.
    by_image : dict of int to (MatchQuality, str)
        The same for each image, by its number; the catalogues' ids carry it.
    """

    def __init__(self, options: MatchOptions, pixel: float) -> None:
        self.options, self.pixel = options, float(pixel)
        self.quality, self.reason = MatchQuality(), ""
        self.by_image = {}

    def __call__(self, refcat: Table, imcat: Table, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the pairs in both catalogues; empty if the match is not to be trusted."""
        reference, image = _plane(refcat), _plane(imcat)
        first, second = self._pairs(reference, image)
        self.by_image[int(imcat["id"][0]) // IDS_PER_IMAGE] = self.quality, self.reason
        if self.reason:
            none = np.zeros(0, dtype=int)
            return none, none
        return first, second

    def fit(self, reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(matrix, shift) that bring ``image`` to ``reference``, clipped."""
        geometry = self.options.fitgeometry if len(image) > 3 else "shift"
        fitted = iter_linear_fit(
            reference, image, fitgeom=geometry, nclip=self.options.nclip,
            sigma=(self.options.sigma or 1.0, "mad"), center=(0.0, 0.0),
        )  # fmt: skip
        return fitted["matrix"], fitted["shift"]

    def _pairs(self, reference, image):
        options = self.options
        self.reason, self.quality = "", MatchQuality()
        step = min(VOTE_STEP * self.pixel, options.tolerance)
        matrix, shift, n_trials = self._guess(reference, image, step)
        matrix, shift = self._matched(reference, image, matrix, shift, step)
        # the guess is good to a step, and the refinement shrinks from there
        found = refine_pairs(
            reference, image, self.fit, matrix, shift,
            min(2 * step, options.tolerance), min(LEAST_RADIUS * self.pixel, options.tolerance),
        )  # fmt: skip
        first, second, matrix, shift, radius = found
        moved = apply_affine(matrix, shift, image)
        self.quality = match_quality(reference, moved, radius, n_trials)
        if len(first) < options.minobj:
            self.reason = f"only {len(first)} stars match, {options.minobj} are needed"
        elif not self.quality.is_real:
            self.reason = (
                f"the match of {len(first)} stars may be chance: unrelated fields give "
                f"{self.quality.n_chance:.1f}"
            )
        return first, second

    def _guess(self, reference, image, step):
        options = self.options
        start = (0.0, 0.0) if options.use2dhist else (-options.xoffset, -options.yoffset)
        reach = options.searchrad if options.use2dhist else options.tolerance
        rotate = options.fitgeometry != "shift"
        return guess_transform(reference, image, reach, step, rotate, start)

    def _matched(self, reference, image, matrix, shift, step):
        """The transformation after a match by `XYXYMatch`; the guess where it finds nothing."""
        moved = apply_affine(matrix, shift, image)
        match = XYXYMatch(
            searchrad=self.options.searchrad,
            separation=self.options.separation,
            tolerance=min(self.options.tolerance, 2 * step),
            use2dhist=False,
        )
        tables = [Table(dict(zip(("TPx", "TPy"), xy.T, strict=True))) for xy in (reference, moved)]
        try:
            first, second = match(*tables)
        except MatchSourceConfusionError:
            return matrix, shift
        if len(first) < max(3, self.options.minobj // 3):
            return matrix, shift
        return self.fit(reference[first], image[second])


def common_plane(images: Sequence[AlignImage]) -> FITSWCSCorrector:
    """The tangent plane at the middle of the images: x east, y north, arcsec.

    Parameters
    ----------
    images : sequence of `AlignImage`

    Returns
    -------
    `tweakwcs.FITSWCSCorrector`
        Its pixels are arcsec.
    """
    vectors = []
    for image in images:
        ny, nx = image.shape
        lon, lat = np.radians(_sky(image.wcs, (nx - 1) / 2, (ny - 1) / 2))
        vectors.append([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    x, y, z = np.mean(vectors, axis=0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = np.degrees([np.arctan2(y, x) % (2 * np.pi), np.arctan2(z, np.hypot(x, y))])
    wcs.wcs.cdelt = [1 / 3600, 1 / 3600]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.pixel_shape = (2, 2)
    wcs.wcs.set()
    return FITSWCSCorrector(wcs)


def _sky(wcs, x, y):
    """(lon, lat) in degrees of pixels."""
    if hasattr(wcs, "available_frames"):
        return np.array(wcs(x, y, with_bounding_box=False), dtype=float)
    return np.array(wcs.all_pix2world(x, y, 0), dtype=float)


def pixel_side(wcs: Any, shape: tuple[int, int]) -> float:
    """Side of a pixel at the middle of the image, arcsec."""
    ny, nx = shape
    x, y = (nx - 1) / 2 + np.array([0.0, 1, 0]), (ny - 1) / 2 + np.array([0.0, 0, 1])
    lon, lat = np.radians(_sky(wcs, x, y))
    east, north = (lon[1:] - lon[0]) * np.cos(lat[0]), lat[1:] - lat[0]
    return float(np.degrees(np.sqrt(abs(east[0] * north[1] - east[1] * north[0]))) * 3600)


def _correctors(images, plane, group=None):
    correctors = []
    for number, image in enumerate(images):
        corrector = make_corrector(image.name, image.wcs, image.shape, plane, image.wcsinfo)
        side = pixel_side(image.wcs, image.shape)
        catalog = Table(
            {
                "id": number * IDS_PER_IMAGE + np.arange(len(image.stars)),
                "x": image.stars.x,
                "y": image.stars.y,
                # per arcsec^2, so that catalogues of different pixels go together
                "weight": 1 / (image.stars.error * side) ** 2,
            }
        )
        catalog.meta["name"] = image.name
        corrector.meta.update(catalog=catalog)
        if group is not None:
            corrector.meta["group_id"] = group
        correctors.append(corrector)
    return correctors


def _align(correctors, plane, options, match, **kwargs):
    with _said_once():
        align_wcs(
            correctors,
            ref_tpwcs=plane,
            minobj=options.minobj,
            match=match,
            fitgeom=options.fitgeometry,
            nclip=options.nclip if options.sigma else 0,
            sigma=(options.sigma or 1.0, "rmse"),
            **kwargs,
        )


@contextmanager
def _said_once():
    """Keep the warnings of tweakwcs off the terminal: `Alignment.reason` has them."""
    handler, logger = logging.NullHandler(), logging.getLogger("tweakwcs")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def align_images(
    images: Sequence[AlignImage],
    options: MatchOptions,
    enforce_user_order: bool = False,
    expand_refcat: bool = False,
) -> list[Alignment]:
    """Align images with one another.

    Parameters
    ----------
    images : sequence of `AlignImage`
    options : `MatchOptions`
    enforce_user_order : bool, optional
        The first image is the reference and the others follow in their order.
        Otherwise, with ``expand_refcat``, the two images that overlap most
        come first, then each time the one that overlaps most with what is there.
    expand_refcat : bool, optional
        Stars of each aligned image that the reference catalogue lacks are added to it.

    Returns
    -------
    list of `Alignment`
        In the order of ``images``.
    """
    results = {im.name: _failed(im, "no stars found") for im in images if not len(im.stars)}
    with_stars = [image for image in images if len(image.stars)]
    if len(with_stars) < 2:
        for image in with_stars:
            results[image.name] = _failed(image, "there is no other image with stars")
        return [results[image.name] for image in images]
    plane = common_plane(with_stars)
    match = StarMatch(options, np.median([pixel_side(im.wcs, im.shape) for im in with_stars]))
    correctors = _correctors(with_stars, plane)
    try:
        _align(
            correctors, plane, options, match,
            enforce_user_order=enforce_user_order, expand_refcat=expand_refcat,
        )  # fmt: skip
    except NotEnoughCatalogs as error:
        return [_failed(image, str(error)) for image in images]
    for number, image in enumerate(with_stars):
        results[image.name] = _outcome(image, correctors[number], match.by_image.get(number), plane)
    return [results[image.name] for image in images]


def align_to_catalog(
    images: Sequence[AlignImage], catalog: Table, options: MatchOptions
) -> list[Alignment]:
    """Bring images that are aligned with one another onto a catalogue, as one.

    Parameters
    ----------
    images : sequence of `AlignImage`
    catalog : `astropy.table.Table`
        Columns RA and DEC (degrees); ``weight`` (1 / variance, arcsec^-2) may be there.
    options : `MatchOptions`

    Returns
    -------
    list of `Alignment`
    """
    results = {im.name: _failed(im, "no stars found") for im in images if not len(im.stars)}
    with_stars = [image for image in images if len(image.stars)]
    if with_stars and len(catalog):
        plane = common_plane(with_stars)
        match = StarMatch(options, np.median([pixel_side(im.wcs, im.shape) for im in with_stars]))
        correctors = _correctors(with_stars, plane, group=1)
        near = _near(catalog, plane, with_stars, options.searchrad)
        if len(near):
            _align(correctors, plane, options, match, refcat=near)
        # the images are one group, matched as one
        found = match.quality, match.reason
        for image, corrector in zip(with_stars, correctors, strict=True):
            results[image.name] = _outcome(image, corrector, found, plane)
    for image in with_stars:
        results.setdefault(image.name, _failed(image, "the catalogue is empty"))
    return [results[image.name] for image in images]


def _near(catalog, plane, images, margin):
    """The part of a catalogue that lies about the images: a projection has no far side."""
    corners = []
    for image in images:
        ny, nx = image.shape
        x, y = np.array([0, nx - 1, 0, nx - 1]), np.array([0, 0, ny - 1, ny - 1])
        corners.append(np.column_stack(plane.world_to_tanp(*_sky(image.wcs, x, y))))
    corners = np.concatenate(corners)
    low, high = corners.min(axis=0) - 2 * margin, corners.max(axis=0) + 2 * margin
    lon, lat = np.radians(catalog["RA"]), np.radians(catalog["DEC"])
    lon_0, lat_0 = np.radians(plane.wcs.wcs.crval)
    ahead = np.sin(lat) * np.sin(lat_0) + np.cos(lat) * np.cos(lat_0) * np.cos(lon - lon_0) > 0.1
    catalog = catalog[np.asarray(ahead)]
    xy = np.column_stack(plane.world_to_tanp(catalog["RA"], catalog["DEC"]))
    return catalog[((xy > low) & (xy < high)).all(axis=1)]


def _failed(image, reason):
    return Alignment(image.name, "failed", image.wcs, reason, n_stars=len(image.stars))


def _outcome(image, corrector, found, plane):
    """The `Alignment` of what `tweakwcs` and the matcher noted."""
    info = corrector.meta.get("fit_info", {"status": "FAILED: it does not overlap the others"})
    status, n_stars = info["status"], len(image.stars)
    quality, reason = found or (MatchQuality(), "")
    if status == "REFERENCE":
        return Alignment(image.name, "reference", image.wcs, n_stars=n_stars)
    if status != "SUCCESS":
        why = reason or status.removeprefix("FAILED: ")
        return Alignment(image.name, "failed", image.wcs, why, n_stars=n_stars, quality=quality)
    ny, nx = image.shape
    centre = np.array([(nx - 1) / 2, (ny - 1) / 2])
    sky_old, sky_new = _sky(image.wcs, *centre), _sky(corrector.wcs, *centre)
    old, new = (np.ravel(plane.world_to_tanp(*sky)) for sky in (sky_old, sky_new))
    expected = np.ravel(corrector.world_to_det(*(np.atleast_1d(v) for v in sky_old)))
    return Alignment(
        image.name,
        "aligned",
        corrector.wcs,
        shift=new - old,
        pixel_shift=expected - centre,
        rotation=float(np.degrees(rotation_of(info["matrix"]))),
        scale=float(info["<scale>"]),
        n_stars=n_stars,
        n_matches=int(np.count_nonzero(info["fitmask"])),
        rms=_axis_rms(info),
        quality=quality,
        correction=(plane, info["matrix"], info["shift"]),
    )


def _axis_rms(info):
    """tweakwcs' rmse is weighted and over both axes together."""
    return float(info["rmse"] / np.sqrt(2))


def rotation_of(matrix: np.ndarray) -> float:
    """Angle of a 2 x 2 matrix without its scale, radians counter-clockwise."""
    return np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])
