"""`StarFieldModel`: a measured star field, as StarPhot returns and saves it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.table_writer import write_table
from galstep.datamodels.sky.image_list import image_meta
from galstep.datamodels.sky.star_catalog import star_regions
from galstep.exceptions import InputError, ParameterError
from galstep.sky_frame import pixel_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.table import QTable

    from galstep.datamodels.sky.sky_image import SkyImage
    from galstep.hints import PathLike

__all__ = ["StarFieldModel"]

log = logging.getLogger(__name__)


# What photutils keeps of a fit, and where the same is told here.
_OF_PHOTUTILS = {
    "fit_info": "flags, reduced_chi2, qfit and cfit of the catalog tell what became of each fit",
    "finder_results": "iter_detected of the catalog says in which round a star came",
    "results_to_model_params": "the catalog has x_fit, y_fit and flux_fit",
}


def _half_of(psf_shape):
    """Half a side of photutils' ``psf_shape``."""
    sides = {int(side) for side in np.ravel(psf_shape)} if np.size(psf_shape) in (1, 2) else {0}
    whole = np.array_equal(np.ravel(psf_shape), np.rint(np.ravel(psf_shape)))
    if not whole or len(sides) != 1 or min(sides) < 1 or min(sides) % 2 == 0:
        raise ParameterError(
            f"psf_shape must be the side of a square, an odd number of pixels, got {psf_shape}"
        )
    return sides.pop() // 2


