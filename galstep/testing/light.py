"""The light of galaxies that are no Sersic profiles: disks with arms, rings, bars, dust.

Each is called with positions and a wavelength, ``light(x, y, wavelength)``, and
gives surface brightness in units of its own; `total_light` says how much that
is. Positions are pixels of the frame, wavelengths micron.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

__all__ = [
    "Bar",
    "ClumpyDisk",
    "DustyBulge",
    "DustyDisk",
    "Light",
    "Ring",
    "SpiralDisk",
    "TwistedSpheroid",
    "total_light",
]

# r_eff of an exponential disk in scale lengths: gammaincinv(2, 0.5)
_EXPONENTIAL = 1.6783469900166608
# wavelength at which contrasts and optical depths are quoted (micron)
_REFERENCE = 1.5


@dataclass(frozen=True)
class Light:
    """A centre (pixels), a size (pixels), a flattening and a position angle (radians)."""

    x_0: float
    y_0: float
    r_eff: float
    ellip: float
    theta: float

    @property
    def centre(self) -> tuple[float, float]:
        """(x_0, y_0)."""
        return self.x_0, self.y_0

    def __call__(self, x, y, wavelength):
        """Surface brightness, in units of its own."""
        raise NotImplementedError

    def along_axes(self, x, y):
        """Offsets from the centre along the major and the minor axis (pixels)."""
        cos, sin = np.cos(self.theta), np.sin(self.theta)
        dx, dy = x - self.x_0, y - self.y_0
        return dx * cos + dy * sin, dy * cos - dx * sin

    def polar(self, x, y):
        """Radius (major axis, pixels) and angle in the plane of a tilted disk."""
        u, v = self.along_axes(x, y)
        v = v / (1 - self.ellip)
        return np.hypot(u, v), np.arctan2(v, u)


@dataclass(frozen=True)
class SpiralDisk(Light):
    """Exponential disk with logarithmic spiral arms.

    The mean over a circle of the disk's plane is that of the disk without arms,
    so ``r_eff`` is that of the disk. ``contrast`` is the share of the light
    that the arms hold at 1.5 micron far from the centre; it grows to the blue.
    """

    arms: int
    pitch: float
    contrast: float
    phase: float

    # (1 + cos)^3 / 8 has the mean 5/16: arms a third as wide as the gaps
    _MEAN = 5 / 16

    def ridge(self, r):
        """Angle of the first arm's ridge at the radius ``r`` (pixels)."""
        return (np.log(r / self.r_eff) / np.tan(self.pitch) - self.phase) / self.arms

    def __call__(self, x, y, wavelength):
        """Surface brightness; 1 at the centre of the disk."""
        r, phi = self.polar(x, y)
        r = np.maximum(r, 1e-6)
        wave = ((1 + np.cos(self.arms * (phi - self.ridge(r)))) / 2) ** 3 / self._MEAN
        share = min(self.contrast * (_REFERENCE / wavelength) ** 0.25, 0.95)
        # arms begin outside the bulge
        share = share * -np.expm1(-((r / (0.45 * self.r_eff)) ** 2))
        return np.exp(-_EXPONENTIAL * r / self.r_eff) * (1 - share + share * wave)


@dataclass(frozen=True)
class Ring(Light):
    """A ring of radius ``r_eff`` and Gaussian profile of sigma ``width``, brighter on one side."""

    width: float
    lopsided: float
    phase: float

    def __call__(self, x, y, wavelength):
        """Surface brightness; 1 on the ridge in the mean."""
        r, phi = self.polar(x, y)
        ridge = np.exp(-0.5 * ((r - self.r_eff) / self.width) ** 2)
        return ridge * (1 + self.lopsided * np.cos(phi - self.phase))


@dataclass(frozen=True)
class Bar(Light):
    """A Ferrers bar (1 - m^2)^2 of half length ``r_eff`` with boxy isophotes.

    m is the generalised ellipse of Athanassoula et al. (1990, MNRAS 245, 130),
    equation 4, with the exponent ``boxy`` (2: an ellipse).
    """

    boxy: float

    def __call__(self, x, y, wavelength):
        """Surface brightness; 1 at the centre, 0 beyond the bar."""
        u, v = self.along_axes(x, y)
        u, v = np.abs(u) / self.r_eff, np.abs(v) / (self.r_eff * (1 - self.ellip))
        m = (u**self.boxy + v**self.boxy) ** (1 / self.boxy)
        return np.maximum(1 - m**2, 0) ** 2


@dataclass(frozen=True)
class _Dusty(Light):
    """Behind a dust lane along the major axis, a screen with an optical depth.

    ``tau`` is the depth on the axis at 1.5 micron; it falls as wavelength^-1.3.
    The lane is ``dust_height`` (sigma) thick, lies ``dust_offset`` off the axis
    and reaches 1.3 times as far as the disk with the scale length ``length``.
    """

    length: float
    tau: float
    dust_height: float
    dust_offset: float

    def screen(self, x, y, wavelength):
        """The share of the light that comes through."""
        u, v = self.along_axes(x, y)
        lane = np.exp(-0.5 * ((v - self.dust_offset) / self.dust_height) ** 2)
        depth = self.tau * (_REFERENCE / wavelength) ** 1.3
        return np.exp(-depth * lane * np.exp(-np.abs(u) / (1.3 * self.length)))


