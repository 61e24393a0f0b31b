"""Kernel and fits in turn: the main loop of a galaxy, if it is asked for.

The kernel is measured before anything is fitted, with a rough galaxy and with
stars of its own finding. Once the fits are there, they know both better. So the
kernels can be calibrated again beside the fitted scene, and the fits made again
with the new kernels, until the kernels stay as they are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel
    from galstep.pipeline.base import GalPipelineBase

__all__ = ["MAIN_LOOP", "main_loop"]

log = logging.getLogger("stpipe.galstep.pipeline")

#: The steps that are repeated, in order.
MAIN_LOOP = ("psfcalibrate", "basefit", "scalefit", "forcedscalefit")


def main_loop(pipeline: GalPipelineBase, model: GalaxyModel) -> GalaxyModel:
    """Repeat the calibration and the fits as PSFCalibrate's parameters ask for.

    Parameters
    ----------
    pipeline : GalPipelineBase
        Its steps are run, with their parameters. Nothing is done if
        PSFCalibrate is skipped, is replaced by a step without the parameter
        ``in_mainloop``, or does not have it set.
    model : GalaxyModel
        With the fits made once.

    Returns
    -------
    GalaxyModel
    """
    step = pipeline.psfcalibrate
    if step.skip or not getattr(step, "in_mainloop", False) or not _any_fit(model):
        return model
    spent = dict(model.meta.timings)
    for number in range(step.mainloop_calibrations):
        before = _kernels(model)
        for key in MAIN_LOOP:
            model = pipeline.run_step(key, model)
            # a step notes the time of its last run; what counts is all of them
            spent[key] = spent.get(key, 0.0) + model.meta.timings.get(key, 0.0)
            if key == MAIN_LOOP[0] and _kernels(model) == before:
                log.info("main loop: the kernels stand still after %d passes", number)
                model.meta.timings.update(spent)
                return model
    log.info("main loop: %d passes", step.mainloop_calibrations)
    model.meta.timings.update(spent)
    return model


def _any_fit(model):
    return any(band.fitted for band in model.bands.values())


def _kernels(model):
    """What makes the PSFs what they are; errors and reasons do not matter."""
    found = {name: band.psf_kernel for name, band in model.bands.items()}
    return {
        name: kernel and (kernel.family, kernel.parameters, kernel.correction)
        for name, kernel in found.items()
    }
