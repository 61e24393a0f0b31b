"""How the PSF of a band is made of its stars: `EpsfOptions`.

Each option is written here once, as in `galstep.core.field.options`.
"""

from __future__ import annotations

from galstep.exceptions import ParameterError
from galstep.options import check_bounds, option, options

__all__ = ["EpsfOptions"]


@options
class EpsfOptions:
    """How stars make the PSF.

    Raises
    ------
    ParameterError
        If a value is out of bounds.
    """

    psf_order: int = option(
        default=1,
        help="Largest order of the polynomial by which the PSF changes with the place",
        least=0,
        most=3,
    )
    psf_size: int = option(default=55, help="Side of the PSF (pixels)", least=11, most=401)
    psf_oversample: int = option(default=2, help="Samples of the PSF per pixel", least=1, most=8)
    max_stars: int = option(
        default=60, help="Stars that are used, the brightest", least=1, most=100000
    )
    min_stars: int = option(
        default=8, help="With fewer stars than this a formula stands in", least=1, most=100000
    )
    star_snr: float = option(default=30.0, help="Least S/N of a star", least=1.0, most=1000000.0)
    star_min_separation: float = option(
        default=6.0,
        help="Pixels so near to another source are not used for a star (pixels)",
        least=0.0,
        most=10000.0,
    )
    star_edge: int = option(
        default=10, help="Least distance of a star from the edge (pixels)", least=0
    )
    q_range: tuple = option(
        default=(0.7, 1.3), help="Ratio of the widths of a star along y and x", least=2, most=2
    )
    psf_fallback: str = option(
        default="moffat", help="What stands in for lack of stars", choices=("moffat", "gaussian")
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        narrowest, widest = self.q_range
        if not 0 < narrowest < widest:
            raise ParameterError(f"q_range must be two rising positive numbers, got {self.q_range}")
