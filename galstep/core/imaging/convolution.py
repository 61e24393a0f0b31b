"""Convolution of an image with a small kernel.

As `scipy.signal.fftconvolve` does it; the import of ``scipy.signal`` alone takes
longer than all the convolutions of a galaxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.fft import irfft2, next_fast_len, rfft2

if TYPE_CHECKING:
    import numpy as np

__all__ = ["convolve_same"]


def convolve_same(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """An image convolved with a kernel, on the image's own grid.

    Parameters
    ----------
    image : (..., ny, nx) array
        One or several; taken as 0 outside.
    kernel : (ky, kx) array
        Its middle pixel, ((ky - 1) // 2, (kx - 1) // 2), is the origin.

    Returns
    -------
    (..., ny, nx) array
    """
    ny, nx = image.shape[-2:]
    full = [n + k - 1 for n, k in zip((ny, nx), kernel.shape, strict=True)]
    padded = [next_fast_len(n, real=True) for n in full]
    convolved = irfft2(rfft2(image, padded) * rfft2(kernel, padded), padded)
    first_y, first_x = ((k - 1) // 2 for k in kernel.shape)
    return convolved[..., first_y : first_y + ny, first_x : first_x + nx]
