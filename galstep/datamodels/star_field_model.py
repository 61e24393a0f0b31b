"""`StarFieldModel`: a measured star field, as StarPhot returns and saves it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.atomic import replacing
from galstep.datamodels.image_list import image_meta
from galstep.datamodels.star_catalog import star_regions

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.table import QTable

    from galstep.datamodels.sky_image import SkyImage
    from galstep.hints import PathLike

__all__ = ["StarFieldModel"]

log = logging.getLogger(__name__)


class StarFieldModel:
    """Catalogue and residual of one image.

    Parameters
    ----------
    image : `galstep.datamodels.sky_image.SkyImage`
    catalog : `astropy.table.QTable`
    rows : object
        The same as plain arrays.
    field : object
        Has ``residual(tile)``: the residual of a part of the image.
    tiles : callable
        ``tiles(shape, size)`` cuts a field into parts with ``part``, ``x0`` ...
    fwhm : float
        Of the PSF, pixels.

    Attributes
    ----------
    save_residual, save_regions : bool
        Which files `save` writes beside the catalogue.
    """

    crds_observatory = None

    def __init__(
        self, image: SkyImage, catalog: QTable, rows: Any, field: Any, tiles: Callable, fwhm: float
    ) -> None:
        self.image, self.catalog, self.rows, self.field = image, catalog, rows, field
        self._tiles, self.fwhm = tiles, fwhm
        self.save_residual = self.save_regions = True
        self.meta = image_meta(f"{image.name}.fits")

    def __len__(self) -> int:
        return len(self.catalog)

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def close(self) -> None:
        """Do nothing: part of the data model protocol."""

    def residual_image(self) -> np.ndarray:
        """Data without stars and sky, NaN where bad: (ny, nx) array, all in memory."""
        residual = np.empty(self.image.shape)
        for tile in self._tiles(self.image.shape, 1024):
            residual[tile.part] = self.field.residual(tile)
        return residual

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write the catalogue as ECSV, and beside it residual (FITS) and regions.

        Parameters
        ----------
        path : str, path-like or callable
            Of the catalogue.
        dir_path : path-like, optional
            Folder that replaces the one in ``path``.
        *args, **kwargs
            Ignored.

        Returns
        -------
        str
            The catalogue's file.
        """
        path = Path(path(self.meta.filename) if callable(path) else path)
        path = (path.parent if dir_path is None else Path(dir_path)) / path.name
        path = path.with_suffix(".ecsv")
        with replacing(path) as temporary:
            self.catalog.write(temporary, format="ascii.ecsv")
        if self.save_residual:
            with replacing(path.with_name(f"{path.stem}_residual.fits")) as temporary:
                self._write_residual(temporary)
        if self.save_regions:
            self._write_regions(path.with_suffix(".reg"))
        return str(path)

    def _write_residual(self, path):
        """Strip by strip: the whole image is never in memory."""
        from astropy.io import fits

        wcs = self.image.wcs if self.image.fits_wcs is None else self.image.fits_wcs
        ny, nx = self.image.shape
        cards = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny}
        header = fits.Header(list(cards.items()))
        if wcs is not None and hasattr(wcs, "to_header"):
            header.update(wcs.to_header(relax=True))
        if self.image.unit:
            header["BUNIT"] = self.image.unit
        stream = fits.StreamingHDU(str(path), header)
        try:
            for y in range(0, ny, 256):
                stream.write(self._strip(y, min(y + 256, ny)).astype(np.float32))
        finally:
            stream.close()

    def _strip(self, first, stop):
        (tile,) = self._tiles((stop, self.image.shape[1]), max(stop, self.image.shape[1]))
        return self.field.residual(type(tile)(0, first, tile.x1, stop))

    def _write_regions(self, path):
        text = star_regions(self.rows, max(2.0, self.fwhm))
        if text is None:
            log.info("the package 'regions' is not installed, so %s is not written", path.name)
            return
        with replacing(path) as temporary:
            temporary.write_text(text)