class StarFieldModel:
    """Catalogue and residual of one image.

    Parameters
    ----------
    image : `galstep.datamodels.sky.sky_image.SkyImage`
    catalog : `astropy.table.QTable`
    rows : object
        The same as plain arrays.
    field : object
        Has ``residual(tile)``, ``stars(tile)`` and ``sky(tile)``: images of a part of the field.
    tiles : callable
        ``tiles(shape, size)`` cuts a field into parts with ``part``, ``x0`` ...
    fwhm : float
        Of the PSF, pixels.

    Attributes
    ----------
    save_residual, save_regions : bool
        Which files `save` writes beside the catalogue.
    table_format : str
        Of the catalogue: ``ecsv``, ``fits`` or ``both``.
    """

    crds_observatory = None

    def __init__(
        self, image: SkyImage, catalog: QTable, rows: Any, field: Any, tiles: Callable, fwhm: float
    ) -> None:
        self.image, self.catalog, self.rows, self.field = image, catalog, rows, field
        self._tiles, self.fwhm = tiles, fwhm
        self.save_residual = self.save_regions = True
        self.table_format = "ecsv"
        self.meta = image_meta(f"{image.name}.fits")

    def __len__(self) -> int:
        return len(self.catalog)

    def __repr__(self) -> str:
        return f"<StarFieldModel of {self.image.name!r}: {len(self)} stars>"

    def decode_flags(self) -> list[list[str]]:
        """The names of the flags of each star, as photutils has them."""
        from photutils.psf.flags import decode_psf_flags

        return decode_psf_flags(np.asarray(self.rows.flags))

    def number_flagged(self, flag: str) -> int:
        """How many stars have a flag, by photutils' name of it."""
        from photutils.psf import PSF_FLAGS

        return int(np.count_nonzero(self.rows.flags & getattr(PSF_FLAGS, flag.upper())))

    def results_to_init_params(self) -> QTable:
        """The stars that were measured as ``init_params`` of another run.

        Returns
        -------
        `astropy.table.QTable`
            ``id``, ``group_id``, ``local_bkg`` and first positions and fluxes: those
            that were fitted.
        """
        from astropy.table import QTable

        own = self.catalog[np.isfinite(self.rows.flux_fit)]
        table = QTable({name: own[name] for name in ("id", "group_id", "local_bkg")})
        for name in ("x", "y", "flux"):
            table[f"{name}_init"] = own[f"{name}_fit"]
        return table

    def __getattr__(self, name: str) -> Any:
        # only what is not found elsewhere comes here
        if name in _OF_PHOTUTILS:
            raise AttributeError(f"{name} of photutils is not kept: {_OF_PHOTUTILS[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def make_model_image(
        self,
        shape: tuple[int, int] | None = None,
        *,
        psf_shape: int | tuple[int, int] | None = None,
        include_local_bkg: bool = False,
    ) -> np.ndarray:
        """The stars as they were fitted, all of the image in memory.

        Parameters
        ----------
        shape : (ny, nx), optional
            That of the image, as photutils has it asked for.
        psf_shape : int or (int, int), optional
            Side of the square in which each star is drawn, an odd number of pixels; by
            default as far as its light matters beside the noise.
        include_local_bkg : bool, optional
            Whether the smooth sky is in it. A level that holds beneath one star only
            (background local, or a column ``local_bkg``) never is.

        Returns
        -------
        (ny, nx) array
            A Quantity if the image has a unit.

        Raises
        ------
        InputError
            If the shape is another one.
        ParameterError
            If ``psf_shape`` is no odd square, or the stars are those of the engine photutils.
        """
        if shape is not None and tuple(shape) != self.image.shape:
            raise InputError(f"shape must be that of the image {self.image.shape}, got {shape}")
        half = None if psf_shape is None else _half_of(psf_shape)
        model = self._drawn(partial(self.field.stars, half_size=half))
        if include_local_bkg:
            model += self._drawn(self.field.sky)
        return model * u.Unit(self.image.unit) if self.image.unit else model

    def make_residual_image(
        self,
        data: Any = None,
        *,
        psf_shape: int | tuple[int, int] | None = None,
        include_local_bkg: bool = False,
    ) -> np.ndarray:
        """Data minus `make_model_image`, all of the image in memory.

        Parameters
        ----------
        data : (ny, nx) array or Quantity, optional
            Other data than those that were measured; plain numbers are in their unit.
        psf_shape : int or (int, int), optional
            See `make_model_image`.
        include_local_bkg : bool, optional
            Whether the smooth sky is subtracted as well.

        Returns
        -------
        (ny, nx) array
            A Quantity if the image has a unit.

        Raises
        ------
        InputError
            If the data have another shape or unit.
        """
        data = np.asarray(self.image.data, dtype=float) if data is None else data
        model = self.make_model_image(
            np.shape(data), psf_shape=psf_shape, include_local_bkg=include_local_bkg
        )
        unit = getattr(model, "unit", u.one)
        try:
            data = data if hasattr(data, "unit") else np.asarray(data, dtype=float) * unit
            residual = data.to_value(unit) - getattr(model, "value", model)
        except u.UnitConversionError:
            raise InputError(
                f"data must be in {unit or 'no unit'}, as the image, got {data.unit}"
            ) from None
        return residual * unit if self.image.unit else residual

    def _drawn(self, draw):
        image = np.empty(self.image.shape)
        for tile in self._tiles(self.image.shape, 1024):
            image[tile.part] = draw(tile)
        return image

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def close(self) -> None:
        """Do nothing: part of the data model protocol."""

    def residual_image(self) -> np.ndarray:
        """Data without stars and sky, NaN where bad: (ny, nx) array, all in memory."""
        return self._drawn(self.field.residual)

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write the catalogue, and beside it residual (FITS) and regions.

        Parameters
        ----------
        path : str, path-like or callable
            Of the catalogue; ``table_format`` decides the extension.
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
        written = write_table(self.catalog, path.with_suffix(""), self.table_format)
        if self.save_residual:
            with replacing(path.with_name(f"{path.stem}_residual.fits")) as temporary:
                self._write_residual(temporary)
        if self.save_regions:
            self._write_regions(path.with_suffix(".reg"))
        return written[0]

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
        sky = side = None
        if self.image.wcs is not None and "ra" in self.catalog.colnames:
            sky = tuple(self.catalog[name].to_value(u.deg) for name in ("ra", "dec"))
            ny, nx = self.image.shape
            side = pixel_side(self.image.wcs, (nx - 1) / 2, (ny - 1) / 2)
        text = star_regions(self.rows, max(2.0, self.fwhm), sky, side)
        with replacing(path) as temporary:
            temporary.write_text(text)
