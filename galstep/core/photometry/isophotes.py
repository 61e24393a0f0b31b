"""Ellipses of equal brightness of a galaxy, and the family they form."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.ndimage import map_coordinates, spline_filter

from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.records import Aperture

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Isophotes", "data_isophotes", "model_isophotes"]

N_RAYS = 48  # directions in which the brightness is followed outwards
SMALLEST_RADIUS = 0.25  # pixels; nearer the centre an ellipse has no meaning


@dataclass(frozen=True, eq=False)
class Isophotes:
    """Nested ellipses about one centre, from the inside out.

    Parameters
    ----------
    x, y : float
        The common centre (0-based pixels).
    a : (n,) array
        Semi-major axes (pixels), increasing.
    e1, e2 : (n,) arrays
        (1 - q) / (1 + q) times (cos, sin) of 2 theta, q = b / a: unlike the
        angle these stay defined, and can be interpolated, where q nears 1.
    """

    x: float
    y: float
    a: np.ndarray
    e1: np.ndarray
    e2: np.ndarray

    def __len__(self) -> int:
        return len(self.a)

    def at(self, a: float) -> Aperture:
        """The ellipse of semi-major axis ``a`` as a `galstep.records.Aperture`.

        Interpolated linearly in ``a``; inside the first and outside the last
        isophote these keep their shape.
        """
        e1, e2 = np.interp(a, self.a, self.e1), np.interp(a, self.a, self.e2)
        e = np.hypot(e1, e2)
        theta = 0.5 * np.arctan2(e2, e1) % np.pi
        return Aperture(self.x, self.y, float(a), float(a * (1 - e) / (1 + e)), float(theta))


def model_isophotes(
    image: np.ndarray, x: float, y: float, fractions: npt.ArrayLike, total: float
) -> Isophotes:
    """Isophotes of a model galaxy: smooth, without noise, falling outwards.

    For each share of the light the brightness is found above which the pixels
    hold that share. From the centre, `N_RAYS` rays are followed to that
    brightness (cubic spline between the pixels), and the ellipse is fitted to
    the radii r(phi) by linear least squares in

        1/r^2 = A + B cos 2 phi + C sin 2 phi,

    which is exact for an ellipse about the origin: with theta the angle of its
    major axis, A = (1/b^2 + 1/a^2) / 2 and (B, C) = -(1/b^2 - 1/a^2) / 2
    (cos, sin) 2 theta. Weights r^2 make the residuals those of ln r.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        The model, finite everywhere, large enough to hold the ellipses.
    x, y : float
        Its centre (0-based pixels).
    fractions : array_like
        Shares of the light, in (0, 1), increasing.
    total : float
        The galaxy's total light (the same unit as a sum over ``image``).

    Returns
    -------
    Isophotes
        Those that lie on the frame, outside `SMALLEST_RADIUS`.

    Raises
    ------
    InputError
        If the image is not finite, the centre is off the frame, or ``total``
        is not positive.
    ParameterError
        If the shares are not in (0, 1) and increasing.
    GalstepError
        If no isophote lies on the frame.
    """
    fractions = _checked_fractions(fractions)
    image = np.asarray(image, dtype=float)
    if not np.isfinite(image).all() or not total > 0:
        raise InputError(f"image must be finite and total positive, got total = {total}")
    ny, nx = image.shape
    reach = min(x, y, nx - 1 - x, ny - 1 - y)
    if not reach > 1:
        raise InputError(f"the centre must lie inside the frame, got ({x:g}, {y:g})")
    levels = _levels(image, fractions * total)  # type: ignore[operator]
    radii = _ray_radii(image, x, y, reach, levels)
    radii = radii[np.isfinite(radii).all(axis=1)]
    if not len(radii):
        raise GalstepError("no isophote of the model galaxy lies on the frame")
    return _family(x, y, *_fit_ellipses(radii))


def _checked_fractions(fractions):
    fractions = np.atleast_1d(np.asarray(fractions, dtype=float))
    inside = fractions.size and (fractions > 0).all() and (fractions < 1).all()
    if not inside or (np.diff(fractions) <= 0).any():
        raise ParameterError(f"fractions must lie in (0, 1) and increase, got {fractions}")
    return fractions


def _levels(image, light):
    """Brightness above which the pixels hold so much light, NaN beyond the frame's."""
    bright = np.sort(image, axis=None)[::-1]
    bright = bright[bright > 0]
    held = np.cumsum(bright)
    return np.interp(light, held, bright, right=np.nan)


def _ray_angles():
    return 2 * np.pi * np.arange(N_RAYS) / N_RAYS


