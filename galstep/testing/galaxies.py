"""Galaxies drawn out of parts: bulge and disk, bar, spiral, ring, edge-on, pair and more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from galstep.exceptions import ParameterError
from galstep.filters import filter_wavelength
from galstep.records import SersicParams
from galstep.testing import light
from galstep.testing.parts import DiffusePart, KnotsPart, SersicPart

__all__ = ["KINDS", "Galaxy", "draw_galaxy"]

# AB colours, filter - F150W, at these wavelengths (micron): old and red to a star-forming knot.
# The first three span the published colours of galaxies behind a nearby galaxy's disk.
_COLOUR_AT = np.log((0.55, 0.81, 0.90, 1.50, 2.77))
_OLD = np.array((3.7, 1.4, 1.0, 0.0, -0.55))
_DISK = np.array((2.2, 0.95, 0.62, 0.0, -0.45))
_YOUNG = np.array((1.5, 0.6, 0.35, 0.0, -0.2))
_KNOT = np.array((0.55, 0.3, 0.2, 0.0, 0.15))


@dataclass(frozen=True)
class Galaxy:
    """What stands in a frame: the target's parts, and companions of one part each."""

    kind: str
    parts: tuple
    companions: tuple = ()

    @property
    def fluxes(self) -> dict:
        """Total flux of the target by filter (image unit x pixel)."""
        return {f: sum(part.fluxes[f] for part in self.parts) for f in self.parts[0].fluxes}

    def scaled(self, factor: float) -> Galaxy:
        """All fluxes times ``factor``."""
        return replace(
            self,
            parts=tuple(part.scaled(factor) for part in self.parts),
            companions=tuple(part.scaled(factor) for part in self.companions),
        )


def draw_galaxy(
    kind: str,
    rng: np.random.Generator,
    filters: tuple,
    base: str,
    centre: tuple[float, float],
    r_eff: float,
) -> Galaxy:
    """A galaxy of a kind, all else drawn; the target's flux in ``base`` is 1.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    rng : numpy.random.Generator
    filters : tuple of str
        Names that say a wavelength (`galstep.filters.filter_wavelength`).
    base : str
        One of ``filters``.
    centre : (float, float)
        Pixels.
    r_eff : float
        Of the disk, semi-major (pixels).

    Returns
    -------
    Galaxy

    Raises
    ------
    ParameterError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise ParameterError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    draw = _Draw(rng, filters, base, centre, r_eff, rng.uniform(0.1, 0.6), rng.uniform(0, np.pi))
    parts, companions = KINDS[kind](draw)
    # dust takes light in the base filter too: shares are what is left
    total = sum(part.fluxes[base] for part in parts)
    return Galaxy(kind, tuple(parts), tuple(companions)).scaled(1 / total)


@dataclass(frozen=True)
class _Draw:
    """What the kinds draw from: random numbers, filters, and the disk's geometry."""

    rng: np.random.Generator
    filters: tuple
    base: str
    centre: tuple
    r_eff: float
    ellip: float
    theta: float

    def fluxes(self, share, colours, scatter=0.08):
        """Fluxes by filter of a part with this share of the base filter's light."""
        wavelengths = np.log([filter_wavelength(name) for name in self.filters])
        colour = np.interp(wavelengths, _COLOUR_AT, colours)
        colour = colour - np.interp(np.log(filter_wavelength(self.base)), _COLOUR_AT, colours)
        colour = colour + self.rng.normal(0, scatter, len(self.filters))
        colour[self.filters.index(self.base)] = 0
        return dict(zip(self.filters, (share * 10 ** (-0.4 * colour)).tolist(), strict=True))

    def sersic(self, name, share, colours, r_eff, n, ellip=None, theta=None, centre=None):
        """A `SersicPart`; geometry of the disk where none is given."""
        params = SersicParams(
            *(self.centre if centre is None else centre),
            r_eff,
            n,
            self.ellip if ellip is None else ellip,
            self.theta if theta is None else theta,
        )
        return SersicPart(name, self.fluxes(share, colours), params)

    def geometry(self, r_eff=None, ellip=None, theta=None):
        """The arguments that every light has."""
        return {
            "x_0": self.centre[0],
            "y_0": self.centre[1],
            "r_eff": self.r_eff if r_eff is None else r_eff,
            "ellip": self.ellip if ellip is None else ellip,
            "theta": self.theta if theta is None else theta,
        }

    def diffuse(self, name, share, colours, shape):
        """A `DiffusePart`: whatever its shape does, the total follows the colours."""
        return DiffusePart(name, self.fluxes(share, colours), shape)

    def dusty(self, name, share, colours, shape):
        """A `DiffusePart` that loses light to dust; the colours are those without."""
        return DiffusePart.dimmed(name, self.fluxes(share, colours), shape, self.base)

    def place(self, r, phi, ellip):
        """Pixels of polar coordinates in the disk's plane."""
        u, v = r * np.cos(phi), r * np.sin(phi) * (1 - ellip)
        cos, sin = np.cos(self.theta), np.sin(self.theta)
        return self.centre[0] + u * cos - v * sin, self.centre[1] + u * sin + v * cos

    def knots(self, share, r, phi, ellip, sizes=(0.5, 1.3)):
        """A `KnotsPart` at places in the disk's plane; few knots hold most of the light."""
        x, y = self.place(r, phi, ellip)
        weight = self.rng.pareto(1.6, len(r)) + 0.3
        return KnotsPart(
            "knots",
            self.fluxes(share, _KNOT),
            tuple(x.tolist()),
            tuple(y.tolist()),
            tuple(self.rng.uniform(*sizes, len(r)).tolist()),
            tuple((weight / weight.sum()).tolist()),
        )


