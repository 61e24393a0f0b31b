"""The stars that a PSF was calibrated on, stacked beside the PSF and the library.

Every anchor is looked at with its neighbours, the galaxy and the sky
subtracted. Its flux and a constant are fitted, once with the calibrated PSF
(position too: a correction may have moved it) and once with the library as it
is. The pixels of all anchors, over their fluxes, are then averaged in rings and
in small squares about the star; the PSFs at the very same pixels likewise, so
that nothing is left that is not a difference of light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import gaussian_filter, map_coordinates

from galstep.core.calibration.anchors import disc_labels
from galstep.core.calibration.disc_fit import WorkingPsf
from galstep.core.calibration.field_stars import NEGLIGIBLE, rendering_half_sizes
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import Frame
    from galstep.core.calibration.field_stars import FieldStars

__all__ = ["StarStack", "encircled_energy", "kernel_image", "stack_stars"]

RADIUS_IN_FWHM = 2.5
FIT_IN_FWHM = 1.6
LEAST_RADIUS = 6.0
RING = 0.5  # pixels
SQUARE = 0.5
MODEL_ERROR = 0.02
ROBUST = 3.0


@dataclass(frozen=True, eq=False)
class StarStack:
    """Stacked stars; light per pixel of a star of unit flux.

    Parameters
    ----------
    n_stars : int
    radius : (n,) array
        Mean distance of the pixels of each ring, pixels.
    data, data_err : (n,) array
        Weighted mean and its error, from the scatter between the stars.
    model, library : (n,) array
        The PSFs at the same pixels.
    extent : float
        Half the side of the squares' images, pixels.
    before, after : (k, k) array
        Stars minus library and stars minus model, each with its own fluxes, as
        a share of the model's peak; NaN where no pixel fell.
    rms_before, rms_after : float
        Root mean square of these within the FWHM.
    fwhm : float
        Of the stars: that of the PSF times the ratio of the radii at which the
        two profiles have fallen to half of their first ring; pixels.
    """

    n_stars: int
    radius: np.ndarray
    data: np.ndarray
    data_err: np.ndarray
    model: np.ndarray
    library: np.ndarray
    extent: float
    before: np.ndarray
    after: np.ndarray
    rms_before: float
    rms_after: float
    fwhm: float


def stack_stars(
    frame: Frame, kernel: PsfKernel, stars: FieldStars, anchors: np.ndarray
) -> StarStack:
    """Stack the anchors of a calibration.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    kernel : PsfKernel
        The kernel that is quoted.
    stars : galstep.core.calibration.field_stars.FieldStars
        All stars, total fluxes.
    anchors : ndarray of int
        Indices of the anchors, at least one.

    Returns
    -------
    StarStack
    """
    working = WorkingPsf(frame.library, kernel)
    fwhm = working.fwhm
    radius = max(LEAST_RADIUS, RADIUS_IN_FWHM * fwhm)
    samples = _samples(frame, working, stars, anchors, radius, max(4.0, FIT_IN_FWHM * fwhm))
    rings = _rings(samples, len(anchors), radius)
    peak = working.share * _peak(working.renderer)
    before, after = (_squares(samples, rest, radius) / peak for rest in ("before", "after"))
    rms_before, rms_after = (
        float(np.sqrt(np.average(np.square(samples[name]), weights=samples["near"]))) / peak
        for name in ("before", "after")
    )
    return StarStack(  # type: ignore[call-arg]
        len(anchors),
        *rings,
        radius,
        before,
        after,
        rms_before,
        rms_after,
        _measured_fwhm(rings, fwhm),
    )


def kernel_image(kernel: PsfKernel, oversample: int, half_size: int) -> np.ndarray:
    """A kernel as an image.

    Parameters
    ----------
    kernel : PsfKernel
        Its correction is left out.
    oversample : int
    half_size : int
        Native pixels.

    Returns
    -------
    (n, n) array
        n = 2 * half_size * oversample + 1, sum 1 over the plane; a single
        sample for no kernel.
    """
    side = 2 * half_size * oversample + 1
    point = np.zeros((side, side))
    point[side // 2, side // 2] = 1.0
    kernel = PsfKernel(kernel.family, kernel.parameters)
    image = EffectivePSF(point, oversample).convolved(kernel).array
    cut = (len(image) - side) // 2
    return image[cut : cut + side, cut : cut + side]


def encircled_energy(psf: EffectivePSF, radii: np.ndarray) -> np.ndarray:
    """The share of a star's light within circles about the star.

    Parameters
    ----------
    psf : galstep.core.psf.effective.EffectivePSF
    radii : (n,) array
        Native pixels.

    Returns
    -------
    (n,) array
    """
    from photutils.profiles import CurveOfGrowth

    growth = CurveOfGrowth(psf.array, psf.centre[::-1], np.asarray(radii) * psf.oversample)
    return growth.profile


def _peak(renderer):
    psf = renderer.psf
    return float(psf.array.max()) * psf.oversample**2


def _samples(frame, working, stars, anchors, radius, fit_radius):
    """The pixels of all anchors: offsets, light over flux, both PSFs, weights."""
    shape = frame.image.shape
    flux = stars.flux * working.share
    sizes = rendering_half_sizes(working.renderer, flux, NEGLIGIBLE * frame.noise)
    model = working.renderer.render(shape, stars.x, stars.y, flux, half_sizes=sizes)
    labels = disc_labels(shape, stars.x[anchors], stars.y[anchors], radius)
    library = StarRenderer(frame.library)
    rows = []
    for k, anchor in enumerate(anchors):
        row, column = np.nonzero((labels == k) & frame.good)
        dx, dy = column - stars.x[anchor], row - stars.y[anchor]
        psfs = np.array([_at(r, dx, dy) for r in (working.renderer, library)])
        psfs[0] *= working.share
        own = stars.flux[anchor] * psfs[0]
        light = frame.image[row, column] - model[row, column] + own
        weight = 1 / (frame.variance[row, column] + (MODEL_ERROR * own) ** 2)
        near = np.hypot(dx, dy) < fit_radius
        flux, level, moved = _fitted(light, _moving(working, dx, dy), weight, near)
        flux_library, level_library, _ = _fitted(light, psfs[1:], weight, near)
        if not min(flux, flux_library) > 0:
            continue
        psfs[0] = moved
        after = (light - level) / flux - moved
        before = (light - level_library) / flux_library - psfs[1]
        rows.append((np.full(len(dx), k), dx, dy, (light - level) / flux, *psfs, before, after,
                     weight * flux**2, np.hypot(dx, dy) < working.fwhm))  # fmt: skip
    names = ("star", "dx", "dy", "data", "model", "library", "before", "after", "weight", "near")
    columns = zip(*rows, strict=True) if rows else [[np.zeros(0)]] * len(names)
    samples = {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}
    return _without_strangers(samples)


def _without_strangers(samples):
    """Less weight for pixels with light that is not of these stars (Cauchy).

    A pixel is judged by the others of its ring, not by the PSF: what all stars
    share stays.
    """
    ring = (np.hypot(samples["dx"], samples["dy"]) / RING).astype(int)
    for k in np.unique(ring):
        own = ring == k
        rest, root = samples["after"][own], np.sqrt(samples["weight"][own])
        normalised = (rest - np.median(rest)) * root
        scatter = ROBUST * max(mad_std(normalised), 1e-300)
        samples["weight"][own] /= 1 + (normalised / scatter) ** 2
    return samples


def _at(renderer, dx, dy):
    """A star of unit flux at these offsets from it."""
    psf = renderer.psf
    y, x = psf.centre
    places = [y + dy * psf.oversample, x + dx * psf.oversample]
    return map_coordinates(psf.array, places, order=3, mode="constant") * psf.oversample**2


def _moving(working, dx, dy, step=0.05):
    """The PSF at these offsets and its derivatives by the star's position."""

    def at(x, y):
        return working.share * _at(working.renderer, dx - x, dy - y)

    by_x = (at(step, 0) - at(-step, 0)) / (2 * step)
    by_y = (at(0, step) - at(0, -step)) / (2 * step)
    return np.array([at(0, 0), by_x, by_y])


