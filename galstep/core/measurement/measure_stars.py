"""Stars of a fitted scene as the records that are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import convolve
from scipy.spatial import cKDTree

from galstep.core.measurement.star_flags import place_flags
from galstep.flags import StarFlag
from galstep.records import StarList

if TYPE_CHECKING:
    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["star_chi2", "star_list"]

POOR_CHI2 = 3.0
MOVED_PIXELS = 1.0


def star_chi2(
    band: SceneBand, scaled: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reduced chi2 inside one FWHM of each star.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    scaled : (ny, nx) array
        Residual in units of the pixel sigma, 0 where masked.
    x, y : (n,) arrays
        Pixels of the band.

    Returns
    -------
    chi2, covered : (n,) arrays
        NaN without pixels; and the share of the disc that has data.
    """
    reach = int(np.ceil(band.star_renderer.psf.fwhm))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(xx, yy) <= band.star_renderer.psf.fwhm).astype(float)
    total = convolve(scaled**2, disc, mode="constant")
    count = convolve((~band.mask).astype(float), disc, mode="constant")
    ix, iy, inside = _nearest(band, x, y)
    chi2 = np.full(len(x), np.nan)
    enough = inside & (count[iy, ix] > 0.5)
    chi2[enough] = total[iy[enough], ix[enough]] / count[iy[enough], ix[enough]]
    return chi2, np.where(inside, count[iy, ix] / disc.sum(), 0.0)


def _nearest(band, x, y):
    ny, nx = band.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    return np.clip(ix, 0, nx - 1), np.clip(iy, 0, ny - 1), inside


def _star_flags(band, state, index, x, y, chi2, covered):
    fwhm = band.star_renderer.psf.fwhm
    ny, nx = band.shape
    flags = np.zeros(len(x), dtype=int)
    near_edge = (x < fwhm) | (y < fwhm) | (x > nx - 1 - fwhm) | (y > ny - 1 - fwhm)
    flags[near_edge] |= StarFlag.NEAR_EDGE
    flags[(covered < 0.999) & ~near_edge] |= StarFlag.MASKED_PIXELS
    flags[state.star_flux[index] < 0] |= StarFlag.NEGATIVE
    flags[chi2 > POOR_CHI2] |= StarFlag.POOR_FIT
    if len(x) > 1:
        distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)
        flags[distance[:, 1] < fwhm] |= StarFlag.BLENDED
    galaxies = [band.own_vector(vector, state.shift[index]) for vector in state.shapes_in(band)]
    for own in galaxies:
        flags[np.hypot(x - own[0], y - own[1]) < np.exp(own[2])] |= StarFlag.IN_CORE
    flags |= place_flags(band.mask, fwhm, x, y, [own[:2] for own in galaxies])
    moved = np.hypot(state.x - state.x_prior, state.y - state.y_prior)
    flags[moved > MOVED_PIXELS] |= StarFlag.MOVED
    return flags


def star_list(
    band: SceneBand,
    index: int,
    state: SceneState,
    covariance: SceneCovariance,
    flux_errors: np.ndarray,
    scaled: np.ndarray,
    star_id: np.ndarray,
    blend_err: np.ndarray | None = None,
    in_pair: np.ndarray | None = None,
) -> StarList:
    """The stars of one band.

    Parameters
    ----------
    band, index : `galstep.core.engine.scene.SceneBand`, int
    state : `galstep.core.engine.scene.SceneState`
    covariance : `galstep.core.engine.covariance.SceneCovariance`
        For the errors of the positions.
    flux_errors : (n_bands, n_stars) array
        Infinite where a star has no data.
    scaled : (ny, nx) array
        Residual in units of the pixel sigma, 0 where masked.
    star_id : (n_stars,) int array
    blend_err : (n_stars,) array, optional
        Part of the error from hidden stars (`blend_errors`), added to
        ``flux_errors`` in quadrature; 0 by default.
    in_pair : (n_stars,) bool array, optional
        Which are two stars (`galstep.core.measurement.pairs.stars_in_pairs`).

    Returns
    -------
    StarList
        In the pixels of the band; flux and error are NaN without data.
    """
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    x_err, y_err = band.pixel_map.position_errors(*covariance.position_errors())
    chi2, covered = star_chi2(band, scaled, x, y)
    blend_err = np.zeros(len(x)) if blend_err is None else blend_err
    flux_err = np.hypot(flux_errors[index], blend_err)
    flags = _star_flags(band, state, index, x, y, chi2, covered)
    # wings count as data where they hold enough of the star's information
    no_data = ~np.isfinite(flux_err)
    flags[no_data] |= StarFlag.NO_DATA
    if in_pair is not None:
        flags[in_pair] |= StarFlag.PAIR
    if not covariance.layout.positions:
        flags |= StarFlag.FORCED
    return StarList(
        star_id=np.asarray(star_id, dtype=int),
        x=x,
        y=y,
        flux=np.where(no_data, np.nan, state.star_flux[index]),
        x_err=x_err,
        y_err=y_err,
        flux_err=np.where(no_data, np.nan, flux_err),
        chi2_reduced=chi2,
        flags=flags,
        blend_err=np.where(no_data, np.nan, blend_err),
    )
