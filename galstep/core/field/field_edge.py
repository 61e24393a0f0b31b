"""What lies on an image, with a margin."""

import numpy as np

__all__ = ["inside_margin"]


def inside_margin(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int], margin: float = 0.0
) -> np.ndarray:
    """Whether positions are in the box [margin, size - margin) of pixels.

    Parameters
    ----------
    x, y : (N,) arrays
        0-based pixels, centres at integers; NaN is outside.
    shape : (ny, nx)
    margin : float, optional
        Pixels.

    Returns
    -------
    (N,) bool array
    """
    ny, nx = shape
    inside = (x >= margin - 0.5) & (x < nx - margin - 0.5)
    return inside & (y >= margin - 0.5) & (y < ny - margin - 0.5)
