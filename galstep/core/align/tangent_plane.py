"""What corrects a WCS: an affine map in a tangent plane that all images share.

`tweakwcs` corrects the gwcs of an exposure in the telescope's (V2, V3) plane.
A gwcs that knows no telescope, such as that of a mosaic, is corrected on the
side of the sky (project to the tangent plane, affine map, back), and of a FITS
WCS the linear part is fitted again, whatever keywords it is written with.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import gwcs
import numpy as np
from astropy.modeling.models import (
    AffineTransformation2D,
    Pix2Sky_TAN,
    RotateCelestial2Native,
    RotateNative2Celestial,
    Sky2Pix_TAN,
)
from astropy.wcs import WCS
from tweakwcs import FITSWCSCorrector, JWSTWCSCorrector
from tweakwcs.correctors import WCSCorrector

from galstep.core.align.fits_wcs import refitted
from galstep.core.align.sky import (
    celestial_frame,
    from_icrs,
    is_gwcs,
    pixel_of,
    pixel_side,
    sky_of,
)
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.modeling import CompoundModel

__all__ = ["FitsCorrector", "SkyPlaneCorrector", "make_corrector"]

# In a degree.
ARCSEC = 3600.0
# Side of the square (arcsec) on which one tangent plane is compared with another.
COMPARED = 10.0


class SkyPlaneCorrector(WCSCorrector):
    """Tangent-plane corrections of any celestial gwcs.

    Parameters
    ----------
    wcs : `gwcs.WCS`
        From pixels to the sky; its frame may be any that astropy knows.
    plane : `tweakwcs.FITSWCSCorrector`
        The tangent plane (ICRS); its pixels are arcsec.
    shape : (ny, nx)
    meta : dict, optional
    """

    units = "arcsec"

    def __init__(
        self,
        wcs: Any,
        plane: FITSWCSCorrector,
        shape: tuple[int, int],
        meta: dict | None = None,
    ) -> None:
        super().__init__(wcs, meta)
        self._plane, self._shape = plane, shape
        sky_of(wcs, 0.0, 0.0)  # a frame that is not known is told here

    def set_correction(self, matrix=((1, 0), (0, 1)), shift=(0, 0), ref_tpwcs=None, meta=None,
                       **kwargs):  # fmt: skip
        """Correct the WCS by ``matrix`` and ``shift`` (arcsec) in the plane.

        The plane is ``ref_tpwcs``, or that with which the corrector was made.
        """
        self._plane = ref_tpwcs or self._plane
        self._wcs = self._corrected(np.asarray(matrix, dtype=float), np.asarray(shift, float))
        super().set_correction(matrix, shift, meta=meta, **kwargs)

    def _corrected(self, matrix, shift):
        """Append sky -> plane -> ``matrix``, ``shift`` -> plane -> sky to the pipeline."""
        plane = self._plane.wcs
        correction = sky_affine(plane, matrix, shift, celestial_frame(self._wcs))
        pipeline = [(step.frame, deepcopy(step.transform)) for step in self._wcs.pipeline]
        frame, transform = pipeline[-2]
        pipeline[-2] = frame, transform | correction
        corrected = gwcs.WCS(pipeline, name=self._wcs.name)
        corrected.bounding_box = self._wcs.bounding_box
        if self._wcs.pixel_shape is not None:
            corrected.pixel_shape = self._wcs.pixel_shape
        return corrected

    def det_to_world(self, x: Any, y: Any) -> Any:
        """Sky position (ICRS, degrees) of pixels."""
        return sky_of(self._wcs, x, y)

    def world_to_det(self, ra: Any, dec: Any) -> Any:
        """Pixel of one sky position (ICRS, degrees)."""
        ny, nx = self._shape
        return tuple(pixel_of(self._wcs, ra, dec, ((nx - 1) / 2, (ny - 1) / 2)))

    def det_to_tanp(self, x: Any, y: Any) -> Any:
        """Place of pixels in the plane (arcsec)."""
        return self._plane.world_to_tanp(*self.det_to_world(x, y))

    def tanp_to_det(self, x: Any, y: Any) -> Any:
        """Pixel of one place in the plane."""
        return self.world_to_det(*self._plane.tanp_to_world(x, y))

    def world_to_tanp(self, ra: Any, dec: Any) -> Any:
        """Place of sky positions in the plane."""
        return self._plane.world_to_tanp(ra, dec)

    def tanp_to_world(self, x: Any, y: Any) -> Any:
        """Sky position of places in the plane."""
        return self._plane.tanp_to_world(x, y)

    def _get_tanp_center_pixel_scale(self):
        return pixel_side(self._wcs, self._shape)

    @property
    def bounding_box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """((x_min, x_max), (y_min, y_max)) of the image."""
        ny, nx = self._shape
        return (-0.5, nx - 0.5), (-0.5, ny - 0.5)


class FitsCorrector(SkyPlaneCorrector):
    """The same for a FITS WCS; parameters as for `SkyPlaneCorrector`.

    The linear part (CRVAL, CRPIX and the matrix) is fitted to the corrected sky
    positions of a grid over the image. Distortions stay as they are.
    """

    def _corrected(self, matrix, shift):
        def moved(ra, dec):
            place = matrix @ np.array(self._plane.world_to_tanp(ra, dec)) + shift[:, None]
            return self._plane.tanp_to_world(*place)

        return refitted(self._wcs, self._shape, moved)


def sky_affine(
    plane: WCS, matrix: np.ndarray, shift: np.ndarray, frame: BaseCoordinateFrame | None = None
) -> CompoundModel:
    """The correction of the sky that is affine in a tangent plane, as a model.

    Parameters
    ----------
    plane : `astropy.wcs.WCS`
        A TAN projection (ICRS); the units of ``shift`` are its pixels.
    matrix : (2, 2) array
    shift : (2,) array
    frame : `astropy.coordinates.BaseCoordinateFrame`, optional
        Of the longitudes and latitudes; default ICRS.

    Returns
    -------
    `astropy.modeling.CompoundModel`
        From (lon, lat) to (lon, lat), degrees, with an analytic inverse.
    """
    to_degrees = plane.pixel_scale_matrix
    # plane pixels are offset by the reference pixel: positions relative to it
    reference = np.asarray(plane.wcs.crpix) - 1.0
    matrix, shift = np.asarray(matrix, dtype=float), np.asarray(shift, dtype=float)
    shift = to_degrees @ (matrix @ reference + shift - reference)
    matrix = to_degrees @ matrix @ np.linalg.inv(to_degrees)
    lon, lat = plane.wcs.crval
    if frame is not None:
        (lon, lat), turn = _same_plane(frame, lon, lat)
        matrix, shift = turn @ matrix @ np.linalg.inv(turn), turn @ shift
    return (
        RotateCelestial2Native(lon, lat, 180.0)
        | Sky2Pix_TAN()
        | AffineTransformation2D(matrix, shift)
        | Pix2Sky_TAN()
        | RotateNative2Celestial(lon, lat, 180.0)
    )


def _same_plane(frame, lon, lat):
    """The tangent point in another frame, and how the axes there are turned."""
    centre = tuple(float(v) for v in from_icrs(frame, lon, lat))
    to_sky = Pix2Sky_TAN() | RotateNative2Celestial(lon, lat, 180.0)
    to_plane = RotateCelestial2Native(*centre, 180.0) | Sky2Pix_TAN()
    half = COMPARED / ARCSEC / 2
    x, y = half * np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])
    own = np.array(to_plane(*from_icrs(frame, *to_sky(x, y))))
    return centre, np.column_stack([own[:, 0] - own[:, 1], own[:, 2] - own[:, 3]]) / (2 * half)


def make_corrector(
    name: str,
    wcs: WCS | gwcs.WCS,
    shape: tuple[int, int],
    plane: FITSWCSCorrector,
    wcsinfo: dict | None = None,
) -> WCSCorrector:
    """What `tweakwcs` corrects a WCS with.

    Parameters
    ----------
    name : str
        Of the image, for messages.
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    shape : (ny, nx)
    plane : `tweakwcs.FITSWCSCorrector`
        The common tangent plane, arcsec.
    wcsinfo : dict, optional
        v2_ref, v3_ref (arcsec) and roll_ref (degrees) of an exposure.

    Returns
    -------
    `tweakwcs.correctors.WCSCorrector`
        The telescope's plane for a gwcs with a frame v2v3, the common plane
        for others and for a FITS WCS.

    Raises
    ------
    InputError
        If the WCS is none of these or cannot be corrected.
    """
    meta = {"name": name}
    try:
        if is_gwcs(wcs):
            if "v2v3" in wcs.available_frames and wcsinfo:
                return ExposureCorrector(wcs, dict(wcsinfo), shape, meta)
            return SkyPlaneCorrector(wcs, plane, shape, meta)
        if not wcs.is_celestial:
            raise ValueError("it has other axes than two on the sky")
        return FitsCorrector(wcs, plane, shape, meta)
    except (ValueError, AttributeError, TypeError) as error:
        reason = getattr(error, "message", None) or error
        raise InputError(f"image {name!r}: its WCS cannot be corrected: {reason}") from error


class ExposureCorrector(JWSTWCSCorrector):
    """`tweakwcs`' corrector of an exposure, for a gwcs without inverse or bounding box too.

    Parameters
    ----------
    wcs : `gwcs.WCS`
    wcsinfo : dict
        v2_ref, v3_ref, roll_ref.
    shape : (ny, nx)
    meta : dict
    """

    def __init__(self, wcs: Any, wcsinfo: dict, shape: tuple[int, int], meta: dict) -> None:
        super().__init__(wcs, wcsinfo, meta)
        self._shape = shape

    def _get_tanp_center_pixel_scale(self):
        return pixel_side(self._wcs, self._shape)

    @property
    def bounding_box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """((x_min, x_max), (y_min, y_max)): that of the WCS, or the image."""
        ny, nx = self._shape
        return super().bounding_box or ((-0.5, nx - 0.5), (-0.5, ny - 0.5))
