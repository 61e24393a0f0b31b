"""A PSF that is smooth in itself and over the image: a profile times radial splines.

    P(u; x, y) = M(u) [1 + sum_jm c_jm(x, y) b_j(r) (r / (r + 1))^m trig(m theta)]

M is an elliptical Moffat profile (or a Gaussian), b_j are cubic B-splines in ln(1 + r / 1.5), and
each c_jm is a polynomial in the place. Where no star shows light, the c are zero and the profile
stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from galstep.core.field.keys import content_key

__all__ = ["PolynomialLaw", "RadialModes", "place_terms", "profile_values"]

# Pixels in which the splines change from linear to logarithmic, their knots, and angular orders:
# odd ones hold coma, 2 and 4 what an ellipse and a spider do.
_INNER, N_RADIAL, M_MAX = 1.5, 9, 4
# Radii (pixels) at which the radial parts are tabulated: linear between them they are right to
# 1e-5.
_TABLE_STEP = 0.02


def profile_values(profile: np.ndarray, kind: str, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """A profile of unit light at offsets from its centre.

    Parameters
    ----------
    profile : (4,) array
        ln FWHM (pixels), ln beta, e1, e2; a Gaussian has no use for beta.
    kind : {"moffat", "gaussian"}
    dx, dy : arrays
        Pixels.
    """
    ln_fwhm, ln_beta, e1, e2 = profile
    # an area-preserving shear: the light stays one
    squeeze = 1 / np.sqrt(max(1 - e1 * e1 - e2 * e2, 1e-3))
    r2 = ((1 - e1) * dx * dx - 2 * e2 * dx * dy + (1 + e1) * dy * dy) * squeeze
    if kind == "gaussian":
        variance = np.exp(2 * ln_fwhm) / (8 * np.log(2))
        return np.exp(-0.5 * r2 / variance) / (2 * np.pi * variance)
    beta = np.exp(ln_beta)
    alpha2 = np.exp(2 * ln_fwhm) / (4 * (2 ** (1 / beta) - 1))
    return (beta - 1) / (np.pi * alpha2) * (1 + r2 / alpha2) ** -beta


@dataclass(frozen=True)
class RadialModes:
    """The terms that a profile is multiplied with.

    Parameters
    ----------
    reach : float
        Radius of the outermost knot, pixels; beyond, the value there holds.
    """

    reach: float

    @cached_property
    def terms(self) -> list[tuple[int, int, int]]:
        """(spline, angular order, 0 for cos and 1 for sin) of each mode."""
        round_ones = [(j, 0, 0) for j in range(-1, N_RADIAL + 1)]
        # what is at the centre has no angle, and the last ones would turn for ever
        turning = [
            (j, m, s) for m in range(1, M_MAX + 1) for j in range(1, N_RADIAL - 1) for s in (0, 1)
        ]
        return round_ones + turning

    def __len__(self) -> int:
        return len(self.terms)

    def values(self, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """(n_modes, ...) array at offsets from the centre, pixels."""
        r, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        t = np.log1p(r / _INNER)
        step = np.log1p(self.reach / _INNER) / (N_RADIAL - 1)
        t = np.minimum(t / step, N_RADIAL - 1)
        splines = {j: _b_spline(t - j) for j in range(-1, N_RADIAL + 1)}
        softened = r / (r + 1.0)
        turns = {}
        for m in range(1, M_MAX + 1):
            turns[m, 0] = softened**m * np.cos(m * angle)
            turns[m, 1] = softened**m * np.sin(m * angle)
        return np.array([splines[j] * turns[m, s] if m else splines[j] for j, m, s in self.terms])

    @property
    def round_ones(self) -> np.ndarray:
        """(n_modes,) bool: which of `terms` do not turn; they add up to one."""
        return np.array([m == 0 for _, m, _ in self.terms])

    def summed(self, factors: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """``tensordot(factors, values(dx, dy), 1)``, from tables of the radial parts.

        Parameters
        ----------
        factors : (n_modes,) array
        dx, dy : arrays
            Pixels.
        """
        table = _radial_sums(self, factors)
        r = np.hypot(dx, dy)
        place = np.minimum(r / _TABLE_STEP, table.shape[1] - 1.001)
        low = place.astype(int)
        share = place - low
        parts = table[:, low]
        parts += share * (table[:, low + 1] - parts)
        turn = (dx + 1j * dy) / np.maximum(r, 1e-12)
        total, power = parts[0], turn
        for m in range(1, M_MAX + 1):
            total = total + parts[2 * m - 1] * power.real + parts[2 * m] * power.imag
            power = power * turn
        return total


@lru_cache(maxsize=8)
def _radial_parts(modes):
    """(n_modes, n_radii) radial parts, and to which of the sums over one angle each belongs."""
    radii = np.arange(0.0, modes.reach * 2.0, _TABLE_STEP)
    t = np.log1p(radii / _INNER)
    step = np.log1p(modes.reach / _INNER) / (N_RADIAL - 1)
    t = np.minimum(t / step, N_RADIAL - 1)
    softened = radii / (radii + 1.0)
    parts = np.array([_b_spline(t - j) * softened**m for j, m, _ in modes.terms])
    row = np.array([2 * m - 1 + s if m else 0 for _, m, s in modes.terms])
    return parts, (row[None, :] == np.arange(2 * M_MAX + 1)[:, None]).astype(float)


def _radial_sums(modes, factors):
    """(2 M_MAX + 1, n_radii): what cos and sin of each angle are multiplied with."""
    parts, belongs = _radial_parts(modes)
    return (belongs * factors) @ parts


def _b_spline(t):
    """The cubic B-spline of unit knots."""
    t = np.abs(t)
    inner = 2 / 3 - t**2 + t**3 / 2
    return np.where(t < 1, inner, np.where(t < 2, (2 - t) ** 3 / 6, 0.0))


def place_terms(
    x: float | np.ndarray, y: float | np.ndarray, shape: tuple[int, int], order: int
) -> np.ndarray:
    """The powers of the place, each coordinate from -1 to 1 over the image.

    Returns
    -------
    (n_terms, ...) array
        The constant first.
    """
    u, v = (2 * np.asarray(p) / n - 1 for p, n in ((x, shape[1]), (y, shape[0])))
    return np.array([u**i * v ** (n - i) for n in range(order + 1) for i in range(n, -1, -1)])


@dataclass(frozen=True, eq=False)
class PolynomialLaw:
    """A `galstep.core.scene.psf_map.PsfLaw` that was measured on stars.

    Parameters
    ----------
    profile : (4,) array
        See `profile_values`.
    kind : {"moffat", "gaussian"}
    coefficients : (n_modes, n_terms) array
    shape : (ny, nx)
        Of the image.
    order : int
        Of the polynomials.
    half : int
        Half the side of the PSF, pixels.
    reach : float
        See `RadialModes`.
    oversample : int
    """

    profile: np.ndarray
    kind: str
    coefficients: np.ndarray
    shape: tuple
    order: int
    half: int
    reach: float
    oversample: int = field(default=2)

    @property
    def varies(self) -> bool:
        """Whether it changes with the place."""
        return bool(self.order > 0 and np.any(self.coefficients[:, 1:]))

    @cached_property
    def identity(self) -> str:
        """Of the contents."""
        return content_key(
            self.profile, self.kind, self.coefficients, tuple(self.shape), self.order, self.half,
            self.reach, self.oversample,
        )  # fmt: skip

    def values(self, dx: np.ndarray, dy: np.ndarray, x: float, y: float) -> np.ndarray:
        """The PSF at offsets from a star at a place, not normalised."""
        own = profile_values(self.profile, self.kind, dx, dy)
        if not np.any(self.coefficients):
            return own
        factors = self.coefficients @ place_terms(x, y, tuple(self.shape), self.order)
        return own * (1 + RadialModes(self.reach).summed(factors, dx, dy))

    def array(self, x: float, y: float) -> np.ndarray:
        """The oversampled effective PSF at a place of the image; no negative light."""
        # beyond the image a polynomial is no guide
        x = float(np.clip(x, 0, self.shape[1] - 1))
        y = float(np.clip(y, 0, self.shape[0] - 1))
        offsets = np.arange(-self.half * self.oversample, self.half * self.oversample + 1)
        dx, dy = np.meshgrid(offsets / self.oversample, offsets / self.oversample)
        return np.maximum(self.values(dx, dy, x, y), 0.0)