def _ray_radii(image, x, y, reach, levels):
    """Radius where each ray reaches each level, shape (n_levels, N_RAYS).

    NaN where it does not, between `SMALLEST_RADIUS` and ``reach``.
    """
    ln_r = np.linspace(np.log(SMALLEST_RADIUS), np.log(reach), 40 + int(reach))
    phi = _ray_angles()
    at_y = y + np.sin(phi)[:, None] * np.exp(ln_r)
    at_x = x + np.cos(phi)[:, None] * np.exp(ln_r)
    spline = spline_filter(image, order=3)
    profile = map_coordinates(spline, [at_y, at_x], order=3, prefilter=False, mode="nearest")
    # ripples of the PSF and rounding must not let a ray cross a level twice
    floor = np.finfo(float).tiny
    falling = np.log(np.maximum(np.minimum.accumulate(profile, axis=1), floor))
    ln_level = np.log(levels)
    return np.exp(
        np.stack(
            [np.interp(-ln_level, -ray, ln_r, left=np.nan, right=np.nan) for ray in falling],
            axis=1,
        )
    )


def _fit_ellipses(radii):
    """a, e1, e2 of the ellipse through each row of radii."""
    phi = _ray_angles()
    terms = np.stack([np.ones_like(phi), np.cos(2 * phi), np.sin(2 * phi)], axis=1)
    a, e1, e2 = np.empty((3, len(radii)))
    for k, r in enumerate(radii):
        design = terms * (r**2)[:, None]
        mean, cosine, sine = np.linalg.lstsq(design, np.ones_like(r), rcond=None)[0]
        half = min(np.hypot(cosine, sine), 0.999 * mean)
        q = np.sqrt((mean - half) / (mean + half))
        two_theta = np.arctan2(-sine, -cosine)
        e = (1 - q) / (1 + q)
        a[k] = 1 / np.sqrt(mean - half)
        e1[k], e2[k] = e * np.cos(two_theta), e * np.sin(two_theta)
    return a, e1, e2


def _family(x, y, a, e1, e2):
    order = np.argsort(a)
    return Isophotes(float(x), float(y), a[order], e1[order], e2[order])


def data_isophotes(data: np.ndarray, start: Aperture, a_min: float, a_max: float) -> Isophotes:
    """Isophotes of an image with noise, by ``photutils.isophote.Ellipse``.

    The centre is held; the shape is free (Jedrzejewski 1987, MNRAS 226, 747).

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image without stars, sky and gaps, finite everywhere.
    start : galstep.records.Aperture
        Centre, and the ellipse from which the fit works inwards and outwards.
    a_min, a_max : float
        Range of semi-major axes (pixels).

    Returns
    -------
    Isophotes

    Raises
    ------
    GalstepError
        If fewer than three isophotes could be fitted.
    """
    from photutils.isophote import EllipseGeometry

    geometry = EllipseGeometry(
        start.x,
        start.y,
        start.a,
        # photutils cannot start from a circle: its gradient has no angle
        float(np.clip(1 - start.b / start.a, 0.05, 0.95)),
        start.theta,
    )
    good = _fit_with_photutils(data, geometry, max(a_min, 1.0), a_max)
    if len(good) < 3:
        raise GalstepError(f"only {len(good)} isophotes could be fitted to the data, 3 are needed")
    eps = np.array([iso.eps for iso in good])
    pa = np.array([iso.pa for iso in good])
    e = eps / (2 - eps)
    a = np.array([iso.sma for iso in good])
    return _family(start.x, start.y, a, e * np.cos(2 * pa), e * np.sin(2 * pa))


def _fit_with_photutils(data, geometry, a_min, a_max):
    """The isophotes that ended with a usable fit, in any order."""
    from photutils.isophote import Ellipse

    with warnings.catch_warnings():
        # means of empty samples and failed fits: told by what is missing from the list
        for kind in (RuntimeWarning, AstropyUserWarning):
            warnings.simplefilter("ignore", kind)
        try:
            fitted = Ellipse(data, geometry=geometry).fit_image(
                sma0=geometry.sma, minsma=a_min, maxsma=a_max, step=0.1, fix_center=True
            )
        except (ValueError, IndexError, ZeroDivisionError) as error:
            # how photutils ends where noise leaves it without a gradient
            raise GalstepError(f"no isophotes could be fitted to the data: {error}") from error
    # stop codes: 0 converged, 2 iterations used up, the others have no solution
    return [iso for iso in fitted if iso.sma > 0 and iso.stop_code in (0, 2)]
