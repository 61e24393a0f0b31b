"""FieldPSF: the effective PSF of each band by position, from stars or from a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from galstep.core.field.epsf_options import EpsfOptions
from galstep.core.scene import psf_map
from galstep.datamodels.field.field_band import FieldPsf
from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.psf.psf_field import open_psf_field
from galstep.exceptions import InputError
from galstep.flags import FieldFlag
from galstep.steps.field.field_bands import core_bands, fitted_light, law_to_tree
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_tasks import EXECUTION_SPEC, TaskOptions, task_runner
from galstep.steps.framework.option_spec import OptionSet

__all__ = ["FieldPSF"]

# rows that no star of a PSF can be
_NO_STAR = FieldFlag.EXCLUDED | FieldFlag.SATURATED | FieldFlag.IN_BRIGHT_MASK


OPTIONS = OptionSet(EpsfOptions())


class FieldPSF(FieldStep):
    """Measure the PSF of each band from the field's stars, smooth in place; or take it from a file.

    Stars are the rows of type STAR and the reference stars; without any, the stellar locus of all
    rows. Where a band has too few stars a formula stands in, where it has none the PSF of another
    band; its sources are flagged.

    After FieldFit the step measures anew, the light of all other sources taken off as it was
    fitted; another FieldFit then goes on from where the first has ended. The pipeline does that
    by itself (``psf_passes``).

    ``galstep params fieldpsf --all`` lists every parameter.
    """

    class_alias = "gal_fieldpsf"
    takes_objects = ("psf_file",)

    spec = f"""
    psf_file = input_file(default=None)         # PSF instead of that of the stars: a FITS file with one PSF or a grid, PSFEx (.psf), an HDF5 file with a PSF per band, or a folder with a file per band
    oversample = integer(min=1, max=50, default=None)  # Samples per pixel of a PSF whose file does not tell
{OPTIONS.spec}{EXECUTION_SPEC}    """

    def process(self, input: Any) -> FieldModel:
        """Find the PSFs.

        Parameters
        ----------
        input : path-like or FieldModel

        Returns
        -------
        FieldModel
        """
        model = self.prepare_output(input)
        given = self.given("psf_file")
        if given is None:
            self._measure(model)
        else:
            for band in model.bands.values():
                band.psf = self._supplied(band, given)
        fallback = [band.name for band in model.bands.values() if band.psf.fallback]
        bit = int(FieldFlag.PSF_FALLBACK)
        model.start["flags"] = np.asarray(model.start["flags"]) & ~bit
        if fallback:
            model.start["flags"] |= bit
        for band in model.bands.values():
            self._logger.info(
                "%s: PSF %s, FWHM %.3g px, %d stars", band.name, band.psf.source, band.psf.fwhm,
                band.psf.n_stars,
            )  # fmt: skip
        self.complete(model, bands=len(model.bands), fallback=",".join(fallback) or "none")
        return model

    # --------------------------------------------------------------- supplied

    def _supplied(self, band, given):
        named = isinstance(given, dict)
        source = given.get(band.name, given) if named else given
        side = None if np.isnan(band.pixel_side) else band.pixel_side
        data, places, oversample = open_psf_field(
            source, None, self.oversample, side, band.name
        )  # fmt: skip
        law = _law(data, places, oversample)
        ny, nx = band.shape
        fwhm = psf_map.PsfMap(law).at((nx - 1) / 2, (ny - 1) / 2).fwhm
        where = source if isinstance(source, str) else type(source).__name__
        return FieldPsf(law_to_tree(law), 0, float(fwhm), False, f"given: {where}")

    # --------------------------------------------------------------- measured

    def _measure(self, model):
        from galstep.core.field.epsf import EpsfTask, epsf_of_band

        options = OPTIONS.record_of(self)
        x, y = self._stars(model)
        bands = core_bands(model, need_psf=False)
        others = self._places(model, np.ones(len(model), dtype=bool))
        tasks = [
            EpsfTask(band, x, y, *others, options, self._known(model, band.name)) for band in bands
        ]
        execution = TaskOptions(
            *(self.search_attr(name) for name in ("executor", "workers", "scheduler")),
            tell=lambda _, share: self.tell_share(share),
        )
        with task_runner(execution) as run:
            results = run(epsf_of_band, tasks)
        starless = {}
        for band, result in zip(model.bands.values(), results, strict=True):
            if isinstance(result, InputError):
                starless[band.name] = result
                continue
            if isinstance(result, Exception):
                raise result
            band.psf = FieldPsf(
                law_to_tree(result.law), int(result.n_stars), float(result.fwhm),
                bool(result.fallback),
                f"a {options.psf_fallback} for lack of stars" if result.fallback else "of the stars",
                float(result.chi2), np.asarray(result.stars, dtype=float).reshape(-1, 2),
                np.asarray(result.errors.sizes), np.asarray(result.errors.relative),
            )  # fmt: skip

        for name, error in starless.items():
            model.bands[name].psf = self._borrowed(model, name, starless, error)

    def _borrowed(self, model, name, starless, error):
        """The PSF of the band with the most stars whose pixels are the same."""
        from galstep.core.field.psf_flux_errors import PsfFluxErrors

        own = model.bands[name]
        others = [
            band
            for band in model.bands.values()
            if band.name not in starless and band.shape == own.shape
            and np.isclose(band.pixel_map.scale, own.pixel_map.scale, rtol=0.01)
        ]  # fmt: skip
        if not others:
            raise error
        best = max(others, key=lambda band: band.psf.n_stars)
        self._logger.warning(
            "%s; that of band %s stands in, and fluxes are flagged", error, best.name
        )
        unknown = PsfFluxErrors.of_another_band()
        return replace(
            best.psf, n_stars=0, fallback=True, chi2=np.nan, stars=np.zeros((0, 2)),
            source=f"that of band {best.name}, for lack of stars",
            error_sizes=unknown.sizes, flux_errors=unknown.relative,
        )  # fmt: skip

    @staticmethod
    def _known(model, name):
        psf = model.bands[name].psf
        return None if psf is None else fitted_light(model, name)

    def _stars(self, model):
        """Places of what may be stars: those that are called so, else all."""
        start = model.start
        usable = np.asarray(start["flags"]) & int(_NO_STAR) == 0
        named = np.asarray(start["type"]) == "STAR"
        named |= np.asarray(start["reference_id"]) != ""
        return self._places(model, usable & named if (usable & named).any() else usable)

    @staticmethod
    def _places(model, chosen):
        x, y = np.array(model.start["x"]), np.array(model.start["y"])
        if model.meta.fit_step is not None:
            fitted = np.isfinite(model.catalog["x"].value)
            x[fitted], y[fitted] = (model.catalog[name].value[fitted] for name in ("x", "y"))
        own = np.asarray(chosen) & np.isfinite(x) & np.isfinite(y)
        return x[own], y[own]


def _law(data, places, oversample):
    """The law of PSFs at places: one, or a grid."""
    if len(data) == 1:
        return psf_map.SingleLaw(np.asarray(data[0], dtype=float), int(oversample))
    x_grid, y_grid = np.unique(places[:, 0]), np.unique(places[:, 1])
    order = np.lexsort((places[:, 0], places[:, 1]))
    shape = (len(y_grid), len(x_grid), *data.shape[1:])
    return psf_map.GridLaw(data[order].reshape(shape), x_grid, y_grid, int(oversample))
