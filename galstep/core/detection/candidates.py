"""Which peaks of a residual may be new stars, beyond their height alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.detect import PADDING, Candidates, apart_from
from galstep.core.detection.detection_background import annulus_levels
from galstep.core.imaging.matched_filter import parabola_offset
from galstep.core.imaging.neighbours import distances
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from galstep.core.detection.detection_background import DetectionBackground
    from galstep.core.detection.finder import Look

__all__ = ["leftover_peaks", "near_centres", "near_places", "standing_out"]


def near_centres(
    shapes: np.ndarray, x: np.ndarray, y: np.ndarray, in_r_eff: float, reach: float
) -> np.ndarray:
    """Whether places are within so many r_eff, and within ``reach``, of a galaxy's centre.

    Parameters
    ----------
    shapes : (ng, 6) array
        Shape vectors, in the scene's frame.
    x, y : (n,) arrays
    in_r_eff : float
    reach : float
        Pixels of the scene.

    Returns
    -------
    (n,) bool array
    """
    inside = np.zeros(len(x), dtype=bool)
    for shape in shapes:
        radius = min(in_r_eff * np.exp(shape[2]), reach)
        inside |= np.hypot(x - shape[0], y - shape[1]) < radius
    return inside


def near_places(
    x: np.ndarray, y: np.ndarray, known_x: np.ndarray, known_y: np.ndarray, reach: float
) -> np.ndarray:
    """Which places are closer than ``reach`` to any of the known ones; (n,) bool array."""
    return distances(x, y, known_x, known_y)[0] < reach


def standing_out(look: Look, found: Candidates, background: DetectionBackground) -> Candidates:
    """Candidates with the light of their surroundings taken off.

    Under a matched filter a constant c per pixel looks like a star of flux
    c / sum of P^2.

    Parameters
    ----------
    look : `galstep.core.detection.finder.Look`
    found : `galstep.core.detection.detect.Candidates`
    background : `galstep.core.detection.detection_background.DetectionBackground`

    Returns
    -------
    Candidates
        The same places, with lower or higher flux and significance.

    Raises
    ------
    ParameterError
        If there is more than one band.
    """
    if len(look.bands) != 1:
        raise ParameterError(
            f"localbkg_bounds_in_psfsigma works on one band, got {len(look.bands)} bands"
        )
    (band,), (image,) = look.bands, look.images
    x, y = band.to_pixels(found.x, found.y, look.shift[0])
    levels = annulus_levels(band, image, x, y, background)
    flux = found.flux - levels * band.star_renderer.psf.noise_area
    before = np.where(found.flux[0] == 0, np.inf, found.flux[0])
    return Candidates(found.x, found.y, flux, found.significance * flux[0] / before)


def leftover_peaks(look: Look, threshold: float, separation: float, box_size: int) -> Candidates:
    """Peaks of the matched-filter map, by `photutils.detection.find_peaks`.

    Parameters
    ----------
    look : `galstep.core.detection.finder.Look`
    threshold : float
        In units of the map's scatter.
    separation : float
        From known stars and from each other, pixels of the scene.
    box_size : int
        Side of the square in which a peak is the highest pixel.

    Returns
    -------
    Candidates
        By falling significance, positions by a parabola through the pixels
        beside the peak.
    """
    from photutils.detection import find_peaks as highest_in_box
    from photutils.utils.exceptions import NoDetectionsWarning

    m = look.map_.combined
    edge = np.ones(m.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    with warnings.catch_warnings():
        # to find nothing is how the search ends
        warnings.simplefilter("ignore", NoDetectionsWarning)
        table = highest_in_box(m, threshold, box_size=box_size, mask=edge | ~look.map_.covered)
    if table is None:
        nothing = np.zeros(0)
        return Candidates(nothing, nothing, np.zeros((len(look.bands), 0)), nothing)
    ix, iy = np.array(table["x_peak"]), np.array(table["y_peak"])
    x = ix + parabola_offset(m[iy, ix - 1], m[iy, ix], m[iy, ix + 1]) - PADDING
    y = iy + parabola_offset(m[iy - 1, ix], m[iy, ix], m[iy + 1, ix]) - PADDING
    found = Candidates(x, y, look.map_.flux[:, iy, ix], m[iy, ix])
    return apart_from(found, look.x, look.y, separation)
