"""Alignment of images by their stars: matching and fitting with `tweakwcs`.

Everything happens in one tangent plane for all images, x to the east and y to
the north, in arcsec. `tweakwcs` orders the images, fits the transformation and
corrects the WCS. The matcher that it is given (`StarMatch`) adds what a match
needs before it is believed: see `galstep.core.align.match`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from tweakwcs import FITSWCSCorrector, align_wcs

from galstep.core.align.alignment import AlignImage, Alignment
from galstep.core.align.match import MatchQuality
from galstep.core.align.options import MatchOptions
from galstep.core.align.sky import pixel_of, pixel_side, sky_of
from galstep.core.align.star_match import IDS_PER_IMAGE, StarMatch
from galstep.core.align.tangent_plane import make_corrector

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AlignImage",
    "Alignment",
    "MatchOptions",
    "StarMatch",
    "align_images",
    "align_sets_to_catalog",
    "align_to_catalog",
    "common_plane",
    "groups_of",
    "pixel_side",
    "rotation_of",
]


def groups_of(images: Sequence[AlignImage]) -> list[list[int]]:
    """Which images move together.

    Parameters
    ----------
    images : sequence of `AlignImage`

    Returns
    -------
    list of lists of int
        Numbers of the images of each group, in the order of the images.
    """
    groups: dict[object, list[int]] = {}
    for number, image in enumerate(images):
        own = (number,) if image.group is None else image.group
        groups.setdefault(own, []).append(number)
    return list(groups.values())


def common_plane(images: Sequence[AlignImage]) -> FITSWCSCorrector:
    """The tangent plane at the middle of the images: x east, y north, arcsec.

    Parameters
    ----------
    images : sequence of `AlignImage`

    Returns
    -------
    `tweakwcs.FITSWCSCorrector`
        Its pixels are arcsec, its sky is ICRS.
    """
    vectors = []
    for image in images:
        ny, nx = image.shape
        lon, lat = np.radians(sky_of(image.wcs, (nx - 1) / 2, (ny - 1) / 2))
        vectors.append([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    x, y, z = np.mean(vectors, axis=0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = np.degrees([np.arctan2(y, x) % (2 * np.pi), np.arctan2(z, np.hypot(x, y))])
    # the default is another one at the pole itself, where the axes would turn about
    wcs.wcs.lonpole = 180.0
    wcs.wcs.cdelt = [1 / 3600, 1 / 3600]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.pixel_shape = (2, 2)
    wcs.wcs.set()
    return FITSWCSCorrector(wcs)


def _correctors(images, plane):
    """The corrector of every image, with its stars if it has any."""
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
        correctors.append(corrector)
    return correctors


def _align(images, correctors, groups, plane, options, **kwargs):
    """Have `tweakwcs` align the groups; what the matcher found for each of them."""
    match = StarMatch(options, np.median([pixel_side(im.wcs, im.shape) for im in images]))
    with_stars = []
    for group, members in enumerate(groups):
        for number in members:
            correctors[number].meta["group_id"] = group
            # it mixes up the chips behind one without stars, which is carried along below
            if len(images[number].stars):
                with_stars.append(correctors[number])
    with _said_once():
        align_wcs(
            with_stars,
            ref_tpwcs=plane,
            minobj=options.minobj,
            match=match,
            fitgeom=options.fitgeometry,
            nclip=options.nclip if options.sigma else 0,
            sigma=(options.sigma or 1.0, "rmse"),
            **kwargs,
        )
    _carry_along(images, correctors, groups, plane)
    first = {group: _with_stars(images, members)[0] for group, members in enumerate(groups)}
    return {group: match.by_image.get(number) for group, number in first.items()}


def _with_stars(images, members):
    return [number for number in members if len(images[number].stars)]


def _carry_along(images, correctors, groups, plane):
    """Give the chips without stars the correction of their group."""
    for members in groups:
        info = correctors[_with_stars(images, members)[0]].meta.get("fit_info")
        for number in members:
            if len(images[number].stars) or info is None:
                continue
            if info["status"] == "SUCCESS":
                correctors[number].set_correction(info["matrix"], info["shift"], ref_tpwcs=plane)
            correctors[number].meta["fit_info"] = info


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
    """Align images, or groups of them, with one another.

    Parameters
    ----------
    images : sequence of `AlignImage`
    options : `MatchOptions`
    enforce_user_order : bool, optional
        The first group with stars is the reference and the others follow in
        their order. Otherwise, with ``expand_refcat``, the two groups that
        overlap most come first, then each time the one that overlaps most with
        what is there.
    expand_refcat : bool, optional
        Stars of each aligned group that the reference catalogue lacks are added to it.

    Returns
    -------
    list of `Alignment`
        In the order of ``images``.
    """
    groups = groups_of(images)
    if len(groups) < 2:
        reason = "there is no other group of images: at least two exposures are needed"
        return [_failed(image, reason) for image in images]
    usable = [members for members in groups if _with_stars(images, members)]
    results = [_failed(image, "no stars found") for image in images]
    if len(usable) < 2:
        for number in [*chain(*usable)]:
            results[number] = _failed(images[number], "there is no other image with stars")
        return results
    plane = common_plane([images[number] for number in [*chain(*usable)]])
    correctors = _correctors(images, plane)
    found = _align(
        images, correctors, usable, plane, options,
        enforce_user_order=enforce_user_order, expand_refcat=expand_refcat,
    )  # fmt: skip
    _note(results, images, correctors, usable, found, plane)
    return results


def _note(results, images, correctors, groups, found, plane):
    for group, members in enumerate(groups):
        used = _used(images, correctors, members)
        for number in members:
            results[number] = _outcome(
                images[number], correctors[number], found[group], plane, used.get(number, 0)
            )


def align_to_catalog(
    images: Sequence[AlignImage], catalog: Table, options: MatchOptions
) -> list[Alignment]:
    """Bring images that are aligned with one another onto a catalogue, as one.

    Parameters
    ----------
    images : sequence of `AlignImage`
        Their groups do not matter here.
    catalog : `astropy.table.Table`
        Columns RA and DEC (ICRS, degrees); ``weight`` (1 / variance,
        arcsec^-2) may be there.
    options : `MatchOptions`

    Returns
    -------
    list of `Alignment`
    """
    together = list(range(len(images)))
    results = [_failed(image, "no stars found") for image in images]
    if not _with_stars(images, together):
        return results
    plane = common_plane(images)
    correctors = _correctors(images, plane)
    near = _near(catalog, plane, images, options.searchrad)
    if not len(near):
        what = "does not reach the image" if len(catalog) else "is empty"
        return [_failed(image, f"the catalogue {what}") for image in images]
    found = _align(images, correctors, [together], plane, options, refcat=near)
    _note(results, images, correctors, [together], found, plane)
    return results


def align_sets_to_catalog(
    images: Sequence[AlignImage],
    relative: Sequence[Alignment | None],
    catalog: Table,
    options: MatchOptions,
) -> list[Alignment]:
    """Bring images onto a catalogue: as one those that are aligned, each other group by itself.

    Parameters
    ----------
    images : sequence of `AlignImage`
        As they came.
    relative : sequence of `Alignment` or None
        What `align_images` made of them; None where it was not tried.
    catalog, options
        As for `align_to_catalog`.

    Returns
    -------
    list of `Alignment`
    """
    moved = [
        image if found is None else replace(image, wcs=found.wcs)
        for image, found in zip(images, relative, strict=True)
    ]
    together = [
        number
        for number, found in enumerate(relative)
        if found is not None and found.status != "failed"
    ]
    alone = [members for members in groups_of(images) if not set(members) & set(together)]
    results: dict[int, Alignment] = {}
    for members in [together, *alone] if together else alone:
        found = align_to_catalog([moved[number] for number in members], catalog, options)
        results.update(zip(members, found, strict=True))
    return [results[number] for number in range(len(images))]


def _near(catalog, plane, images, margin):
    """The part of a catalogue that lies about the images: a projection has no far side."""
    corners = []
    for image in images:
        ny, nx = image.shape
        x, y = np.array([0, nx - 1, 0, nx - 1]), np.array([0, 0, ny - 1, ny - 1])
        corners.append(np.column_stack(plane.world_to_tanp(*sky_of(image.wcs, x, y))))
    corners = np.concatenate(corners)
    low, high = corners.min(axis=0) - 2 * margin, corners.max(axis=0) + 2 * margin
    lon, lat = np.radians(catalog["RA"]), np.radians(catalog["DEC"])
    lon_0, lat_0 = np.radians(plane.wcs.wcs.crval)
    ahead = np.sin(lat) * np.sin(lat_0) + np.cos(lat) * np.cos(lat_0) * np.cos(lon - lon_0) > 0.1
    catalog = catalog[np.asarray(ahead)]
    if not len(catalog):
        return catalog
    xy = np.column_stack(plane.world_to_tanp(catalog["RA"], catalog["DEC"]))
    return catalog[((xy > low) & (xy < high)).all(axis=1)]


def _failed(image, reason):
    return Alignment(image.name, "failed", image.wcs, reason, n_stars=len(image.stars))


def _used(images, correctors, members):
    """How many stars of each image of a group the fit used, by number of the image."""
    members = _with_stars(images, members)
    info = correctors[members[0]].meta.get("fit_info", {})
    if "matched_input_idx" not in info:
        return {}
    # tweakwcs numbers the stars of a group through, in the order of its images
    ends = np.cumsum([len(images[number].stars) for number in members])
    rows = np.asarray(info["matched_input_idx"])[np.asarray(info["fitmask"], dtype=bool)]
    counts = np.bincount(np.searchsorted(ends, rows, side="right"), minlength=len(members))
    return dict(zip(members, counts.tolist(), strict=True))


def _outcome(image, corrector, found, plane, n_matches):
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
    sky_old, sky_new = sky_of(image.wcs, *centre), sky_of(corrector.wcs, *centre)
    old, new = (np.ravel(plane.world_to_tanp(*sky)) for sky in (sky_old, sky_new))
    return Alignment(
        image.name,
        "aligned",
        corrector.wcs,
        shift=new - old,
        pixel_shift=pixel_of(corrector.wcs, *sky_old, tuple(centre)) - centre,
        rotation=float(np.degrees(rotation_of(info["matrix"]))),
        scale=float(info["<scale>"]),
        n_stars=n_stars,
        n_matches=n_matches,
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
