"""What subtracted companions add to the error of an aperture's flux."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.photometry.aperture_errors import light_variance
from galstep.core.photometry.aperture_light import GalaxyLight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import ApertureFlux, SersicFit

__all__ = ["with_companion_error"]


def with_companion_error(
    name: str,
    measured: Sequence[ApertureFlux],
    companions: Sequence[SersicFit],
    psf: EffectivePSF,
    shape: tuple[int, int],
) -> list[ApertureFlux]:
    """Fluxes of one filter from which companions were subtracted, with the error of that.

    The error is that of the light which the aperture holds of the companions' models,
    by the covariance of their parameters; they count as independent of the target.
    It becomes part of ``model_err``.

    Parameters
    ----------
    name : str
        Of the filter.
    measured : sequence of galstep.records.ApertureFlux
        In this filter's pixels.
    companions : sequence of galstep.records.SersicFit
    psf : galstep.core.psf.effective.EffectivePSF
    shape : tuple of int
        (ny, nx) of the frame.

    Returns
    -------
    list of galstep.records.ApertureFlux
        Without companions, as they were. A companion whose error is not known adds none:
        the flux of the filter carries its flag already.
    """
    if not companions:
        return list(measured)
    apertures = [one.aperture for one in measured if np.isfinite(one.flux)]
    light = GalaxyLight(companions, psf, shape, apertures)
    return [
        _added(name, one, light_variance(companions, light.slopes(one.aperture)))
        if np.isfinite(one.flux)
        else one
        for one in measured
    ]


def _added(name, measured, variance):
    if not variance > 0:
        return measured
    error = np.sqrt(variance)
    # flux_corr is the flux times a factor
    seen = error * 10 ** (-0.4 * np.nan_to_num(measured.psf_correction))

    def grown(value, by):
        return float(np.hypot(value, by))

    corrected_err = grown(measured.flux_corr_err, seen)
    covariance = dict(measured.covariance)
    if name in covariance:
        covariance[name] = corrected_err**2
    return replace(
        measured,
        flux_err=grown(measured.flux_err, error),
        model_err=grown(measured.model_err, error),
        flux_corr_err=corrected_err,
        covariance=covariance,
    )
