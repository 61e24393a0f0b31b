"""Between the model that travels and the scene that is fitted.

Unpacking and writing back only; the fits are in `galstep.core.fitting.fits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.linalg import LinAlgError

from galstep.core.engine.scene import make_band
from galstep.core.fitting.galaxy_first import scale_galaxy
from galstep.core.fitting.sky_order import frame_sky_order
from galstep.core.imaging.affine import referred_to_base
from galstep.core.imaging.background import pixel_noise
from galstep.core.psf.cache import effective_psf as core_psf
from galstep.datamodels.model.band import MODEL_IMAGES
from galstep.exceptions import GalstepError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.mapped_records import mapped_fit
from galstep.steps.galaxy.galaxy_options import displaced, log_wavelength
from galstep.steps.galaxy.grids import pixel_map_between

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from galstep.core.engine.scene import SceneBand
    from galstep.core.fitting.galaxy_first import GalaxyFirst
    from galstep.core.measurement.measure import SceneMeasurement
    from galstep.core.psf.effective import EffectivePSF
    from galstep.datamodels import BandData, GalaxyModel
    from galstep.records import BandFit

__all__ = [
    "effective_psf",
    "error_or_noise",
    "fit_in_own_pixels",
    "fitted_base",
    "scaled_scene",
    "scene_band",
    "sky_order_for",
    "store",
    "target_centre",
    "try_fit",
]


SINGULAR = "the normal equations are singular"


def effective_psf(band: BandData) -> EffectivePSF:
    """The library PSF of a filter convolved with its kernel, if it has one."""
    return core_psf(band.psf, band.oversample, band.psf_kernel, f"psf of filter {band.name!r}")


def scene_band(band: BandData, sky_order: int = 1, base: BandData | None = None) -> SceneBand:
    """A `BandData` as the engine sees it.

    The error plane is used where there is one; without one the noise of single
    pixels is the first guess, and the fit measures the rest. The scene's frame is
    that of the filter ``base``, or the band's own.
    """
    place: dict[str, Any] = {}
    if base is not None:
        pixel_map, _ = pixel_map_between(base, band)
        place = dict(
            matrix=pixel_map.matrix,
            origin=pixel_map.origin,
            scene_shape=base.shape,
            log_wavelength=log_wavelength(band.name, base.name),
        )
    return make_band(
        band.name,
        band.data,
        band.mask,
        effective_psf(band),
        error_or_noise(band),
        sky_order=sky_order,
        displaced_psfs=displaced(band),
        **place,
    )


def error_or_noise(band: BandData) -> np.ndarray | float:
    """The error plane, or the noise of single pixels where there is none."""
    return pixel_noise(band.data, band.mask) if band.err is None else band.err


def sky_order_for(band: BandData, wanted: str, first: GalaxyFirst) -> int:
    """Degree of the sky: ``wanted``, or what the frame asks for if it is auto."""
    return frame_sky_order(band.data, band.mask, first) if wanted == "auto" else int(wanted)


def target_centre(model: GalaxyModel, band: BandData) -> tuple[float, float] | None:
    """Where the target is looked for in a filter, (x, y) in its pixels; None: near the middle.

    Parameters
    ----------
    model : `GalaxyModel`
    band : BandData
        One of its filters.

    Returns
    -------
    tuple of float or None
    """
    own = model.bands.get(model.meta.target_filter)
    if model.meta.target_position is None or own is None:
        return None
    x, y = (v - v0 for v, v0 in zip(model.meta.target_position, own.origin, strict=True))
    if own is band:
        return x, y
    x, y = pixel_map_between(own, band)[0].points(x, y)
    return float(x), float(y)


def fit_in_own_pixels(
    band: BandData, base: BandData, fit: Callable[[BandFit], SceneMeasurement]
) -> SceneMeasurement:
    """Fit another filter than the base in its own pixels.

    Parameters
    ----------
    band, base : `BandData`
        The base has a fit.
    fit : callable
        ``fit(base_fit)`` is given the base's `BandFit` in the pixels of the
        filter and returns a `SceneMeasurement`.

    Returns
    -------
    SceneMeasurement
        With the relation to the base's pixels in its fit.
    """
    pixel_map, _ = pixel_map_between(base, band)
    return referred_to_base(fit(mapped_fit(pixel_map, base.fit)), pixel_map)


def scaled_scene(band: BandData, base_fit: BandFit, wanted: str) -> SceneBand:
    """The scene of another filter than the base, with the sky that it needs.

    ``base_fit`` is the base's fit in the pixels of this filter.
    """
    if wanted != "auto":
        return scene_band(band, int(wanted))
    params = base_fit.sersic[0].params
    psf = effective_psf(band)
    first = scale_galaxy(band.data, band.mask, error_or_noise(band), psf, params)
    return scene_band(band, sky_order_for(band, wanted, first))


def fitted_base(model: GalaxyModel, step: str) -> BandData:
    """The base filter's `BandData`, which must have been fitted.

    Raises
    ------
    PrerequisiteError
        If there is no base fit in the model.
    """
    base = model.bands.get(model.meta.base_filter)
    if base is None or not base.fitted:
        raise PrerequisiteError(
            f"{step} needs the base fit: run BaseFit, or give a file that contains it"
        )
    return base


def store(band: BandData, measured: SceneMeasurement, index: int = 0) -> None:
    """Write one band of a `SceneMeasurement` back."""
    band.fit = measured.fits[index]
    for name in MODEL_IMAGES:
        setattr(band, name, getattr(measured, name)[index])


def try_fit(
    step: str,
    bands: Sequence[BandData],
    fit: Callable[..., Any],
    *args: Any,
    raise_error: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a fit; a singular problem becomes a flag and a reason.

    Parameters
    ----------
    step : str
        Key of the step, for the reason.
    bands : sequence of `BandData`
        Flagged if the fit fails; their earlier results stay.
    fit : callable
    *args, **kwargs
        For ``fit``.
    raise_error : bool, optional
        Raise an error instead.

    Returns
    -------
    object or None
        What ``fit`` returned, None if it failed.

    Raises
    ------
    GalstepError
        If the fit failed and ``raise_error`` is set.
    """
    for band in bands:
        band.flags &= ~int(BandFlag.NOT_FITTED)
        band.reasons = [reason for reason in band.reasons if SINGULAR not in reason]
    try:
        return fit(*args, **kwargs)
    except LinAlgError as error:
        if raise_error:
            names = ", ".join(band.name for band in bands)
            raise GalstepError(f"{step}: fit of {names} failed: {SINGULAR} ({error})") from error
        for band in bands:
            band.flags |= int(BandFlag.NOT_FITTED)
            band.reasons.append(f"{step}: {SINGULAR} ({error})")
        return None
