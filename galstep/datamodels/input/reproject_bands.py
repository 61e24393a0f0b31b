"""All filters on the grid of one of them, for those who ask for it.

The engine fits filters on grids of their own, so this is never needed. Pixels are
interpolated (``reproject_interp``, bicubic) and not averaged: a surface brightness at a
point is the sky convolved with the effective PSF whatever the grid, so the PSF
keeps its width in arcsec, and only its samples are turned and stretched with the
pixels. Noise of neighbouring pixels becomes correlated.
"""

from __future__ import annotations

import logging

import numpy as np
from scipy.ndimage import binary_dilation

from galstep.datamodels.files.psf_bounds import check_psf
from galstep.datamodels.model.band import BandData
from galstep.datamodels.psf.psf_models import resampled
from galstep.exceptions import InputError

__all__ = ["reprojected"]

log = logging.getLogger(__name__)

_REACH = 2  # pixels about a bad one that cubic splines spoil


def reprojected(bands: dict[str, BandData], target: str, where: str) -> dict[str, BandData]:
    """The bands on the pixels of one of them.

    Parameters
    ----------
    bands : dict of str to BandData
    target : str
        The filter whose pixels are taken; it stays as it is.
    where : str
        The input, as messages call it.

    Returns
    -------
    dict of str to BandData
        Pixels within two of a bad one, or beyond the edge, are masked. The error
        is that of the input at the place.

    Raises
    ------
    InputError
        If the package ``reproject`` is not installed, the filter is not there, or
        one has no WCS.
    """
    if target not in bands:
        raise InputError(f"{where}: reproject_to must be one of {', '.join(bands)}, got {target!r}")
    for band in bands.values():
        if band.wcs is None and band.usable:
            raise InputError(f"{where}: reproject_to needs a WCS, and {band.name} has none")
    try:
        from reproject import reproject_interp
    except ImportError as error:
        raise InputError(
            "reproject_to needs the package reproject: pip install reproject"
        ) from error
    to = bands[target]
    return {
        name: band if band is to else _moved(band, to, reproject_interp)
        for name, band in bands.items()
    }


def _moved(band, to, reproject_interp):
    """One band on the pixels of another."""

    def on_grid(image, order):
        out, _ = reproject_interp((image, band.wcs), to.wcs, shape_out=to.shape, order=order)
        return out

    facts = {
        "unit": band.unit,
        "pixel_scale": to.pixel_scale,
        "wcs": to.wcs,
        "origin": to.origin,
        "input_shape": to.input_shape,
        "flags": band.flags,
        "reasons": list(band.reasons),
    }
    if not band.usable:
        return BandData(band.name, np.full(to.shape, np.nan), band.psf, band.oversample, **facts)
    bad = binary_dilation(band.mask, iterations=_REACH)
    data = on_grid(np.where(band.mask, np.median(band.data[~band.mask]), band.data), "bicubic")
    near_bad = ~(on_grid(bad.astype(float), "bilinear") == 0)
    err = None
    if band.err is not None:
        err = on_grid(np.where(band.mask, np.nan, band.err), "nearest-neighbor")
    psf = check_psf(resampled(band.psf, _steps(band, to)), f"psf of filter {band.name!r}")
    log.info("%s: resampled onto the pixels of %s", band.name, to.name)
    data[near_bad] = np.nan
    return BandData(band.name, data, psf, band.oversample, err=err, mask=near_bad, **facts)


def _steps(band, to):
    """One pixel of ``to`` along x and y, in pixels of ``band``, at the middle of ``to``."""
    ny, nx = to.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    sky = to.wcs.pixel_to_world([x, x + 1, x], [y, y, y + 1])
    old = np.array(band.wcs.world_to_pixel(sky))
    return (old[:, 1:] - old[:, :1]).reshape(2, 2)