@dataclass(frozen=True)
class DustyDisk(_Dusty):
    """An edge-on disk, exponential along and sech^2 (scale ``height``) across, behind dust."""

    height: float

    def __call__(self, x, y, wavelength):
        """Surface brightness; 1 at the centre without dust."""
        u, v = self.along_axes(x, y)
        across = 1 / np.cosh(np.minimum(np.abs(v) / self.height, 300)) ** 2
        return np.exp(-np.abs(u) / self.length) * across * self.screen(x, y, wavelength)


@dataclass(frozen=True)
class DustyBulge(_Dusty):
    """A Sersic bulge of index ``n`` behind the dust of its disk."""

    n: float

    def __call__(self, x, y, wavelength):
        """Surface brightness; 1 at the centre without dust."""
        r, _ = self.polar(x, y)
        profile = np.exp(-gammaincinv(2 * self.n, 0.5) * (r / self.r_eff) ** (1 / self.n))
        return profile * self.screen(x, y, wavelength)


@dataclass(frozen=True)
class TwistedSpheroid(Light):
    """A Sersic spheroid with a core, whose isophotes turn, flatten and become boxy outwards.

    From the centre to far out the position angle changes by ``twist`` and the
    axis ratio by ``flatter``, the exponent of the generalised ellipse by
    ``boxy``; at ``r_eff`` half of that is reached.
    """

    n: float
    core: float
    twist: float
    flatter: float
    boxy: float

    def __call__(self, x, y, wavelength):
        """Surface brightness; falls inwards of ``core`` no further. Larger in blue light."""
        r_eff = self.r_eff * (_REFERENCE / wavelength) ** 0.08
        out = np.hypot(x - self.x_0, y - self.y_0)
        out = out / (out + self.r_eff)
        theta = self.theta + self.twist * (out - 0.5)
        q = 1 - self.ellip - self.flatter * (out - 0.5)
        power = 2 + self.boxy * out
        dx, dy = x - self.x_0, y - self.y_0
        u = np.abs(dx * np.cos(theta) + dy * np.sin(theta))
        v = np.abs(dy * np.cos(theta) - dx * np.sin(theta)) / q
        m = (np.maximum(u, 1e-9) ** power + np.maximum(v, 1e-9) ** power) ** (1 / power)
        soft = np.hypot(m, self.core)
        return np.exp(-gammaincinv(2 * self.n, 0.5) * (soft / r_eff) ** (1 / self.n))


@dataclass(frozen=True)
class ClumpyDisk(Light):
    """A disk of index 0.7 times a log-normal field: an irregular galaxy.

    The field is a sum of plane waves of lengths about ``clump`` (pixels) and
    unit variance, drawn from ``seed``; its exponent is ``contrast`` at 1.5
    micron and grows to the blue.
    """

    clump: float
    contrast: float
    seed: int

    _WAVES = 20

    def __call__(self, x, y, wavelength):
        """Surface brightness; about 1 at the centre."""
        rng = np.random.default_rng(self.seed)
        angle, phase = rng.uniform(0, 2 * np.pi, (2, self._WAVES))
        number = 2 * np.pi / self.clump * rng.uniform(0.25, 1.0, self._WAVES)
        dx, dy = np.broadcast_arrays(x - self.x_0, y - self.y_0)
        field = np.zeros(dx.shape)
        for k, a, p in zip(number, angle, phase, strict=True):
            field += np.cos(k * (dx * np.cos(a) + dy * np.sin(a)) + p)
        field *= np.sqrt(2 / self._WAVES)
        r, _ = self.polar(x, y)
        contrast = self.contrast * (_REFERENCE / wavelength) ** 0.25
        steepness = gammaincinv(1.4, 0.5)
        return np.exp(-steepness * (r / self.r_eff) ** (1 / 0.7) + contrast * field)


def total_light(light: Light, wavelength: float, reach: float = 60.0) -> float:
    """The integral of a light over the plane.

    In polar coordinates about its centre, trapezoids in angle and in the
    logarithm of the radius: no grid of cells, so that it tests the one that is
    drawn.

    Parameters
    ----------
    light : callable
        One of this module.
    wavelength : float
        Micron.
    reach : float, optional
        Outermost radius in units of ``r_eff``; the innermost is 1e-4 of it.

    Returns
    -------
    float
    """
    x_0, y_0 = light.centre
    step = np.log(1e-4 * light.r_eff), np.log(reach * light.r_eff)
    log_r = np.linspace(*step, 1201)[:, np.newaxis]
    # half a step off the axes: a thin lane is not met along its length only
    angle = (np.arange(1440) + 0.5)[np.newaxis, :] * 2 * np.pi / 1440
    r = np.exp(log_r)
    rings = np.array(
        [
            light(x_0 + row * np.cos(angle), y_0 + row * np.sin(angle), wavelength).mean()
            for row in r[:, 0]
        ]
    )
    return float(2 * np.pi * np.trapezoid(rings * r[:, 0] ** 2, log_r[:, 0]))
