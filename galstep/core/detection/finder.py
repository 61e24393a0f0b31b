"""What finds stars on a residual: our matched filter, or DAOFIND.

Both give `galstep.core.detection.detect.Candidates` with a significance in units of the
noise as the scene has it, so that the ladder's thresholds mean the same. What
happens to a candidate afterwards, the fit and what prunes it, is the same too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import convolve

from galstep.core.detection.detect import PADDING, Candidates, apart_from, find_peaks, lower_scatter
from galstep.core.noise.errors import pixel_sigma
from galstep.exceptions import ParameterError
from galstep.options import option, options

if TYPE_CHECKING:
    from galstep.core.detection.detect import SignificanceMap
    from galstep.core.engine.scene import SceneBand

__all__ = ["FINDERS", "DaoFinder", "Look", "MatchedFinder", "aperture_fluxes", "finder_named"]


@dataclass(frozen=True, eq=False)
class Look:
    """What there is to look at.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    images : sequence of (ny, nx) arrays
        The detection image of each band, 0 where masked.
    shift : (nb, 2) array
        Registration of each band.
    map_ : `galstep.core.detection.detect.SignificanceMap`
    scatters : sequence of float
        Per band what the finder's ``scatter`` says.
    x, y : arrays
        Stars that are known (scene positions).
    """

    bands: list
    images: list
    shift: np.ndarray
    map_: SignificanceMap
    scatters: list
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class MatchedFinder:
    """Peaks of the matched-filter map of all bands: what a star's S/N would be."""

    def scatter(self, band: SceneBand, image: np.ndarray) -> float:
        """1: the map is in units of its own scatter already."""
        return 1.0

    def find(self, look: Look, threshold: float, separation: float) -> Candidates:
        """Candidates above a threshold, away from known stars.

        Parameters
        ----------
        look : `Look`
        threshold : float
            In units of the map's scatter.
        separation : float
            From known stars and from each other, pixels of the scene.

        Returns
        -------
        Candidates
            By falling significance.
        """
        return find_peaks(look.map_, threshold, look.x, look.y, separation)


@options
class DaoFinder:
    """DAOFIND (Stetson 1987, PASP 99, 191) of photutils on the residual of one band.

    Thresholds are in units of the scatter of the image convolved with DAOFIND's
    kernel, as those of `MatchedFinder` are in units of the scatter of its map:
    unresolved stars raise both. The fields are keywords of
    `photutils.detection.DAOStarFinder`.
    """

    sharpness_range: tuple[float, float] = option(
        default=(0.2, 1.0),
        help="Least and largest sharpness: a star's peak over its surroundings "
        "(-inf, inf: no bound)",
        least=2,
        most=2,
    )
    roundness_range: tuple[float, float] = option(
        default=(-1.0, 1.0),
        help="Least and largest roundness, 0 = round (-inf, inf: no bound)",
        least=2,
        most=2,
    )
    ratio: float = option(
        default=1.0,
        help="Minor over major axis of the Gaussian kernel, whose FWHM is that of the PSF",
        least=0.01,
        most=1,
    )
    theta: float = option(
        default=0.0, help="Angle of its major axis, counter-clockwise from +x (degrees)"
    )
    sigma_radius: float = option(default=1.5, help="Where the kernel ends (its sigma)", least=0.1)
    exclude_border: bool = option(
        default=False, help="No star within half a kernel of the frame's border"
    )
    n_brightest: int | None = option(
        default=None, help="Keep only so many in each pass (default: all)", kind="integer", least=1
    )
    peak_max: float | None = option(
        default=None,
        help="No star whose peak is higher, saturated ones say (image unit; default, or inf: any)",
        kind="float",
    )
    min_separation: float = option(
        default=0.0, help="Smallest distance between two stars of a pass (pixels)", least=0
    )

    def scatter(self, band: SceneBand, image: np.ndarray) -> float:
        """Scatter of the convolved image in units of the noise of its pixels.

        Parameters
        ----------
        band : `galstep.core.engine.scene.SceneBand`
        image : (ny, nx) array
            The detection image, 0 where masked.

        Returns
        -------
        float
        """
        kernel = self._photutils(band, 1.0).kernel.data
        sigma = pixel_sigma(band)
        good = sigma > 0
        convolved = convolve(image, kernel, mode="constant")
        return lower_scatter(convolved[good] / sigma[good])

    def find(self, look: Look, threshold: float, separation: float) -> Candidates:
        """Candidates above a threshold; parameters as for `MatchedFinder.find`.

        Raises
        ------
        ParameterError
            If there is more than one band.
        """
        from photutils.utils.exceptions import NoDetectionsWarning

        if len(look.bands) != 1:
            raise ParameterError(f"finder 'dao' works on one band, got {len(look.bands)}")
        (band,), (image,) = look.bands, look.images
        noise = look.scatters[0] * pixel_sigma(band)
        # where nothing is known, nothing is high
        noise[noise == 0] = noise.max(initial=0.0)
        if not noise.any():
            return _none(look)
        with warnings.catch_warnings():
            # to find nothing is how a ladder ends
            warnings.simplefilter("ignore", NoDetectionsWarning)
            found = self._photutils(band, threshold * noise)(image, mask=band.mask)
        if found is None:
            return _none(look)
        x, y = np.array(found["x_centroid"]), np.array(found["y_centroid"])
        significance = threshold * 10 ** (-0.4 * np.array(found["daofind_mag"]))
        return _candidates(look, x, y, significance, separation)

    def _photutils(self, band, threshold):
        # the threshold is that of the convolved image, not scaled once more
        from photutils.detection import DAOStarFinder

        return DAOStarFinder(
            threshold, band.star_renderer.psf.fwhm, scale_threshold=False, **vars(self)
        )


