"""Corrections of a gwcs that knows no telescope frame: those of mosaics.

`tweakwcs` corrects a gwcs in the telescope's (V2, V3) plane. A resampled image
has only pixels and sky, so here the correction is put on the sky side: project
to the tangent plane, affine map, back.
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
from tweakwcs import FITSWCSCorrector, JWSTWCSCorrector
from tweakwcs.correctors import WCSCorrector

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.modeling import CompoundModel
    from astropy.wcs import WCS

__all__ = ["SkyPlaneCorrector", "make_corrector"]

ARCSEC = 3600.0


class SkyPlaneCorrector(WCSCorrector):
    """Tangent-plane corrections of any celestial gwcs.

    Parameters
    ----------
    wcs : `gwcs.WCS`
        From pixels to longitude and latitude in degrees.
    plane : `tweakwcs.FITSWCSCorrector`
        The tangent plane; its pixels are arcsec.
    meta : dict, optional
    """

    units = "arcsec"

    def __init__(self, wcs: gwcs.WCS, plane: FITSWCSCorrector, meta: dict | None = None) -> None:
        super().__init__(wcs, meta)
        self._plane = plane

    def set_correction(self, matrix=((1, 0), (0, 1)), shift=(0, 0), ref_tpwcs=None, meta=None,
                       **kwargs):  # fmt: skip
        """Append sky -> plane -> ``matrix``, ``shift`` -> plane -> sky to the pipeline.

        ``ref_tpwcs`` must be the plane that the corrector was made with.
        """
        if ref_tpwcs is not None and ref_tpwcs is not self._plane:
            self._plane = ref_tpwcs
        correction = sky_affine(self._plane.wcs, matrix, shift)
        pipeline = [(step.frame, deepcopy(step.transform)) for step in self._wcs.pipeline]
        frame, transform = pipeline[-2]
        pipeline[-2] = frame, transform | correction
        corrected = gwcs.WCS(pipeline, name=self._wcs.name)
        corrected.bounding_box = self._wcs.bounding_box
        if self._wcs.pixel_shape is not None:
            corrected.pixel_shape = self._wcs.pixel_shape
        self._wcs = corrected
        super().set_correction(matrix, shift, meta=meta, **kwargs)

    def det_to_world(self, x: Any, y: Any) -> Any:
        """Sky position (degrees) of pixels."""
        return self._wcs(x, y, with_bounding_box=False)

    def world_to_det(self, ra: Any, dec: Any) -> Any:
        """Pixel of sky positions (degrees)."""
        return self._wcs.invert(ra, dec, with_bounding_box=False)

    def det_to_tanp(self, x: Any, y: Any) -> Any:
        """Place of pixels in the plane (arcsec)."""
        return self._plane.world_to_tanp(*self.det_to_world(x, y))

    def tanp_to_det(self, x: Any, y: Any) -> Any:
        """Pixel of places in the plane."""
        return self.world_to_det(*self._plane.tanp_to_world(x, y))

    def world_to_tanp(self, ra: Any, dec: Any) -> Any:
        """Place of sky positions in the plane."""
        return self._plane.world_to_tanp(ra, dec)

    def tanp_to_world(self, x: Any, y: Any) -> Any:
        """Sky position of places in the plane."""
        return self._plane.tanp_to_world(x, y)

    @property
    def bounding_box(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """((x_min, x_max), (y_min, y_max)) of the image, None if it is not known."""
        if self._owcs.pixel_shape is None:
            return None
        nx, ny = self._owcs.pixel_shape
        return (-0.5, nx - 0.5), (-0.5, ny - 0.5)


def sky_affine(plane: WCS, matrix: np.ndarray, shift: np.ndarray) -> CompoundModel:
    """The correction of the sky that is affine in a tangent plane, as a model.

    Parameters
    ----------
    plane : `astropy.wcs.WCS`
        A TAN projection; the units of ``shift`` are its pixels.
    matrix : (2, 2) array
    shift : (2,) array

    Returns
    -------
    `astropy.modeling.CompoundModel`
        From (lon, lat) to (lon, lat), degrees, with an analytic inverse.
    """
    to_degrees = plane.pixel_scale_matrix
    # plane pixels are offset by the reference pixel: positions relative to it
    reference = np.asarray(plane.wcs.crpix) - 1.0
    matrix, shift = np.asarray(matrix, dtype=float), np.asarray(shift, dtype=float)
    shift = matrix @ reference + shift - reference
    affine = AffineTransformation2D(
        to_degrees @ matrix @ np.linalg.inv(to_degrees), to_degrees @ shift
    )
    lon, lat = plane.wcs.crval
    return (
        RotateCelestial2Native(lon, lat, 180.0)
        | Sky2Pix_TAN()
        | affine
        | Pix2Sky_TAN()
        | RotateNative2Celestial(lon, lat, 180.0)
    )


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
        The telescope's plane for a gwcs with a frame v2v3, the sky's for
        others, that of the projection for a FITS WCS.

    Raises
    ------
    InputError
        If the WCS is none of these or cannot be corrected.
    """
    meta = {"name": name}
    try:
        if hasattr(wcs, "available_frames"):
            if "v2v3" in wcs.available_frames and wcsinfo:
                return JWSTWCSCorrector(wcs, dict(wcsinfo), meta)
            return SkyPlaneCorrector(wcs, plane, meta)
        wcs = wcs.deepcopy()
        wcs.pixel_shape = shape[::-1]
        return FITSWCSCorrector(wcs, meta)
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"image {name!r}: its WCS cannot be corrected: {error}") from error
