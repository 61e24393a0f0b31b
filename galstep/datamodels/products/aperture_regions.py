"""Region files of the apertures, for ds9."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.safe_name import safe_name
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, StarList

if TYPE_CHECKING:
    from pathlib import Path

    from galstep.datamodels import GalaxyModel

__all__ = ["write_aperture_regions"]

log = logging.getLogger(__name__)

#: Of Okabe & Ito, told apart by the colour-blind too.
COLOURS = {
    "petrosian": "#56b4e9",
    "kron": "#0072b2",
    "ellipse": "#cc79a7",
    "circle": "#f0e442",
    "companion": "#e69f00",
    "knot": "#009e73",
}
_NO_BRACES = str.maketrans("{}\n", "() ")


def write_aperture_regions(model: GalaxyModel, folder: Path, name: str) -> list[str]:
    """The apertures of all filters as ds9 regions, one file per pixel grid.

    Regions are on the sky where the filter has a WCS, else in the pixels of the input
    frame, and have the tags ``petrosian``, ``kron``, ``ellipse``, ``circle``,
    ``companion`` or ``knot``, and the filters'. The file of the first filter that was
    measured is ``<name>_aper.reg``; filters on other pixels have
    ``<name>_<filter>_aper.reg`` with the first one's name. Equal apertures are one
    region; curves of growth are left out. Companions are ellipses of 2 r_eff and knots
    points, in colours of their own.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    folder : `pathlib.Path`
        Where the files go; it must exist.
    name : str
        What their names begin with.

    Returns
    -------
    list of str
        The files written: none if no aperture was measured or the package
        ``regions`` is not installed, which is said.
    """
    grids = _grids(model)
    if not grids:
        log.info("%s: no aperture was measured, so no region file is written", model.meta.name)
        return []
    names = [f"{name}_aper.reg", *(f"{name}_{safe_name(b[0].name)}_aper.reg" for b in grids[1:])]
    try:
        from regions import Regions
    except ImportError:
        log.info("the package 'regions' is not installed, so %s is not written", ", ".join(names))
        return []
    written = []
    for bands, file in zip(grids, names, strict=True):
        drawn = [*_ellipses(bands), *_companions(bands[0]), *_knots(bands[0])]
        text = Regions(drawn).serialize(format="ds9")
        with replacing(folder / file) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(str(folder / file))
    return written


def _grids(model):
    """The filters with an aperture, those on the same pixels together."""
    grids = {}
    for band in model.bands.values():
        if band.aperture is not None:
            pixel_map = PixelMap() if band.fit is None else band.fit.pixel_map
            # each filter's map was found from its own WCS
            same = tuple(np.round(pixel_map.matrix, 6).ravel())
            grids.setdefault(same, []).append(band)
    return list(grids.values())


def _ellipses(bands):
    """Each distinct aperture once, with the names of its filters."""
    filters_of = {}
    for band in bands:
        for measured in (band.aperture, *band.aperture.others):
            if measured.kind != "growth":
                where = (measured.kind, measured.aperture, band.origin)
                filters_of.setdefault(where, []).append(band)
    return [
        _ellipse(kind, aperture, own[0], [band.name for band in own])
        for (kind, aperture, _), own in filters_of.items()
    ]


def _companions(band):
    """The other galaxies as this filter has them, ellipses of 2 r_eff."""
    regions = []
    for fit in band.fit.companions if band.fitted else ():
        p, a = fit.params, 2 * fit.params.r_eff
        ellipse = Aperture(p.x_0, p.y_0, a, a * (1 - p.ellip), p.theta)
        regions.append(_ellipse("companion", ellipse, band, [str(fit.galaxy_id)]))
    return regions


def _knots(band):
    """Points where this filter has knots."""
    from regions import PixCoord, PointPixelRegion

    knots = band.fit.knots if band.fitted else StarList.empty()
    return [
        _placed(PointPixelRegion(PixCoord(float(x), float(y))), band, "knot", [str(number)])
        for number, x, y in zip(knots.star_id, knots.x, knots.y, strict=True)
        if np.isfinite(x) and np.isfinite(y)
    ]


def _ellipse(kind, aperture, band, words):
    from astropy import units as u
    from regions import EllipsePixelRegion, PixCoord

    ellipse = EllipsePixelRegion(
        PixCoord(aperture.x, aperture.y),
        width=2 * aperture.a,
        height=2 * aperture.b,
        angle=aperture.theta * u.rad,
    )
    return _placed(ellipse, band, kind, words)


def _placed(region, band, kind, words):
    """A region of the crop's pixels on the sky, or in the pixels of the input frame.

    ds9's offset of 1 is the writer's.
    """
    from regions import PixCoord, RegionMeta, RegionVisual

    # a brace would end the text
    words = [str(word).translate(_NO_BRACES) for word in words]
    colour = COLOURS[kind]
    meta = RegionMeta({"text": " ".join([kind, *words]), "tag": [kind, *words]})
    visual = {"edgecolor": colour, "facecolor": colour}
    if kind == "knot":
        visual["marker"] = "D"
    if band.wcs is None:
        centre = PixCoord(region.center.x + band.origin[0], region.center.y + band.origin[1])
        return region.copy(center=centre, meta=meta, visual=RegionVisual(visual))
    placed = region.to_sky(band.wcs)
    placed.meta, placed.visual = meta, RegionVisual(visual)
    return placed
