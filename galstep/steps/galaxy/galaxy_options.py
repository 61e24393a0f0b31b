"""Parameters of the galaxy's model that BaseFit and JointFit share, and their meaning."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from galstep.core.engine.priors import PRIOR_NAMES, ShapePrior
from galstep.core.psf.cache import displaced_psfs
from galstep.exceptions import ParameterError
from galstep.filters import filter_wavelength

if TYPE_CHECKING:
    from stpipe import Step

    from galstep.core.psf.effective import EffectivePSF
    from galstep.datamodels import BandData

__all__ = ["PRIOR_SPEC", "displaced", "log_wavelength", "shape_priors"]

PRIOR_SPEC = """
    prior_x_0 = force_list(default=None)        # Gaussian prior on the centre, x: mean, sigma (pixels of the input frame)
    prior_y_0 = force_list(default=None)        # Gaussian prior on the centre, y: mean, sigma (pixels of the input frame)
    prior_r_eff = force_list(default=None)      # Gaussian prior on the half-light radius along the major axis: mean, sigma (pixels)
    prior_n = force_list(default=None)          # Gaussian prior on the Sersic index: mean, sigma
    prior_ellip = force_list(default=None)      # Gaussian prior on the ellipticity 1 - b/a: mean, sigma
    prior_theta = force_list(default=None)      # Gaussian prior on the angle of the major axis, counter-clockwise from +x: mean, sigma (radians)
"""


def shape_priors(step: Step, band: BandData) -> tuple[ShapePrior, ...]:
    """The priors that a step's parameters ask for.

    Parameters
    ----------
    step : `stpipe.Step`
        With the parameters of `PRIOR_SPEC`.
    band : `galstep.datamodels.BandData`
        The base filter: its origin relates the input frame to the crop.

    Returns
    -------
    tuple of `galstep.core.engine.priors.ShapePrior`

    Raises
    ------
    ParameterError
        If a prior is not two numbers, or its width is not positive.
    """
    moved = {"x_0": -band.origin[0], "y_0": -band.origin[1]}
    priors = []
    for name in PRIOR_NAMES:
        given = getattr(step, f"prior_{name}")
        if given is not None:
            mean, sigma = _two_numbers(f"prior_{name}", given)
            priors.append(ShapePrior(name, mean + moved.get(name, 0), sigma))
    return tuple(priors)


def _two_numbers(argument, given):
    # the command line gives one string with a comma, a parameter file a list
    parts = given if isinstance(given, list | tuple) else [given]
    parts = [piece for part in parts for piece in str(part).split(",")]
    try:
        mean, sigma = (float(part) for part in parts)
    except ValueError as error:
        raise ParameterError(
            f"{argument} must be two numbers, mean and sigma, got {given!r}"
        ) from error
    return mean, sigma


def log_wavelength(name: str, base_name: str) -> float:
    """ln(wavelength / wavelength of the base), 0 where a name does not tell it."""
    own, base = filter_wavelength(name), filter_wavelength(base_name)
    return 0.0 if own is None or base is None else log(own / base)


def displaced(band: BandData) -> tuple[EffectivePSF, ...]:
    """The PSF of a `BandData` moved by 1 sigma along each error of its kernel."""
    return displaced_psfs(band.psf, band.oversample, band.psf_kernel, f"psf of {band.name!r}")
