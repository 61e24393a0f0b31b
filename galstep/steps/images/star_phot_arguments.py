"""What users of photutils give StarPhot, in StarPhot's terms, or why it cannot be."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RunArguments", "as_parameters", "box_side", "check_names", "checked_bounds", "held_by"]

# Arguments of photutils' PSF photometry that have another name here, or none.
_ELSEWHERE = {
    "psf_model": "give the PSF to run: StarPhot().run(image, psf)",
    "grouper": "use group_separation (pixels), or a column group_id of init_params",
    "local_bkg_estimator": "use background='local' with local_radii",
    "localbkg_estimator": "use background='local' with local_radii",
    "fitter": "there is one fitter; engine='photutils' uses that of photutils",
    "fitter_maxiters": "there is one fitter; engine='photutils' uses that of photutils",
    "maxiters": "use n_passes",
    "mode": "all stars are fitted again after each search, as in mode 'all'",
    "sub_shape": "stars are subtracted as far as their light matters beside the noise",
    "group_warning_threshold": "groups may be of any size",
    "psf_shape": "an argument of make_model_image and make_residual_image of the result",
    "fit_info": "flags, reduced_chi2, qfit and cfit of the catalog tell what became of each fit",
    "progress_bar": "the log tells how far it is",
    "error": "give the errors to run: StarPhot().run(image, psf, error=error)",
    "mask": "give the mask to run: StarPhot().run(image, psf, mask=mask)",
}


class RunArguments(NamedTuple):
    """What belongs to a run and is no parameter; see ``StarPhot.run``."""

    psf: Any = None
    error: Any = None
    mask: Any = None
    init_params: Any = None


def as_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords as the specification of StarPhot knows them.

    Parameters
    ----------
    given : mapping of str to object
        ``fit_shape`` and ``xy_bounds`` may be pairs, as photutils has them.

    Returns
    -------
    dict of str to object

    Raises
    ------
    ParameterError
        If one has another name here, or cannot be used.
    """
    check_names(given)
    check_finder(given.get("finder"))
    own = dict(given)
    if "fit_shape" in own:
        own["fit_shape"] = box_side(own["fit_shape"])
    if own.get("xy_bounds") is not None:
        own["xy_bounds"] = list(checked_bounds(own["xy_bounds"]))
    return own


def check_names(names: Iterable[str]) -> None:
    """Refuse what photutils calls otherwise, and say what it is called here.

    Parameters
    ----------
    names : iterable of str
        Of keywords.

    Raises
    ------
    ParameterError
    """
    told = [f"unknown parameter {name}: {_ELSEWHERE[name]}" for name in names if name in _ELSEWHERE]
    if told:
        raise ParameterError("; ".join(told))


def check_finder(finder: Any) -> None:
    """Refuse a finder of photutils that is an object, and say how its stars are given.

    Parameters
    ----------
    finder : object
        The parameter ``finder``.

    Raises
    ------
    ParameterError
        If it can be called.
    """
    if callable(finder):
        raise ParameterError(
            "finder must be galstep, dao, iraf or none, got a "
            f"{type(finder).__name__}: give what it finds as init_params, with finder none"
        )


def box_side(fit_shape: Any) -> Any:
    """``fit_shape`` of photutils, which may be a pair, as the side of a square.

    Parameters
    ----------
    fit_shape : object
        Anything but a pair is returned as it is.

    Returns
    -------
    object

    Raises
    ------
    ParameterError
        If the box is no square of an odd number of whole pixels.
    """
    if not isinstance(fit_shape, tuple | list | np.ndarray):
        return fit_shape
    sides = np.ravel(np.asarray(fit_shape))
    if sides.dtype.kind not in "iu" or len(sides) not in (1, 2) or len(set(sides.tolist())) > 1:
        raise ParameterError(
            f"fit_shape must be the side of a square box, an odd number of pixels, got {fit_shape}"
        )
    if sides[0] % 2 == 0 or sides[0] < 1:
        raise ParameterError(f"fit_shape must be odd and at least 1, got {fit_shape}")
    return int(sides[0])


def checked_bounds(xy_bounds: Any) -> tuple[float | None, float | None]:
    """``xy_bounds`` of photutils as a pair.

    Parameters
    ----------
    xy_bounds : float, pair of float or None, or None
        Pixels: one for both axes, or one for x and one for y. None: no bound. Text of a
        parameter file or the command line is read as such.

    Returns
    -------
    (float or None, float or None)

    Raises
    ------
    ParameterError
        If it is neither a finite number above 0 nor a pair of them.
    """
    several = isinstance(xy_bounds, tuple | list) or np.ndim(xy_bounds) == 1
    values = list(xy_bounds) if several else [xy_bounds]
    try:
        numbers = [None if value in (None, "None") else float(value) for value in values]
        known = all(number is None or 0 < number < math.inf for number in numbers)
    except (TypeError, ValueError):
        known = False
    if not known or len(values) not in (1, 2):
        raise ParameterError(
            "xy_bounds must be a finite number of pixels above 0, or two of them for x and y "
            f"(None: no bound), got {xy_bounds}"
        )
    return numbers[0], numbers[-1]


def held_by(psf: Any) -> bool:
    """Whether a PSF model asks for forced photometry: its position is fixed.

    Parameters
    ----------
    psf : object
        Whatever StarPhot takes; what is no model of astropy asks for nothing.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If the model asks for a fit of something else than flux, or flux and position.
    """
    psf = getattr(psf, "epsf", psf)
    fixed = getattr(psf, "fixed", None)
    if isinstance(psf, str | os.PathLike) or not isinstance(fixed, Mapping):
        return False
    # models of make_psf_model tell their own names
    x, y, flux = (
        getattr(psf, f"{name}_name", own)
        for name, own in (("x", "x_0"), ("y", "y_0"), ("flux",) * 2)
    )
    if flux not in fixed:
        return False  # no PSF model: whoever opens it says so
    free = sorted(name for name, is_fixed in fixed.items() if not is_fixed)
    shape = [name for name in free if name not in (x, y, flux)]
    if shape:
        raise InputError(
            f"psf: {', '.join(shape)} of the model must be fixed: StarPhot fits flux and position, "
            "not the shape of the PSF"
        )
    if fixed.get(flux, False):
        raise InputError(f"psf: {flux} of the model must be free: StarPhot fits the flux")
    if fixed.get(x, False) != fixed.get(y, False):
        raise InputError(
            f"psf: {x} and {y} of the model must be both free or both fixed, got only "
            f"{x if fixed[x] else y} fixed"
        )
    return bool(fixed.get(x, False))
