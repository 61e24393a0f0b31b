"""Elliptical apertures: exact sums, masked pixels, and the model's share of light.

The overlap of ellipse and pixels is exact throughout (``photutils.aperture``).
"""

from dataclasses import dataclass

import numpy as np
from photutils.aperture import EllipticalAperture
from scipy.ndimage import median as labelled_median

from galstep.core.magnitudes import colour
from galstep.core.render import GalaxyRenderer
from galstep.exceptions import InputError, ParameterError

__all__ = [
    "FilledStamp",
    "aperture_sum",
    "component_weights",
    "enclosed_light",
    "fill_stamp",
    "model_stamp",
    "overlap",
    "psf_correction",
]

MIN_RING_PIXELS = 3


def overlap(aperture):
    """The exact overlap of an aperture with the pixels around it.

    Parameters
    ----------
    aperture : galstep.records.Aperture

    Returns
    -------
    photutils.aperture.ApertureMask
        ``data``: share of each pixel inside the ellipse; ``bbox`` says where.

    Raises
    ------
    InputError
        If a semi-axis is not positive or a number is not finite.
    """
    numbers = (aperture.x, aperture.y, aperture.a, aperture.b, aperture.theta)
    if not np.isfinite(numbers).all() or min(aperture.a, aperture.b) <= 0:
        raise InputError(f"aperture needs finite numbers and positive semi-axes, got {aperture}")
    ellipse = EllipticalAperture(
        (aperture.x, aperture.y), aperture.a, aperture.b, theta=aperture.theta
    )
    return ellipse.to_mask(method="exact")


def aperture_sum(image, aperture, mask=None, power=1):
    """Sum over the good part of an aperture.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        NaN allowed where masked.
    aperture : galstep.records.Aperture
        May reach over the edge of the frame, or lie off it.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad.
    power : int, optional
        Of the overlap in the sum: 2 to add up variances.

    Returns
    -------
    total, area : float
        Sum (image unit x pixel) and area (pixels) of what is on the frame and
        not masked; both 0 where nothing is.
    """
    weights = overlap(aperture)
    inside, cut = weights.get_overlap_slices(image.shape)
    if inside is None:
        return 0.0, 0.0
    share, values = weights.data[cut], image[inside]
    if mask is not None:
        share = np.where(mask[inside], 0.0, share)
        values = np.where(mask[inside], 0.0, values)
    return float((share**power * values).sum()), float(share.sum())


@dataclass(frozen=True, eq=False)
class FilledStamp:
    """The pixels of an aperture's bounding box, gaps filled.

    Parameters
    ----------
    image : (ny, nx) array
        Finite everywhere.
    share : (ny, nx) array
        Overlap of each pixel with the aperture.
    masked : float
        Share of the aperture's area that was masked on the frame.
    off_frame : float
        Share of it that lies off the frame.
    """

    image: np.ndarray
    share: np.ndarray
    masked: float
    off_frame: float

    @property
    def total(self):
        """Sum over the aperture (image unit x pixel)."""
        return float((self.share * self.image).sum())


def fill_stamp(image, mask, aperture, model, replace_with="median"):
    """The pixels in and around an aperture, with the bad ones replaced.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without sky and stars.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. What lies off the frame counts as bad too.
    aperture : galstep.records.Aperture
    model : ndarray
        The model galaxy on the aperture's bounding box, see `model_stamp`.
    replace_with : {"median", "sersic_modelimg"}, optional
        ``"median"``: the median of the good pixels in the elliptical ring of
        1 pixel in which the bad one lies; rings with fewer than
        `MIN_RING_PIXELS` take the value between their neighbours, and the
        model where there is no ring at all. ``"sersic_modelimg"``: the model.

    Returns
    -------
    FilledStamp

    Raises
    ------
    ParameterError
        If ``replace_with`` is neither.
    """
    if replace_with not in ("median", "sersic_modelimg"):
        raise ParameterError(
            f"replace_with must be 'median' or 'sersic_modelimg', got {replace_with!r}"
        )
    weights = overlap(aperture)
    stamp, bad, off = _cut(image, mask, weights)
    if bad.any():
        filling = model
        if replace_with == "median":
            filling = _ring_medians(stamp, bad, _elliptical_radius(aperture, weights), model)
        stamp = np.where(bad, filling, stamp)
    area = weights.data.sum()
    return FilledStamp(
        stamp,
        weights.data,
        float((weights.data * (bad & ~off)).sum() / area),
        float((weights.data * off).sum() / area),
    )


