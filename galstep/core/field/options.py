"""How a field is fitted: `FieldOptions`.

Each option is written here once: default, limits and help stand in its metadata, from which a
step makes its specification.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf

from galstep.exceptions import ParameterError

__all__ = ["FieldOptions"]


def _option(default, help, *, low=None, high=None, choices=None):
    metadata = {"help": help, "min": low, "max": high, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class FieldOptions:
    """How the sources of a field are fitted; see the help in each field's metadata.

    Metadata have ``help`` (text with unit), ``min``, ``max`` (inclusive, None: no limit) and
    ``choices`` (tuple or None). A default of None stands for "none" in a specification.
    """

    default_type: str = _option(
        "auto",
        "Type of sources that have none: auto chooses by chi2",
        choices=("auto", "star", "exp", "dev", "sersic"),
    )
    n_init: float = _option(2.0, "Sersic index to start from", low=0.5, high=6.0)
    r_eff_init: float = _option(
        3.0, "Half-light radius to start from if it cannot be measured (pixels)", low=0.3, high=100
    )
    pos_max_shift: float = _option(
        5.0, "Half the side of the box about the start position (pixels)", low=0.01, high=1000
    )
    max_iterations: int = _option(25, "Largest number of iterations of a block", low=1, high=500)
    tolerance: float = _option(
        0.05, "A block has converged when chi2 falls by less than this", low=0.0, high=10.0
    )
    rounds: int = _option(6, "Largest number of rounds over all blocks", low=1, high=50)
    still: float = _option(
        0.1, "A source has converged when a round moves it by less (sigma)", low=0.001, high=1.0
    )
    block_size: int = _option(100, "Largest number of sources of a block", low=1, high=1000)
    sky: str = _option(
        "mesh",
        "Sky of each band: mesh (bilinear between knots), constant, or none (already subtracted)",
        choices=("mesh", "constant", "none"),
    )
    sky_scale: float = _option(512.0, "Distance of the sky's knots (pixels)", low=32.0, high=1e6)
    forced: str = _option(
        "none",
        "What is held at the start values: none, position, or shape (position and shape)",
        choices=("none", "position", "shape"),
    )
    use_priors: bool = _option(True, "Whether the catalogue's errors act as priors")
    shape_priors: bool = _option(
        True, "Whether broad priors hold the shapes of sources that came without one"
    )
    detect: bool = _option(
        True, "Whether light that the model lacks is looked for after a round, added and fitted"
    )
    detect_threshold: float = _option(
        5.0, "Threshold for light that the model lacks (sigma of the smoothed residual)", low=2.0,
        high=100.0,
    )  # fmt: skip
    detect_min_area: int = _option(
        12, "Least number of pixels of light that the model lacks", low=1, high=10_000
    )
    detect_match: float = _option(
        3.0, "Light closer than this to a source is the source's (pixels)", low=0.0, high=100.0
    )
    time_limit: float = _option(
        inf, "Longest time for the fit of a block in a round (s)", low=0.1, high=None
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            value, meta = getattr(self, option.name), option.metadata
            if meta["choices"] is not None and value not in meta["choices"]:
                raise ParameterError(
                    f"{option.name} must be one of {', '.join(meta['choices'])}, got {value!r}"
                )
            low, high = meta["min"], meta["max"]
            # NaN is in no range
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                limits = f"{low} to {high}" if high is not None else f"at least {low}"
                raise ParameterError(f"{option.name} must be {limits}, got {value}")
