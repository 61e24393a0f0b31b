"""Registration of cutouts that share a pixel grid but carry no WCS.

The same stars, matched and fitted as in `galstep.core.align.images`, in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from tweakwcs.linearfit import SUPPORTED_FITGEOM_MODES, iter_linear_fit

from galstep.core.align.images import StarMatch, rotation_of
from galstep.records import Registration

if TYPE_CHECKING:
    from galstep.core.align.catalog import Positions
    from galstep.core.align.options import MatchOptions

__all__ = ["register"]


def register(
    reference: Positions,
    image: Positions,
    centre: tuple[float, float],
    pixel_scale: float,
    options: MatchOptions,
) -> Registration:
    """Where a filter lies against the base filter.

    Parameters
    ----------
    reference, image : `galstep.core.align.catalog.Positions`
        Stars of the base filter and of the other one.
    centre : (x, y)
        Where the offset is to hold, pixels.
    pixel_scale : float
        arcsec; the lengths in ``options`` are in arcsec.
    options : `galstep.core.align.MatchOptions`

    Returns
    -------
    Registration
        Aligned, or failed with a reason.
    """
    counts = f"{len(reference)} stars in the base filter, {len(image)} here"
    if min(len(reference), len(image)) < SUPPORTED_FITGEOM_MODES[options.fitgeometry]:
        return Registration("failed", n_stars=len(image), reason=f"too few stars: {counts}")
    match = StarMatch(options, pixel_scale)
    first, second = match(_table(reference, pixel_scale), _table(image, pixel_scale))
    if match.reason:
        reason = f"{match.reason} ({counts})"
        return Registration("failed", n_stars=len(image), reason=reason)
    return _fitted(reference.select(first), image.select(second), centre, options, len(image))


def _table(stars, scale):
    return Table({"id": np.arange(len(stars)), "TPx": stars.x * scale, "TPy": stars.y * scale})


def _fitted(reference, image, centre, options, n_stars):
    fit = iter_linear_fit(
        np.column_stack([reference.x, reference.y]),
        np.column_stack([image.x, image.y]),
        reference.error**-2,
        image.error**-2,
        fitgeom=options.fitgeometry,
        nclip=options.nclip if options.sigma else 0,
        sigma=(options.sigma or 1.0, "rmse"),
        center=centre,
    )
    # reference = M (image - c) + s + c, so the base's centre is here at c - M^-1 s
    offset = -np.linalg.solve(fit["matrix"], fit["shift"])
    used = fit["fitmask"]
    weight = 1 / (reference.error[used] ** 2 + image.error[used] ** 2)
    n_used = len(weight)
    freedom = max(1.0, n_used - _parameters(options.fitgeometry) / 2)
    # of a weighted mean, from the scatter that the stars really have
    squares = (weight[:, None] ** 2 * fit["resids"] ** 2).sum(axis=0)
    error = np.sqrt(squares * n_used / freedom) / weight.sum()
    return Registration(
        "aligned",
        offset=tuple(float(v) for v in offset),
        offset_err=tuple(float(v) for v in error),
        rotation=float(-rotation_of(fit["matrix"])),
        scale=float(1 / np.sqrt(abs(np.linalg.det(fit["matrix"])))),
        n_stars=n_stars,
        n_matches=n_used,
        rms=float(fit["rmse"] / np.sqrt(2)),
    )


def _parameters(geometry):
    return {"shift": 2, "rshift": 3, "rscale": 4, "general": 6}[geometry]
