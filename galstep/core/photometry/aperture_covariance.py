"""Covariances of one aperture's fluxes between filters: what colours need.

Filters share the stars that are too faint to be found, hence their noise, and
the shape of the galaxy where it was fitted to all of them at once. Both make
the fluxes vary together, and a colour better known than either of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.photometry.aperture_errors import light_variance
from galstep.core.photometry.aperture_light import N_PARAMETERS, parameter_covariance
from galstep.core.photometry.aperture_noise import noise_shared_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galstep.core.photometry.aperture_photometry import Measurement
    from galstep.pixel_map import PixelMap
    from galstep.records import ApertureFlux, JointSummary, SersicFit

__all__ = ["flux_covariances", "joint_covariance"]


def joint_covariance(
    first: SersicFit, second: SersicFit, flux_covariance: float, jacobian: np.ndarray | None = None
) -> np.ndarray:
    """Covariance of two filters' galaxy parameters after a joint fit with one shape.

    Parameters
    ----------
    first, second : galstep.records.SersicFit
        Their covariances share the block of the shape; each has that of the
        shape with its own flux.
    flux_covariance : float
        Of the two fluxes.
    jacobian : (6, 6) array, optional
        Derivatives of the second filter's shape vector by the first's, where
        their pixels differ.

    Returns
    -------
    ndarray, shape (7, 7)
        Rows: first filter, columns: second; (x_0, y_0, ln r_eff, e1, e2, ln n,
        flux).
    """
    own, other = parameter_covariance(first), parameter_covariance(second)
    matrix = np.zeros((N_PARAMETERS, N_PARAMETERS))
    matrix[:6, :6] = own[:6, :6]
    matrix[6, :6] = own[6, :6]
    if jacobian is not None:
        matrix[:, :6] = matrix[:, :6] @ jacobian.T
    back = np.eye(6) if jacobian is None else np.linalg.inv(jacobian)
    matrix[:6, 6] = back @ other[:6, 6]
    matrix[6, 6] = flux_covariance
    return matrix


def flux_covariances(
    measurements: Mapping[str, Measurement],
    components: Mapping[str, Sequence[SersicFit]],
    joint: JointSummary | None = None,
    maps: Mapping[str, PixelMap] | None = None,
) -> dict[str, ApertureFlux]:
    """The measurements of one aperture with the covariances between the filters.

    Of `flux_corr`, as seen through the reference PSF: of two filters a and b

        rho_ab noise_a noise_b + slopes_a C_ab slopes_b^T,

    with rho the correlation of the sums over empty apertures at the same
    places, the noises brought to the reference PSF as the fluxes are, and C_ab
    from `joint_covariance`. Where the shape changes with wavelength, or has two
    components, the light of the two filters is taken to be correlated as their
    fluxes inside the base filter's half-light ellipse are; without a joint fit
    it is not correlated.

    Parameters
    ----------
    measurements : dict of str to galstep.core.photometry.aperture_photometry.Measurement
        By filter.
    components : dict of str to sequence of galstep.records.SersicFit
    joint : galstep.records.JointSummary, optional
    maps : dict of str to galstep.pixel_map.PixelMap, optional
        By filter, from the base filter's pixels to its own; by default all
        filters have the same pixels.

    Returns
    -------
    dict of str to galstep.records.ApertureFlux
    """
    names = list(measurements)
    covariance = {name: {name: measurements[name].flux.flux_corr_err ** 2} for name in names}
    correlation = _noise_correlations(measurements, maps)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            value = correlation[a, b] * _seen_noise(measurements[a]) * _seen_noise(measurements[b])
            if joint is not None and {a, b} <= set(joint.filters):
                value += _shared_light(measurements, components, joint, a, b, maps)
            covariance[a][b] = covariance[b][a] = float(value)
    return {name: replace(measurements[name].flux, covariance=covariance[name]) for name in names}


def _noise_correlations(measurements, maps):
    names, found = list(measurements), {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            a_to_b = None
            if maps is not None:
                a_to_b = maps[b].after(maps[a].inverse()).points
            found[a, b] = noise_shared_by(measurements[a].empty, measurements[b].empty, a_to_b)
    return found


def _seen_noise(measurement):
    """The noise term as the reference PSF would have it."""
    flux = measurement.flux
    return flux.noise_err * 10 ** (-0.4 * flux.psf_correction)


def _shared_light(measurements, components, joint, a, b, maps):
    """Covariance of the model's light in the aperture, as the reference PSF would have it."""
    slopes_a, slopes_b = measurements[a].slopes, measurements[b].slopes
    if not (len(slopes_a) and len(slopes_b)):
        return np.nan
    i, j = joint.filters.index(a), joint.filters.index(b)
    if joint.shape_freedom != "pinned" or joint.n_components > 1:
        variances = [light_variance(components[name], measurements[name].slopes) for name in (a, b)]
        return _correlation(joint.matched_covariance, i, j) * np.sqrt(np.prod(variances))
    first, second = components[a][0], components[b][0]
    jacobian = None
    if maps is not None:
        jacobian = maps[b].after(maps[a].inverse()).jacobian(first.params.to_vector())
    fluxes = _of_components(joint.flux_covariance, i, j, first.flux_err, second.flux_err)
    matrix = joint_covariance(first, second, fluxes, jacobian)
    return float(slopes_a[0] @ matrix @ slopes_b[0])


def _of_components(covariance, i, j, first_err, second_err):
    """Covariance of the components' fluxes from that of the totals, knots included.

    What the totals' variances have beyond the components' is the division of stars and knots:
    the same sources in both filters, so it is taken to be fully correlated. Where it is not,
    too little is left, and a colour's error is too large rather than too small.
    """
    whole = covariance[i, j]
    if not (np.isfinite(first_err) and np.isfinite(second_err)):
        return whole
    beyond = [max(covariance[k, k] - err**2, 0.0) for k, err in ((i, first_err), (j, second_err))]
    left = max(whole - np.sqrt(np.prod(beyond)), min(whole, 0.0))
    return min(left, first_err * second_err)


def _correlation(covariance, i, j):
    """Of two numbers of a covariance matrix; 0 where that is not known."""
    if covariance is None or not min(covariance[i, i], covariance[j, j]) > 0:
        return 0.0
    return float(covariance[i, j] / np.sqrt(covariance[i, i] * covariance[j, j]))
