"""The filters of a galaxy as one picture in colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.visualization import make_lupton_rgb
from scipy.ndimage import map_coordinates

from galstep.filters import by_wavelength
from galstep.plotting.stretch import pixel_sigma

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galstep.datamodels import BandData, GalaxyModel
    from galstep.plotting.panels import BandImages

__all__ = ["Composite", "make_composite"]

_GREY = 184  # masked, as in the panels of single filters
# Channels are brought to one brightness of the galaxy by this power: 0 shows the colours of
# equal f_nu as white, 1 the galaxy itself, however red it is.
_BALANCE = 0.65
_Q = 8.0  # astropy's default softening of the asinh stretch
# The stretch goes with this percentile of the galaxy within its half-light radius, or is so
# many sigma of the noise
_TOP, _LEAST_SIGMA = 50.0, 10.0


@dataclass(frozen=True)
class Composite:
    """Pictures in colours on the pixels of one filter, and which filters made them.

    Parameters
    ----------
    band : str
        Whose pixels they have.
    channels : tuple of tuple of str
        Filters of red, green and blue.
    data, model, star_subtracted : ndarray of uint8, shape (ny, nx, 3)
        The last two are None before a fit.
    """

    band: str
    channels: tuple[tuple[str, ...], ...]
    data: np.ndarray
    model: np.ndarray | None
    star_subtracted: np.ndarray | None

    @property
    def text(self) -> str:
        """Which filters are which colour."""
        names = ("red", "green", "blue")
        return "\n".join(
            f"{name}: {' + '.join(filters)}"
            for name, filters in zip(names, self.channels, strict=True)
        )


def make_composite(model: GalaxyModel, images: Mapping[str, BandImages | None]) -> Composite | None:
    """The composite of all filters that have data, by wavelength.

    The filters are parted into blue, green and red, each the mean of its filters weighted by
    their signal-to-noise on the galaxy; of two filters green is the mean of both. Stretch:
    `astropy.visualization.make_lupton_rgb` (Lupton et al. 2004, PASP 116, 133). Filters with
    other pixels are interpolated onto those of the base filter: for the eye, nothing is measured
    here.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    images : mapping of str to BandImages
        By filter; None for one without data.

    Returns
    -------
    Composite or None
        None with fewer than two filters, or where the grids of unfitted ones differ.
    """
    names = [name for name in by_wavelength(images) if images[name] is not None]
    names = [name for name in names if _is_placed(model.bands[name], model)]
    if len(names) < 2:
        return None
    base = model.bands[model.meta.base_filter if model.meta.base_filter in names else names[-1]]
    planes = {
        name: _Planes(model.bands[name], images[name], base, model.meta.base_filter)
        for name in names
    }
    groups = _groups(names)
    fitted = all(planes[name].star_subtracted is not None for name in names)
    scale = _Scale(planes, groups)
    return Composite(
        base.name,
        groups,
        scale.picture("data"),
        scale.picture("model") if fitted else None,
        scale.picture("star_subtracted") if fitted else None,
    )


def _is_placed(band, model):
    """Whether it is known where the filter's pixels lie on the base filter's."""
    base = model.bands.get(model.meta.base_filter)
    same = base is None or (band.shape == base.shape and band.origin == base.origin)
    return same or band.fitted


def _groups(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Filters of red, green and blue; the middle one of two is both."""
    if len(names) == 2:
        return (names[1],), tuple(names), (names[0],)
    parts = np.array_split(np.array(names, dtype=object), 3)
    return tuple(tuple(part) for part in parts[::-1])


