"""Forced photometry on one image: fluxes of stars whose positions are known.

    from galstep.core.fitting.forced import forced_photometry

    table = forced_photometry(data, psf, [(31.2, 40.7), (33.0, 41.5)], error, oversample=4)

All stars are fitted at once, each with the whole of its wings, together with
the sky: a neighbour's light is never taken for a star's own. With positions
held that is one linear problem, so that fluxes are unbiased at any S/N and in any
crowding, and may be negative.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable
from astropy.units import Quantity

from galstep.core.detection.ladder import known_variance
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.fitting.forced_fit import XY_BOUNDS, ForcedFit
from galstep.core.fitting.forced_list import GivenPositions, flagged, forced_rows
from galstep.core.imaging.background import pixel_noise
from galstep.core.measurement.measure_stars import star_list
from galstep.core.psf.cache import effective_psf
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError, ParameterError
from galstep.flags import StarFlag
from galstep.units import flux_unit

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.table import Table

__all__ = ["forced_photometry"]

_TEXTS = {
    "id": "as given, or the number of the row from 1",
    "x": "where it was measured, 0-based pixels",
    "x_err": "1-sigma error of x, NaN where positions are held",
    "y": "where it was measured, 0-based pixels",
    "y_err": "1-sigma error of y, NaN where positions are held",
    "flux": "total flux; may be negative; NaN without data",
    "flux_err": "1-sigma error of flux, all other stars and the sky being free",
    "snr": "flux over its error",
    "flux_limit": "max(flux, 0) + n_sigma errors where flux < n_sigma errors, else NaN",
    "chi2_reduced": "reduced chi-squared within one FWHM",
    "flags": "galstep.flags.StarFlag bits",
}
_WITH_UNIT = ("flux", "flux_err", "flux_limit")


def forced_photometry(
    data: np.ndarray | Quantity,
    psf: np.ndarray | EffectivePSF,
    positions: npt.ArrayLike | Table,
    error: np.ndarray | Quantity | None = None,
    mask: np.ndarray | None = None,
    *,
    mode: str = "linear",
    oversample: int = 1,
    sky_degree: int | None = 1,
    n_sigma: float = 3.0,
    xy_bounds: float = XY_BOUNDS,
) -> QTable:
    """Fluxes of stars at given positions.

    Parameters
    ----------
    data : (ny, nx) array or Quantity
        The image. Pixels that are not finite count as masked.
    psf : 2-D array or `galstep.core.psf.effective.EffectivePSF`
        The effective PSF (pixel response included), the star at the geometric
        centre of the array; its norm does not matter.
    positions : (n, 2) array_like or table
        x and y, 0-based pixels with centres at integers; or a table with columns
        ``x`` and ``y``, and ``id`` if it likes.
    error : (ny, nx) array or Quantity, optional
        1-sigma error of the data, infinite or NaN where they are bad. Without it
        the noise is measured from what the fit leaves.
    mask : (ny, nx) bool array, optional
        True = bad.
    mode : {"linear", "nonnegative", "free"}, optional
        Positions held and fluxes of any sign; positions held and no flux below
        zero; positions free.
    oversample : int, optional
        Samples of a ``psf`` array per pixel.
    sky_degree : {0, 1, 2, None}, optional
        Degree of the polynomial sky that is fitted with the stars; None where the
        sky has been subtracted.
    n_sigma : float, optional
        Of the upper limits.
    xy_bounds : float, optional
        With ``free``: the largest distance from the given position (pixels),
        and the width of a Gaussian prior about it.

    Returns
    -------
    `astropy.table.QTable`
        A row per position, in their order: id, x, x_err, y, y_err, flux,
        flux_err, snr, flux_limit, chi2_reduced, flags (`galstep.flags.StarFlag`).
        A star of flux F sums to F over the plane. ``meta`` has the sky's
        coefficients (`galstep.records.SkyModel`), the noise of a pixel and what
        the flags mean.

    Raises
    ------
    InputError
        If the images do not go together or no pixel is good.
    ParameterError
        If a parameter is not one of those above.
    """
    fit, n_sigma = ForcedFit(mode, xy_bounds), _positive(n_sigma, "n_sigma")
    x, y, name = _places(positions)
    unit = getattr(data, "unit", None)
    band = _band(data, psf, error, mask, oversample, sky_degree, unit)
    given = GivenPositions.of(x, y, band.shape, band.star_renderer.psf.fwhm, name)
    stars, sky = _fitted(band, given, fit)
    rows = forced_rows(given, flagged(stars, given, fit, n_sigma), fit, n_sigma)
    meta = {
        "mode": mode,
        "n_sigma": n_sigma,
        "sky_coefficients": [float(c) for c in sky],
        "pixel_sigma": band.sigma,
        "flags": {int(flag): f"{flag.name.lower()}: {flag.text}" for flag in StarFlag},
    }
    return _table(rows, name, unit, meta)


def _positive(value, name):
    if not 0 < value < np.inf:
        raise ParameterError(f"{name} must be positive, got {value!r}")
    return float(value)


def _places(positions):
    """x, y and ids (None without) of a table or an (n, 2) array."""
    if hasattr(positions, "colnames"):
        missing = [key for key in ("x", "y") if key not in positions.colnames]
        if missing:
            raise InputError(
                f"positions: the table must have columns x and y, it has {positions.colnames}"
            )
        name = list(positions["id"]) if "id" in positions.colnames else None
        return *(
            np.ma.filled(np.ma.asarray(_plain(positions[k]), float), np.nan) for k in "xy"
        ), name
    places = np.asarray(positions, dtype=float)
    if places.size == 0:
        places = places.reshape(0, 2)
    if places.ndim != 2 or places.shape[1] != 2:
        raise InputError(f"positions must be of shape (n, 2), got {places.shape}")
    return places[:, 0], places[:, 1], None


def _plain(values, unit=None):
    """Numbers without their unit, which is converted to ``unit`` first."""
    if isinstance(values, Quantity):
        return values.value if unit is None else values.to_value(unit)
    return values


def _band(data, psf, error, mask, oversample, sky_degree, unit):
    """The image as the engine sees it."""
    data = np.array(_plain(data), dtype=float)
    if data.ndim != 2:
        raise InputError(f"data must be a 2-D image, got shape {data.shape}")
    bad = ~np.isfinite(data)
    for what, image in (("mask", mask), ("error", error)):
        if image is not None and np.shape(image) != data.shape:
            raise InputError(
                f"{what} must have the shape of data {data.shape}, got {np.shape(image)}"
            )
    bad |= False if mask is None else np.asarray(mask, dtype=bool)
    sigma = None
    if error is not None:
        sigma = np.array(_plain(error, unit), dtype=float)
        bad |= ~(np.isfinite(sigma) & (sigma > 0))
    if bad.all():
        raise InputError("data: no pixel is good")
    if sky_degree not in (0, 1, 2, None):
        raise ParameterError(f"sky_degree must be 0, 1, 2 or None, got {sky_degree!r}")
    if not isinstance(psf, EffectivePSF):
        psf = effective_psf(np.asarray(psf), oversample)
    sigma = pixel_noise(data, bad) if sigma is None else sigma
    band = make_band("image", data, bad, psf, sigma, sky_order=sky_degree or 0)
    return _without_sky(band) if sky_degree is None else band


def _without_sky(band):
    return replace(band, basis=np.zeros((0, *band.shape)))


def _fitted(band, given, fit):
    """The stars of the positions and the sky's coefficients."""
    start = SceneState.start([band], np.zeros((0, 6)))
    count = len(given.star_x)
    start = start.with_stars(given.star_x, given.star_y, np.zeros((1, count)), np.arange(count))
    freedom = fit.freedom()
    result = run_ladder([band], start, freedom, fit.options(), base=known_variance([band]))
    state, evaluation = result.solution.state, result.solution.evaluation
    band = result.bands[0]
    errors = result.covariance.star_flux_errors(result.bands)
    scaled = evaluation.residuals[0] * np.sqrt(band.weight) * band.noise_scale
    stars = star_list(band, 0, state, result.covariance, errors, scaled, state.star_id)
    return stars, state.sky[0]


def _table(rows, name, unit, meta):
    table = QTable(meta=meta)
    unit = None if unit is None else flux_unit(unit)
    own = np.arange(1, len(rows) + 1) if name is None else name
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {"id": own, "snr": rows.flux / rows.flux_err}
    for column, text in _TEXTS.items():
        value = values[column] if column in values else getattr(rows, column)
        table[column] = value * unit if unit is not None and column in _WITH_UNIT else value
        table[column].info.description = text
    return table
