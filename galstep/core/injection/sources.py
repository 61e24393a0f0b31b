"""Sources of known flux and shape for a real image: where they go and what they are.

The noise of a real frame is known only to the frame. A copy of the galaxy put
into it, on the stars and the unresolved light that are there, and measured by
the fits that measured the galaxy, shows what those fits and their errors are
worth there; stars put into it show which are found. What comes out is compared in
`galstep.core.injection.recovery`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.stats import mad_std
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import binary_opening, median_filter

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.exceptions import ParameterError
from galstep.records import SersicParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF

__all__ = [
    "InjectedGalaxy",
    "InjectedStars",
    "clear_corners",
    "copies_of",
    "draw_stars",
    "extended_sources",
    "galaxy_image",
    "noise_like",
    "star_image",
    "template_error",
]

# A box is clear if no more than this share of its pixels is masked.
MAX_MASKED = 0.1
# Injected stars keep this far from each other and from the edge (FWHM): they
# are to meet the stars of the frame, not one another.
STAR_SEPARATION = 6.0
# Injected stars keep this far from the border (FWHM).
STAR_MARGIN = 1.0
# Places tried per star; what finds none by then is left out.
MAX_DRAWS = 400
# A median over so many FWHM removes stars and leaves galaxies; what then stands
# out by so many robust sigmas is one.
MEDIAN_IN_FWHM, EXTENDED = 3.0, 8.0


@dataclass(frozen=True)
class InjectedGalaxy:
    """A galaxy that is put into a box of the frame.

    Parameters
    ----------
    params : SersicParams
        Centre in the pixels of the box.
    flux : tuple of float
        Total flux per band (image unit x pixel).
    corner : (int, int)
        (x, y) of the first pixel of the box in the frame.
    """

    params: SersicParams
    flux: tuple
    corner: tuple = (0, 0)

    @property
    def in_frame(self) -> InjectedGalaxy:
        """The same galaxy with its centre in the pixels of the frame."""
        return replace(self, params=self.params.moved(*self.corner))

    def part(self, side: int) -> tuple[slice, slice]:
        """Slices of the frame that cut the box of this side out of it."""
        x, y = self.corner
        return np.s_[y : y + side, x : x + side]


@dataclass(frozen=True, eq=False)
class InjectedStars:
    """Stars that are put into the frame.

    ``x`` and ``y`` are (ns,) positions in the frame, ``flux`` is (nb, ns).
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


def _window_sums(image, side):
    """Sums over all side x side windows; entry [y, x] has its first pixel there."""
    total = np.pad(np.cumsum(np.cumsum(image, axis=0), axis=1), ((1, 0), (1, 0)))
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def extended_sources(image: np.ndarray, mask: np.ndarray, fwhm: float) -> np.ndarray:
    """Where there are sources in the frame that are no stars.

    Parameters
    ----------
    image : (ny, nx) array
        The frame without its own galaxy and without sky.
    mask : (ny, nx) bool array
        True = bad, or not to be looked at.
    fwhm : float
        Of the PSF (pixels).

    Returns
    -------
    (ny, nx) bool array
        True where the median over 3 x 3 FWHM is eight robust sigmas above
        that of the frame, in patches wider than one FWHM.
    """
    size, patch = (2 * int(np.rint(k * fwhm / 2)) + 1 for k in (MEDIAN_IN_FWHM, 1.0))
    level = np.median(image[~mask])
    smooth = median_filter(np.where(mask, level, image), size)
    middle, scatter = np.median(smooth[~mask]), mad_std(smooth[~mask])
    seen = (smooth > middle + EXTENDED * scatter) & ~mask
    return binary_opening(seen, np.ones((patch, patch)))