def _bulge(draw, share):
    """A bulge redder, rounder and smaller than its disk."""
    return draw.sersic(
        "bulge",
        share,
        _OLD,
        draw.r_eff * draw.rng.uniform(0.12, 0.35),
        draw.rng.uniform(2, 4),
        max(0.05, draw.ellip - draw.rng.uniform(0.1, 0.3)),
        draw.theta + draw.rng.uniform(-0.2, 0.2),
    )


def _disk(draw, share):
    return draw.sersic("disk", share, _DISK, draw.r_eff, 1.0)


def _bulge_disk(draw):
    share = draw.rng.uniform(0.2, 0.6)
    return [_bulge(draw, share), _disk(draw, 1 - share)], []


def _bar(draw):
    angle = draw.theta + draw.rng.uniform(0.4, 1.2)
    shape = light.Bar(**draw.geometry(0.9 * draw.r_eff, 0.7, angle), boxy=3.0)
    bar = draw.diffuse("bar", 0.25, 0.6 * _OLD + 0.4 * _DISK, shape)
    return [_bulge(draw, 0.2), _disk(draw, 0.55), bar], []


def _spiral(draw):
    rng, ellip = draw.rng, min(draw.ellip, 0.5)
    bulge, knots = rng.uniform(0.08, 0.25), rng.uniform(0.04, 0.1)
    arms = int(rng.integers(2, 4))
    shape = light.SpiralDisk(
        **draw.geometry(ellip=ellip),
        arms=arms,
        pitch=rng.uniform(0.25, 0.45),
        contrast=rng.uniform(0.4, 0.75),
        phase=rng.uniform(0, 2 * np.pi),
    )
    number = int(rng.integers(15, 35))
    r = draw.r_eff * rng.uniform(0.4, 2.0, number)
    turn = 2 * np.pi * rng.integers(0, arms, number) / arms
    phi = shape.ridge(r) + turn + rng.normal(0, 0.12, number)
    disk = draw.diffuse("arms", 1 - bulge - knots, 0.5 * (_DISK + _YOUNG), shape)
    return [_bulge(draw, bulge), disk, draw.knots(knots, r, phi, ellip)], []


def _ring(draw):
    rng, ellip = draw.rng, min(draw.ellip, 0.4)
    draw = replace(draw, ellip=ellip)
    radius = 1.1 * draw.r_eff
    shape = light.Ring(
        **draw.geometry(radius),
        width=0.14 * radius,
        lopsided=rng.uniform(0.1, 0.4),
        phase=rng.uniform(0, 2 * np.pi),
    )
    number = int(rng.integers(12, 25))
    r, phi = radius * rng.normal(1, 0.08, number), rng.uniform(0, 2 * np.pi, number)
    ring = draw.diffuse("ring", 0.33, _YOUNG, shape)
    return [_bulge(draw, 0.3), _disk(draw, 0.3), ring, draw.knots(0.07, r, phi, ellip)], []


