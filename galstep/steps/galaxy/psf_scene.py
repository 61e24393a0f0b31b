"""PSFCalibrate with the objective ``scene``: filter after filter, unpacked and written back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from numpy.linalg import LinAlgError

from galstep.core.calibration.psf_correction import corrected_kernel
from galstep.core.calibration.scene_kernel import kernel_in_scene
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.steps.galaxy.grids import pixel_map_between
from galstep.steps.galaxy.scenes import (
    effective_psf,
    error_or_noise,
    scene_band,
    sky_order_for,
    target_centre,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.core.calibration.calibrate import CalibrationResult
    from galstep.datamodels import GalaxyModel

__all__ = ["fit_in_scene"]

log = logging.getLogger("stpipe.galstep.psfcalibrate")


def fit_in_scene(
    model: GalaxyModel,
    calibrated: Mapping[str, CalibrationResult],
    base: str,
    empirical_correction: str,
) -> None:
    """Fit each filter's kernel together with its galaxy, stars and sky.

    Parameters
    ----------
    model : `GalaxyModel`
        With the kernels of the anchors; changed in place.
    calibrated : dict of str to `galstep.core.calibration.calibrate.CalibrationResult`
        Filters whose kernel was measured on anchors.
    base : str
        The filter that comes first; the others start from its stars.
    empirical_correction : {"none", "auto", "always"}
        See `galstep.core.calibration.psf_correction.corrected_kernel`.
    """
    known = None
    names = [base, *(name for name in model.bands if name != base)]
    for name in names:
        band, result = model.bands[name], calibrated.get(name)
        kernel = band.psf_kernel
        if result is None or kernel.family == "none" or not kernel.errors:
            continue
        try:
            found = _fit(band, result, known, target_centre(model, band))
        except LinAlgError as error:
            log.warning("%s: kernel of the anchors: the fit of the scene failed (%s)", name, error)
            continue
        kernel = found.kernel
        if not found.taken:
            log.info("%s: %s", name, kernel.reason)
        band.psf_kernel = corrected_kernel(
            result.frame, kernel, result.stars, result.anchors, empirical_correction
        )
        if known is None:
            known = band, found.stars


def _fit(band, result, known, centre):
    sigma, psf = error_or_noise(band), effective_psf(band)
    first = robust_galaxy_fit(band.data, band.mask, sigma, psf, centre=centre)
    scene = scene_band(band, sky_order_for(band, "auto", first))
    stars = None
    if known is not None:
        x, y, flux = known[1]
        stars = (*pixel_map_between(known[0], band)[0].points(x, y), flux)
    return kernel_in_scene(scene, result.library, band.psf_kernel, first, stars)
