"""The error of a star's flux from fainter stars too close to be told from it.

A fainter star j within about r0 of a star is measured with it. The stars of the frame lie by
chance, so many per area; that one of flux f_j hides has the probability pi r0^2 / A, and adds
the variance of a rare event,

    e^2 = pi r0^2 / A * sum over fainter j of f_j^2 * min(1, S0 / S_j),

a sum over the frame's own list (Campbell's theorem for a Poisson process). The brighter j is,
S/N S_j, the closer it must be to hide.
"""

from __future__ import annotations

import numpy as np

__all__ = ["blend_errors"]

# r0, in FWHM of the sharpest band, and S0: on the star fields of the Sersic truth set (FWHM
# 2.65 pixels) a star hides within 0.7 pixels, one of S/N above 8 within less.
HIDDEN_FWHM, HIDDEN_SNR = 0.26, 8.0


def blend_errors(flux: np.ndarray, error: np.ndarray, fwhm: float, area: float) -> np.ndarray:
    """1-sigma errors from hidden stars, (n_bands, n_stars).

    Parameters
    ----------
    flux, error : (n_bands, n_stars) arrays
        Of all stars of the frame; an error is infinite where a star has no data.
    fwhm : float
        Of the sharpest PSF (pixels of the scene).
    area : float
        Of the frame (those pixels), where it has data.

    Returns
    -------
    (n_bands, n_stars) array
        In the unit of ``flux``; 0 for the faintest star.
    """
    known = np.isfinite(error) & (error > 0)
    part = np.divide(np.maximum(flux, 0.0), error, out=np.zeros_like(flux), where=known)
    snr = np.sqrt((part**2).sum(axis=0))
    share = np.minimum(1.0, HIDDEN_SNR / np.maximum(snr, HIDDEN_SNR))
    variance = np.where(known, np.maximum(flux, 0.0), 0.0) ** 2 * share
    order = np.argsort(snr, kind="stable")
    fainter = np.zeros_like(variance)
    # stars before it in the order of their S/N
    fainter[:, order[1:]] = np.cumsum(variance[:, order], axis=1)[:, :-1]
    return np.sqrt(np.pi * (HIDDEN_FWHM * fwhm) ** 2 / max(area, 1.0) * fainter)
