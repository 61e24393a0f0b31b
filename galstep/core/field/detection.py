"""Sources on the stack of all bands: segments of what stands out of the sky, told apart.

The bands are stacked by inverse variance on the pixels of the first and smoothed with a Gaussian
about as wide as a star; pixels above a threshold of the smoothed noise are segments, which
are split where they have several peaks (photutils). Nothing of it needs a PSF. A tile is read with
a margin, and has the sources whose centre is in it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from galstep.core.field.blocks import field_area
from galstep.core.field.frames import band_box
from galstep.core.field.keys import content_key
from galstep.core.field.white import white_stack
from galstep.core.psf.kernel_families import FWHM_OF_SIGMA
from galstep.core.scene.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.core.field.records import FieldBand

__all__ = ["DetectOptions", "DetectTask", "Detections", "detect", "detect_tile"]

# Side of the part of the stack that is looked at in one task, and how far beyond it is read
# (pixels).
TILE, MARGIN = 1024, 64
# Of the smoothing (pixels), of the boxes of the sky (pixels), and of photutils' deblending, which
# has these defaults of SExtractor.
_FWHM, _SKY_BOX = 3.0, 64
# Levels and least share of the flux of photutils' deblending.
_LEVELS, _CONTRAST = 32, 0.005
# Levels are those of the brightest source of a segment: two faint ones on the outskirts of a large
# galaxy come apart when the galaxy is off.
_PASSES = 2
_LEAST_WIDTH = 0.5  # of the place of a detection (pixels)
# Holes of full pixels in bright stars are no larger; larger ones have no data.
_LARGEST_HOLE = 4000


@dataclass(frozen=True)
class DetectOptions:
    """What counts as a detection.

    Parameters
    ----------
    threshold : float
        Sigma of the smoothed stack.
    min_area : int
        Pixels.
    """

    threshold: float = 5.0
    min_area: int = 5


@dataclass(frozen=True, eq=False)
class DetectTask:
    """A tile of the reference grid; ``box`` is it with its margin."""

    bands: tuple
    tile: Box
    box: Box
    options: DetectOptions

    @property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        own = tuple((b.name, b.pixels.identity, b.sigma, str(b.pixel_map)) for b in self.bands)
        return content_key((own, self.tile, self.box, self.options))

    @property
    def cost(self) -> float:
        """Relative."""
        ny, nx = self.box.shape
        return float(ny * nx * len(self.bands))


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found: arrays of one length, brightest first.

    Attributes
    ----------
    x, y : (n,) arrays
        Reference pixels.
    a, b : (n,) arrays
        1-sigma semi-axes of the light, pixels; the PSF is in them.
    theta : (n,) array
        Radians counter-clockwise from +x.
    area : (n,) int array
        Pixels above the threshold.
    signal : (n,) array
        S/N of the segment's sum.
    """

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    theta: np.ndarray
    area: np.ndarray
    signal: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @property
    def place_width(self) -> np.ndarray:
        """Within which a source is where it was seen (pixels, 1 sigma).

        Twice the error of a centroid, and half a pixel for peaks that others have pulled: a faint
        source that is told so does not wander off to the next bright one.
        """
        return _LEAST_WIDTH + 2 * self.a / np.maximum(self.signal, 1.0)

    def rows(self, index: np.ndarray) -> Detections:
        """Some of them."""
        return Detections(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: list[Detections]) -> Detections:
        """Several lists in one, brightest first."""
        names = list(cls.__dataclass_fields__)
        if not parts:
            return cls(*(np.zeros(0) for _ in names))
        whole = cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
        return whole.rows(np.argsort(-whole.signal, kind="stable"))


def detect(
    bands: list[FieldBand], options: DetectOptions, run: Callable[[Callable, list], list]
) -> Detections:
    """Find sources on the whole field.

    Parameters
    ----------
    bands : list of FieldBand
        Without need of a PSF.
    options : DetectOptions
    run : callable
        As of `galstep.core.field.rounds.fit_field`.

    Returns
    -------
    Detections

    Raises
    ------
    Exception
        What a tile has raised: a part of the field without detection would go unnoticed.
    """
    area = field_area(bands[:1])
    tasks = []
    for y in range(area.y0, area.y1, TILE):
        for x in range(area.x0, area.x1, TILE):
            tile = Box(x, y, min(x + TILE, area.x1), min(y + TILE, area.y1))
            box = tile.grown(MARGIN)
            box = Box(
                max(box.x0, area.x0), max(box.y0, area.y0),
                min(box.x1, area.x1), min(box.y1, area.y1),
            )  # fmt: skip
            tasks.append(DetectTask(tuple(bands), tile, box, options))
    results = run(detect_tile, tasks)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return Detections.joined(results)


