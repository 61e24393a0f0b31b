"""How the PSF of a band is made of its stars: `EpsfOptions`.

Each option is written here once, as in `galstep.core.field.options`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from galstep.exceptions import ParameterError

__all__ = ["EpsfOptions"]


def _option(default, help, *, low=None, high=None, choices=None):
    metadata = {"help": help, "min": low, "max": high, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class EpsfOptions:
    """How stars make the PSF; see the help in each field's metadata."""

    psf_order: int = _option(
        1, "Order of the polynomial by which the PSF changes with place", low=0, high=3
    )
    psf_size: int = _option(55, "Side of the PSF (pixels)", low=11, high=401)
    psf_oversample: int = _option(2, "Samples of the PSF per pixel", low=1, high=8)
    max_stars: int = _option(60, "Stars that are used, the brightest", low=1, high=100_000)
    min_stars: int = _option(
        8, "With fewer stars than this a formula stands in", low=1, high=100_000
    )
    star_snr: float = _option(30.0, "Least S/N of a star", low=1.0, high=1e6)
    star_min_separation: float = _option(
        6.0, "Pixels so near to another source are not used for a star (pixels)", low=0.0, high=1e4
    )
    star_edge: int = _option(10, "Least distance of a star from the edge (pixels)", low=0)
    q_range: tuple = _option(
        (0.7, 1.3), "Ratio of the widths of a star along y and x", low=0.0, high=10.0
    )
    psf_fallback: str = _option(
        "moffat", "What stands in for lack of stars", choices=("moffat", "gaussian")
    )

    def __post_init__(self) -> None:
        narrowest, widest = self.q_range
        if not 0 < narrowest < widest:
            raise ParameterError(f"q_range must be two rising positive numbers, got {self.q_range}")
        for option in fields(self):
            value, meta = getattr(self, option.name), option.metadata
            if meta["choices"] is not None and value not in meta["choices"]:
                raise ParameterError(
                    f"{option.name} must be one of {', '.join(meta['choices'])}, got {value!r}"
                )
            values = value if isinstance(value, tuple) else (value,)
            low, high = meta["min"], meta["max"]
            # NaN is in no range
            if low is not None and not all(v >= low for v in values):
                raise ParameterError(f"{option.name} must be at least {low}, got {value}")
            if high is not None and not all(v <= high for v in values):
                raise ParameterError(f"{option.name} must be at most {high}, got {value}")
