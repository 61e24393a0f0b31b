"""Table of the Sersic profile's Fourier transform.

The transform of the circular profile of unit flux and unit ``r_eff``,

    F(kappa; n) = 2 pi int_0^inf r I(r) J_0(kappa r) dr,    F(0) = 1,

is computed once for a grid of n by the logarithmic fast Hankel transform
(Talman 1978; Hamilton 2000, MNRAS 312, 257; `scipy.fft.fht`) and then looked
up: a cubic spline over ln n, a cubic Hermite polynomial over ln kappa.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import fht, fhtoffset
from scipy.interpolate import CubicSpline

from galstep.core.imaging.sersic import log_central_brightness, mean_square_radius, sersic_bn
from galstep.exceptions import ParameterError

__all__ = ["N_MAX", "N_MIN", "HankelTable", "hankel_table"]

# A little beyond the Sersic indices of the fit (`galstep.core.engine.bounds`), so that a trial
# step has a profile.
N_MIN, N_MAX = 0.3, 8.5

_LN_STEP = 0.0125  # of the transform; the table keeps every second point
# Of the transform: with that step ln r spans 51, far beyond where any profile has light.
_N_POINTS = 4096
# Kept of it: below, the series of small kappa is exact (`small_kappa`); above, F < 1e-8.
_LN_KAPPA_RANGE = (np.log(1e-4), np.log(1e4))


class HankelTable:
    """F(kappa; n) for N_MIN <= n <= N_MAX, with its derivatives.

    Attributes
    ----------
    ln_kappa_0, ln_kappa_step : float
        The grid of ln kappa: row i is at ln_kappa_0 + i * ln_kappa_step.
        Below the first row use `small_kappa`; above the last F is < 1e-8.
    n_rows : int
    """

    def __init__(self, n_nodes: int = 96) -> None:
        ln_n = np.linspace(np.log(N_MIN), np.log(N_MAX), n_nodes)
        ln_kappa, transform = _transform(np.exp(ln_n))
        slope = np.zeros_like(transform)  # dF/d ln kappa: differences of fourth order
        slope[:, 2:-2] = 8 * (transform[:, 3:-1] - transform[:, 1:-3])
        slope[:, 2:-2] -= transform[:, 4:] - transform[:, :-4]
        slope /= 12 * _LN_STEP
        first, last = np.searchsorted(ln_kappa, _LN_KAPPA_RANGE)
        keep = slice(first, last, 2)
        self.ln_kappa_0 = ln_kappa[first]
        self.ln_kappa_step = 2 * _LN_STEP
        nodes = np.stack([transform[:, keep], slope[:, keep] * self.ln_kappa_step], axis=2)
        self.n_rows = nodes.shape[1]
        self._spline = CubicSpline(ln_n, nodes, axis=0)
        self._derivative = self._spline.derivative()

    def rows(self, n: float) -> np.ndarray:
        """The table of one index.

        Parameters
        ----------
        n : float
            Sersic index, N_MIN to N_MAX.

        Returns
        -------
        (n_rows, 4) array
            F, step * dF/d ln kappa, dF/d ln n, step * d^2F/(d ln kappa d ln n)
            with step = ``ln_kappa_step``, as a Hermite look-up needs them.

        Raises
        ------
        ParameterError
            If n is outside the table.
        """
        if not N_MIN * (1 - 1e-12) <= n <= N_MAX * (1 + 1e-12):
            raise ParameterError(f"Sersic index n must be in {N_MIN} to {N_MAX}, not {n}")
        ln_n = np.log(n)
        return np.concatenate([self._spline(ln_n), self._derivative(ln_n)], axis=1)

    @staticmethod
    def small_kappa(n: float) -> tuple[float, float]:
        """(c, dc/d ln n) of the series F = 1 - c kappa^2 near 0.

        c is a quarter of the mean square radius. The derivative is a central
        difference: the series only matters below kappa = 1e-4.
        """
        step = 1e-4
        low, mid, high = (mean_square_radius(n * np.exp(s)) / 4 for s in (-step, 0.0, step))
        return mid, (high - low) / (2 * step)


def _transform(n):
    """ln kappa (m,) and F (len(n), m) on the grid of the fast transform."""
    # centred on r = 1; the high end is far beyond any light, the low end far
    # inside the cusp, so that the periodic continuation does not show
    ln_r = (np.arange(_N_POINTS) - _N_POINTS // 2) * _LN_STEP
    r = np.exp(ln_r)
    n = np.asarray(n)[:, None]
    profile = np.exp(log_central_brightness(n) - sersic_bn(n) * r ** (1.0 / n))
    offset = fhtoffset(_LN_STEP, mu=0.0, initial=0.0, bias=0.0)
    kappa = np.exp(offset) / r[::-1]
    transform = fht(r * profile, _LN_STEP, mu=0.0, offset=offset, bias=0.0)
    return np.log(kappa), 2 * np.pi * transform / kappa


@lru_cache(maxsize=1)
def hankel_table() -> HankelTable:
    """The shared `HankelTable`, built at first use (about 0.1 s)."""
    return HankelTable()
