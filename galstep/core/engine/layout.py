"""Where each parameter of a scene stands in its normal equations.

The parameters are split in two. The *border* holds those that touch every
pixel: galaxy shapes, registration, galaxy fluxes and sky of each band. The
*stars* hold, star by star, the fluxes in all bands and then x and y: a star
meets only its neighbours, so their part of the matrix is sparse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.scene import N_SHAPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["Layout", "ShapeParameters"]


@dataclass(frozen=True, eq=False)
class ShapeParameters:
    """The free shape parameters, in the order in which they stand in the border.

    Parameters
    ----------
    galaxy, parameter, power : (n,) int arrays
        Coefficient of t^power of this parameter (0 to 5) of this galaxy, with
        t the log wavelength of a band.
    leaders : (n_galaxies,) int array
        The profile whose centre each profile has: the first of the same galaxy.
    """

    galaxy: np.ndarray
    parameter: np.ndarray
    power: np.ndarray
    leaders: np.ndarray

    @classmethod
    def of(cls, state: SceneState, freedom: Freedom) -> ShapeParameters:
        """The free parameters of a `galstep.core.engine.freedom.Freedom`."""
        leaders, target = state.leaders, state.target
        pairs = zip(freedom.gradient, freedom.shape, strict=True)
        degree = [degree if free else -1 for degree, free in pairs]
        rows = [
            (g, k, power)
            for power in range(max(degree) + 1)
            for g in range(len(leaders))
            for k in range(N_SHAPE)
            if power <= (degree[k] if target[g] else min(degree[k], 0))
            and not (leaders[g] != g and k < 2)
        ]
        galaxy, parameter, power = np.array(rows, dtype=int).reshape(-1, 3).T
        return cls(galaxy, parameter, power, leaders)

    def __len__(self):
        return len(self.galaxy)

    @property
    def n_powers(self) -> int:
        """Highest power of the log wavelength."""
        return int(self.power.max(initial=0))

    def of_state(self, state: SceneState) -> np.ndarray:
        """The parameters' values in a `galstep.core.engine.scene.SceneState`, (n,)."""
        values = np.zeros(len(self))
        own = self.power == 0
        values[own] = state.shapes[self.galaxy[own], self.parameter[own]]
        known = ~own & (self.power <= len(state.gradients))
        places = self.power[known] - 1, self.galaxy[known], self.parameter[known]
        values[known] = state.gradients[places]
        return values

    def jacobian(self, log_wavelength: float) -> np.ndarray:
        """How a band's shapes follow the parameters, (n, n_galaxies, 6)."""
        rows = np.zeros((len(self), len(self.leaders), N_SHAPE))
        factor = float(log_wavelength) ** self.power
        rows[np.arange(len(self)), self.galaxy, self.parameter] = factor
        rows[:, :, :2] = rows[:, self.leaders, :2]
        return rows


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of the free parameters.

    Parameters
    ----------
    shape : `ShapeParameters`
        The free shape parameters; they come first in the border.
    registration : dict of int to slice
        Band to its (dx, dy) in the border, for bands that are registered.
    linear : list of slice
        Per band its galaxy fluxes and sky coefficients in the border.
    n_border, n_galaxies, n_bands, n_stars : int
    positions : bool
        Whether stars have x and y among their parameters.
    """

    shape: ShapeParameters
    registration: dict
    linear: list
    n_border: int
    n_galaxies: int
    n_bands: int
    n_stars: int
    positions: bool

    @classmethod
    def of(cls, bands: Sequence[SceneBand], state: SceneState, freedom: Freedom) -> Layout:
        """The layout of a scene with this `galstep.core.engine.scene.Freedom`."""
        n_galaxies = len(state.shapes)
        shape = ShapeParameters.of(state, freedom)
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
    def block(self) -> int:
        """Number of parameters per star."""
        return self.n_bands + 2 * self.positions

    def star(self, index: np.ndarray, parameter: int) -> np.ndarray:
        """Places among the stars' parameters: ``parameter`` of stars ``index``."""
        return self.block * np.asarray(index) + parameter

    def galaxy_flux(self, band: int, galaxy: int = 0) -> int:
        """Border place of a galaxy's flux in a band."""
        return self.linear[band].start + galaxy

    def sky(self, band: int) -> slice:
        """Border places of a band's sky coefficients."""
        own = self.linear[band]
        return slice(own.start + self.n_galaxies, own.stop)

    def shape_place(self, galaxy: int, parameter: int, power: int = 0) -> int | None:
        """Border place of a shape parameter, None if it is pinned."""
        own = self.shape
        same = (own.galaxy == galaxy) & (own.parameter == parameter) & (own.power == power)
        found = np.flatnonzero(same)
        return int(found[0]) if found.size else None

    def nonlinear_border(self) -> slice:
        """Border places of shapes and registration."""
        stop = max([len(self.shape)] + [own.stop for own in self.registration.values()])
        return slice(0, stop)
