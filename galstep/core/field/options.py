"""How a field is fitted: `FieldOptions`.

Each option is written here once (`galstep.options`); the step's specification is made from it.
"""

from __future__ import annotations

from math import inf

from galstep.options import check_bounds, option, options

__all__ = ["FieldOptions"]


def _or_forever(seconds):
    return inf if seconds is None else float(seconds)


@options
class FieldOptions:
    """How the sources of a field are fitted.

    Raises
    ------
    ParameterError
        If a value is out of bounds.
    """

    default_type: str = option(
        default="auto",
        help="Type of sources that have none: auto chooses by chi2",
        choices=("auto", "star", "exp", "dev", "sersic"),
    )
    n_init: float = option(default=2.0, help="Sersic index to start from", least=0.5, most=6.0)
    r_eff_init: float = option(
        default=3.0,
        help="Half-light radius to start from if it cannot be measured (pixels)",
        least=0.3,
        most=100,
    )
    pos_max_shift: float = option(
        default=5.0,
        help="Half the side of the box about the start position (pixels)",
        least=0.01,
        most=1000,
    )
    max_iterations: int = option(
        default=25, help="Largest number of iterations of a block", least=1, most=500
    )
    tolerance: float = option(
        default=0.05,
        help="A block has converged when chi2 falls by less than this",
        least=0.0,
        most=10.0,
    )
    rounds: int = option(
        default=6, help="Largest number of rounds over all blocks", least=1, most=50
    )
    still: float = option(
        default=0.1,
        help="A source has converged when a round moves it by less (sigma)",
        least=0.001,
        most=1.0,
    )
    block_size: int = option(
        default=100, help="Largest number of sources of a block", least=1, most=1000
    )
    sky: str = option(
        default="mesh",
        help="Sky of each band: mesh (bilinear between knots), constant, or none (already "
        "subtracted)",
        choices=("mesh", "constant", "none"),
    )
    sky_scale: float = option(
        default=512.0, help="Distance of the sky's knots (pixels)", least=32.0, most=1000000.0
    )
    forced: str = option(
        default="none",
        help="What is held at the start values: none, position, or shape (position and shape)",
        choices=("none", "position", "shape"),
    )
    use_priors: bool = option(default=True, help="Whether the catalogue's errors act as priors")
    shape_priors: bool = option(
        default=True, help="Whether broad priors hold the shapes of sources that came without one"
    )
    detect: bool = option(
        default=True,
        help="Whether light that the model lacks is looked for after a round, added and fitted",
    )
    detect_threshold: float = option(
        default=5.0,
        help="Threshold for light that the model lacks (sigma of the smoothed residual)",
        least=2.0,
        most=100.0,
    )
    detect_min_area: int = option(
        default=12, help="Least number of pixels of light that the model lacks", least=1, most=10000
    )
    detect_match: float = option(
        default=3.0,
        help="Light closer than this to a source is the source's (pixels)",
        least=0.0,
        most=100.0,
    )
    noise: str = option(
        default="measured",
        help="Correlation of the noise: measured on what the fit leaves (errors are multiplied "
        "with what it makes of a source of the same size), or stated (the band's noise_factor)",
        choices=("measured", "stated"),
    )
    time_limit: float = option(
        default=None,
        help="Longest time for the fit of a block in a round (s)",
        kind="float",
        read=_or_forever,
        least=0.1,
    )

    def __post_init__(self) -> None:
        check_bounds(self)