class _Planes:
    """The images of one filter on the pixels of the base, and the galaxy's signal in it."""

    def __init__(
        self, band: BandData, images: BandImages, base: BandData, base_name: str | None
    ) -> None:
        place = None
        if band is not base and band.fitted and base.name == base_name:
            place = _positions(band, base.shape)
        # brightness per solid angle is what filters of other pixels have in common
        factor = 1.0 if "sr" in band.unit else 1.0 / band.pixel_scale**2
        self.data = _on_grid(images.data * factor, place)
        self.model, self.star_subtracted = (
            None if plane is None else _on_grid(plane * factor, place)
            for plane in (images.model, images.star_subtracted)
        )
        sigma = pixel_sigma(band)
        self.sigma = factor * float(np.median(sigma[np.isfinite(sigma)]))
        inner = self._inner(base)
        seen = self.data if self.star_subtracted is None else self.star_subtracted
        values = seen[inner & np.isfinite(seen)]
        self.signal = max(float(values.mean()) if values.size else 0.0, 0.2 * self.sigma)
        self.top = float(np.percentile(values, _TOP)) if values.size else self.sigma

    @staticmethod
    def _inner(base):
        """Where the galaxy is: within its half-light radius, or the middle of the frame."""
        y, x = np.indices(base.shape)
        ny, nx = base.shape
        centre, radius = ((nx - 1) / 2, (ny - 1) / 2), 0.15 * min(ny, nx)
        if base.fitted and base.fit.target:
            params, half = base.fit.target[0].params, base.fit.matched_radius
            centre = params.x_0, params.y_0
            radius = min(max(half if half > 0 else params.r_eff, 3.0), 0.25 * min(ny, nx))
        return np.hypot(x - centre[0], y - centre[1]) < radius


def _positions(band, shape):
    """Positions in a filter's array of the base filter's pixels."""
    y, x = np.indices(shape, dtype=float)
    offset = band.fit.offset
    own = band.fit.pixel_map.points(x + offset[0], y + offset[1])
    if np.allclose(own, (x, y), atol=0.75):
        return None
    return own


def _on_grid(plane, place):
    if place is None:
        return plane
    return map_coordinates(plane, (place[1], place[0]), order=1, cval=np.nan)


class _Scale:
    """Channels brought to one brightness, and the stretch that all pictures share."""

    def __init__(self, planes: Mapping[str, _Planes], groups: tuple) -> None:
        self.planes, self.groups = planes, groups
        middle = np.exp(np.mean([np.log(p.signal) for p in planes.values()]))
        self.factor = {name: (middle / p.signal) ** _BALANCE for name, p in planes.items()}
        self.weight = {name: (p.signal / p.sigma) ** 2 for name, p in planes.items()}
        sigma = [
            _weighted([self.factor[n] * planes[n].sigma for n in g], [self.weight[n] for n in g])
            for g in groups
        ]
        top = [
            _weighted([self.factor[n] * planes[n].top for n in g], [self.weight[n] for n in g])
            for g in groups
        ]
        self.stretch = max(max(top), _LEAST_SIGMA * max(sigma)) / 3

    def picture(self, kind: str) -> np.ndarray:
        """One picture: 8 bits a channel, the first row at the bottom of the sky."""
        channels = [self._channel(kind, group) for group in self.groups]
        missing = ~np.isfinite(channels).all(axis=0)
        filled = [np.nan_to_num(channel) for channel in channels]
        with np.errstate(invalid="ignore", divide="ignore"):  # of pixels that are 0 everywhere
            rgb = make_lupton_rgb(*filled, minimum=0, stretch=self.stretch, Q=_Q)
        rgb[missing] = _GREY
        return rgb

    def _channel(self, kind, group):
        """The mean of a group's filters where they have data."""
        total, weights = 0.0, 0.0
        for name in group:
            plane = self.factor[name] * getattr(self.planes[name], kind)
            weight = np.where(np.isfinite(plane), self.weight[name], 0.0)
            total = total + weight * np.nan_to_num(plane)
            weights = weights + weight
        return np.where(weights > 0, total / np.where(weights > 0, weights, 1), np.nan)


def _weighted(values, weights):
    return float(np.average(values, weights=weights))