def clear_corners(
    mask: np.ndarray,
    centre: Sequence[float],
    radius: float,
    side: int,
    count: int,
    rng: np.random.Generator,
    core: int | None = None,
    avoid: np.ndarray | None = None,
) -> np.ndarray:
    """Boxes in the frame that can take a galaxy, drawn at random.

    Parameters
    ----------
    mask : (ny, nx) bool array
        True = bad, in any band.
    centre : (x, y)
        Of the frame's own galaxy.
    radius : float
        Smallest distance of a box's middle from it (pixels).
    side : int
        Side of the boxes (pixels).
    count : int
        How many. Boxes may overlap; their middles differ.
    rng : `numpy.random.Generator`
    core : int, optional
        No pixel is masked in the inner ``core`` x ``core`` pixels; by default a
        quarter of the side.
    avoid : (ny, nx) bool array, optional
        Pixels that must not lie there either, such as other galaxies.

    Returns
    -------
    (k, 2) int array
        (x, y) of the first pixel of each box; k is below ``count`` where the
        frame has not so many.

    Raises
    ------
    ParameterError
        If the box is larger than the frame or smaller than 8 pixels.
    """
    if not 8 <= side <= min(mask.shape):
        raise ParameterError(
            f"side of the boxes must be 8 to {min(mask.shape)} pixels (the frame), got {side}"
        )
    core = max(side // 4, 1) if core is None else core
    bad = mask.astype(float)
    clear = _window_sums(bad, side) <= MAX_MASKED * side**2
    inner, (ny, nx) = (side - core) // 2, clear.shape
    occupied = bad if avoid is None else bad + avoid
    clear &= _window_sums(occupied, core)[inner : inner + ny, inner : inner + nx] == 0
    yy, xx = np.indices(clear.shape)
    half = (side - 1) / 2
    clear &= np.hypot(xx + half - centre[0], yy + half - centre[1]) >= radius
    places = np.argwhere(clear)[:, ::-1]
    return places[rng.permutation(len(places))[:count]]


def copies_of(
    params: SersicParams,
    flux: Sequence[float],
    corners: np.ndarray,
    side: int,
    rng: np.random.Generator,
) -> list[InjectedGalaxy]:
    """Copies of a galaxy, turned at random, in the middle of boxes.

    Parameters
    ----------
    params : SersicParams
        Its centre does not matter.
    flux : sequence of float
        Total flux per band.
    corners : (k, 2) int array
        Of the boxes.
    side : int
        Of the boxes (pixels).
    rng : `numpy.random.Generator`

    Returns
    -------
    list of InjectedGalaxy
        Centres within half a pixel of the middle, drawn as the angles are.
    """
    middle = (side - 1) / 2
    return [
        InjectedGalaxy(
            replace(
                params,
                x_0=middle + rng.uniform(-0.5, 0.5),
                y_0=middle + rng.uniform(-0.5, 0.5),
                theta=rng.uniform(0, np.pi),
            ),
            tuple(float(f) for f in flux),
            (int(x), int(y)),
        )
        for x, y in corners
    ]


def galaxy_image(
    shape: tuple[int, int], psf: EffectivePSF, params: SersicParams, flux: float
) -> np.ndarray:
    """The galaxy as the fit renders it.

    Parameters
    ----------
    shape : (ny, nx)
    psf : `galstep.core.psf.effective.EffectivePSF`
    params : SersicParams
    flux : float

    Returns
    -------
    (ny, nx) array
    """
    return flux * GalaxyRenderer(shape, psf).image(params.to_vector())


def star_image(
    shape: tuple[int, int], psf: EffectivePSF, x: np.ndarray, y: np.ndarray, flux: np.ndarray
) -> np.ndarray:
    """Stars as the fit renders them, with all of their wings.

    Parameters
    ----------
    shape : (ny, nx)
    psf : `galstep.core.psf.effective.EffectivePSF`
    x, y, flux : (ns,) arrays

    Returns
    -------
    (ny, nx) array
    """
    x, y, flux = (np.asarray(v, dtype=float) for v in (x, y, flux))
    return StarRenderer(psf).render(shape, x, y, flux)


def noise_like(
    residuals: Sequence[np.ndarray],
    sigmas: Sequence[Any],
    masks: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Gaussian noise with the power of residuals, and with what bands share of it.

    The transform of each band's residual is turned by the same random phases: its
    power, and the cross-power of any two bands, stay what they were.

    Parameters
    ----------
    residuals : sequence of (ny, nx) arrays
        What a fit has left; anything where masked.
    sigmas : sequence of float or (ny, nx) arrays
        Relative 1-sigma errors of the pixels: the noise is as uneven.
    masks : sequence of (ny, nx) bool arrays
        True = bad.
    rng : `numpy.random.Generator`

    Returns
    -------
    list of (ny, nx) arrays
        Also where masked.
    """
    shape = masks[0].shape
    white = rfft2(rng.normal(size=shape))
    phases = white / np.maximum(np.abs(white), np.finfo(float).tiny)
    noises = []
    for residual, sigma, mask in zip(residuals, sigmas, masks, strict=True):
        scaled = np.where(mask, 0.0, residual) / np.where(mask, 1.0, sigma)
        share = max(np.mean(~mask), 1e-3)
        noise = irfft2(rfft2(scaled) * phases, shape) / np.sqrt(share)
        level = sigma if np.ndim(sigma) == 0 else np.where(mask, np.median(sigma[~mask]), sigma)
        noises.append(level * noise)
    return noises


def template_error(residual: np.ndarray, good: np.ndarray, image: np.ndarray) -> float:
    """Error of the flux of a galaxy of known shape, as the frame shows it.

    The image is fitted, by its flux alone, at all places of a frame in which there is no
    galaxy: F = sum m r S / sum m S^2 with m = 1 on good pixels. The
    scatter of these fluxes is the error, with all that the noise is
    correlated with.

    Parameters
    ----------
    residual : (ny, nx) array
        What the fit of the frame has left.
    good : (ny, nx) bool array
        Pixels to use.
    image : (k, k) array
        The galaxy with unit flux.

    Returns
    -------
    float
        1.4826 times the median absolute deviation; NaN if the template never
        finds half of its weight on good pixels.
    """
    shape = [next_fast_len(n + k, real=True) for n, k in zip(good.shape, image.shape, strict=True)]

    def correlate(frame, kernel):
        product = rfft2(frame, shape) * np.conj(rfft2(kernel, shape))
        full = irfft2(product, shape)
        return full[: good.shape[0] - image.shape[0] + 1, : good.shape[1] - image.shape[1] + 1]

    weight = correlate(good.astype(float), image**2)
    flux = correlate(np.where(good, residual, 0.0), image)
    seen = weight > 0.5 * np.sum(image**2)
    if not seen.any():
        return np.nan
    flux = flux[seen] / weight[seen]
    return mad_std(flux)


def draw_stars(
    mask: np.ndarray,
    error: Sequence[float] | np.ndarray,
    fwhm: float,
    snr_range: Sequence[float],
    count: int,
    rng: np.random.Generator,
) -> InjectedStars:
    """Stars at random places, with fluxes spread evenly in the logarithm.

    Parameters
    ----------
    mask : (ny, nx) bool array
        True = bad; no star is put on such a pixel.
    error : (nb,) array
        Flux error of a faint star, per band.
    fwhm : float
        Of the sharpest PSF (pixels).
    snr_range : (float, float)
        Range of flux / error, the same in every band.
    count : int
    rng : `numpy.random.Generator`

    Returns
    -------
    InjectedStars
        Fewer than ``count`` where the frame has no room for more.

    Raises
    ------
    ParameterError
        If the range is not positive and rising.
    """
    low, high = snr_range
    if not 0 < low < high < np.inf:
        raise ParameterError(f"snr of the injected stars must be 0 < low < high, got {snr_range}")
    ny, nx = mask.shape
    margin, places = STAR_MARGIN * fwhm, np.zeros((0, 2))
    for _ in range(MAX_DRAWS * max(count, 1)):
        if len(places) == count:
            break
        place = rng.uniform(margin, (nx - 1 - margin, ny - 1 - margin))
        near = np.hypot(*(places - place).T) < STAR_SEPARATION * fwhm
        if not near.any() and not mask[int(np.rint(place[1])), int(np.rint(place[0]))]:
            places = np.vstack([places, place])
    snr = np.exp(rng.uniform(np.log(low), np.log(high), len(places)))
    return InjectedStars(places[:, 0], places[:, 1], np.outer(error, snr))
