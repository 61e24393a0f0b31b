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

A pixel lies under two hats at most, so that sums over pixels are made ring by ring, of the
few waves there, and no mode is ever drawn by itself.
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
        The pixels that any mode reaches, as places in the flat image, ring by ring.
    rings : (n_hats + 2,) int array
        Where the rings between the hats' centres begin in ``places``, and the end.
    rise : (n,) array
        Value of the hat whose centre is the ring's outer edge; 1 - ``rise`` is that of the
        hat at its inner edge.
    waves : (2 MAX_ORDER + 1, n) array
        G, G cos(phi), G sin(phi), G cos(2 phi) ... there, image units.
    chosen : (n_modes,) int array
        Which products of a hat and a wave are modes, counted hat by hat.
    shape : (ny, nx)
        Of the band.
    """

    places: np.ndarray
    rings: np.ndarray
    rise: np.ndarray
    waves: np.ndarray
    chosen: np.ndarray
    shape: tuple

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def order(self) -> np.ndarray:
        """(n_modes,) m of each mode."""
        return (self.chosen % len(self.waves) + 1) // 2

    @property
    def images(self) -> np.ndarray:
        """(n_modes, n) each mode at ``places``, to look at: sums are made without them."""
        rows = [self.light(row) for row in np.eye(len(self))]
        return np.array(rows).reshape(len(self), len(self.places))

    def _rings(self):
        """Each ring's pixels, and its hats with their values: (pixels, ((hat, values), ...))."""
        n_hats = len(self.rings) - 2
        for k, (first, stop) in enumerate(zip(self.rings[:-1], self.rings[1:], strict=True)):
            own, rise = slice(first, stop), self.rise[first:stop]
            yield own, [pair for pair in ((k - 1, 1 - rise), (k, rise)) if 0 <= pair[0] < n_hats]

    def _of_hat(self, hat):
        n = len(self.waves)
        return slice(hat * n, (hat + 1) * n)

    def products(self, weight: np.ndarray) -> np.ndarray:
        """Weighted sums over pixels of all pairs of modes, (n_modes, n_modes).

        ``weight`` is (n,), in the order of ``places``.
        """
        size = (len(self.rings) - 2) * len(self.waves)
        matrix = np.zeros((size, size))
        for own, hats in self._rings():
            waves = self.waves[:, own]
            for i, (left, low) in enumerate(hats):
                for right, high in hats[i:]:
                    block = (waves * (weight[own] * low * high)) @ waves.T
                    matrix[self._of_hat(left), self._of_hat(right)] += block
                    if right != left:
                        matrix[self._of_hat(right), self._of_hat(left)] += block.T
        return matrix[np.ix_(self.chosen, self.chosen)]

    def sums(self, images: np.ndarray) -> np.ndarray:
        """Sums over pixels of each mode times some images, (n_images, n_modes).

        ``images`` are (n_images, n), in the order of ``places``.
        """
        sums = np.zeros((len(images), (len(self.rings) - 2) * len(self.waves)))
        for own, hats in self._rings():
            for hat, values in hats:
                sums[:, self._of_hat(hat)] += (images[:, own] * values) @ self.waves[:, own].T
        return sums[:, self.chosen]

    def light(self, coefficients: np.ndarray) -> np.ndarray:
        """The modes' sum with these coefficients at ``places``, (n,)."""
        every = np.zeros((len(self.rings) - 2) * len(self.waves))
        every[self.chosen] = coefficients
        light = np.zeros(len(self.places))
        for own, hats in self._rings():
            for hat, values in hats:
                light[own] += (every[self._of_hat(hat)] @ self.waves[:, own]) * values
        return light

    def image(self, coefficients: np.ndarray) -> np.ndarray:
        """The same as an image, (ny, nx)."""
        image = np.zeros(self.shape[0] * self.shape[1])
        image[self.places] = self.light(coefficients)
        return image.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class BandStructure:
    """The structure of the target in one band.

    Parameters
    ----------
    order : (n_modes,) int array
        m of each mode.
    coefficients : (n_modes,) array
    precision : (n_modes,) array
        1 / width^2 of the prior; very large where the galaxy has none.
    n_determined : float
        How many coefficients the data determine, the prior not.
    image : (ny, nx) array
        The light that they add, image units.
    information : (n_modes, n_modes) array
        What the data say of the coefficients, everything else solved for: the inverse of
        their covariance without the prior, the noise of the pixels taken as independent.
    response : (n_modes,) array
        By how much the target's flux, profiles and modes together, goes with each.
    """

    order: np.ndarray
    coefficients: np.ndarray
    precision: np.ndarray
    n_determined: float
    image: np.ndarray
    information: np.ndarray
    response: np.ndarray

    def flux_error(self, noise_corr: float = 1.0) -> float:
        """By how much the modes add to the error of the target's flux, 1 sigma in quadrature.

        Parameters
        ----------
        noise_corr : float, optional
            Error of a sum of pixels over that in independent noise: the data say so much
            less of the coefficients, and the prior bounds them then.
        """
        known = self.information / max(noise_corr, 1.0) ** 2 + np.diag(self.precision)
        variance = float(self.response @ np.linalg.solve(known, self.response))
        return float(np.sqrt(max(variance, 0.0)))


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
    nodes = np.concatenate([[0.0], radii, [last]])
    ring = np.searchsorted(nodes, radius, side="right") - 1
    places = np.flatnonzero(radius < last)
    places = places[np.argsort(ring[places], kind="stable")]
    ring = ring[places]
    rise = (radius[places] - nodes[ring]) / (nodes[ring + 1] - nodes[ring])
    own = np.maximum(light.ravel()[places], 0.0)
    phi = np.arctan2(v, u).ravel()[places]
    trigonometric = [f(m * phi) for m in range(1, MAX_ORDER + 1) for f in (np.cos, np.sin)]
    waves = np.array([own, *(own * wave for wave in trigonometric)])
    # the mean radius of an ellipse of semi-major axis r counts for the waves along it
    most = np.minimum(MAX_ORDER, (np.pi * radii * np.sqrt(q) / fwhm).astype(int))
    first = len(waves) * np.arange(len(radii))
    chosen = [np.arange(place, place + 2 * m + 1) for place, m in zip(first, most, strict=True)]
    begins = np.searchsorted(ring, np.arange(len(radii) + 2))
    return StructureModes(
        places, begins, rise, waves, np.concatenate([*chosen, []]).astype(int), light.shape
    )
