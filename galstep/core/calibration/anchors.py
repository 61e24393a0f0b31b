"""Anchors: the bright isolated stars from which a PSF kernel is measured.

An anchor needs light of its own: a bright star whose neighbours add little
to the pixels near it. Round each lies a small disc with its own constant
background; stars near a disc are fitted along with the anchor, the others
are subtracted and held. Small discs with constants, not a frame with a
smooth sky, are what keeps the wings of undetected stars out of the kernel.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.imaging.neighbours import pairs_within
from galstep.options import detail, option, options

__all__ = ["AnchorLimits", "choose_anchors", "disc_labels", "stars_near_discs"]


@options
class AnchorLimits:
    """What makes a star an anchor; distances in FWHM of the current PSF."""

    count: int = option(
        default=30,
        help="Number of the brightest isolated stars that the kernel is fitted to",
        name="kernel_anchor_K",
        least=3,
    )
    min_snr: float = detail(
        default=15.0,
        help="Least signal-to-noise ratio.",
    )
    close: float = detail(
        default=1.0,
        help="Radius of the close neighbourhood, whose other stars may together have at most "
        "``close_fraction`` of the anchor's flux.",
    )
    close_fraction: float = detail(
        default=0.15,
        help="Largest share of light in the close neighbourhood.",
    )
    wide: float = detail(
        default=1.6,
        help="The same for the wide neighbourhood and ``wide_fraction``; not below "
        "``wide_minimum`` pixels. Half of it is kept from the frame's edge.",
    )
    wide_minimum: float = detail(
        default=6.0,
        help="Least radius of the wide neighbourhood (pixels).",
    )
    wide_fraction: float = detail(
        default=0.5,
        help="Largest share of light in the wide neighbourhood.",
    )
    relaxed: tuple[float, ...] = detail(
        default=(1.0, 2.0, 4.0),
        help="Factors on both fractions, tried in turn until there are ``enough`` anchors: the "
        "neighbours are fitted along, so a crowded anchor is worse than a lone one but better "
        "than none.",
    )
    enough: int = detail(
        default=12,
        help="So many anchors are enough.",
    )


def choose_anchors(
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    snr: np.ndarray,
    allowed: np.ndarray,
    fwhm: float,
    limits: AnchorLimits = AnchorLimits(),
) -> np.ndarray:
    """Pick the brightest isolated stars.

    Parameters
    ----------
    x, y, flux, snr : ndarray
        All known stars: positions (pixels), fluxes and signal-to-noise.
    allowed : ndarray of bool, shape (ny, nx)
        Pixels on which an anchor may sit (good data outside the galaxy).
    fwhm : float
        FWHM of the current PSF, pixels.
    limits : AnchorLimits, optional
        Isolation, number and brightness.

    Returns
    -------
    ndarray of int
        Indices of the anchors, brightest first; possibly empty.
    """
    if len(x) == 0:
        return np.zeros(0, int)
    ny, nx = allowed.shape
    wide = max(limits.wide_minimum, limits.wide * fwhm)
    margin = wide / 2
    inside = (x >= margin) & (y >= margin) & (x <= nx - 1 - margin) & (y <= ny - 1 - margin)
    column = np.clip(np.rint(x), 0, nx - 1).astype(int)
    row = np.clip(np.rint(y), 0, ny - 1).astype(int)
    close_light, wide_light = _neighbour_light(x, y, flux, limits.close * fwhm, wide)
    usable = inside & allowed[row, column] & (snr >= limits.min_snr)
    for factor in limits.relaxed:
        good = usable & (close_light <= factor * limits.close_fraction * flux)
        good &= wide_light <= factor * limits.wide_fraction * flux
        if good.sum() >= limits.enough:
            break
    order = np.argsort(-flux, kind="stable")
    return order[good[order]][: limits.count]


def _neighbour_light(x, y, flux, close, wide):
    """Summed flux of the other stars within ``close`` and within ``wide``."""
    pairs = pairs_within(x, y, wide)
    first, second = pairs[:, 0], pairs[:, 1]
    near = np.hypot(x[first] - x[second], y[first] - y[second]) <= close
    light = np.maximum(flux, 0.0)
    sums = np.zeros((2, len(x)))
    for which, keep in ((0, near), (1, np.ones_like(near))):
        np.add.at(sums[which], first[keep], light[second[keep]])
        np.add.at(sums[which], second[keep], light[first[keep]])
    return sums


def disc_labels(shape: tuple[int, int], x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Number the pixels of discs; a shared pixel belongs to the nearest centre.

    Parameters
    ----------
    shape : tuple
        (ny, nx) of the image.
    x, y : ndarray
        Centres of the discs, pixels.
    radius : float
        Radius of each disc, pixels.

    Returns
    -------
    ndarray of int, shape (ny, nx)
        Index of the disc, -1 outside all of them.
    """
    ny, nx = shape
    labels = np.full(shape, -1)
    # strictly less from here on: of two discs as near the first has the pixel
    nearest = np.full(shape, np.nextafter(float(radius) ** 2, np.inf))
    reach = int(np.ceil(radius))
    for k, (x_k, y_k) in enumerate(zip(x, y, strict=True)):
        left, bottom = int(np.rint(x_k)) - reach, int(np.rint(y_k)) - reach
        rows = slice(max(bottom, 0), max(min(bottom + 2 * reach + 1, ny), 0))
        columns = slice(max(left, 0), max(min(left + 2 * reach + 1, nx), 0))
        yy, xx = np.ogrid[rows, columns]
        distance = (xx - x_k) ** 2 + (yy - y_k) ** 2
        closer = distance < nearest[rows, columns]
        nearest[rows, columns][closer] = distance[closer]
        labels[rows, columns][closer] = k
    return labels


def stars_near_discs(
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    anchors: np.ndarray,
    radius: float,
    pad: float,
    max_neighbours: int,
) -> np.ndarray:
    """Which stars are fitted together with the anchors.

    Parameters
    ----------
    x, y, flux : ndarray
        All known stars.
    anchors : ndarray of int
        Indices of the anchors.
    radius, pad : float
        Radius of the discs and how far beyond them a star still counts, pixels.
    max_neighbours : int
        At most so many neighbours per anchor, those with the most light at
        the anchor's disc first (flux over squared distance beyond the core).

    Returns
    -------
    ndarray of bool, shape (n_stars,)
        True for the anchors and their neighbours.
    """
    chosen = np.zeros(len(x), bool)
    if len(anchors) == 0:
        return chosen
    tree = cKDTree(np.column_stack([x, y]))
    around = tree.query_ball_point(np.column_stack([x[anchors], y[anchors]]), radius + pad)
    for anchor, members in zip(anchors, around, strict=True):
        members = np.array([m for m in members if m != anchor], int)
        if len(members) > max_neighbours:
            square = (x[members] - x[anchor]) ** 2 + (y[members] - y[anchor]) ** 2
            weight = flux[members] / np.maximum(square, radius**2)
            members = members[np.argsort(-weight, kind="stable")[:max_neighbours]]
        chosen[members] = True
    chosen[anchors] = True
    return chosen
