"""The aperture of a galaxy: its isophotes, and the Petrosian radius among them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.sersic import sersic_bn
from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.aperture_light import component_weights
from galstep.core.photometry.apertures import aperture_sum
from galstep.core.photometry.blurred_radii import (
    blur_text,
    own_kron_radius,
    own_petrosian_radius,
)
from galstep.core.photometry.isophotes import Isophotes, data_isophotes, model_isophotes
from galstep.core.photometry.kron import kron_radius, sersic_beyond
from galstep.core.photometry.petrosian import petrosian_radius
from galstep.exceptions import GalstepError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture, SersicFit, StarList

__all__ = ["GalaxyAperture", "define_aperture", "growth_radii"]

# Isophotes between the innermost and the outermost; what lies between two is interpolated.
N_LEVELS = 30


@dataclass(frozen=True, eq=False)
class GalaxyAperture:
    """The family of ellipses of a galaxy and the one chosen to measure in.

    Parameters
    ----------
    isophotes : galstep.core.photometry.isophotes.Isophotes
    aperture : galstep.records.Aperture
    petrosian_radius : float
        Its semi-major axis (pixels), NaN where there is no such radius and
        ``aperture`` is the outermost isophote.
    reason : str
        Why it is not what was asked for ("" if it is).
    kron_radius : float
        Semi-major axis (pixels), of all the light: the model's profile goes on
        beyond the last isophote. NaN where the light has none.
    blur : str
        What the PSF has done to the two radii, "" if next to nothing
        (`galstep.core.photometry.blurred_radii`).
    """

    isophotes: Isophotes
    aperture: Aperture
    petrosian_radius: float
    reason: str = ""
    kron_radius: float = np.nan
    blur: str = ""


def define_aperture(
    components: Sequence[SersicFit],
    psf: EffectivePSF,
    shape: tuple[int, int],
    eta: float,
    frac_min: float = 0.05,
    frac_max: float = 0.95,
    data: np.ndarray | None = None,
    knots: StarList | None = None,
) -> GalaxyAperture:
    """Isophotes and Petrosian aperture of a fitted galaxy.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
        The galaxy in the base filter.
    psf : galstep.core.psf.effective.EffectivePSF
        Of that filter.
    shape : tuple of int
        (ny, nx) of the frame; no isophote is larger than it.
    eta : float
        The Petrosian ratio, see `galstep.core.photometry.petrosian`.
    frac_min, frac_max : float, optional
        Share of the galaxy's light in the innermost and outermost isophote.
    data : ndarray, shape (ny, nx), optional
        Image without sky, stars and gaps. If given, isophotes and ratio are
        measured on it instead of on the model, which carries no noise.
    knots : galstep.records.StarList, optional
        Point-like light of the galaxy: it counts for the Petrosian and Kron radii, while
        the isophotes are those of the smooth components.

    Returns
    -------
    GalaxyAperture
        In the pixels of the base filter.

    Raises
    ------
    ParameterError
        If ``eta`` or the shares are out of range.
    GalstepError
        If the model has no isophotes.
    """
    image, x, y = _model_image(components, psf, shape, frac_max)
    fractions = np.linspace(frac_min, frac_max, N_LEVELS)
    isophotes = model_isophotes(image, x, y, fractions, total=1.0)
    held = aperture_sum(image, isophotes.at(isophotes.a[-1]))[0]
    blur = _blur(image, isophotes, components, eta, held)
    image = _with_knots(image, components, knots, psf, (x, y))
    centre, reasons, total = components[0].params, [], 1.0
    if data is not None:
        try:
            isophotes = _follow_data(data, _on_frame(isophotes, centre))
            held = aperture_sum(image, isophotes.at(isophotes.a[-1]))[0]
            image, total = data, sum(c.flux for c in components)
        except GalstepError as error:
            reasons.append(f"isophotes are those of the model: {error}")
    try:
        radius = petrosian_radius(image, isophotes, eta)
    except ParameterError:
        raise
    except GalstepError as error:
        radius = np.nan
        reasons.append(f"aperture is the outermost isophote: {error}")
    kron = _kron(image, isophotes, components, held, total)
    isophotes = _on_frame(isophotes, centre)
    chosen = isophotes.at(radius if np.isfinite(radius) else isophotes.a[-1])
    return GalaxyAperture(isophotes, chosen, radius, "; ".join(reasons), kron, blur)


def _kron(image, isophotes, components, held, total=1.0):
    try:
        beyond = total * np.array(_light_beyond(components, isophotes.a[-1], held))
        return kron_radius(image, isophotes, beyond=tuple(beyond))
    except GalstepError:
        return np.nan


def _blur(image, isophotes, components, eta, held):
    """What the PSF does to the radii of the profiles."""
    seen = {"Petrosian": np.nan, "Kron": _kron(image, isophotes, components, held)}
    try:
        seen["Petrosian"] = petrosian_radius(image, isophotes, eta)
    except ParameterError:
        raise
    except GalstepError:
        pass  # as it will be told of the light that is measured
    own = {
        "Petrosian": own_petrosian_radius(components, eta),
        "Kron": own_kron_radius(components),
    }
    return blur_text(seen, own)


def growth_radii(isophotes: Isophotes, shape: tuple[int, int], number: int) -> np.ndarray:
    """Semi-major axes from the innermost isophote to the edge of the frame.

    Parameters
    ----------
    isophotes : galstep.core.photometry.isophotes.Isophotes
        In the frame's pixels.
    shape : tuple of int
        (ny, nx) of the frame.
    number : int
        How many; in equal ratios.

    Returns
    -------
    ndarray
        Pixels. The last reaches the nearest edge of the frame; empty if the
        innermost isophote does already.
    """
    ny, nx = shape
    x, y = isophotes.x, isophotes.y
    edge = min(x, y, nx - 1 - x, ny - 1 - y) + 0.5
    if number == 0 or not edge > isophotes.a[0]:
        return np.zeros(0)
    return np.geomspace(isophotes.a[0], edge, number)


def _follow_data(data, isophotes):
    """Isophotes of the data in the range of those of the model."""
    start = isophotes.at(isophotes.a[len(isophotes) // 3])
    outermost = min(isophotes.a[-1], max(data.shape) / 2)
    return data_isophotes(data, start, isophotes.a[0], outermost)


def _on_frame(isophotes, centre):
    return Isophotes(centre.x_0, centre.y_0, isophotes.a, isophotes.e1, isophotes.e2)


def _model_image(components, psf, shape, fraction):
    """The galaxy, unit flux, alone on a frame that holds this share of its light.

    Returns the image and the place of the first component's centre in it.
    """
    widest = max(_radius_with(fraction, c.params) for c in components)
    # the annulus of the Petrosian ratio reaches 1.25 times as far
    half = int(np.clip(np.ceil(1.3 * widest + 3 * psf.fwhm), 10, max(shape)))
    renderer = GalaxyRenderer((2 * half + 1, 2 * half + 1), psf)
    first = components[0].params
    dx, dy = half - round(first.x_0), half - round(first.y_0)
    image = sum(
        weight * renderer.image(c.params.moved(dx, dy).to_vector())
        for weight, c in zip(component_weights(components), components, strict=True)
    )
    return image, first.x_0 + dx, first.y_0 + dy


def _with_knots(image, components, knots, psf, centre):
    """The image of the galaxy, of unit flux without its knots, with them."""
    flux = sum(c.flux for c in components)
    if knots is None or not len(knots) or not flux > 0:
        return image
    knots = knots.select(np.isfinite(knots.x) & np.isfinite(knots.y) & np.isfinite(knots.flux))
    dx, dy = centre[0] - components[0].params.x_0, centre[1] - components[0].params.y_0
    drawn = StarRenderer(psf).render(image.shape, knots.x + dx, knots.y + dy, knots.flux)
    return image + drawn / flux


def _light_beyond(components, a, held):
    """Light and first moment of the galaxy beyond a radius that holds ``held`` of it.

    Of unit flux. The PSF spreads the light: the profiles are those of r_eff larger
    by the factor that leaves 1 - held outside.
    """
    weights = component_weights(components)

    def beyond(ln_factor):
        spread = [replace(c.params, r_eff=c.params.r_eff * np.exp(ln_factor)) for c in components]
        return weights @ np.array([sersic_beyond(params, a) for params in spread])

    def excess(ln_factor):
        return beyond(ln_factor)[0] - (1 - held)

    low, high = 0.0, np.log(10.0)
    if excess(low) >= 0 or excess(high) <= 0:
        return beyond(low)
    return beyond(brentq(excess, low, high, xtol=1e-4))


def _radius_with(fraction, params):
    """Semi-major axis that holds ``fraction`` of a Sersic profile's light."""
    n = params.n
    return params.r_eff * (gammaincinv(2 * n, fraction) / sersic_bn(n)) ** n