def _edge_on(draw):
    rng, length = draw.rng, draw.r_eff / 1.2
    height = 0.22 * length
    dust = {
        "length": length,
        # depth at F555W of 3 to 6, wavelength^-1.3
        "tau": rng.uniform(3, 6) * (0.555 / 1.5) ** 1.3,
        "dust_height": 0.5 * height,
        "dust_offset": rng.uniform(0.2, 0.6) * height,
    }
    share = rng.uniform(0.15, 0.3)
    disk = light.DustyDisk(**draw.geometry(), **dust, height=height)
    bulge = light.DustyBulge(**draw.geometry(0.35 * length, 0.2), **dust, n=rng.uniform(1.5, 2.5))
    return [
        draw.dusty("disk", 1 - share, _DISK, disk),
        draw.dusty("bulge", share, _OLD, bulge),
    ], []


def _elliptical(draw):
    rng = draw.rng
    shape = light.TwistedSpheroid(
        **draw.geometry(0.7 * draw.r_eff, min(draw.ellip, 0.4)),
        n=rng.uniform(2.0, 3.5),
        core=rng.uniform(0.3, 1.0),
        twist=rng.uniform(0.5, 1.0),
        flatter=rng.uniform(0.1, 0.25),
        boxy=rng.uniform(0.3, 0.9),
    )
    return [draw.diffuse("spheroid", 1.0, _OLD, shape)], []


def _irregular(draw):
    rng, ellip = draw.rng, min(draw.ellip, 0.5)
    shape = light.ClumpyDisk(
        **draw.geometry(ellip=ellip),
        clump=draw.r_eff,
        contrast=rng.uniform(0.4, 0.6),
        seed=int(rng.integers(1 << 30)),
    )
    number = int(rng.integers(12, 26))
    r, phi = draw.r_eff * rng.gamma(2, 0.45, number), rng.uniform(0, 2 * np.pi, number)
    knots = draw.knots(0.18, r, phi, ellip, (0.7, 2.0))
    # star formation is off the centre
    shifted = tuple(x + 0.3 * draw.r_eff for x in knots.x)
    return [draw.diffuse("clumps", 0.82, _YOUNG, shape), replace(knots, x=shifted)], []


def _companion(draw, share, distance, angle, r_eff, n, colours):
    centre = (
        draw.centre[0] + distance * np.cos(angle),
        draw.centre[1] + distance * np.sin(angle),
    )
    ellip, theta = draw.rng.uniform(0.1, 0.55), draw.rng.uniform(0, np.pi)
    return draw.sersic("companion", share, colours, r_eff, n, ellip, theta, centre)


def _pair(draw):
    rng, r_eff = draw.rng, draw.r_eff
    angle = rng.uniform(0, 2 * np.pi)
    parts, _ = _bulge_disk(draw)
    near = _companion(draw, 1 / 3, 2.5 * r_eff, angle, 0.6 * r_eff, rng.uniform(1, 2), _DISK)
    angle += rng.uniform(1.5, 4)
    far = _companion(draw, 0.08, 4.5 * r_eff, angle, max(0.25 * r_eff, 1.5), 1.2, _OLD)
    return parts, [near, far]


def _background(draw):
    rng, first = draw.rng, draw.rng.uniform(0, 2 * np.pi)
    parts, _ = _bulge_disk(draw)
    companions = [
        _companion(
            draw,
            rng.uniform(0.01, 0.05),
            draw.r_eff * rng.uniform(4, 7),
            first + k * np.pi / 2 + rng.uniform(-0.4, 0.4),
            rng.uniform(1.5, 4),
            rng.uniform(0.8, 2.5),
            (_YOUNG, _OLD)[k % 2],
        )
        for k in range(4)
    ]
    return parts, companions


#: Kind to what draws it.
KINDS = {
    "bulge_disk": _bulge_disk,
    "bar": _bar,
    "spiral": _spiral,
    "ring": _ring,
    "edge_on": _edge_on,
    "elliptical": _elliptical,
    "irregular": _irregular,
    "pair": _pair,
    "background": _background,
}
