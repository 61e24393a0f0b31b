"""The error of a galaxy's total from light so far out that only the profile tells of it.

A Sersic profile is a summary. Beyond some half-light radii galaxies depart from the one that
fits their middle, down (truncated discs) and up (halos; Erwin, Pohlen & Beckman 2008), and
what is faint and wide there is taken by the sky, which the formal error allows only along
the family of profiles. So the outer profile may break at some radii r_k,

    light(r) -> light(r) (1 + sum_k A_k ln(r / r_k)),    each term beyond its r_k only,

with a prior width of the A_k, changes of the profile's logarithmic slope; what the data say
of them, sky, flux and shape free beside them, narrows that. They are one set of numbers for
all filters, and totals move together, colours hardly; unless the shape changes with wavelength:
then the wings of each filter are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.sersic import elliptical_radius, enclosed_fraction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution

__all__ = ["wing_covariance"]

# r_k in half-light radii of the target, even in the logarithm; and how far a break is felt.
BREAKS, OUTER = (2.5, 4.0, 6.3), 15.0
# Width of the prior of the A_k. On 36 structured galaxies of three seeds, each fitted by one or
# two components, light over model at 5.5 half-light radii scatters by 0.35 = 0.45 ln(5.5 / 2.5).
SLOPE = 0.45
# Columns beside the breaks: flux, ln r_eff and ln n (see `Evaluation.galaxies`).
COLUMNS = (0, 3, 6)


def wing_covariance(
    bands: Sequence[SceneBand], solution: Solution, noise_corr: Sequence[float]
) -> np.ndarray:
    """Covariance of the target's total fluxes from its wings, (n_bands, n_bands).

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
    noise_corr : sequence of float
        Error of the flux over that in white noise, per band.

    Returns
    -------
    (n_bands, n_bands) array
    """
    state, evaluation = solution.state, solution.evaluation
    information, rows = [], []
    for i, band in enumerate(bands):
        images = evaluation.galaxies(i)[state.target]
        flux = state.galaxy_flux[i][state.target]
        light = np.tensordot(flux, images[:, 0], axes=1)
        slopes, beyond = _slopes(band, state, i)
        templates = light * slopes
        # the light beyond the frame goes with its edge
        outside = max(float(flux.sum() - light.sum()), 0.0)
        rows.append(templates.sum(axis=(1, 2)) + beyond * outside)
        columns = [images[:, k] for k in COLUMNS if k < images.shape[1]]
        beside = np.concatenate([*columns, band.basis])
        weight = band.weight / max(noise_corr[i], 1.0) ** 2
        information.append(_information(templates, beside, weight))
    prior, response = np.eye(len(BREAKS)) / SLOPE**2, np.array(rows)
    if state.gradients[:, state.target].any():
        pairs = zip(response, information, strict=True)
        return np.diag([own @ np.linalg.solve(prior + known, own) for own, known in pairs])
    root = np.linalg.solve(np.linalg.cholesky(prior + sum(information)), response.T)
    return root.T @ root


def _slopes(band, state, index):
    """ln(r / r_k), 0 within r_k, at every pixel (n_breaks, ny, nx) and at the frame's edge."""
    shapes = state.shapes_in(band)[state.target]
    vectors = [band.own_vector(shape, state.shift[index]) for shape in shapes]
    outer = vectors[int(np.argmax([vector[2] for vector in vectors]))]
    half = _half_light_radius(vectors, state.galaxy_flux[index][state.target])
    radius = elliptical_radius(band.shape, outer) / half
    edge = np.sqrt(radius.size / np.pi) / half
    breaks = np.array(BREAKS)[:, None, None]
    slopes = np.log(np.clip(radius / breaks, 1.0, OUTER / breaks))
    return slopes, np.log(np.clip(edge / breaks, 1.0, OUTER / breaks))[:, 0, 0]


def _half_light_radius(vectors, flux):
    """Radius that holds half of the light of concentric components, along the major axis."""
    flux = np.maximum(flux, 0.0)
    sizes = np.array([np.exp(vector[2]) for vector in vectors])
    if not flux.sum() > 0:
        return float(sizes.max())
    radii = np.geomspace(sizes.min(), max(sizes.max(), sizes.min() * 1.001), 50)
    shares = [
        enclosed_fraction(radii / size, np.exp(vector[5]))
        for size, vector in zip(sizes, vectors, strict=True)
    ]
    return float(np.interp(0.5, (flux / flux.sum()) @ np.array(shares), radii))


def _information(templates, beside, weight):
    """Inverse covariance of the templates' amplitudes, the columns beside them free."""
    count = len(templates)
    columns = np.concatenate([templates, beside]).reshape(count + len(beside), -1)
    matrix = (columns * weight.ravel()) @ columns.T
    scale = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    unit = matrix / np.outer(scale, scale) + 1e-10 * np.eye(len(scale))
    known = np.linalg.solve(unit[count:, count:], unit[count:, :count])
    own = unit[:count, :count] - unit[:count, count:] @ known
    return own * np.outer(scale[:count], scale[:count])
