"""The galaxy of a fitted scene: from border parameters to components and fluxes.

The covariance is computed once, for the quantities of `border_quantities`: the
free shape parameters, and of each band the fluxes of the components and the sky
level. Everything else that is reported of the galaxy follows from these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.engine.scene import N_SHAPE
from galstep.core.measurement.matched import fraction_and_gradient, half_light_ellipse
from galstep.mapped_records import mapped_sersic
from galstep.records import SersicFit, SersicParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.layout import Layout
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["Quantities", "border_quantities", "components", "matched_fluxes", "sky_at"]


@dataclass(frozen=True, eq=False)
class Quantities:
    """Numbers that a fit gives, as rows on the border of its normal matrix.

    Parameters
    ----------
    rows : (nq, n_border) array
    n_shape, n_bands, n_galaxies : int
        Row of shape parameter k is k; those of the fluxes and skies follow.
    target : (n_galaxies,) bool array
        Which profiles are the target's.
    """

    rows: np.ndarray
    n_shape: int
    n_bands: int
    n_galaxies: int
    target: np.ndarray

    def flux(self, band: int, galaxy: int | None = None) -> Any:
        """Row of a component's flux, or the slice of all components of a band."""
        first = self.n_shape + band * (self.n_galaxies + 1)
        return slice(first, first + self.n_galaxies) if galaxy is None else first + galaxy

    def sky(self, band: int) -> int:
        """Row of a band's sky level at the galaxy."""
        return self.n_shape + band * (self.n_galaxies + 1) + self.n_galaxies

    def total_fluxes(self) -> np.ndarray:
        """(n_bands, nq) array that sums the target's components in each band."""
        sums = np.zeros((self.n_bands, len(self.rows)))
        for band in range(self.n_bands):
            sums[band, self.flux(band)] = self.target
        return sums


def sky_at(band: SceneBand, vector: np.ndarray) -> np.ndarray:
    """The sky terms' values at the galaxy's centre, (n_sky,)."""
    ny, nx = band.shape
    ix = int(np.clip(np.rint(vector[0]), 0, nx - 1))
    iy = int(np.clip(np.rint(vector[1]), 0, ny - 1))
    return band.basis[:, iy, ix]


def border_quantities(bands: Sequence[SceneBand], state: SceneState, layout: Layout) -> Quantities:
    """The `Quantities` of a scene with at least one galaxy."""
    n_shape = len(layout.shape)
    rows = [*np.eye(layout.n_border)[:n_shape]]
    for i, band in enumerate(bands):
        for g in range(layout.n_galaxies):
            rows.append(np.eye(layout.n_border)[layout.galaxy_flux(i, g)])
        row = np.zeros(layout.n_border)
        row[layout.sky(i)] = sky_at(band, band.galaxy_vector(state.shapes[0], state.shift[i]))
        rows.append(row)
    return Quantities(np.array(rows), n_shape, len(bands), layout.n_galaxies, state.target)


def components(
    band: SceneBand,
    index: int,
    state: SceneState,
    layout: Layout,
    quantities: Quantities,
    matrix: np.ndarray,
) -> tuple[SersicFit, ...]:
    """The components of a band as `galstep.records.SersicFit`.

    Parameters
    ----------
    band, index, state, layout
    quantities : `Quantities`
    matrix : (nq, nq) array
        Their covariance.

    Returns
    -------
    tuple of SersicFit
        In the pixels of the band.
    """
    follows = layout.shape.jacobian(band.log_wavelength)
    fits = []
    for g, vector in enumerate(state.shapes_in(band)):
        rows = np.zeros((N_SHAPE + 1, len(matrix)))
        rows[:N_SHAPE, : quantities.n_shape] = follows[:, g].T
        rows[N_SHAPE, quantities.flux(index, g)] = 1.0
        known = rows.any(axis=1)
        covariance = np.full((N_SHAPE + 1,) * 2, np.nan)
        covariance[np.ix_(known, known)] = rows[known] @ matrix @ rows[known].T
        vector = vector + np.array([*state.shift[index], 0, 0, 0, 0])
        component = _component(vector, state.galaxy_flux[index, g], covariance)
        component = replace(component, galaxy_id=int(state.galaxy_id[g]))
        fits.append(mapped_sersic(band.pixel_map, component))
    return tuple(fits)


def _component(vector, flux, covariance):
    """A `SersicFit` from its vector and the 7 x 7 covariance (flux last)."""
    params = SersicParams.from_vector(vector)
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    error[~np.isfinite(np.diag(covariance))] = np.nan
    e1, e2 = vector[3], vector[4]
    e = max(np.hypot(e1, e2), 1e-9)
    block = covariance[3:5, 3:5]
    # ellip = 2 e / (1 + e); theta = atan2(e2, e1) / 2
    to_ellip = 2 / (1 + e) ** 2 * np.array([e1, e2]) / e
    to_theta = 0.5 * np.array([-e2, e1]) / e**2
    ellip_err, theta_err = (
        float(np.sqrt(max(row @ block @ row, 0.0))) if np.isfinite(block).all() else np.nan
        for row in (to_ellip, to_theta)
    )
    return SersicFit(
        params=params,
        flux=float(flux),
        flux_err=float(error[6]),
        x_0_err=float(error[0]),
        y_0_err=float(error[1]),
        r_eff_err=float(error[2] * params.r_eff),
        n_err=float(error[5] * params.n),
        ellip_err=ellip_err,
        # a direction is uniform in [0, pi) at worst
        theta_err=float(min(theta_err, np.pi / np.sqrt(12))) if theta_err == theta_err else np.nan,
        covariance=covariance,
    )


def matched_fluxes(
    bands: Sequence[SceneBand],
    state: SceneState,
    layout: Layout,
    quantities: Quantities,
    matrix: np.ndarray,
    base_index: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fluxes of all bands inside the half-light ellipse of one of them.

    Of the model before the PSF, so that they compare without corrections.

    Parameters
    ----------
    bands, state, layout, quantities, matrix
        As for `components`.
    base_index : int
        The band whose half-light ellipse it is.

    Returns
    -------
    fluxes : (n_bands,) array
        NaN where the base has no positive flux.
    covariance : (n_bands, n_bands) array
        The ellipse counts as given.
    radius : float
        Semi-major axis of the ellipse (pixels of the scene's frame).
    """
    base = bands[base_index]
    own = state.target
    ellipse = half_light_ellipse(state.shapes_in(base)[own], state.galaxy_flux[base_index][own])
    n_bands = len(bands)
    if ellipse is None:
        return np.full(n_bands, np.nan), np.full((n_bands, n_bands), np.nan), np.nan
    fluxes, rows = np.zeros(n_bands), np.zeros((n_bands, len(matrix)))
    for i, band in enumerate(bands):
        follows = layout.shape.jacobian(band.log_wavelength)
        for g, shape in zip(np.flatnonzero(own).tolist(), state.shapes_in(band)[own], strict=True):
            fraction, gradient = fraction_and_gradient(shape, ellipse)
            fluxes[i] += state.galaxy_flux[i, g] * fraction
            rows[i, quantities.flux(i, g)] = fraction
            rows[i, : quantities.n_shape] += state.galaxy_flux[i, g] * follows[:, g] @ gradient
    radius = float(np.sqrt(np.linalg.eigvalsh(ellipse)[-1]))
    return fluxes, rows @ matrix @ rows.T, radius
