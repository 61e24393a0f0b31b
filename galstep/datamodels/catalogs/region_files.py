"""ds9 region files: positions, and what is to be masked.

Read by the package ``regions`` (any sky frame of ds9, and ``image`` coordinates, which
count from 1 in the file and from 0 here).
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table

    from galstep.datamodels.model.band import BandData
    from galstep.hints import PathLike

__all__ = ["is_region_file", "read_regions", "region_mask", "region_place", "region_table"]

log = logging.getLogger(__name__)

# half a million regions
_MOST_BYTES = 48 * 2**20


def is_region_file(path: PathLike) -> bool:
    """Whether a file is one of regions, by its name: ``.reg``."""
    return str(path).lower().endswith(".reg")


def read_regions(path: PathLike, what: str = "regions") -> list[Any]:
    """The regions of a ds9 file.

    Parameters
    ----------
    path : path-like
    what : str, optional
        What messages call it.

    Returns
    -------
    list of regions.Region
        At least one.

    Raises
    ------
    InputError
        If the file cannot be read, holds none, or the package is not installed.
    """
    where = f"{what} {path}"
    try:
        from regions import Regions
    except ImportError as error:
        raise InputError(
            f"{where}: reading it needs the package regions: pip install 'galstep[regions]'"
        ) from error
    check_table_file(path, what, _MOST_BYTES)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = list(Regions.parse(Path(path).read_text(encoding="utf-8"), format="ds9"))
    except (ValueError, TypeError, KeyError, IndexError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{where}: cannot be read as ds9 regions ({first})") from error
    for warning in said:
        log.warning("%s: %s", where, str(warning.message).splitlines()[0])
    if not found:
        raise InputError(f"{where}: there is no region in it")
    return found


def _is_sky(region):
    from regions import SkyRegion

    return isinstance(region, SkyRegion)


def _centre(region):
    """SkyCoord or PixCoord; None where a region has no centre."""
    centre = getattr(region, "center", None)
    if centre is None and getattr(region, "vertices", None) is not None:
        corners = region.vertices
        if _is_sky(region):
            from astropy.coordinates import SkyCoord

            mean = corners.icrs.cartesian.mean()
            return SkyCoord(mean, frame="icrs", representation_type="cartesian")
        return type(corners)(np.mean(corners.x), np.mean(corners.y))
    return centre


def _degrees(centre):
    from astropy.coordinates import UnitSphericalRepresentation

    icrs = centre.icrs.represent_as(UnitSphericalRepresentation)
    return float(icrs.lon.deg), float(icrs.lat.deg)


def region_table(path: PathLike, what: str = "regions") -> Table:
    """The centres of regions as a catalogue.

    Parameters
    ----------
    path : path-like
    what : str, optional

    Returns
    -------
    astropy.table.Table
        ``ra``, ``dec`` (degrees, ICRS), or ``x``, ``y`` (0-based pixels), and ``id``,
        the text beside the region or its number from 1.

    Raises
    ------
    InputError
        As `read_regions`; also if positions on the sky and pixels are mixed.
    """
    from astropy.table import Table

    found = [r for r in read_regions(path, what) if _centre(r) is not None and _included(r)]
    if not found:
        raise InputError(f"{what} {path}: no region in it has a centre")
    on_sky = {_is_sky(region) for region in found}
    if len(on_sky) > 1:
        raise InputError(f"{what} {path}: regions must be all on the sky or all in pixels")
    names = [str(r.meta.get("text", "")).strip() or str(i + 1) for i, r in enumerate(found)]
    if len(set(names)) < len(names):
        names = [str(i + 1) for i in range(len(found))]
    centres = [_centre(region) for region in found]
    if on_sky.pop():
        first, second = np.transpose([_degrees(centre) for centre in centres])
        return Table({"id": names, "ra": first, "dec": second})
    return Table(
        {"id": names, "x": [float(c.x) for c in centres], "y": [float(c.y) for c in centres]}
    )


def region_place(path: PathLike, what: str = "galaxy_region") -> dict[str, float]:
    """Where the one region of a file is.

    Parameters
    ----------
    path : path-like
    what : str, optional

    Returns
    -------
    dict of str to float
        ``ra`` and ``dec`` (degrees, ICRS), or ``x_guess`` and ``y_guess`` (0-based pixels).

    Raises
    ------
    InputError
        As `region_table`; also if there are several.
    """
    table = region_table(path, what)
    if len(table) != 1:
        raise InputError(f"{what} {path}: one region is needed, it has {len(table)}")
    names = ("ra", "dec") if "ra" in table.colnames else ("x", "y")
    keys = names if names[0] == "ra" else ("x_guess", "y_guess")
    return {key: float(table[name][0]) for key, name in zip(keys, names, strict=True)}


def _included(region):
    """Whether a region is one of what is meant; ds9 writes a minus before the others."""
    return str(region.meta.get("include", True)) not in ("-", "False", "0")


def region_mask(regions: Sequence[Any], band: BandData, base: BandData) -> np.ndarray:
    """The pixels of a filter whose centres lie in regions.

    Parameters
    ----------
    regions : sequence of regions.Region
        Those that ds9 excludes (a minus before them) are taken out of those before.
        Points, lines and text hold no pixels.
    band : `galstep.datamodels.model.band.BandData`
    base : `galstep.datamodels.model.band.BandData`
        The filter whose input frame regions in pixels are meant for; they are carried
        to another by the WCS of both, and hold for it as they are where there is none.

    Returns
    -------
    (ny, nx) array of bool
        True = inside.

    Raises
    ------
    InputError
        If a region on the sky meets an image without a WCS.
    """
    from regions import PixCoord, RegionMeta

    rows, columns = np.indices(band.shape)
    pixels, mask = PixCoord(columns, rows), np.zeros(band.shape, dtype=bool)
    for region in regions:
        # a minus turns the inside of some shapes out: not of all, and not here
        own = _in_pixels(region, band, base).copy(meta=RegionMeta())
        inside = np.broadcast_to(own.contains(pixels), mask.shape)
        mask = mask | inside if _included(region) else mask & ~inside
    return mask


def _in_pixels(region, band, base):
    """A region in the pixels of the filter's array."""
    if not _is_sky(region):
        region = _moved(region, base.origin)
        if band is base or band.wcs is None or base.wcs is None:
            return _moved(region, np.subtract(band.origin, base.origin))
        region = region.to_sky(base.wcs)
    if band.wcs is None:
        raise InputError(
            f"filter {band.name!r}: regions on the sky need a WCS, and the image has none"
        )
    return region.to_pixel(band.wcs)


def _moved(region, origin):
    """A region in pixels with the origin moved."""
    from regions import PixCoord

    changes = {}
    for name in ("center", "vertices", "start", "end"):
        place = getattr(region, name, None)
        if place is not None:
            changes[name] = PixCoord(place.x - origin[0], place.y - origin[1])
    return region.copy(**changes)
