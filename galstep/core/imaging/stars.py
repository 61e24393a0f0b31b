"""Stars: the effective PSF at any position, and sums over its pixels.

Between its samples the effective PSF is the cubic B-spline interpolation of
the oversampled array, as photutils' ``ImagePSF`` has it (up to the norm). A
star's pixels all lie at the same fraction of a sample, so one star costs
4 x 4 spline weights and one multiply-add per weight and pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import spline_filter
from scipy.spatial import cKDTree

from galstep.core.imaging import _kernels
from galstep.core.imaging._kernels_numpy import PAD
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "StarRenderer",
    "add_stamps",
    "combined_stamps",
    "for_kernel",
    "gram_cut_stamps",
    "gram_stamps",
    "project_stamps",
    "stamp_pairs",
    "weighted_stamps",
]

_MATRIX_ENERGY = 0.997
_MATRIX_HALF_SIZES = (5, 25)


class StarRenderer:
    """Renders and projects stars of one effective PSF.

    Parameters
    ----------
    psf : EffectivePSF

    Attributes
    ----------
    half_size : int
        Native pixels from a star's nearest pixel to the last pixel that the
        PSF can reach. Beyond its array the PSF is 0.
    matrix_half_size : int
        The smallest half-size, 5 to 25, of a box about the centre that holds
        99.7 % of the sum of P^2: what the normal matrix needs.
    """

    def __init__(self, psf: Any) -> None:
        self.psf = psf
        self.half_size = int(max(psf.centre) / psf.oversample + 0.5)
        self._sizes = np.array(psf.array.shape, dtype=np.int64)

    @property
    def matrix_half_size(self) -> int:
        """See the class."""
        return self.psf.derived("matrix half-size", lambda: _energy_half_size(self.psf))

    @property
    def _phases(self):
        return self.psf.derived("spline phases", lambda: _polyphase(self.psf))

    def render(
        self,
        shape: tuple[int, int],
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        half_sizes: int | np.ndarray | None = None,
        flux_x: np.ndarray | None = None,
        flux_y: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """An image of stars.

        sum_i flux_i P(x - x_i, y - y_i) + flux_x_i dP/dx_i + flux_y_i dP/dy_i

        Parameters
        ----------
        shape : (ny, nx)
        x, y : (N,) array
            Positions (pixels); stars off the frame give it their wings.
        flux : (N,) array
            A star of flux F sums to F over the plane (up to the PSF's
            undersampling by native pixels).
        half_sizes : int or (N,) int array, optional
            Half-size of the box each star is rendered in, about its nearest
            pixel. Default: all of the PSF.
        flux_x, flux_y : (N,) array, optional
            Factors of the derivatives with respect to the star's position.
        out : (ny, nx) array, optional
            Added to, in place of a new image.

        Returns
        -------
        (ny, nx) float64 array

        Raises
        ------
        ParameterError
            If the arrays do not have one length, or a position is not finite.
        """
        x, y = _positions(x, y)
        factors = np.zeros((len(x), 3))
        for column, values in enumerate((flux, flux_x, flux_y)):
            if values is not None:
                factors[:, column] = _per_star(values, len(x), "flux")
        image = np.zeros(shape) if out is None else out
        half = self._half_sizes(half_sizes, len(x))
        _kernels.render_stars(image, self._phases, self._sizes, x, y, half, factors)
        return image

    def stamps(
        self,
        x: np.ndarray,
        y: np.ndarray,
        half_size: int,
        centres: Sequence[np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stars of unit flux with their derivatives, one small box each.

        Parameters
        ----------
        x, y : (N,) array
        half_size : int
        centres : (ix, iy), optional
            Middles of the boxes; by default each star's nearest pixel.

        Returns
        -------
        stamps : (N, 3, 2h+1, 2h+1) array
            Value, d/dx_i, d/dy_i; the middle is the star's nearest pixel,
            unless ``centres`` says otherwise.
            Boxes are not cut at any frame.
        ix, iy : (N,) int64 arrays
            The middles.
        """
        x, y = _positions(x, y)
        ix, iy = (np.rint(v).astype(np.int64) for v in (centres or (x, y)))
        side = 2 * int(half_size) + 1
        stamps = np.zeros((len(x), 3, side, side))
        self.add_to_stamps(stamps, x, y, (ix, iy), np.ones(len(x)), np.arange(len(x)))
        return stamps, ix, iy

    def add_to_stamps(
        self,
        stamps: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        centres: tuple[np.ndarray, np.ndarray],
        share: np.ndarray,
        target: np.ndarray,
    ) -> None:
        """Add stars, times ``share``, to stamps that others are in already.

        Parameters
        ----------
        stamps : (N, 3, 2h+1, 2h+1) array
            Changed in place.
        x, y : (n,) float arrays
        centres : (ix, iy)
            Middles of their boxes, int64.
        share : (n,) array
        target : (n,) int64 array
            The stamp of each.
        """
        _kernels.make_stamps(self._phases, self._sizes, x, y, *centres, share, target, stamps)

    def project(
        self,
        images: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        half_sizes: int | np.ndarray | None = None,
    ) -> np.ndarray:
        """Sums over pixels of each unit-flux star times each image.

        Parameters
        ----------
        images : (nq, ny, nx) array
        x, y : (N,) array
        half_sizes : int or (N,) int array, optional
            As in `render`.

        Returns
        -------
        (N, nq) array
            Pixels outside the frame count as 0.
        """
        x, y = _positions(x, y)
        images = for_kernel(images)
        out = np.empty((len(x), len(images)))
        half = self._half_sizes(half_sizes, len(x))
        _kernels.project_stars(images, self._phases, self._sizes, x, y, half, out)
        return out

    def _half_sizes(self, half_sizes, n_stars):
        if half_sizes is None:
            half_sizes = self.half_size
        return _per_star(half_sizes, n_stars, "half_sizes").astype(np.int64)


