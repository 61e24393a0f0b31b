"""Other galaxies that the user knows of: positions, or a region file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from galstep.datamodels.catalogs.region_files import read_regions
from galstep.exceptions import InputError, ParameterError
from galstep.records import SersicParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels import BandData

__all__ = ["COMPANION_SPEC", "given_companions"]

COMPANION_SPEC = """
    companions = force_list(default=None)       # Other galaxies to be fitted as such: positions 'x y; x y' (pixels of the input frame, from 0) or 'ra dec' with units ('150.1d 2.2d'), or a ds9 region file of points, circles and ellipses
    find_companions = boolean(default=True)     # Look for other galaxies where stars clump, and fit them as galaxies
"""

# Where a position says nothing of the size.
START_R_EFF, START_N = 5.0, 1.0

log = logging.getLogger("stpipe.galstep.companions")


def given_companions(given: Sequence[Any] | None, band: BandData) -> tuple[SersicParams, ...]:
    """The galaxies that a step's ``companions`` asks for.

    Parameters
    ----------
    given : sequence or None
        Strings as in `COMPANION_SPEC`, pairs of numbers, or names of region files.
    band : `galstep.datamodels.BandData`
        The base filter.

    Returns
    -------
    tuple of `galstep.records.SersicParams`
        Where they start, in the pixels of the band's array: round with r_eff 5 pixels
        where only a position is given. One on the input frame beyond the crop is left
        out, which is said.

    Raises
    ------
    ParameterError
        If a position cannot be read, or a region has another shape.
    InputError
        If a position is off the frame, a sky position has no WCS, or a file is not there.
    """
    found = []
    for entry in _entries(given):
        if isinstance(entry, str) and _is_file(entry):
            found += _of_regions(Path(entry), band)
        else:
            found.append(_of_position(entry, band))
    return tuple(params for params in found if _in_crop(params, band))


def _entries(given):
    """Each position, and each name of a file; of one pair of bare numbers one position."""
    if given is None:
        return []
    given = list(given) if isinstance(given, list | tuple | np.ndarray) else [given]
    if len(given) == 2 and all(np.isscalar(v) and not isinstance(v, str) for v in given):
        given = [given]
    entries = []
    for one in given:
        if isinstance(one, str):
            entries += [part.strip() for part in one.split(";") if part.strip()]
        else:
            entries.append(one)
    return entries


def _is_file(text):
    return text.lower().endswith(".reg") or Path(text).is_file()


def _of_position(entry, band):
    """One position: two numbers are pixels of the input frame, all else is on the sky."""
    parts = entry.replace(",", " ").split() if isinstance(entry, str) else list(np.ravel(entry))
    try:
        x, y = (float(part) for part in parts)
    except (TypeError, ValueError):
        x, y = _of_sky(entry, band)
    else:
        x, y = x - band.origin[0], y - band.origin[1]
    return _at(x, y, band, entry)


def _of_sky(entry, band):
    try:
        place = SkyCoord(entry)
        ra, dec = place.icrs.ra.deg, place.icrs.dec.deg
    except (TypeError, ValueError, AttributeError) as error:
        raise ParameterError(
            "companions must be positions 'x y' (pixels), 'ra dec' with units, "
            f"or a ds9 region file, got {entry!r}"
        ) from error
    x, y = band.pixels_of_sky(np.atleast_1d(ra), np.atleast_1d(dec))
    if len(x) != 1:
        raise ParameterError(f"companions: each must be one position, got {entry!r}")
    return float(x[0]), float(y[0])


def _at(x, y, band, entry, r_eff=START_R_EFF, ellip=0.0, theta=0.0):
    """The start of a companion, if it is on the input frame."""
    ny, nx = band.input_shape or band.shape
    px, py = x + band.origin[0], y + band.origin[1]
    if not (-0.5 <= px < nx - 0.5 and -0.5 <= py < ny - 0.5):
        raise InputError(
            f"companions must lie on the frame of {nx} x {ny} pixels, got {entry} "
            f"at x = {px:.1f}, y = {py:.1f}"
        )
    return SersicParams(float(x), float(y), float(r_eff), START_N, float(ellip), float(theta))


def _in_crop(params, band):
    ny, nx = band.shape
    if -0.5 <= params.x_0 < nx - 0.5 and -0.5 <= params.y_0 < ny - 0.5:
        return True
    x, y = params.x_0 + band.origin[0], params.y_0 + band.origin[1]
    log.warning("companion at x = %.1f, y = %.1f is beyond the crop and is left out", x, y)
    return False


def _of_regions(path, band):
    """The companions of a ds9 region file."""
    regions = read_regions(path, "companions")
    return [_of_region(region, path, band) for region in regions]


def _of_region(region, path, band):
    """A circle's radius and an ellipse's semi-major axis are where r_eff starts."""
    on_sky = hasattr(region, "to_pixel")
    if on_sky and band.wcs is None:
        raise InputError(f"companions: {path} is on the sky, and the image has no WCS")
    own = region.to_pixel(band.wcs) if on_sky else region
    kind = type(own).__name__
    shape = {}
    if kind == "CirclePixelRegion":
        shape = dict(r_eff=own.radius)
    elif kind == "EllipsePixelRegion":
        shape = _ellipse(own)
    elif kind != "PointPixelRegion":
        raise ParameterError(
            f"companions: regions must be points, circles or ellipses, got {kind} in {path}"
        )
    x, y = own.center.x, own.center.y
    if not on_sky:  # image coordinates are those of the input frame
        x, y = x - band.origin[0], y - band.origin[1]
    return _at(x, y, band, f"a region of {path.name}", **shape)


def _ellipse(region):
    """r_eff, ellipticity and angle of the major axis, whichever of the two it is."""
    a, b = region.width / 2, region.height / 2
    theta = region.angle.to_value(u.rad)
    if b > a:
        a, b, theta = b, a, theta + np.pi / 2
    return dict(r_eff=a, ellip=1 - b / a, theta=theta % np.pi)
