"""The images of a model as FITS files, for viewers and scripts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from galstep import __version__
from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.safe_name import header_text, safe_name

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["write_fits_images"]

log = logging.getLogger(__name__)

_IMAGES = (  # extension, attribute, what it is
    ("SCI", "data", "image of the crop, NaN where there are no data"),
    ("ERR", "err", "1-sigma error"),
    ("GALAXY", "galaxy", "model of the galaxy's Sersic components"),
    ("KNOTS", "knots", "model of point-like light of the galaxy"),
    ("COMPANIONS", "companions", "model of other galaxies"),
    ("STARS", "stars", "model of the stars"),
    ("SKY", "sky", "model of the sky"),
    ("RESIDUAL", "residual", "data - all models, NaN where masked"),
    ("STARSUB", "star_subtracted", "data - stars"),
)


def write_fits_images(model: GalaxyModel, folder: PathLike, name: str) -> list[str]:
    """Write ``<name>_<filter>.fits`` for each filter.

    Extensions: SCI, ERR, GALAXY, KNOTS, COMPANIONS, STARS, SKY, RESIDUAL, STARSUB
    (32-bit floats, those that there are), MASK (1 = bad) and PSF (the library PSF). Each but the
    last has the filter's celestial WCS, if there is one, and in any case ``LTV1``,
    ``LTV2``: the pixels of the input frame as the "physical" coordinates of ds9
    and IRAF.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    folder : path-like
        It must exist.
    name : str
        What the names begin with.

    Returns
    -------
    list of str
        The files written; each appears whole or not at all.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    written = []
    for band in model.bands.values():
        path = Path(folder) / f"{name}_{safe_name(band.name)}.fits"
        with replacing(path) as temporary:
            _hdus(model, band).writeto(temporary)
        written.append(str(path))
    return written


def _hdus(model, band):
    primary = fits.PrimaryHDU()
    primary.header.update(
        OBJECT=(header_text(model.meta.name), "galaxy"),
        FILTER=(header_text(band.name), "filter"),
        FITSTEP=(model.meta.fit_step or "none", "last fit step that ran"),
        CREATOR=f"galstep {__version__}",
    )
    header = _frame_header(band)
    hdus = [primary]
    for extension, attribute, text in _IMAGES:
        image = getattr(band, attribute)
        if image is not None:
            hdu = fits.ImageHDU(image.astype(np.float32), header, name=extension)
            hdu.header["BUNIT"] = (header_text(band.unit), text)
            hdus.append(hdu)
    hdus.append(fits.ImageHDU(band.mask.astype(np.uint8), header, name="MASK"))
    psf = fits.ImageHDU(band.psf.astype(np.float32), name="PSF")
    psf.header["OVERSAMP"] = (band.oversample, "samples per pixel of the image")
    return fits.HDUList([*hdus, psf])


def _frame_header(band):
    """The WCS, and where the crop lies in the input frame."""
    header = fits.Header()
    if band.wcs is not None:
        header.update(band.wcs.to_header(relax=True))
    x, y = band.origin
    for axis, first in (("1", x), ("2", y)):
        # physical = logical - LTV, both counted from 1
        header[f"LTV{axis}"] = (-first, "crop in the input frame")
        header[f"LTM{axis}_{axis}"] = 1.0
    return header
