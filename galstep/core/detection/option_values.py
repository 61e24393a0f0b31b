"""What users give in other terms than the detection has it: lengths and squares."""

from __future__ import annotations

from typing import TypeVar

from astropy.stats import gaussian_fwhm_to_sigma

from galstep.exceptions import ParameterError

__all__ = ["odd_square_side", "of_psf_sigma", "square_side"]

Lengths = TypeVar("Lengths", float, tuple[float, float])


def of_psf_sigma(lengths: Lengths) -> Lengths:
    """One or two lengths in units of the sigma of a Gaussian PSF, in units of its FWHM."""
    if isinstance(lengths, tuple):
        first, second = lengths
        return first * gaussian_fwhm_to_sigma, second * gaussian_fwhm_to_sigma
    return lengths * gaussian_fwhm_to_sigma


def square_side(sides: tuple[int, int]) -> int:
    """The side of a square that is given as two.

    Raises
    ------
    ParameterError
        If the two are not equal.
    """
    return _side(sides, "equal sides")


def odd_square_side(sides: tuple[int, int]) -> int:
    """The odd side of a square that is given as two; see `square_side`."""
    side = _side(sides, "equal odd sides")
    if side and side % 2 == 0:
        raise ParameterError(_wanted(sides, "equal odd sides"))
    return side


def _side(sides, kind):
    first, second = sides
    if first != second or first < 0:
        raise ParameterError(_wanted(sides, kind))
    return first


def _wanted(sides, kind):
    return f"must be two {kind} in pixels, or 0, 0, got {list(sides)}"
