"""How a star field is measured: `StarFieldOptions`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from galstep.exceptions import ParameterError

__all__ = ["MAX_RING_RADIUS", "StarFieldOptions"]

# a ring of this radius holds 3e6 pixels, and each star has one
MAX_RING_RADIUS = 1000.0


@dataclass(frozen=True)
class StarFieldOptions:
    """How a field is measured.

    Parameters
    ----------
    finder : str
        galstep (matched filter), dao, iraf, or none: only the given positions.
    threshold : float
        Of a detection, in sigma of the matched-filter map (galstep) or of the
        pixels (dao, iraf); stars that end below it are dropped.
    n_passes : int
        Largest number of searches.
    half_size : int or None
        Of the box that a star is fitted in; None: 99.7 % of the sum of P^2.
    free_positions : bool
        Whether the stars that are given may move; those that are found always do.
    xy_bound : float, (float or None, float or None) or None
        Largest distance from the first position, pixels: on each axis, or on x and
        on y; None: no bound.
    group_separation : float or None
        Stars are fitted together only with those of their group, linked by
        distances below this (pixels); None: with all that overlap.
    background : str
        global (mesh), local (ring about each star) or none.
    box_size : int
        Of the mesh, pixels.
    local_radii : (inner, outer)
        Of the rings, pixels.
    separation : float
        Smallest distance of a new star from a known one, in FWHM.
    psf_error : float
        Error of the PSF as a share of its light: within it nothing is found.
    tile_size : int
        Pixels that are read at a time, on a side; no result depends on it.
    """

    finder: str = "galstep"
    threshold: float = 5.0
    n_passes: int = 3
    half_size: int | None = None
    free_positions: bool = True
    xy_bound: float | tuple[float | None, float | None] | None = None
    group_separation: float | None = None
    background: str = "global"
    box_size: int = 64
    local_radii: tuple = (10.0, 20.0)
    separation: float = 0.5
    psf_error: float = 0.01
    tile_size: int = 1024

    def __post_init__(self) -> None:
        for name, allowed in (
            ("finder", ("galstep", "dao", "iraf", "none")),
            ("background", ("global", "local", "none")),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if not 0 <= self.local_radii[0] < self.local_radii[1] <= MAX_RING_RADIUS:
            raise ParameterError(
                "local_radii must be an inner and a larger outer radius of at most "
                f"{MAX_RING_RADIUS:g} pixels, got {self.local_radii}"
            )
        if not all(bound > 0 for bound in self.bounds):
            raise ParameterError(f"xy_bounds must be above 0 on both axes, got {self.xy_bound}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Largest distance from the first position on x and on y, infinite without a bound."""
        pair = self.xy_bound if isinstance(self.xy_bound, tuple) else (self.xy_bound,) * 2
        x, y = (math.inf if bound is None else float(bound) for bound in pair)
        return x, y
