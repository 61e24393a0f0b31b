"""The linear part of a FITS WCS, fitted to where the pixels are to be on the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import WCS

from galstep.core.align.sky import celestial_frame, from_icrs, own_sky, to_icrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refitted"]

# Pixels of the grid on each axis; six numbers are fitted.
GRID = 9
# The reference point moves with the correction; each time what is left of it is squared.
ITERATIONS = 4
# Native latitude of the reference point of projections that are alike on all sides of it.
ZENITHAL = 90.0


def refitted(
    wcs: WCS,
    shape: tuple[int, int],
    moved: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> WCS:
    """A FITS WCS that sees each pixel where a correction of the sky puts it.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        Celestial; any projection, with CD, PC or CROTA, and with distortions,
        which are kept.
    shape : (ny, nx)
    moved : callable
        ``moved(ra, dec)`` gives corrected places (ICRS, degrees).

    Returns
    -------
    `astropy.wcs.WCS`
        Of a zenithal projection (TAN and its like) the reference point moves on
        the sky. Of another, where the place of its reference point matters, it
        moves in the image.

    Notes
    -----
    A least-squares fit over the image: the reference point may be far outside.
    An affine map in one tangent plane is not quite affine in another; over some
    arcminutes and shifts of arcseconds the rest is below a microarcsecond.
    """
    frame = celestial_frame(wcs)
    ny, nx = shape
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, nx - 1, GRID), np.linspace(0, ny - 1, GRID))
    )
    sky = from_icrs(frame, *moved(*to_icrs(frame, *own_sky(wcs, x, y))))
    found = wcs.deepcopy()
    zenithal = wcs.wcs.theta0 == ZENITHAL or wcs.sip is not None
    focal = np.column_stack(wcs.pix2foc(x + 1, y + 1, 1)) - wcs.wcs.crpix
    crval = np.array(wcs.wcs.crval)
    if zenithal:
        lng, lat = wcs.wcs.lng, wcs.wcs.lat
        moved_to = from_icrs(frame, *moved(*to_icrs(frame, *crval[[lng, lat], None])))
        crval[lng], crval[lat] = (v[0] for v in moved_to)
    for _ in range(ITERATIONS if zenithal else 1):
        projection = _projection(wcs, crval)
        matrix, rest = _linear(focal, _project(projection, wcs, *sky))
        if zenithal:
            crval = np.array(projection.wcs_pix2world(rest[None], 1)[0])
        else:
            found.wcs.crpix = wcs.wcs.crpix - np.linalg.solve(matrix, rest)
    # what was zero of an exact TAN stays as near to it as the last step left it
    found.wcs.crval = crval
    found.wcs.lonpole, found.wcs.latpole = wcs.wcs.lonpole, wcs.wcs.latpole
    _set_matrix(found, matrix)
    return found


def _linear(focal, plane):
    """Matrix and constant of plane = matrix @ focal + constant."""
    scale = np.abs(focal).max() or 1.0
    design = np.column_stack([focal / scale, np.ones(len(focal))])
    solution = np.linalg.lstsq(design, plane, rcond=None)[0]
    return solution[:2].T / scale, solution[2]


def _projection(wcs, crval):
    """The projection alone: its pixels are the intermediate world coordinates, degrees."""
    bare = WCS(naxis=2)
    bare.wcs.ctype = [name.removesuffix("-SIP") for name in wcs.wcs.ctype]
    bare.wcs.cunit = wcs.wcs.cunit
    bare.wcs.crval = crval
    bare.wcs.crpix = [0.0, 0.0]
    bare.wcs.cdelt = [1.0, 1.0]
    bare.wcs.lonpole, bare.wcs.latpole = wcs.wcs.lonpole, wcs.wcs.latpole
    bare.wcs.set_pv(wcs.wcs.get_pv())
    bare.wcs.set()
    return bare


def _project(projection, wcs, lon, lat):
    world = np.empty((len(lon), 2))
    world[:, wcs.wcs.lng], world[:, wcs.wcs.lat] = lon, lat
    return projection.wcs_world2pix(world, 1)


def _set_matrix(wcs, matrix):
    """Write the matrix in the convention that is there; CROTA becomes PC."""
    if wcs.wcs.has_cd():
        wcs.wcs.cd = matrix
    else:
        if wcs.wcs.has_crota():
            del wcs.wcs.crota
        wcs.wcs.pc = matrix / np.array(wcs.wcs.cdelt)[:, None]
    wcs.wcs.set()