def _fitted(light, columns, weight, near):
    """Flux, level, and the PSF at the best position, to first order."""
    root = np.sqrt(weight[near])
    matrix = np.column_stack([*columns[:, near], np.ones(near.sum())]) * root[:, None]
    *factors, level = np.linalg.lstsq(matrix, light[near] * root, rcond=None)[0]
    return factors[0], level, np.tensordot(factors, columns, axes=1) / factors[0]


def _rings(samples, n_stars, radius):
    """Mean radius, data and its error, model and library, ring by ring."""
    distance = np.hypot(samples["dx"], samples["dy"])
    ring = (distance / RING).astype(int)
    weight, count = samples["weight"], int(np.ceil(radius / RING))
    total = np.bincount(ring, weight, minlength=count)
    means = [
        np.bincount(ring, weight * values, minlength=count) / np.where(total > 0, total, np.nan)
        for values in (distance, *(samples[name] for name in ("data", "model", "library")))
    ]
    # scatter between stars of what they deviate in a ring
    excess = weight * (samples["data"] - means[1][ring])
    key = samples["star"].astype(int) * count + np.minimum(ring, count - 1)
    scores = np.bincount(key, excess, minlength=n_stars * count).reshape(n_stars, -1)
    error = np.sqrt(np.square(scores).sum(axis=0)) / np.where(total > 0, total, np.nan)[:count]
    used = total[:count] > 0
    r, data, model, library = (mean[:count][used] for mean in means)
    return r, data, error[used], model, library


def _squares(samples, name, radius):
    count = 2 * int(np.ceil(radius / SQUARE)) + 1
    half = count // 2
    column, row = (
        np.clip(np.rint(samples[axis] / SQUARE).astype(int) + half, 0, count - 1)
        for axis in ("dx", "dy")
    )
    place = row * count + column
    weight, rest = samples["weight"], samples[name]
    # neighbouring squares hold other stars: means run over a square's width
    light, total = (
        gaussian_filter(np.bincount(place, values, minlength=count**2).reshape(count, count), 1.0)
        for values in (weight * rest, weight)
    )
    return np.divide(light, total, out=np.full_like(light, np.nan), where=total > 0)


def _measured_fwhm(rings, model_fwhm):
    """FWHM of the stars, by how much wider their rings are than the model's."""
    r, data, _, model, _ = rings
    if not len(r):
        return np.nan
    ours, theirs = (_radius_at(r, profile, 0.5 * profile[0]) for profile in (data, model))
    return float(model_fwhm * ours / theirs)


def _radius_at(r, profile, level):
    below = np.flatnonzero(profile < level)
    if not below.size or below[0] == 0:
        return np.nan
    k = below[0]
    share = (profile[k - 1] - level) / (profile[k - 1] - profile[k])
    return r[k - 1] + share * (r[k] - r[k - 1])
