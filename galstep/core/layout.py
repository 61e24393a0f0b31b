"""Where each parameter of a scene stands in its normal equations.

The parameters are split in two. The *border* holds those that touch every
pixel: galaxy shapes, registration, galaxy fluxes and sky of each band. The
*stars* hold, star by star, the fluxes in all bands and then x and y: a star
meets only its neighbours, so their part of the matrix is sparse.
"""

from dataclasses import dataclass

import numpy as np

from galstep.core.scene import N_SHAPE

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of the free parameters.

    Parameters
    ----------
    shape : int array
        Which of the 6 n_galaxies shape parameters are free; they come first in
        the border, in this order.
    registration : dict of int to slice
        Band to its (dx, dy) in the border, for bands that are registered.
    linear : list of slice
        Per band its galaxy fluxes and sky coefficients in the border.
    n_border, n_galaxies, n_bands, n_stars : int
    positions : bool
        Whether stars have x and y among their parameters.
    """

    shape: np.ndarray
    registration: dict
    linear: list
    n_border: int
    n_galaxies: int
    n_bands: int
    n_stars: int
    positions: bool

    @classmethod
    def of(cls, bands, state, freedom):
        """The layout of a scene with this `galstep.core.scene.Freedom`."""
        n_galaxies = len(state.shapes)
        shape = np.flatnonzero(np.tile(np.asarray(freedom.shape, dtype=bool), n_galaxies))
        place, registration, linear = len(shape), {}, []
        for band in freedom.registration:
            registration[band] = slice(place, place + 2)
            place += 2
        for band in bands:
            linear.append(slice(place, place + n_galaxies + len(band.basis)))
            place = linear[-1].stop
        return cls(
            shape=shape,
            registration=registration,
            linear=linear,
            n_border=place,
            n_galaxies=n_galaxies,
            n_bands=len(bands),
            n_stars=state.n_stars,
            positions=freedom.positions,
        )

    @property
    def block(self):
        """Number of parameters per star."""
        return self.n_bands + 2 * self.positions

    def star(self, index, parameter):
        """Places among the stars' parameters: ``parameter`` of stars ``index``."""
        return self.block * np.asarray(index) + parameter

    def galaxy_flux(self, band, galaxy=0):
        """Border place of a galaxy's flux in a band."""
        return self.linear[band].start + galaxy

    def sky(self, band):
        """Border places of a band's sky coefficients."""
        own = self.linear[band]
        return slice(own.start + self.n_galaxies, own.stop)

    def shape_place(self, galaxy, parameter):
        """Border place of a shape parameter, None if it is pinned."""
        found = np.flatnonzero(self.shape == N_SHAPE * galaxy + parameter)
        return int(found[0]) if found.size else None

    def nonlinear_border(self):
        """Border places of shapes and registration."""
        stop = max([len(self.shape)] + [own.stop for own in self.registration.values()])
        return slice(0, stop)
