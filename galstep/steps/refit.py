"""The fit steps once more, on other data, with the parameters of the run."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from galstep.steps.base_fit import BaseFit
from galstep.steps.forced_scale_fit import ForcedScaleFit
from galstep.steps.joint_fit import JointFit
from galstep.steps.scale_fit import ScaleFit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["refit", "with_exact_psf"]

_CHAIN = {
    "basefit": BaseFit,
    "scalefit": ScaleFit,
    "forcedscalefit": ForcedScaleFit,
    "jointfit": JointFit,
}
_BY_DEFAULT = ("basefit", "scalefit", "jointfit")
# What is known of one galaxy's place and direction is not known of another's.
_OF_ONE_GALAXY = ("prior_x_0", "prior_y_0", "prior_theta")


def refit(
    model: GalaxyModel, parameters: Mapping[str, dict], base_filter: str, joint: bool = True
) -> GalaxyModel:
    """Fit a model as another one was fitted.

    Parameters
    ----------
    model : GalaxyModel
        Its images are fitted; it stays as it is.
    parameters : dict
        Step key to parameters, as in ``meta.parameters``: the fit steps that
        ran. Without any, all but ForcedScaleFit with their defaults.
    base_filter : str
    joint : bool, optional
        Whether JointFit may end the chain.

    Returns
    -------
    GalaxyModel
        A new one. A fit that failed has left a flag and a reason.
    """
    ran = [key for key in _CHAIN if key in parameters] or _BY_DEFAULT
    forced = _names(parameters, "forcedscalefit", model)
    with _unsaid():
        model = _step("basefit", parameters, base_filter=base_filter).process(model)
        if not model.bands[base_filter].fitted:
            return model
        scaled = _names(parameters, "scalefit", model) or [
            name for name in model.bands if name != base_filter and name not in forced
        ]
        if "scalefit" in ran and scaled:
            model = _step("scalefit", parameters, filters=scaled).process(model)
        if forced:
            model = _step("forcedscalefit", _without_joint(parameters), filters=forced).process(
                model
            )
        if joint and "jointfit" in ran:
            model = _step("jointfit", parameters).process(model)
    return model


def _names(parameters, key, model):
    """The filters a step was given, as far as they are here."""
    given = parameters.get(key, {}).get("filters") or ()
    return [name for name in given if name in model.bands]


def _without_joint(parameters):
    """In a new chain there is no joint fit before its end: the base's stars stand for it."""
    own = dict(parameters.get("forcedscalefit", {}))
    if own.get("positions_from") == "joint":
        own["positions_from"] = "base"
    return {"forcedscalefit": own}


def _step(key, parameters, **own):
    """A step with the parameters of the run; None there stands for a default."""
    given = {
        name: value
        for name, value in parameters.get(key, {}).items()
        if value is not None and name not in _OF_ONE_GALAXY
    }
    return _CHAIN[key](**given | own)


def with_exact_psf(band: BandData) -> BandData:
    """A filter whose PSF counts as known: what is injected has that very PSF.

    Parameters
    ----------
    band : BandData
        Changed in place.

    Returns
    -------
    BandData
    """
    if band.psf_kernel is not None:
        band.psf_kernel = replace(band.psf_kernel, errors=())
    return band


@contextmanager
def _unsaid():
    """What the steps would log for every one of many fits is not of interest."""
    logger = logging.getLogger("stpipe.galstep")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
