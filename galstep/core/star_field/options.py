"""How a star field is measured: `StarFieldOptions`."""

from __future__ import annotations

import math
from operator import not_

from galstep.exceptions import ParameterError
from galstep.options import option, options

__all__ = ["MAX_RING_RADIUS", "StarFieldOptions"]

# a ring of this radius holds 3e6 pixels, and each star has one
MAX_RING_RADIUS = 1000.0
# the usual ring (pixels)
RING = (10.0, 20.0)


def half_of(side: int) -> int | None:
    """Half the odd side of a box; None for 0.

    Raises
    ------
    ParameterError
        If the side is even.
    """
    if side and side % 2 == 0:
        raise ParameterError(f"must be odd (or 0), got {side}")
    return side // 2 if side else None


def ring_radii(radii: tuple[float, float] | None) -> tuple[float, float]:
    """Inner and outer radius of a ring; the usual ones for None."""
    return RING if radii is None else radii


@options
class StarFieldOptions:
    """How a field is measured.

    Raises
    ------
    ParameterError
        If a name is unknown, a ring has no width or is too large, or a bound is not positive.
    """

    finder: str = option(
        default="galstep",
        help="How stars are found: matched filter with the PSF, DAOStarFinder, IRAFStarFinder, or "
        "only those of init_params",
        choices=("galstep", "dao", "iraf", "none"),
    )
    threshold: float = option(
        default=5.0,
        help="Of a detection: sigma of the matched-filter map (finder galstep) or of the pixels "
        "(dao, iraf); stars that end below it are dropped",
        least=1,
    )
    n_passes: int = option(
        default=3,
        help="Largest number of searches; each looks at what the stars known so far leave",
        least=1,
        most=20,
    )
    separation: float = option(
        default=0.5,
        help="Smallest distance of a new star from a known one (FWHM of the PSF)",
        least=0,
    )
    psf_error: float = option(
        default=0.01,
        help="Error of the PSF as a share of its light: nothing below it is taken for a star "
        "beside a brighter one",
        least=0,
        most=1,
    )
    half_size: int | None = option(
        default=0,
        help="Side of the box in which a star is fitted (odd, pixels; 0: the box with 99.7 percent "
        "of the information)",
        name="fit_shape",
        least=0,
        most=1001,
        read=half_of,
    )
    free_positions: bool = option(
        default=False,
        help="Hold the positions of init_params; with finder none: forced photometry",
        name="fixed_positions",
        read=not_,
    )
    xy_bound: float | tuple[float | None, float | None] | None = option(
        default=None,
        help="Largest distance from the first position (pixels; default: no bound): on each axis, "
        "or two, on x and on y, of which one may be None",
        name="xy_bounds",
        kind="force_list",
    )
    group_separation: float | None = option(
        default=None,
        help="Stars closer than this are fitted as a group, others beside each other (pixels; "
        "default: all that overlap are fitted together)",
        kind="float",
        least=0.1,
    )
    background: str = option(
        default="global",
        help="Sky: a smooth mesh, a level in a ring about each star, or none",
        choices=("global", "local", "none"),
    )
    box_size: int = option(
        default=64,
        help="Side of the boxes of the mesh (pixels)",
        name="bkg_boxsize",
        least=8,
    )
    local_radii: tuple[float, float] = option(
        default=None,
        help="Inner and outer radius of the ring (pixels; default: 10,20)",
        kind="float_list",
        least=2,
        most=2,
        read=ring_radii,
    )
    tile_size: int = option(
        default=1024,
        help="Side of the part of the image that is read at a time (pixels); no result depends "
        "on it",
        least=64,
    )

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