def _cut(image, mask, weights):
    """Pixels of the bounding box; which are bad; which are off the frame."""
    stamp = np.full(weights.shape, np.nan)
    off = np.ones(weights.shape, dtype=bool)
    bad = off.copy()
    inside, cut = weights.get_overlap_slices(image.shape)
    if inside is not None:
        stamp[cut], bad[cut], off[cut] = image[inside], mask[inside], False
    return stamp, bad | ~np.isfinite(stamp), off


def _elliptical_radius(aperture, weights):
    """Semi-major axis of the ellipse through each pixel of the bounding box."""
    rows, columns = np.indices(weights.shape)
    dx = columns + weights.bbox.ixmin - aperture.x
    dy = rows + weights.bbox.iymin - aperture.y
    cos, sin = np.cos(aperture.theta), np.sin(aperture.theta)
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return np.hypot(along, across * aperture.a / aperture.b)


def _ring_medians(stamp, bad, radius, model):
    ring = radius.astype(int)
    index = np.arange(ring.max() + 1)
    counts = np.bincount(ring[~bad], minlength=len(index))
    full = index[counts >= MIN_RING_PIXELS]
    if not len(full):
        return model
    labels = np.where(bad, -1, ring)
    medians = labelled_median(np.where(bad, 0.0, stamp), labels, full)
    return np.interp(radius, full + 0.5, medians)


def component_weights(components):
    """Share of each component in a galaxy's total flux.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit

    Returns
    -------
    ndarray, shape (n,)
        Sum 1. A single component has 1 whatever its flux, and so a shape even
        where it is too faint for a positive flux; components without any flux
        share equally.
    """
    flux = np.array([c.flux for c in components], dtype=float)
    if len(flux) == 1 or not flux.sum() > 0:
        return np.full(len(flux), 1 / len(flux))
    return flux / flux.sum()


def model_stamp(components, psf, aperture):
    """A galaxy of unit flux on the bounding box of an aperture.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
        In the pixels of ``aperture``; weighted as in `component_weights`.
    psf : galstep.core.psf.EffectivePSF
    aperture : galstep.records.Aperture

    Returns
    -------
    ndarray, shape (ny, nx)
        Convolved with the PSF; the whole plane sums to 1. It does not end at
        the edge of any frame.
    """
    box = overlap(aperture)
    renderer = GalaxyRenderer(box.shape, psf)
    weights = component_weights(components)
    return sum(
        weight * renderer.image(_in_box(c.params, box))
        for weight, c in zip(weights, components, strict=True)
    )


def _in_box(params, box):
    return params.moved(-box.bbox.ixmin, -box.bbox.iymin).to_vector()


def enclosed_light(params, psf, aperture):
    """Share of a galaxy's light that an aperture holds, and its derivatives.

    Parameters
    ----------
    params : galstep.records.SersicParams
    psf : galstep.core.psf.EffectivePSF
    aperture : galstep.records.Aperture

    Returns
    -------
    share : float
        Of the total to infinity.
    gradient : ndarray, shape (6,)
        With respect to (x_0, y_0, ln r_eff, e1, e2, ln n).
    """
    box = overlap(aperture)
    images = GalaxyRenderer(box.shape, psf).image_and_derivatives(_in_box(params, box))
    sums = np.tensordot(images, box.data, axes=2)
    return float(sums[0]), sums[1:]


def psf_correction(components, psf, reference_psf, aperture):
    """What to add to an aperture magnitude to bring it to another PSF.

    dm = -2.5 log10(E_ref / E), with E and E_ref the light of the *same* galaxy
    that the aperture holds when seen through this and through the reference
    PSF. The galaxy is this filter's own model, so a colour gradient does not
    enter.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
        The galaxy in this filter, in the pixels of ``aperture``.
    psf, reference_psf : galstep.core.psf.EffectivePSF
    aperture : galstep.records.Aperture

    Returns
    -------
    correction, error : float
        Magnitudes; the error follows from the covariance of the shapes, with
        parameters that have none taken as exact. NaN if the model has no
        positive light in the aperture.
    """
    light, reference, variance = 0.0, 0.0, np.zeros((2, 2))
    for weight, fit in zip(component_weights(components), components, strict=True):
        here, gradient = enclosed_light(fit.params, psf, aperture)
        if reference_psf is psf:
            there, reference_gradient = here, gradient
        else:
            there, reference_gradient = enclosed_light(fit.params, reference_psf, aperture)
        light += weight * here
        reference += weight * there
        slopes = weight * np.stack([reference_gradient, gradient])
        variance += slopes @ _shape_covariance(fit) @ slopes.T
    return colour(reference, light, variance)


def _shape_covariance(fit):
    if fit.covariance is None:
        return np.zeros((6, 6))
    return np.nan_to_num(np.asarray(fit.covariance, dtype=float)[:6, :6])
