"""What an aperture holds of a model galaxy, and how that hangs on its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.apertures import bounding_box, overlap
from galstep.mapped_records import mapped_aperture, mapped_params, mapped_stars
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture, SersicFit, StarList

__all__ = ["GalaxyLight", "component_weights", "parameter_covariance"]

N_PARAMETERS = 7  # (x_0, y_0, ln r_eff, e1, e2, ln n, flux)


def component_weights(components: Sequence[SersicFit]) -> np.ndarray:
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


def parameter_covariance(fit: SersicFit) -> np.ndarray:
    """The covariance of (x_0, y_0, ln r_eff, e1, e2, ln n, flux) of a component.

    Parameters
    ----------
    fit : galstep.records.SersicFit

    Returns
    -------
    ndarray, shape (7, 7)
        Parameters without an error count as exact; without any covariance the
        flux alone has its error. The flux is NaN where its error is not known.
    """
    if fit.covariance is None:
        covariance = np.zeros((N_PARAMETERS, N_PARAMETERS))
        covariance[-1, -1] = fit.flux_err**2
        return covariance
    covariance = np.array(fit.covariance, dtype=float)
    flux_variance = covariance[-1, -1]
    covariance = np.nan_to_num(covariance)
    covariance[-1, -1] = flux_variance
    return covariance


class GalaxyLight:
    """A galaxy as seen through one PSF, rendered once for all apertures.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
        In the pixels of the apertures.
    psf : galstep.core.psf.effective.EffectivePSF
    shape : tuple of int
        (ny, nx) of the band's frame.
    apertures : sequence of galstep.records.Aperture, optional
        Those that will be asked for. They may reach over the frame's edge, the
        model does not end there.
    pixel_map : galstep.pixel_map.PixelMap, optional
        From the pixels of the apertures to those that ``psf`` is given on, where
        these are others: there the galaxy is drawn and summed. No `stamp` then.
    knots : galstep.records.StarList, optional
        Point-like light of the galaxy, in the pixels of the apertures. It counts where
        the components have a positive flux, which it is compared with.

    Attributes
    ----------
    total : float
        The galaxy's flux, components and knots: that of which `share` is a share.
    """

    def __init__(
        self,
        components: Sequence[SersicFit],
        psf: EffectivePSF,
        shape: tuple[int, int],
        apertures: Sequence[Aperture] = (),
        pixel_map: PixelMap = PixelMap(),
        knots: StarList | None = None,
    ) -> None:
        self._map = pixel_map
        drawn = [mapped_aperture(pixel_map, aperture) for aperture in apertures]
        self._x_min, self._y_min, frame = _frame_around(shape, drawn)
        renderer = GalaxyRenderer(frame, psf)
        self._weights = component_weights(components)
        self._fluxes = np.array([c.flux for c in components], dtype=float)
        self._jacobians = [pixel_map.jacobian(c.params.to_vector()) for c in components]
        self._known = {}
        params = [
            mapped_params(pixel_map, c.params).moved(-self._x_min, -self._y_min) for c in components
        ]
        self._images = [renderer.image_and_derivatives(p.to_vector()) for p in params]
        self._take_knots(knots, psf, frame)

    def _take_knots(self, knots, psf, frame):
        """The image of the knots, in units of the total; the weights make room for it."""
        self._knots, self.total = None, float(self._fluxes.sum())
        if knots is None or not len(knots) or not self.total > 0:
            return
        known = np.isfinite(knots.x) & np.isfinite(knots.y) & np.isfinite(knots.flux)
        knots = mapped_stars(self._map, knots.select(known))
        with_knots = self.total + float(knots.flux.sum())
        if not with_knots > 0:
            return
        image = StarRenderer(psf).render(
            frame, knots.x - self._x_min, knots.y - self._y_min, knots.flux
        )
        self._knots = image / with_knots
        self._weights = self._weights * self.total / with_knots
        self.total = with_knots

    def stamp(self, aperture: Aperture) -> np.ndarray:
        """The galaxy of unit flux on the bounding box of an aperture."""
        box = self._slices(overlap(aperture))
        stamp = sum(
            weight * images[(0, *box)]
            for weight, images in zip(self._weights, self._images, strict=True)
        )
        return stamp if self._knots is None else stamp + self._knots[box]

    def share(self, aperture: Aperture) -> float:
        """Share of the galaxy's total light that an aperture holds."""
        shares, _, knots = self._sums(aperture)
        return float(self._weights @ shares + knots)

    def slopes(self, aperture: Aperture) -> np.ndarray:
        """Derivatives of the light inside an aperture.

        Returns
        -------
        ndarray, shape (n_components, 7)
            With respect to each component's (x_0, y_0, ln r_eff, e1, e2, ln n,
            flux), flux in image unit x pixel.
        """
        shares, gradients, _ = self._sums(aperture)
        return np.column_stack([self._fluxes[:, None] * gradients, shares])

    def log_share_slopes(self, aperture: Aperture) -> np.ndarray:
        """Derivatives of the logarithm of `share`, as `slopes`; the fluxes' are 0."""
        shares, gradients, knots = self._sums(aperture)
        scale = self._weights / (self._weights @ shares + knots)
        return np.column_stack([scale[:, None] * gradients, np.zeros(len(scale))])

    def _sums(self, aperture):
        """(n,) shares and (n, 6) gradients of the components of unit flux; share of the knots."""
        if aperture not in self._known:
            self._known[aperture] = self._sums_over(aperture)
        return self._known[aperture]

    def _sums_over(self, aperture):
        weights = overlap(mapped_aperture(self._map, aperture))
        box = self._slices(weights)
        sums = np.array(
            [np.tensordot(images[(slice(None), *box)], weights.data) for images in self._images]
        )
        knots = 0.0 if self._knots is None else float(np.sum(self._knots[box] * weights.data))
        return sums[:, 0], np.einsum("np,npq->nq", sums[:, 1:], self._jacobians), knots

    def _slices(self, weights):
        y, x = weights.bbox.iymin - self._y_min, weights.bbox.ixmin - self._x_min
        ny, nx = weights.shape
        return slice(y, y + ny), slice(x, x + nx)


def _frame_around(shape, apertures):
    """First pixel (x, y) and shape of a frame that holds the band's and all apertures."""
    boxes = [bounding_box(aperture) for aperture in apertures]
    x_min = min([0, *(box.ixmin for box in boxes)])
    y_min = min([0, *(box.iymin for box in boxes)])
    x_max = max([shape[1], *(box.ixmax for box in boxes)])
    y_max = max([shape[0], *(box.iymax for box in boxes)])
    return x_min, y_min, (y_max - y_min, x_max - x_min)
