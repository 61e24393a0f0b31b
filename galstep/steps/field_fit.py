"""FieldFit: all sources of a field in all bands, block by block, until they stand still."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from galstep.core.field.options import FieldOptions
from galstep.datamodels.field.field_model import FieldModel
from galstep.exceptions import InputError
from galstep.flags import FieldFlag
from galstep.steps.field.field_bands import core_bands, core_sources, fitted_sources, fwhm_at
from galstep.steps.field.field_results import put_joint, put_single
from galstep.steps.field.field_share import FitShare
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_tasks import EXECUTION_SPEC, TaskOptions, task_runner
from galstep.steps.framework.option_spec import OptionSet

__all__ = ["FieldFit"]

# a worker process is killed when core has not ended a block by itself (s and factor of the limit)
_KILL_FACTOR, _KILL_AFTER = 2.0, 60.0


OPTIONS = OptionSet(FieldOptions())


class FieldFit(FieldStep):
    """Fit every source of the field in all bands at once, blocks of them together.

    Each block is fitted beside the others as they stood in the round before, so the result
    depends neither on the order of the blocks nor on who carries them out. A block that fails
    costs its own sources alone: they are flagged, and the run ends with exit code 1.

    ``galstep params fieldfit --all`` lists every parameter.
    """

    class_alias = "gal_fieldfit"

    spec = f"""
    joint = boolean(default=True)               # One position and shape for all bands; else each band is fitted alone
    duplicate_radius = float(min=0, max=10, default=0.25)  # Rows that are closer than this and alike in type and size are one object, of which one row is fitted (FWHM of the sharpest PSF; 0: all are fitted)
{OPTIONS.spec}    catalog_priors = force_list(default=None)   # Which errors of the catalogue are priors: position, flux, r_eff, n, ellip, theta (default: all)
{EXECUTION_SPEC}
    resume = boolean(default=True)              # Keep the blocks that are done in a folder beside the products, and take them from there if images, PSF, parameters and neighbours are the same
    """

    _PRIORS = ("position", "flux", "r_eff", "n", "ellip", "theta")

    def process(self, input: Any) -> FieldModel:
        """Fit.

        Parameters
        ----------
        input : path-like or FieldModel
            With PSFs.

        Returns
        -------
        FieldModel

        Raises
        ------
        InputError
            If there is no source to be fitted.
        """
        model = self.prepare_output(input)
        options = OPTIONS.record_of(self)
        priors = self._checked_priors()
        if not np.any(np.asarray(model.start["flags"]) & int(FieldFlag.EXCLUDED) == 0):
            raise InputError(
                "there is no source to be fitted: give a catalogue, or let MaskField detect"
            )
        share = FitShare(self.tell_share, 1 if self.joint else len(model.bands))
        with task_runner(self._execution(options, share)) as run:
            if self.joint:
                result = self._fitted(model, list(model.bands), options, priors, run)
                put_joint(model, result)
                failed = result.failed
            else:
                results = {}
                for name in model.bands:
                    results[name] = self._fitted(model, [name], options, priors, run)
                    share.next_fit()
                put_single(model, results)
                failed = any(result.failed for result in results.values())
        model.meta.fit_step, model.meta.joint = self.key, bool(self.joint)
        reliable = np.count_nonzero(model.catalog["reliable"])
        self.complete(
            model, sources=len(model), reliable=reliable, blocks=len(model.blocks),
            failed_blocks=model.n_failed if failed else 0,
        )  # fmt: skip
        return model

    def _checked_priors(self):
        chosen = [str(name) for name in self.catalog_priors or self._PRIORS]
        unknown = [name for name in chosen if name not in self._PRIORS]
        if unknown:
            raise InputError(
                f"catalog_priors must be of {', '.join(self._PRIORS)}, got {', '.join(unknown)}"
            )
        return chosen

    def _fitted(self, model, names, options, priors, run):
        from galstep.core.field.duplicates import without_duplicates
        from galstep.core.field.rounds import fit_field

        bands = core_bands(model, names)
        sources = core_sources(model.start, names, options.use_priors, priors)
        sources, repeats = without_duplicates(sources, self._radius(model, sources))
        known = fitted_sources(model, names)
        result = fit_field(bands, sources, options, run, self._report, known)
        for row in np.flatnonzero(repeats >= 0):
            result.issues[row] = f"the same object as {model.start['id'][repeats[row]]}"
        return result

    def _radius(self, model, sources):
        """Of one object at each source, in reference pixels: the sharpest band decides."""
        if not self.duplicate_radius:
            return 0.0
        sharpest = np.full(len(sources), np.inf)
        for band in model.bands.values():
            fwhm = fwhm_at(band, sources.x, sources.y) / band.pixel_map.scale
            sharpest = np.minimum(sharpest, fwhm)
        return self.duplicate_radius * sharpest

    def _report(self, record):
        self._logger.info(
            "round %d: %d blocks, %d sources, %d still move (most %.2g sigma), %d added, %.1f s CPU",
            record.round, record.n_blocks, record.n_sources, record.n_moving, record.largest_move,
            record.n_added, record.seconds,
        )  # fmt: skip
        for reason in record.not_searched:
            self._logger.warning("light without a source could not be looked for: %s", reason)

    def _execution(self, options, share):
        limit = options.time_limit
        limit = None if not np.isfinite(limit) else _KILL_FACTOR * limit + _KILL_AFTER
        given = [self.search_attr(name) for name in ("executor", "workers", "scheduler")]
        return TaskOptions(*given, time_limit=limit, keep_in=self.kept_folder(), tell=share)

    def kept_folder(self) -> str | None:
        """Where blocks that are done are kept; None if they are not."""
        saves = self.search_attr("save_results") or self.output_dir
        if not self.resume or not saves:
            return None
        # beside the products, under their name
        path = self.make_output_path(ext=".asdf", suffix="field")
        return os.path.splitext(path)[0] + "_blocks"
