"""LoadField: images by their headers, brought to one scale, and the catalogue."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from galstep.core.field.field_edge import inside_margin
from galstep.datamodels.field.field_catalog import FieldCatalog, empty_start, read_field_catalog
from galstep.datamodels.field.field_data import FieldMeta
from galstep.datamodels.field.field_images import field_images, name_of_field
from galstep.datamodels.field.field_io import is_field_product
from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.field.field_tables import empty_catalog
from galstep.exceptions import InputError
from galstep.flags import FieldFlag
from galstep.steps.field.field_headers import HeaderKeys, band_of_image
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_wcs import put_on_grid

__all__ = ["LoadField"]


class LoadField(FieldStep):
    """Read the images of a field and its catalogue.

    Give it a text file with a path per line, FITS files, or a folder of them: one image per
    band. Images are brought to one zero point by their headers.

    ``galstep params loadfield --all`` lists every parameter.
    """

    class_alias = "gal_loadfield"
    takes_objects = ("catalog",)

    spec = """
    catalog = input_file(default=None)          # Catalogue to start from: CSV, ECSV or FITS with RA and Dec or x and y; TYPE, FLUX_<band>, Re, ELL, THETA, SERSIC_n and errors if known (default: sources are detected)
    catalog_format = string(default=None)       # Format of the catalogue as astropy calls it, where its name does not tell
    filters = force_list(default=None)          # Bands to take, in this order (default: all, as they come); pixels of the first one are the grid of all positions
    zp_ref = float(min=-100, max=100, default=25.0)  # Zero point that all images are brought to (AB mag)
    filter_key = string(default='FILTER')       # Keyword with the name of the filter
    zp_key = string(default='ZP_AUTO')          # Keyword with the AB zero point of the image, or a number for all images
    sky_sigma_key = string(default='SKYSIG')    # Keyword with the noise of the sky in a pixel (image unit), or a number; measured where it is not there
    gain_key = string(default='EGAIN')          # Keyword with the gain (electrons per image unit), or a number; without it no photon noise of sources
    saturate_key = string(default='SATURATE')   # Keyword with the value of full pixels (image unit), or a number
    error_plane = option('auto', 'total', 'sky', 'none', default='auto')  # Error plane that comes with an image: total (with the photon noise of sources, so is auto), sky (without), or not used
    crop_margin = integer(min=0, default=0)     # Sources closer to the edge are flagged and not fitted (pixels)
    grids = option('map', 'same', default='map')  # Bands on other pixels than the first: mapped by an affine map, or refused
    wcs_tolerance = float(min=0, max=10, default=0.1)  # Grids that agree so far everywhere are one grid (pixels)
    band_check = boolean(default=True)          # Refuse a catalogue whose FLUX_<band> columns are of other bands than the images
    """

    def process(self, input: Any) -> FieldModel:
        """Read images and catalogue.

        Parameters
        ----------
        input : object
            See `galstep.datamodels.field.field_images.field_images`; or a `FieldModel`, whose
            catalogue alone is read again.

        Returns
        -------
        FieldModel

        Raises
        ------
        InputError
            If an image or the catalogue cannot be used, or they do not belong together.
        """
        model = self._model(input)
        self._take_catalog(model)
        for band in model.bands.values():
            self._logger.info(
                "%s: %s x %s px, zero point %.4g, sky noise %.4g, gain %.4g, saturated from %.5g",
                band.name, *band.shape[::-1], band.zero_point, band.sky_sigma, band.gain,
                band.saturate,
            )  # fmt: skip
            for reason in band.reasons:
                self._logger.warning("%s: %s", band.name, reason)
        excluded = np.count_nonzero(model.start["flags"] & int(FieldFlag.EXCLUDED))
        self.complete(model, bands=len(model.bands), sources=len(model), not_fitted=excluded)
        return model

    def _model(self, input):
        if isinstance(input, FieldModel) or self._is_product(input):
            return self.prepare_output(input)
        source = input if not isinstance(input, str | os.PathLike) else self._input_path(input)
        if isinstance(input, list | tuple):
            source = [self._input_path(i) if isinstance(i, str) else i for i in input]
        keys = HeaderKeys(
            self.filter_key, self.zp_key, self.sky_sigma_key, self.gain_key, self.saturate_key,
            self.error_plane, self.zp_ref,
        )  # fmt: skip
        bands = {}
        for image in field_images(source):
            band = band_of_image(image, keys)
            if band.name in bands:
                raise InputError(
                    f"{image.where}: there is an image of band {band.name!r} already: one per band"
                )
            bands[band.name] = band
        bands = self._chosen(bands)
        put_on_grid(list(bands.values()), self.wcs_tolerance, self.grids)
        name, file_name = name_of_field(source)
        return FieldModel(FieldMeta(name, file_name, zp_ref=self.zp_ref), bands)

    def _is_product(self, input):
        if not isinstance(input, str | os.PathLike):
            return False
        path = self._input_path(input)
        return os.path.isfile(path) and is_field_product(path)

    def _chosen(self, bands):
        if not bands:
            raise InputError("there are no images in the input")
        names = [str(name) for name in self.filters or bands]
        missing = [name for name in names if name not in bands]
        if missing:
            raise InputError(
                f"filters: {', '.join(missing)} not in the input, which has {', '.join(bands)}"
            )
        return {name: bands[name] for name in names}

    def _take_catalog(self, model):
        """The start table, every row of the catalogue in its order."""
        given = self.given("catalog")
        if given is None and len(model):
            return  # a model that has one already
        bands, first = list(model.bands), model.reference
        if given is None:
            catalog = FieldCatalog(empty_start(0, bands), (), model.inputs)
        else:
            catalog = read_field_catalog(
                given, bands, first.wcs, first.shape, model.meta.zp_ref,
                None if np.isnan(first.pixel_side) else first.pixel_side, self.catalog_format,
            )  # fmt: skip
            self._check_bands(catalog, bands)
        model.meta.catalog = _said(given)
        model.start, model.inputs = catalog.start, catalog.others
        self._exclude(model)
        model.catalog = empty_catalog(model.start, bands)

    def _check_bands(self, catalog, bands):
        own, wanted = set(catalog.bands), set(bands)
        if (
            not self.band_check
            or not own
            or {b.lower() for b in own} == {b.lower() for b in wanted}
        ):
            return
        raise InputError(
            f"catalog: its FLUX_ columns are of the bands {', '.join(sorted(own))}, the images are "
            f"of {', '.join(sorted(wanted))} (band_check=false takes those that there are)"
        )

    def _exclude(self, model):
        """Flag what cannot be fitted; no row is dropped."""
        start = model.start
        x, y = np.asarray(start["x"]), np.asarray(start["y"])
        lost = ~(np.isfinite(x) & np.isfinite(y))
        outside = ~lost & ~inside_margin(x, y, model.reference.shape, self.crop_margin)
        start["flags"][lost] |= int(FieldFlag.NO_POSITION | FieldFlag.EXCLUDED)
        start["flags"][outside] |= int(FieldFlag.CROPPED | FieldFlag.EXCLUDED)


def _said(given):
    """The catalogue in words."""
    if given is None:
        return ""
    return os.path.abspath(given) if isinstance(given, str) else type(given).__name__
