"""StarPhot: PSF photometry of a whole star field."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy import units as u

from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.options import StarFieldOptions
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.tiles import FieldImage, make_tiles
from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.datamodels.files.table_bounds import check_rows
from galstep.datamodels.model.image_data import brightness_of, pixel_area, pixel_side_of
from galstep.datamodels.psf.psf_field import open_psf_field
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.star_catalog import star_catalog
from galstep.datamodels.sky.star_field_model import StarFieldModel
from galstep.exceptions import InputError, ParameterError
from galstep.steps.framework.option_spec import OptionSet
from galstep.steps.galaxy.products import TABLE_SPEC, save_figure
from galstep.steps.images.image_step import ImageStep
from galstep.steps.images.star_phot_arguments import (
    RunArguments,
    as_parameters,
    checked_bounds,
    held_by,
)

__all__ = ["StarPhot"]

# Stars of this S/N tell whether the PSF is theirs: a share of 5 % of their light that is
# not there makes a reduced chi-squared of 2 in a box of 50 pixels.
WELL_SEEN, POOR_CHI2 = 50.0, 2.0

OPTIONS = OptionSet(StarFieldOptions())


class StarPhot(ImageStep):
    """Find and measure all stars of an image with a PSF that may change over it.

    Give it an image (a file; from Python also an array, CCDData or an image
    model) and psf_file. The image may be larger than memory: it is read in tiles, and
    no result depends on them.

    ``galstep params starphot --all`` lists every parameter.
    """

    class_alias = "gal_starphot"
    result_class = StarFieldModel
    works_on_galaxy_model = False
    _psf = _error = _mask = _table = None

    spec = (
        f"""
    extension = string(default=None)            # Which image of a file with several: its filter, extension (SCI,2) or EXTVER
    psf_file = input_file(default=None)         # PSF: a FITS file with one PSF or a grid (STPSF, photutils), or an HDF5 file with a PSF per filter
    psf_filter = string(default=None)           # Which PSF of a file with several (default: that of the image's filter)
    oversample = integer(min=1, default=None)   # Samples of the PSF per pixel where the file does not tell
    engine = option('galstep', 'photutils', default='galstep')  # Who measures: all stars together, or photutils' PSF photometry for comparison
    init_params = input_file(default=None)      # Table of first positions: x, y (0-based pixels) or right ascension and declination; flux, id, group_id, local_bkg if known; these stars are never dropped
{OPTIONS.spec}    gain = float(min=0, default=None)           # Electrons per image unit: adds the noise of the stars' light where the image has no error plane
    aperture_radius = float(min=0.5, default=3.0)  # For first fluxes of the engine photutils (pixels)
    save_residual = boolean(default=True)       # Write the residual image <name>_starphot_residual.fits beside the catalog
    save_regions = boolean(default=True)        # Write ds9 regions <name>_starphot.reg, on the sky where there is a WCS; tags star, flagged
    qa_figure = boolean(default=True)           # Write the picture <name>_starphot.png (needs matplotlib)
    """
        + TABLE_SPEC
    )

    def __init__(self, *args: Any, **kws: Any) -> None:
        kws = as_parameters(kws)
        given = kws.get("init_params")
        if isinstance(given, os.PathLike):
            kws["init_params"] = os.fspath(given)
        elif given is not None and not isinstance(given, str):
            # a table is no parameter that a file could hold
            kws["init_params"] = None
            self._table = given
        super().__init__(*args, **kws)

    def __repr__(self) -> str:
        # what differs from the defaults, as it would be written
        defaults = StarPhot().own_parameters()
        own = {k: repr(v) for k, v in self.own_parameters().items() if v != defaults[k]}
        if self._table is not None:
            own["init_params"] = f"<{type(self._table).__name__}>"
        return f"StarPhot({', '.join(f'{name}={text}' for name, text in own.items())})"

    @classmethod
    def call(
        cls,
        *args: Any,
        psf: Any = None,
        error: Any = None,
        mask: Any = None,
        init_params: Any = None,
        **kws: Any,
    ) -> StarFieldModel:
        """Measure an image with these parameters; see ``stpipe.Step.call`` and `run`.

        Parameters
        ----------
        *args
            As for `run`.
        psf, error, mask, init_params : object, optional
            As for `run`.
        **kws
            Parameters, and ``config_file``.

        Returns
        -------
        `galstep.datamodels.sky.star_field_model.StarFieldModel`
        """
        if isinstance(init_params, str | os.PathLike):
            kws["init_params"], init_params = os.fspath(init_params), None
        given = RunArguments(psf, error, mask, init_params)
        return super().call(*args, given, **as_parameters(kws))

    def run(
        self,
        *args: Any,
        psf: Any = None,
        error: Any = None,
        mask: Any = None,
        init_params: Any = None,
    ) -> StarFieldModel:
        """Measure an image; see also `galstep.steps.framework.base.GalStep.run`.

        Parameters
        ----------
        *args
            The image, and a PSF instead of ``psf_file``: see `process`.
        psf : object, optional
            The PSF by its name.
        error : (ny, nx) array or Quantity, optional
            1-sigma errors, in place of those that come with the image; plain numbers
            are in the unit of the image.
        mask : (ny, nx) bool array, optional
            True = bad, beside what the image says itself.
        init_params : table, optional
            First positions, in place of the parameter of that name.

        Returns
        -------
        `galstep.datamodels.sky.star_field_model.StarFieldModel`
        """
        before = self._table
        if args and isinstance(args[-1], RunArguments):
            # stpipe's `call` hands on no keywords
            *args, given = args  # type: ignore[assignment]
            psf, error, mask, init_params = given
        self._psf, self._error, self._mask = psf, error, mask
        self._table = before if init_params is None else init_params
        try:
            return super().run(*args)
        finally:
            self._psf = self._error = self._mask = None
            self._table = before

    @property
    def _given(self):
        """The table of first positions, or where it is."""
        return self.init_params if self._table is None else self._table

    @staticmethod
    def _one_input(args):
        """A second path is the PSF, not another image."""
        return args

    def process(self, input: Any, psf: Any = None) -> StarFieldModel:
        """Measure an image.

        Parameters
        ----------
        input : path-like, array, Quantity, NDData, CCDData or image model
            See `galstep.datamodels.sky.image_door.read_image`.
        psf : object, optional
            A PSF instead of ``psf_file``: see `galstep.datamodels.psf.psf_field.open_psf_field`.

        Returns
        -------
        `galstep.datamodels.sky.star_field_model.StarFieldModel`

        Raises
        ------
        ParameterError
            If the parameters contradict each other.
        InputError
            If image, PSF or table cannot be used.
        """
        if isinstance(input, GalaxyModel):
            raise InputError("StarPhot measures an image, not a galaxy: give a FITS file")
        source = self._psf if psf is None else psf
        options = self._options(held_by(source))
        image = open_image(input, self._error, self._mask, self.extension)
        psfs = self._psfs(source, image)
        field = FieldImage(image.data, image.err, image.mask, gain=self.gain or None)
        if not any(field.read(tile)[1].any() for tile in make_tiles(image.shape, self.tile_size)):
            raise InputError(
                f"image {image.name!r} has no usable pixel: all are masked, not finite, or without "
                "an error"
            )
        found, rows = self._measure(field, psfs, options, self._initial(image))
        catalog = star_catalog(
            rows, image.unit, image.wcs, pixel_area(image), meta=self._table_meta(image, source),
            brightness=brightness_of(image),
        )  # fmt: skip
        result = StarFieldModel(image, catalog, rows, found, make_tiles, psfs.mean.fwhm)
        result.save_residual, result.save_regions = self.save_residual, self.save_regions
        result.table_format = self.table_format
        self._say_how_well_the_psf_fits(rows)
        self.complete(
            result, engine=self.engine, stars=len(rows),
            not_measured=np.count_nonzero(np.isnan(rows.flux_fit)),
            not_converged=result.number_flagged("no_convergence"), psfs=len(psfs.renderers),
        )  # fmt: skip
        return result

    def _say_how_well_the_psf_fits(self, rows):
        bright = rows.flux_fit > WELL_SEEN * rows.flux_err
        if np.count_nonzero(bright) and np.median(rows.reduced_chi2[bright]) > POOR_CHI2:
            self._logger.warning(
                "%s: reduced chi-squared is %.3g (median of the %d stars above S/N %g): the PSF is "
                "not that of the image, or the errors are too small", self.key,
                np.median(rows.reduced_chi2[bright]), np.count_nonzero(bright), WELL_SEEN,
            )  # fmt: skip

    def _measure(self, field, psfs, options, initial):
        """The field as the engine has measured it, and its rows."""
        # photutils brings matplotlib along: not before it is needed
        if self.engine == "photutils":
            from galstep.core.star_field.photutils_engine import measure_by_photutils

            found = measure_by_photutils(field, psfs, options, initial, self.aperture_radius)
            return found, found.rows
        from galstep.core.star_field.photometry import fit_star_field
        from galstep.core.star_field.rows import rows_of_field

        found = fit_star_field(field, psfs, options, initial)
        return found, rows_of_field(found)

    def _options(self, held):
        radius, needed = self.aperture_radius, self.engine == "photutils"
        if needed if radius is None else not math.isfinite(radius):
            raise ParameterError(f"aperture_radius must be a finite number of pixels, got {radius}")
        if held and self._given is None:
            raise ParameterError(
                "the position of the PSF model is fixed, which needs init_params, the positions "
                "to be held"
            )
        if self.fixed_positions and self._given is None:
            raise ParameterError("fixed_positions needs init_params, the positions to be held")
        if self.finder == "none" and self._given is None:
            raise ParameterError("finder none needs init_params, the positions of the stars")
        options = OPTIONS.record_of(self, SimpleNamespace(xy_bounds=checked_bounds(self.xy_bounds)))
        return replace(options, free_positions=False) if held else options

    def _psfs(self, psf, image):
        source = self.psf_file if psf is None else psf
        if source is None:
            raise InputError("StarPhot needs a PSF: give psf_file, or psf from Python")
        data, positions, oversample = open_psf_field(
            source, self.psf_filter, self.oversample, pixel_side_of(image), image.filter
        )
        return PsfField.from_grid(data, positions, oversample)

    def _initial(self, image):
        """The stars of init_params, every row of it."""
        if self._given is None:
            return None
        catalog = read_position_catalog(
            self._given, has_wcs=image.wcs is not None, what="init_params",
            unit=u.Unit(image.unit) if image.unit else u.one, sky_first=False,
            takes=("group_id", "local_bkg"),
        ).on_image(image.wcs, image.shape)  # fmt: skip
        group_id = catalog.group_id
        if group_id is not None and (group_id < 1).any():
            raise InputError(
                "init_params: column 'group_id' must be 1 or more in every row, got "
                f"{group_id.min()}"
            )
        given = GivenStars.of(
            catalog.first, catalog.second, catalog.flux, id=catalog.id,
            group_id=group_id, local_bkg=catalog.local_bkg,
        )  # fmt: skip
        inside = np.count_nonzero(given.near(image.shape, 0))
        check_rows(inside, math.prod(image.shape), "init_params")
        return given

    def _table_meta(self, image, psf):
        return {
            "image": image.name,
            "psf": os.fspath(psf) if isinstance(psf, str | os.PathLike) else type(psf).__name__,
            "parameters": self.own_parameters(),
            "engine": self.engine,
            "position_frame": "0-based pixels, centres at integers",
            "reasons": list(image.reasons),
        }

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save catalogue, residual, regions and picture. See `GalStep.save_model`."""
        path = super().save_model(model, *args, **kwargs)
        if path is not None and self._is_result(model) and self.qa_figure:
            self._write_figure(model, Path(path).with_suffix(".png"))
        return path

    def _write_figure(self, model, path):
        if importlib.util.find_spec("matplotlib") is None:
            self._logger.info("matplotlib is not installed, so %s is not written", path)
            return
        from galstep.plotting.star_field import star_field_figure

        save_figure(lambda: star_field_figure(model), path)
