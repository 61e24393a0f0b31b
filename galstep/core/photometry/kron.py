"""The Kron radius of a galaxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import gammaincc, gammaln

from galstep.core.imaging.sersic import sersic_bn
from galstep.core.photometry.apertures import aperture_sum
from galstep.exceptions import GalstepError

if TYPE_CHECKING:
    from galstep.core.photometry.isophotes import Isophotes
    from galstep.records import SersicParams

__all__ = ["kron_radius", "sersic_beyond"]

# Kron (1980, ApJS 43, 305); 2.5 mean radii as in SExtractor (Bertin & Arnouts 1996, A&AS 117,
# 393).
KRON_FACTOR = 2.5
# Rings of the sum of the radii, in equal ratios.
N_RINGS = 30
INNERMOST = 0.25  # pixels


def sersic_beyond(params: SersicParams, a: float) -> tuple[float, float]:
    """Light of a Sersic profile of unit flux beyond a radius, and its first moment.

    Integrals of dF and R dF from ``a`` to infinity: with x = b_n (a / r_eff)^(1/n)
    these are Q(2n, x) and r_eff b_n^-n Gamma(3n) / Gamma(2n) Q(3n, x), Q the
    regularised upper incomplete gamma function (Graham & Driver 2005, PASA 22,
    118, eqs. 2 and 32 with the limit at infinity).

    Parameters
    ----------
    params : galstep.records.SersicParams
    a : float
        Semi-major axis (pixels).

    Returns
    -------
    light, moment : float
        Share of the flux; that times pixels.
    """
    n, b = params.n, float(sersic_bn(params.n))
    x = b * (a / params.r_eff) ** (1 / n)
    mean = params.r_eff * np.exp(gammaln(3 * n) - gammaln(2 * n) - n * np.log(b))
    return float(gammaincc(2 * n, x)), float(mean * gammaincc(3 * n, x))


def kron_radius(
    image: np.ndarray,
    isophotes: Isophotes,
    mask: np.ndarray | None = None,
    factor: float = KRON_FACTOR,
    beyond: tuple[float, float] = (0.0, 0.0),
) -> float:
    """``factor`` times the mean radius of a galaxy's light.

    R_1 = int R dF / int dF over elliptical rings, R their semi-major axis
    (Kron 1980, ApJS 43, 305, eq. 1; factor 2.5 as SExtractor's MAG_AUTO, Bertin
    & Arnouts 1996, A&AS 117, 393, section 7.4). The image is summed out to the
    last isophote. For n = 4 the mean radius grows slowly with where the sum ends
    (Graham & Driver 2005, PASA 22, 118, eq. 32), so ``beyond`` should hold the rest.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without stars and sky.
    isophotes : galstep.core.photometry.isophotes.Isophotes
        Shape of the ellipse at each radius.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad.
    factor : float, optional
    beyond : tuple of float, optional
        The light beyond the last isophote (image unit x pixel) and the integral
        of R dF over it (that times pixels), see `sersic_beyond`.

    Returns
    -------
    float
        Semi-major axis (pixels).

    Raises
    ------
    GalstepError
        If there is no light inside the last isophote.
    """
    edges = np.geomspace(min(INNERMOST, isophotes.a[0]), isophotes.a[-1], N_RINGS)
    light = np.array([0.0, *(aperture_sum(image, isophotes.at(a), mask)[0] for a in edges)])
    edges = np.array([0.0, *edges])
    # by parts: int R dF = R F - int F dR
    moment = edges[-1] * light[-1] - PchipInterpolator(edges, light).integrate(0.0, edges[-1])
    if not light[-1] > 0 or not (mean := (moment + beyond[1]) / (light[-1] + beyond[0])) > 0:
        raise GalstepError("there is no light inside the last isophote, so no Kron radius")
    return float(factor * mean)
