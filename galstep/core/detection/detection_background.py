"""The background of the detection image: what is left of it under the stars.

The sky of the scene is fitted together with everything else, and so is what
stars are measured on. For *finding* them a residual may still have structure
(a galaxy's arms, a sky that no polynomial follows, a carpet of unresolved
stars), and two of photutils' estimators can be put under the detection image: a
mesh of clipped medians (`photutils.background.Background2D`) and the median of
an annulus about each peak (`photutils.background.LocalBackground`). Nothing is
subtracted from the data that are fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import SigmaClip

from galstep.core.detection.detect import (
    PADDING,
    lower_scatter,
    maps_on_scene,
    matched_filter,
    thinned,
)
from galstep.core.detection.option_values import of_psf_sigma
from galstep.exceptions import ParameterError
from galstep.options import option, options

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand

__all__ = ["DetectionBackground", "annulus_levels", "detection_maps", "mesh_background"]

# A box of the mesh counts unless more than this percentage of it is masked.
MASKED_PERCENT = 90.0


@options
class DetectionBackground:
    """What is subtracted from the residual before stars are looked for.

    Raises
    ------
    ParameterError
        If a size is negative or half of a pair is zero, the filter is even,
        or the annulus has no width.
    """

    box_size: tuple[int, int] = option(
        default=(0, 0),
        help="Boxes of a background mesh that is taken off the image in which stars are looked "
        "for, not off the data that are fitted: y, x (pixels; 0, 0: none, the fitted sky "
        "is enough; sphot has 10, 10)",
        name="bkg_box_size",
        least=2,
        most=2,
    )
    filter_size: tuple[int, int] = option(
        default=(5, 5),
        help="Median filter over that mesh: y, x (boxes, odd)",
        name="bkg_filter_size",
        least=2,
        most=2,
    )
    sigma_clip: float = option(
        default=3.0,
        help="Clipping of the pixels in a box of that mesh (sigma)",
        name="bkg_sigma_clip",
        least=1,
    )
    annulus: tuple[float, float] = option(
        default=(0.0, 0.0),
        help="Inner and outer radius of the annulus above whose median a peak must stand out "
        "by the threshold (sigma of the PSF; 0, 0: none; sphot has 2, 5)",
        name="localbkg_bounds_in_psfsigma",
        least=2,
        most=2,
        read=of_psf_sigma,
    )

    def __post_init__(self) -> None:
        if min(self.box_size) < 0 or (min(self.box_size) == 0 and max(self.box_size) > 0):
            raise ParameterError(
                f"bkg_box_size must be two positive sizes, or 0, 0 for none, got {self.box_size}"
            )
        if any(size < 1 or size % 2 == 0 for size in self.filter_size):
            raise ParameterError(
                f"bkg_filter_size must be two odd positive sizes, got {self.filter_size}"
            )
        inner, outer = self.annulus
        if (inner, outer) != (0, 0) and not 0 <= inner < outer:
            raise ParameterError(
                "localbkg_bounds_in_psfsigma must be an inner and a larger outer radius, "
                f"or 0, 0 for none, got {self.annulus}"
            )

    @property
    def has_mesh(self) -> bool:
        """Whether a mesh is subtracted."""
        return max(self.box_size) > 0

    @property
    def has_annulus(self) -> bool:
        """Whether the level about each peak is subtracted."""
        return self.annulus[1] > 0


def mesh_background(
    residual: np.ndarray, mask: np.ndarray, options: DetectionBackground
) -> np.ndarray:
    """The background of a residual image.

    Parameters
    ----------
    residual : (ny, nx) array
        Data - model.
    mask : (ny, nx) bool array
        True = bad.
    options : `DetectionBackground`

    Returns
    -------
    (ny, nx) array
        Smooth; 0 everywhere without a mesh or without a good pixel.
    """
    from photutils.background import Background2D, MedianBackground

    if not options.has_mesh or mask.all():
        return np.zeros(residual.shape)
    box = tuple(min(size, n) for size, n in zip(options.box_size, residual.shape, strict=True))
    mesh = Background2D(
        residual,
        box,
        mask=mask,
        filter_size=options.filter_size,
        exclude_percentile=MASKED_PERCENT,
        sigma_clip=SigmaClip(options.sigma_clip),
        bkg_estimator=MedianBackground(),
    )
    return mesh.background


def detection_maps(
    band: SceneBand,
    residual: np.ndarray,
    shift: tuple[float, float] | np.ndarray,
    options: DetectionBackground,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The matched filter of a residual without its background, in its own noise.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        With the weights of the fit.
    residual : (ny, nx) array
    shift : (dx, dy)
        Registration of the band.
    options : `DetectionBackground`

    Returns
    -------
    maps : (snr, flux, information)
        On the scene's frame, as from `galstep.core.detection.residual_noise.update_noise`. The
        scatter of the map may be smaller than the fit's, which has the
        background's structure in it, but not than that of its pixels.
    image : (ny, nx) array
        The detection image: the residual without the mesh, 0 where masked.
    """
    image = np.where(band.mask, 0.0, residual - mesh_background(residual, band.mask, options))
    snr, flux, information = matched_filter(band, image, shift)
    inner = (slice(PADDING, -PADDING),) * 2
    covered = information[inner] > 0.5 * np.median(thinned(information[inner]))
    scatter = max(1.0 / band.noise_scale, lower_scatter(snr[inner][covered]))
    maps = snr / scatter, flux, information / scatter**2
    return maps_on_scene(band, maps, shift), image


def annulus_levels(
    band: SceneBand, image: np.ndarray, x: np.ndarray, y: np.ndarray, options: DetectionBackground
) -> np.ndarray:
    """The median about each place, image units per pixel.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    image : (ny, nx) array
        The detection image.
    x, y : (n,) arrays
        Places, pixels of the band.
    options : `DetectionBackground`

    Returns
    -------
    (n,) array
        0 where the annulus has no good pixel.
    """
    from photutils.background import LocalBackground, MedianBackground

    inner, outer = (radius * band.star_renderer.psf.fwhm for radius in options.annulus)
    levels = np.zeros(len(x))
    ny, nx = image.shape
    near = (x > -outer) & (y > -outer) & (x < nx - 1 + outer) & (y < ny - 1 + outer)
    if near.any():
        # an annulus without an inner radius is a disc to photutils only above zero
        estimator = LocalBackground(max(inner, 1e-3), outer, bkg_estimator=MedianBackground())
        found = np.atleast_1d(estimator(image, x[near], y[near], mask=band.mask))
        levels[near] = np.nan_to_num(found)
    return levels
