"""PSF correction from the data of one filter: sphot's way.

The image of the reference filter, its stars subtracted, is blurred to the PSF of
the other filter, and measured again. What the aperture loses is taken for what
it loses in the other filter: exact where the galaxy looks the same in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.convolution import convolve_same
from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.apertures import bounding_box, fill_stamp, overlap, scaled
from galstep.exceptions import GalstepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture

__all__ = ["blurred_correction", "matching_kernel"]

REGULARIZATION = 1e-3  # of the largest amplitude: frequencies below are left out
MAX_HALF_SIZE = 40  # pixels


def matching_kernel(psf: EffectivePSF, target: EffectivePSF) -> np.ndarray:
    """The kernel that makes a star of one PSF look like one of another.

    Parameters
    ----------
    psf, target : galstep.core.psf.effective.EffectivePSF
        Pixels of one size.

    Returns
    -------
    ndarray, shape (n, n)
        Odd n, sum 1: `photutils.psf_matching.make_kernel`, without the
        frequencies that ``psf`` does not pass. A top-hat window, as sphot has
        it, would take more: 0.02 mag of a galaxy's core.
    """
    from photutils.psf_matching import make_kernel

    half = min(max(StarRenderer(p).half_size for p in (psf, target)), MAX_HALF_SIZE)
    here, there = (_star(p, half) for p in (psf, target))
    kernel = make_kernel(here / here.sum(), there / there.sum(), regularization=REGULARIZATION)
    return kernel / kernel.sum()


def _star(psf, half):
    centre = np.array([float(half)])
    return StarRenderer(psf).render((2 * half + 1,) * 2, centre, centre, np.ones(1))


def blurred_correction(
    image: np.ndarray,
    mask: np.ndarray,
    aperture: Aperture,
    model: Callable[[Aperture], np.ndarray],
    psf: EffectivePSF,
    target: EffectivePSF,
    replace_with: str = "median",
) -> float:
    """What to add to a magnitude of the target's filter, after the reference's data.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        The reference filter without stars and sky.
    mask : ndarray of bool, shape (ny, nx)
        True = bad; such pixels are filled.
    aperture : galstep.records.Aperture
        In its pixels.
    model : callable
        Gives the model galaxy on the bounding box of an aperture.
    psf, target : galstep.core.psf.effective.EffectivePSF
        Of the reference filter and of the other one.
    replace_with : {"median", "sersic_modelimg"}, optional
        See `galstep.core.photometry.apertures.fill_stamp`.

    Returns
    -------
    float
        Magnitudes: 2.5 log10(blurred sum / sum).

    Raises
    ------
    GalstepError
        If there is no light in the aperture.
    """
    kernel = matching_kernel(psf, target)
    # a margin, so that what is blurred into the aperture is there
    wide = scaled(aperture, 1 + len(kernel) / (2 * aperture.b))
    stamp = fill_stamp(image, mask, wide, model(wide), replace_with)
    box, inner = bounding_box(wide), overlap(aperture)
    y, x = inner.bbox.iymin - box.iymin, inner.bbox.ixmin - box.ixmin
    ny, nx = inner.shape
    sums = [
        (inner.data * picture[y : y + ny, x : x + nx]).sum()
        for picture in (stamp.image, convolve_same(stamp.image, kernel))
    ]
    if not min(sums) > 0:
        raise GalstepError("there is no light in the aperture of the correction's base filter")
    return float(2.5 * np.log10(sums[1] / sums[0]))
