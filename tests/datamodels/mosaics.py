"""Small mosaics of one scene on different grids, for the tests of the readers.

The scene is a round Gaussian of known total flux (MJy/sr x arcsec2, so that it does
not depend on the pixels) at a known sky position, on a flat sky.
"""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from sample_models import make_psf

RA, DEC = 202.47, 47.195
FLUX = 5.0  # MJy/sr x arcsec2
SIGMA = 0.2  # arcsec
SKY = 0.3  # MJy/sr
PIVOT = {"F090W": 9020.0, "F150W": 15000.0, "F277W": 27600.0, "F814W": 8050.0, "F158": 15770.0}


def make_mosaic_wcs(shape, pixel_scale=0.04, rotation=0.0, offset=(0.0, 0.0)):
    """A tangential WCS with the scene ``offset`` pixels from the middle of the frame."""
    ny, nx = shape
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [RA, DEC]
    wcs.wcs.crpix = [(nx + 1) / 2 + offset[0], (ny + 1) / 2 + offset[1]]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cdelt = [-pixel_scale / 3600, pixel_scale / 3600]
    wcs.wcs.pc = [[c, -s], [s, c]]
    wcs.wcs.set()
    return wcs


def make_image(shape, wcs, pixel_scale=0.04, noise=0.0, seed=0):
    """The scene in MJy/sr, at the centres of the pixels."""
    x_0, y_0 = wcs.wcs_world2pix([[RA, DEC]], 0)[0]
    y, x = np.indices(shape)
    r2 = ((x - x_0) ** 2 + (y - y_0) ** 2) * pixel_scale**2
    image = SKY + FLUX / (2 * np.pi * SIGMA**2) * np.exp(-r2 / (2 * SIGMA**2))
    return image + noise * np.random.default_rng(seed).normal(size=shape)


def flux_of(band):
    """Total over the sky, MJy/sr x arcsec2, of a filter without noise."""
    return float(np.nansum(band.data - SKY) * band.pixel_scale**2)


def i2d_hdus(name="F150W", shape=(80, 100), noise=0.0, **grid):
    """The layout of a JWST i2d file."""
    wcs = make_mosaic_wcs(shape, **grid)
    scale = grid.get("pixel_scale", 0.04)
    data = make_image(shape, wcs, scale, noise).astype("f4")
    err = np.full(shape, max(noise, 0.01), "f4")
    data[:, 0], err[:, 0] = np.nan, np.nan
    weight = np.full(shape, 100.0, "f4")
    weight[0] = 0
    header = wcs.to_header()
    header["BUNIT"] = "MJy/sr"
    header["PIXAR_SR"] = np.radians(scale / 3600) ** 2
    header["PHOTMJSR"] = 2.5
    primary = fits.PrimaryHDU()
    primary.header.update(
        TELESCOP="JWST", INSTRUME="NIRCAM", FILTER=name, PUPIL="CLEAR", FILENAME="toy_i2d.fits"
    )
    return fits.HDUList(
        [
            primary,
            fits.ImageHDU(data, header, name="SCI"),
            fits.ImageHDU(err, name="ERR"),
            fits.ImageHDU(np.ones((1, *shape), "i4"), name="CON"),
            fits.ImageHDU(weight, name="WHT"),
            fits.ImageHDU(np.full(shape, 4e-5, "f4"), name="VAR_POISSON"),
        ]
    )


def plain_hdu(data, wcs=None, name=None, **keywords):
    """A primary image with these keywords."""
    hdu = fits.PrimaryHDU(data, None if wcs is None else wcs.to_header())
    hdu.header.update(keywords)
    if name:
        hdu.header["FILTER"] = name
    return hdu


def psf_of(*filters, oversample=4):
    """A mapping that ``psf_file`` takes."""
    return {name: (make_psf(oversample=oversample), oversample) for name in filters}