#: Finders by their names.
FINDERS: dict[str, type[MatchedFinder | DaoFinder]] = {"matched": MatchedFinder, "dao": DaoFinder}


def finder_named(name: str) -> MatchedFinder | DaoFinder:
    """The finder of this name, with its defaults."""
    return FINDERS[name]()


def _none(look):
    nothing = np.zeros(0)
    return Candidates(nothing, nothing, np.zeros((len(look.bands), 0)), nothing)


def _candidates(look, x, y, significance, separation):
    """Sources of one band as candidates of the scene, the most significant first."""
    x, y = look.bands[0].pixel_map.inverse().points(x, y)
    x, y = x - look.shift[0, 0], y - look.shift[0, 1]
    ny, nx = look.map_.combined.shape
    iy = np.clip(np.rint(y).astype(int) + PADDING, 0, ny - 1)
    ix = np.clip(np.rint(x).astype(int) + PADDING, 0, nx - 1)
    found = Candidates(x, y, look.map_.flux[:, iy, ix], significance)
    return apart_from(found, look.x, look.y, separation)


def aperture_fluxes(look: Look, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """First fluxes of new stars, from apertures on the detection images.

    Parameters
    ----------
    look : `Look`
    x, y : (n,) arrays
        Scene positions.
    radius : float
        Pixels of each band.

    Returns
    -------
    (nb, n) array
        Sums over good pixels, divided by the share of the PSF that they hold; 0
        where they hold less than a tenth of it.
    """
    from photutils.aperture import CircularAperture, aperture_photometry

    fluxes = np.zeros((len(look.bands), len(x)))
    for i, (band, image) in enumerate(zip(look.bands, look.images, strict=True)):
        places = np.column_stack(band.to_pixels(x, y, look.shift[i]))
        for k, place in enumerate(places):
            star = band.star_renderer.render(
                band.shape, place[:1], place[1:], np.ones(1), half_sizes=int(np.ceil(radius)) + 1
            )
            aperture = CircularAperture(place, radius)
            held, light = (
                aperture_photometry(array, aperture, mask=band.mask)["aperture_sum"][0]
                for array in (star, image)
            )
            fluxes[i, k] = light / held if held > 0.1 else 0.0
    return fluxes