def detect_tile(task: DetectTask) -> Detections:
    """Find the sources whose centre is in a tile."""
    # photutils brings matplotlib along: not before it is needed
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    white, sigma, good = _stack(task.bands, task.box)
    if not good.any():
        return Detections.joined([])
    smooth, noise = _smoothed(white, sigma, good)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        threshold = task.options.threshold * noise
        segments = detect_sources(smooth, threshold, task.options.min_area, mask=~good)
        if segments is None:
            return Detections.joined([])
        for _ in range(_PASSES):
            segments = deblend_sources(
                smooth, segments, task.options.min_area, n_levels=_LEVELS, contrast=_CONTRAST,
                progress_bar=False,
            )  # fmt: skip
        found = SourceCatalog(white, segments, error=sigma, mask=~good, convolved_data=smooth)
        return _rows(found, task)


def _rows(found: Any, task: DetectTask) -> Detections:
    x, y = (np.atleast_1d(getattr(found, f"{axis}_centroid")) for axis in "xy")
    a, b = (np.atleast_1d(getattr(found, f"semi{kind}_axis").value) for kind in ("major", "minor"))
    flux, error = np.atleast_1d(found.segment_flux), np.atleast_1d(found.segment_flux_err)
    rows = Detections(
        x + task.box.x0,
        y + task.box.y0,
        a,
        b,
        np.radians(np.atleast_1d(found.orientation.value)),
        np.atleast_1d(found.area.value).astype(int),
        flux / error,
    )
    sound = np.isfinite(rows.x) & np.isfinite(rows.y) & np.isfinite(rows.signal)
    return rows.rows(np.flatnonzero(sound & task.tile.holds(rows.x, rows.y)))


def _stack(bands, box):
    """Weighted mean of the bands less their skies, its noise, and where it is known."""
    white, weight = white_stack([_part(band, box) for band in bands], box)
    good = weight > 0
    return white, np.where(good, 1 / np.sqrt(np.where(good, weight, 1.0)), 1.0), good


def _part(band, box):
    """A band's pixels without its sky, their weights, and where they are."""
    own = band_box(band, box)
    pixels = band.pixels.read(own)
    data, good = _filled(pixels.data, ~pixels.mask)
    sigma = np.full(data.shape, band.sigma) if pixels.sigma is None else pixels.sigma
    known = np.isfinite(sigma) & (sigma > 0)
    good &= known | ~pixels.mask
    variance = np.where(known, sigma, band.sigma) ** 2
    return data - _sky(data, good), np.where(good, 1 / variance, 0.0), band.pixel_map, own


def _filled(data, good):
    """Small holes with the value of the nearest good pixel: the full cores of stars."""
    holes, count = ndimage.label(~good)
    if not count:
        return data, good
    sizes = np.bincount(holes.ravel())
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    small = (sizes <= _LARGEST_HOLE) & ~np.isin(np.arange(count + 1), edge)
    small[0] = False
    fill = small[holes]
    if not fill.any():
        return data, good
    nearest = ndimage.distance_transform_edt(~good, return_distances=False, return_indices=True)
    return np.where(fill, data[tuple(nearest)], data), good | fill


def _sky(data, good):
    """A smooth sky: clipped modes of boxes (photutils)."""
    from astropy.stats import SigmaClip
    from astropy.utils.exceptions import AstropyUserWarning
    from photutils.background import Background2D, SExtractorBackground

    if min(data.shape) < 2 * _SKY_BOX:
        values = data[good]
        if not values.size:
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyUserWarning)
            return float(SExtractorBackground(sigma_clip=SigmaClip(sigma=3.0))(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        try:
            found = Background2D(
                data, _SKY_BOX, mask=~good, filter_size=3, sigma_clip=SigmaClip(sigma=3.0),
                bkg_estimator=SExtractorBackground(), exclude_percentile=90.0,
            )  # fmt: skip
        except ValueError:  # hardly a good pixel in any box
            return float(np.median(data[good])) if good.any() else 0.0
        return found.background


def _smoothed(white, sigma, good):
    """The stack and its noise under the Gaussian; what is not known has no part."""
    width = _FWHM / FWHM_OF_SIGMA
    half = int(np.ceil(4 * width))
    profile = np.exp(-0.5 * (np.arange(-half, half + 1) / width) ** 2)
    profile /= profile.sum()

    def blurred(image, kernel):
        return ndimage.convolve1d(
            ndimage.convolve1d(image, kernel, axis=0, mode="constant"), kernel, axis=1,
            mode="constant",
        )  # fmt: skip

    share = blurred(good.astype(float), profile)
    safe = np.maximum(share, 0.1)
    smooth = blurred(np.where(good, white, 0.0), profile) / safe
    variance = blurred(np.where(good, sigma**2, 0.0), profile**2) / safe**2
    return smooth, np.sqrt(np.maximum(variance, 1e-300))
