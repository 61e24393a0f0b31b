"""A galaxy's departures from its profiles, as linear modes on its own ellipse.

Arms, bars, rings, twists and dust lanes change the light of a galaxy by a factor that
varies smoothly along and across its isophotes:

    light = G (1 + sum_jm c_jm h_j(R) trig(m phi)),

with G the profiles' light, (R, phi) the elliptical radius and angle, h_j hat functions
of R, and m = 0 to 4. A ring is m = 0, lopsidedness m = 1, a bar, a twist or two arms
m = 2, boxiness m = 4. The modes multiply the light as the PSF leaves it, and no mode is
finer than the PSF, so that none of them can take the place of a star: the hats are at
least a FWHM apart, and a mode enters only where half its wave along the isophote is
longer than a FWHM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["MAX_ORDER", "BandStructure", "StructureModes", "structure_modes"]

MAX_ORDER = 4
# Distance of the hats' centres: in FWHM, and as a share of the radius. An arm of pitch
# 20 degrees is 0.3 of its radius from the next crest of m = 4.
SPACING_FWHM, SPACING = 1.0, 0.3
# Hats are centred on radii from so many FWHM; inside, the profile has the word.
INNER_FWHM = 1.2


@dataclass(frozen=True, eq=False)
class StructureModes:
    """The modes of a galaxy in one band.

    Parameters
    ----------
    places : (n,) int array
        The pixels, as places in the flat image, that any mode reaches.
    images : (n_modes, n) array
        G h trig there, image units.
    order : (n_modes,) int array
        m of each.
    shape : (ny, nx)
        Of the band.
    """

    places: np.ndarray
    images: np.ndarray
    order: np.ndarray
    shape: tuple

    def __len__(self) -> int:
        return len(self.order)

    def image(self, coefficients: np.ndarray) -> np.ndarray:
        """Their sum with these coefficients, (ny, nx)."""
        image = np.zeros(self.shape[0] * self.shape[1])
        image[self.places] = coefficients @ self.images
        return image.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class BandStructure:
    """The structure of the target in one band.

    Parameters
    ----------
    modes : `StructureModes`
    coefficients : (n_modes,) array
    precision : (n_modes,) array
        1 / width^2 of the prior; infinite where the galaxy has none.
    n_determined : float
        How many coefficients the data determine, the prior not.
    image : (ny, nx) array
        The light that they add, image units.
    flux_err : float
        1-sigma error of the sum of ``image``, the noise of the pixels taken as independent.
    """

    modes: StructureModes
    coefficients: np.ndarray
    precision: np.ndarray
    n_determined: float
    image: np.ndarray
    flux_err: float = 0.0


def _radii(fwhm, outer):
    """Centres of the hats."""
    radii, r = [], INNER_FWHM * fwhm
    while r < outer:
        radii.append(r)
        r += max(SPACING_FWHM * fwhm, SPACING * r)
    return np.array(radii)


def structure_modes(
    light: np.ndarray, vector: np.ndarray, fwhm: float, outer: float
) -> StructureModes:
    """The modes of a galaxy.

    Parameters
    ----------
    light : (ny, nx) array
        The galaxy's profiles with the PSF, image units.
    vector : (6,) array
        Its shape vector in the pixels of the band: centre and ellipse.
    fwhm : float
        Of the PSF (pixels).
    outer : float
        No hat is centred beyond this semi-major axis (pixels).

    Returns
    -------
    StructureModes
        Without a mode where ``outer`` is inside the first radius.
    """
    radii = _radii(fwhm, outer)
    e = min(np.hypot(vector[3], vector[4]), 0.99)
    q, theta = (1 - e) / (1 + e), 0.5 * np.arctan2(vector[4], vector[3])
    yy, xx = np.indices(light.shape)
    dx, dy = xx - vector[0], yy - vector[1]
    u = dx * np.cos(theta) + dy * np.sin(theta)
    v = (dy * np.cos(theta) - dx * np.sin(theta)) / q
    radius = np.hypot(u, v).ravel()
    last = radii[-1] + max(SPACING_FWHM * fwhm, SPACING * radii[-1]) if len(radii) else 0.0
    places = np.flatnonzero(radius < last)
    radius, phi = radius[places], np.arctan2(v, u).ravel()[places]
    own = np.maximum(light.ravel()[places], 0.0)
    nodes = np.concatenate([[0.0], radii, [last]])
    images, order = [], []
    for j, r in enumerate(radii):
        hat = own * np.interp(radius, nodes, np.eye(len(nodes))[j + 1])
        # the mean radius of an ellipse of semi-major axis r counts for the waves along it
        most = min(MAX_ORDER, int(np.pi * r * np.sqrt(q) / fwhm))
        for m in range(most + 1):
            waves = (np.cos(m * phi), np.sin(m * phi)) if m else (1.0,)
            images += [hat * wave for wave in waves]
            order += [m] * len(waves)
    return StructureModes(
        places, np.array(images).reshape(len(order), len(places)), np.array(order, int), light.shape
    )