def project_stamps(
    images: np.ndarray, stamps: np.ndarray, ix: np.ndarray, iy: np.ndarray
) -> np.ndarray:
    """Sums over pixels of each stamp times each image, inside the frame.

    Parameters
    ----------
    images : (nq, ny, nx) array
    stamps, ix, iy
        From `StarRenderer.stamps`.

    Returns
    -------
    (N, nq, 3) array
        For value, d/dx_i, d/dy_i.
    """
    images = for_kernel(images)
    stamps, ix, iy = for_kernel(stamps), for_kernel(ix, np.int64), for_kernel(iy, np.int64)
    out = np.empty((len(stamps), len(images), 3))
    _kernels.project_stamps(images, stamps, ix, iy, out)
    return out


def weighted_stamps(
    weight: np.ndarray, stamps: np.ndarray, ix: np.ndarray, iy: np.ndarray
) -> np.ndarray:
    """Stamps times the weights of the pixels under them; 0 outside the frame.

    Parameters
    ----------
    weight : (ny, nx) array
    stamps, ix, iy
        From `StarRenderer.stamps`.

    Returns
    -------
    (N, 3, 2h+1, 2h+1) array
    """
    out = np.empty(stamps.shape)
    _kernels.weight_stamps(for_kernel(weight), for_kernel(stamps), ix, iy, out)
    return out


def combined_stamps(
    shape: tuple[int, int], stamps: np.ndarray, ix: np.ndarray, iy: np.ndarray, factors: np.ndarray
) -> np.ndarray:
    """Images of stamps added up with different factors.

    Parameters
    ----------
    shape : (ny, nx)
    stamps, ix, iy
        From `StarRenderer.stamps`.
    factors : (N, nq, 3) array
        Of value, d/dx_i, d/dy_i in each image.

    Returns
    -------
    (nq, ny, nx) array
    """
    images = np.zeros((np.shape(factors)[1], *shape))
    add_stamps(images, stamps, ix, iy, factors)
    return images


def stamp_pairs(ix: np.ndarray, iy: np.ndarray, reach: int) -> np.ndarray:
    """Pairs of stamps whose middles are within ``reach`` pixels of each other on both axes.

    Parameters
    ----------
    ix, iy : (N,) arrays
        Whole pixels.
    reach : int
        Twice the half-size: stamps that share a pixel.

    Returns
    -------
    (npairs, 2) int array
        As the tree has them, the first with the smaller index.
    """
    if len(ix) < 2:
        return np.zeros((0, 2), dtype=int)
    tree = cKDTree(np.column_stack([ix, iy]).astype(float))
    return tree.query_pairs(reach + 0.5, p=np.inf, output_type="ndarray")


def add_stamps(
    images: np.ndarray, stamps: np.ndarray, ix: np.ndarray, iy: np.ndarray, factors: np.ndarray
) -> None:
    """Add `combined_stamps` to images, in place.

    Parameters
    ----------
    images : (nq, ny, nx) float64 array
        Contiguous.
    stamps, ix, iy, factors
        As for `combined_stamps`.
    """
    _kernels.add_stamps(images, for_kernel(stamps), ix, iy, for_kernel(factors))


