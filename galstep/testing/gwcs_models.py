"""A gwcs like that of a JWST exposure, for tests: detector, v2v3, world.

Needs the package ``gwcs``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["exposure_gwcs", "mosaic_gwcs"]


def exposure_gwcs(
    wcs: WCS, shape: tuple[int, int], v2_ref: float = 120.0, v3_ref: float = -500.0
) -> tuple[Any, dict]:
    """The gwcs with frames detector, v2v3 and world that agrees with a TAN WCS.

    Pixels are mapped to offsets in (V2, V3) about a reference point by the
    linear part of ``wcs``; from there the telescope's frame is rotated onto the
    sky with the aperture's reference at ``wcs.wcs.crval``.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        A TAN projection without distortion.
    shape : (ny, nx)
    v2_ref, v3_ref : float, optional
        The reference point, arcsec.

    Returns
    -------
    wcs : `gwcs.WCS`
    wcsinfo : dict
        v2_ref, v3_ref, roll_ref.
    """
    import gwcs
    from astropy import coordinates, units
    from astropy.modeling import models
    from gwcs import coordinate_frames
    from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

    lon, lat = wcs.wcs.crval
    # the tangent plane at the reference point, in arcsec along V2 and V3
    to_plane = _to_plane(wcs)
    v2, v3 = v2_ref / 3600, v3_ref / 3600
    to_v2v3 = (
        to_plane
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(v2, v3, 180.0)
        | models.Scale(3600.0) & models.Scale(3600.0)
    )
    rotation = models.RotationSequence3D([v2, -v3, 0.0, lat, -lon], "zyxyz")
    to_sky = (
        models.Scale(1 / 3600) & models.Scale(1 / 3600)
        | SphericalToCartesian(wrap_lon_at=180)
        | rotation
        | CartesianToSpherical(wrap_lon_at=360)
    )
    pixel = (units.pix, units.pix)
    frames = (
        coordinate_frames.Frame2D(name="detector", axes_order=(0, 1), unit=pixel),
        coordinate_frames.Frame2D(
            name="v2v3", axes_order=(0, 1), unit=(units.arcsec, units.arcsec)
        ),
        coordinate_frames.CelestialFrame(name="world", reference_frame=coordinates.ICRS()),
    )
    found = gwcs.WCS(list(zip(frames, (to_v2v3, to_sky, None), strict=True)))
    found.pixel_shape = shape[::-1]
    found.bounding_box = ((-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5))
    return found, {"v2_ref": v2_ref, "v3_ref": v3_ref, "roll_ref": 0.0}


def mosaic_gwcs(wcs: WCS, shape: tuple[int, int]) -> Any:
    """The gwcs with frames detector and world of a resampled image: a TAN WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        A TAN projection without distortion.
    shape : (ny, nx)

    Returns
    -------
    `gwcs.WCS`
    """
    import gwcs
    from astropy import coordinates, units
    from astropy.modeling import models
    from gwcs import coordinate_frames

    lon, lat = wcs.wcs.crval
    transform = (
        _to_plane(wcs) | models.Pix2Sky_TAN() | models.RotateNative2Celestial(lon, lat, 180.0)
    )
    detector = coordinate_frames.Frame2D(
        name="detector", axes_order=(0, 1), unit=(units.pix, units.pix)
    )
    world = coordinate_frames.CelestialFrame(name="world", reference_frame=coordinates.ICRS())
    found = gwcs.WCS([(detector, transform), (world, None)])
    found.pixel_shape = shape[::-1]
    found.bounding_box = ((-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5))
    return found


def _to_plane(wcs):
    """Pixels to the tangent plane of a WCS, degrees."""
    from astropy.modeling import models

    x_0, y_0 = np.asarray(wcs.wcs.crpix) - 1
    linear = models.AffineTransformation2D(wcs.pixel_scale_matrix, [0.0, 0.0])
    return models.Shift(-x_0) & models.Shift(-y_0) | linear
