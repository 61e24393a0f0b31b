"""A source of a scene: what it is, what of it is free, its limits and priors.

A source is a point or a Sersic profile. Its vector is z = (x, y, ln r_eff, e1, e2, ln n) in the
reference grid (`galstep.records.SersicParams.to_vector`); of a point the first two count. What
changes during a fit (z and the fluxes) is not here but in `galstep.core.scene.scene.SceneState`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["N_SHAPE", "SHAPE_NAMES", "SceneSource", "SourceBounds", "SourcePrior"]

# x, y, ln r_eff, e1, e2, ln n.
N_SHAPE = 6
SHAPE_NAMES = ("x", "y", "r_eff", "ellip", "ellip", "n")
# As near to a bound (in the parameter's own unit) a source is at it.
_NEAR = 1e-6
# Largest change in one step: positions of galaxies (pixels), ln r_eff, e, ln n; and of points.
# Beyond it the linear form of the image is worth nothing.
STEP_CAPS = np.array([1.5, 1.5, 0.5, 0.3, 0.3, 0.4])
# The same of a point (pixels).
POINT_CAP = 0.5


@dataclass(frozen=True)
class SourceBounds:
    """Limits of one source.

    Parameters
    ----------
    x, y : (low, high)
        The position box, reference pixels; infinite: none.
    r_eff : (low, high)
        Below a third of a pixel a profile is a point.
    n : (low, high)
        What the table of the profile's transform holds with a margin.
    e : float
        Of |(e1, e2)|; 0.9 is an axis ratio of 0.05.
    """

    x: tuple = (-np.inf, np.inf)
    y: tuple = (-np.inf, np.inf)
    r_eff: tuple = (0.3, 200.0)
    n: tuple = (0.4, 7.0)
    e: float = 0.9

    def clip(self, z: np.ndarray) -> np.ndarray:
        """The vector, its entries brought inside."""
        z = np.array(z, dtype=float)
        z[0], z[1] = min(max(z[0], self.x[0]), self.x[1]), min(max(z[1], self.y[0]), self.y[1])
        z[2] = min(max(z[2], np.log(self.r_eff[0])), np.log(self.r_eff[1]))
        z[5] = min(max(z[5], np.log(self.n[0])), np.log(self.n[1]))
        e = np.hypot(z[3], z[4])
        if e > self.e:
            z[3:5] *= self.e / e
        return z

    def at_bound(self, z: np.ndarray, free: np.ndarray) -> list[str]:
        """Which of the free parameters sit at a limit, such as ``"r_eff@upper"``."""
        limits = (self.x, self.y, np.log(self.r_eff), None, None, np.log(self.n))
        names = []
        for k, pair in enumerate(limits):
            if pair is None or not free[k]:
                continue
            for limit, word in zip(pair, ("lower", "upper"), strict=True):
                if abs(z[k] - limit) < _NEAR:
                    names.append(f"{SHAPE_NAMES[k]}@{word}")
        if (free[3] or free[4]) and np.hypot(z[3], z[4]) > self.e - _NEAR:
            names.append("ellip@upper")
        return names


@dataclass(frozen=True, eq=False)
class SourcePrior:
    """A Gaussian prior on the vector and the fluxes of one source.

    Parameters
    ----------
    mean : (6,) array
    precision : (6, 6) array
        Inverse covariance; rows of 0: no prior.
    flux_mean, flux_precision : (n_bands,) arrays
    """

    mean: np.ndarray
    precision: np.ndarray
    flux_mean: np.ndarray
    flux_precision: np.ndarray

    def chi2(self, z: np.ndarray, flux: np.ndarray) -> float:
        """What the prior adds to chi2."""
        d = z - self.mean
        return float(d @ self.precision @ d + self.flux_precision @ (flux - self.flux_mean) ** 2)


@dataclass(frozen=True, eq=False)
class SceneSource:
    """One source.

    Parameters
    ----------
    point : bool
        A star; else a Sersic profile.
    free : (6,) bool array
        Which entries of z move.
    bounds : `SourceBounds`
    prior : `SourcePrior`, optional
    least_half : float
        Half-size (reference pixels) that its fit stamps have at least: those of an earlier fit,
        so that a fit that goes on does not turn between two sizes.
    """

    point: bool
    free: np.ndarray
    bounds: SourceBounds = field(default_factory=SourceBounds)
    prior: SourcePrior | None = None
    least_half: float = 0.0

    def __post_init__(self) -> None:
        free = np.array(self.free, dtype=bool)
        if self.point:
            free[2:] = False
        object.__setattr__(self, "free", free)

    @property
    def n_free(self) -> int:
        """How many entries of z are free."""
        return int(np.count_nonzero(self.free))

    @property
    def rows(self) -> np.ndarray:
        """Rows of a derivative stamp that belong to the free entries."""
        return 1 + np.flatnonzero(self.free)

    @property
    def n_rows(self) -> int:
        """Rows of its derivative stamps: the value, then one per entry that it can have."""
        if not self.free.any():
            return 1
        return 3 if self.point else 1 + N_SHAPE

    def limited(self, z: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Where a step (6,) may lead: capped, inside the bounds."""
        caps = POINT_CAP if self.point else STEP_CAPS
        return self.bounds.clip(z + np.clip(step, -caps, caps))

    def prior_chi2(self, z: np.ndarray, flux: np.ndarray) -> float:
        """What its prior adds to chi2; 0 without one."""
        return 0.0 if self.prior is None else self.prior.chi2(z, flux)