def gram_stamps(
    weight: np.ndarray,
    stamps: np.ndarray,
    ix: np.ndarray,
    iy: np.ndarray,
    pairs_i: np.ndarray,
    pairs_j: np.ndarray,
) -> np.ndarray:
    """Weighted products of pairs of stamps over their overlap in the frame.

    Parameters
    ----------
    weight : (ny, nx) array or (N, 2h+1, 2h+1) array
        0 where a pixel does not count: of the frame, or of the pixels under each stamp;
        then the weights of a pair are those under its first stamp.
    stamps, ix, iy
        From `StarRenderer.stamps`.
    pairs_i, pairs_j : (npairs,) int array
        Indices of the stamps; i = j gives the diagonal blocks.

    Returns
    -------
    (npairs, 3, 3) array
        [p, a, b] = sum over pixels of weight * stamps[i, a] * stamps[j, b].
    """
    n_stars, side = len(stamps), stamps.shape[-1]
    y0, x0 = (np.asarray(v, dtype=np.int64) - side // 2 for v in (iy, ix))
    boxes = np.column_stack([y0, y0 + side, x0, x0 + side])
    order, in_stamp = np.arange(n_stars), y0 * side + x0
    if weight.ndim == 2:
        ny, nx = weight.shape
        boxes = np.clip(boxes, 0, [ny, ny, nx, nx])
        rows = np.broadcast_to([0, nx], (n_stars, 2))
    else:
        rows = np.column_stack([order * side**2 - in_stamp, np.full(n_stars, side)])
    own = np.column_stack(
        [order * 3 * side**2 - in_stamp, np.full(n_stars, side), np.full(n_stars, side**2)]
    )
    return _gram(weight, stamps, np.column_stack([boxes, rows, own]), pairs_i, pairs_j)


def gram_cut_stamps(
    weight: np.ndarray,
    stamps: Sequence[np.ndarray],
    corners: np.ndarray,
    pairs_i: np.ndarray,
    pairs_j: np.ndarray,
) -> np.ndarray:
    """`gram_stamps` of stamps of different sizes, each cut to the frame.

    Parameters
    ----------
    weight : (ny, nx) array
    stamps : sequence of (3, h, w) arrays
        Value, d/dx, d/dy.
    corners : (N, 2) int array
        y and x of the first pixel of each.
    pairs_i, pairs_j : (npairs,) int arrays

    Returns
    -------
    (npairs, 3, 3) array
    """
    h, w = np.array([stamp.shape[1:] for stamp in stamps], dtype=np.int64).reshape(-1, 2).T
    y0, x0 = np.asarray(corners, dtype=np.int64).reshape(-1, 2).T
    start = np.concatenate([[0], np.cumsum(3 * h * w)])[:-1]
    places = np.column_stack(
        [y0, y0 + h, x0, x0 + w, np.zeros_like(h), np.full_like(h, weight.shape[1]),
         start - y0 * w - x0, w, h * w]
    )  # fmt: skip
    values = np.concatenate([stamp.ravel() for stamp in stamps]) if len(stamps) else np.zeros(0)
    return _gram(weight, values, places, pairs_i, pairs_j)


def _gram(weight, values, places, pairs_i, pairs_j):
    weight, values = (for_kernel(v).reshape(-1) for v in (weight, values))
    places, pairs_i, pairs_j = (for_kernel(v, np.int64) for v in (places, pairs_i, pairs_j))
    out = np.empty((len(pairs_i), 3, 3))
    _kernels.gram(weight, values, places, pairs_i, pairs_j, out)
    return out


def _polyphase(psf):
    """Spline coefficients, times oversample^2, in the order of the kernels."""
    factor = psf.oversample
    coefficients = spline_filter(psf.array * factor**2, order=3, mode="mirror")
    widths = []
    for size in psf.array.shape:
        after = PAD + 1
        widths.append((PAD, after + -(PAD + size + after) % factor))
    padded = np.pad(coefficients, widths, mode="reflect")
    ny, nx = (size // factor for size in padded.shape)
    blocks = padded.reshape(ny, factor, nx, factor).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(blocks)


def _energy_half_size(psf):
    squares = psf.array**2
    y, x = (np.abs(np.arange(n) - c) for n, c in zip(squares.shape, psf.centre, strict=True))
    ring = np.ceil(np.maximum(y[:, None], x) / psf.oversample).astype(int)
    low, high = _MATRIX_HALF_SIZES
    inside = np.cumsum(np.bincount(ring.ravel(), weights=squares.ravel()))
    return int(np.clip(np.searchsorted(inside, _MATRIX_ENERGY * inside[-1]), low, high))


def for_kernel(values: Any, dtype: Any = float) -> np.ndarray:
    """Contiguous and writable arrays: each other kind would be compiled for itself."""
    return np.require(values, dtype=dtype, requirements=["C", "W"])


def _positions(x, y):
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    if x.ndim != 1 or x.shape != y.shape:
        raise ParameterError(
            f"x and y must be 1-D arrays of one length, not of shapes {x.shape} and {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ParameterError("star positions must be finite, but some of x, y are not")
    return for_kernel(x), for_kernel(y)


def _per_star(values, n_stars, name):
    values = np.asarray(values)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != n_stars):
        raise ParameterError(
            f"{name} must be one number or one per star ({n_stars}), not of shape {values.shape}"
        )
    return np.broadcast_to(values, (n_stars,)).copy()
