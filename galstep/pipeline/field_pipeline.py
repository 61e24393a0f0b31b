"""`FieldPipeline`: a field of stars and galaxies in several bands, from images to a catalogue."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from typing import Any

from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.files.kept_results import KeptResults
from galstep.exceptions import GalstepError
from galstep.pipeline.base import GalPipelineBase
from galstep.pipeline.field_summary import field_summary_lines
from galstep.pipeline.progress import progress_over
from galstep.steps import FieldFit, FieldPSF, LoadField, MaskField, ZeroPoint
from galstep.steps.field.field_products import write_field_products
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_tasks import EXECUTION_SPEC, RECORDS

__all__ = ["FieldPipeline"]

log = logging.getLogger("stpipe.galstep.pipeline")

SUFFIX = "field"


class FieldPipeline(GalPipelineBase, FieldStep):
    """Measure all stars and galaxies of a field in several bands, fitted together.

    Give it a text file that names the images, FITS files or a folder of them, one image per
    band, and a catalogue; without one, sources are detected:

        strun gal_field images.txt --catalog=sources.csv

    Options follow the file names, or stand before them as --name=value.

    galstep params field --all lists every parameter of every step.
    """

    class_alias = "gal_field"
    model_class = FieldModel
    works_on = "works_on_field_model"
    derive_from = "galstep.steps.field.field_step.FieldStep"
    works_on_field_model = False
    takes_objects = ("catalog", "reference", "psf_file")

    spec = f"""
    catalog = input_file(default=None)          # Catalogue to start from, as steps.loadfield.catalog, which wins
    reference = input_file(default=None)        # Table of reference stars, as steps.maskfield.reference, which wins
    psf_file = input_file(default=None)         # PSFs, as steps.fieldpsf.psf_file, which wins
{EXECUTION_SPEC}
    save_fits = boolean(default=False)          # Write the residual and the model of each band as <name>_field_<band>.fits
    qa_figure = boolean(default=True)           # Write the picture <name>_field.png (needs matplotlib)
    table_fits = boolean(default=True)          # Write the catalogue as <name>_field.fits beside <name>_field.ecsv
    keep_blocks = boolean(default=False)        # Keep the folder <name>_field_blocks of finished blocks after a run in which none failed
    suffix = string(default='field')            # Suffix of the products
    """

    step_defs = {
        "loadfield": LoadField,
        "maskfield": MaskField,
        "fieldpsf": FieldPSF,
        "fieldfit": FieldFit,
        "zeropoint": ZeroPoint,
    }
    # parameters of the pipeline that are those of a step
    _PASSED_ON = (("catalog", "loadfield"), ("reference", "maskfield"), ("psf_file", "fieldpsf"))

    def run(self, *args: Any) -> FieldModel:
        """Run the pipeline; see `galstep.steps.framework.base.GalStep.run`.

        Raises
        ------
        GalstepError
            If a block of sources failed and the products are saved: they have all the others, and
            the flag ``failed`` for its sources. Its attribute ``model`` is the result. Where
            nothing is saved the model is returned, and ``model.n_failed`` tells.
        """
        saves = self.save_results
        model = super().run(*args)
        if not isinstance(model, FieldModel) or not model.n_failed:
            return model
        reasons = sorted({block.reason for block in model.blocks if block.reason})
        text = (
            f"{model.n_failed} of {len(model.blocks)} blocks failed ({reasons[0]}): their sources "
            "are flagged, the others are measured"
        )
        if saves or self.output_file or (self.input_file and saves is None):
            error = GalstepError(text)
            error.model = model
            raise error
        log.error("%s", text)
        return model

    def process(self, input: Any) -> FieldModel:
        """Run the steps in order.

        Parameters
        ----------
        input : path-like, list or FieldModel
            See `galstep.steps.LoadField.process`. A model is copied.

        Returns
        -------
        FieldModel
        """
        model = self.prepare_output(input) if isinstance(input, FieldModel) else input
        if self.loadfield.skip and not isinstance(model, FieldModel):
            model = self.prepare_output(input)
        with (
            self._passed_on(),
            progress_over(list(self.step_defs), self.get_stpipe_loggers()) as done,
        ):
            for key in self.step_defs:
                started = time.perf_counter()
                model = self.run_step(key, model)
                done(key, time.perf_counter() - started)
        self.complete(model)
        for line in field_summary_lines(model):
            log.info("%s", line)
        return model

    @contextmanager
    def _passed_on(self):
        """Steps take the pipeline's files and objects, unless they have their own."""
        before = []
        for name, key in self._PASSED_ON:
            step, value = getattr(self, key), self.given(name)
            # another class in the step's place may have no such parameter
            if value is None or not hasattr(step, name) or step.given(name) is not None:
                continue
            before.append((step, step._objects))
            step._objects = type(step._objects)(step._objects | {name: value})
        try:
            yield
        finally:
            for step, objects in reversed(before):
                step._objects = objects

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save the model, and beside it tables, regions, pictures and the parameters.

        See `galstep.steps.framework.base.GalStep.save_model`. Every file is written whole or not at all.
        """
        path = super().save_model(model, *args, **kwargs)
        if path is None or not isinstance(model, FieldModel):
            return path
        stem = os.path.splitext(path)[0]
        write_field_products(
            model, stem, fits_table=self.table_fits, picture=self.qa_figure, images=self.save_fits
        )
        self.export_config(f"{stem}_parameters.asdf")
        log.info("Saved %s_parameters.asdf", stem)
        kept = self.fieldfit.kept_folder() if hasattr(self.fieldfit, "kept_folder") else None
        if kept is not None and not self.keep_blocks and not model.n_failed:
            KeptResults(kept, RECORDS).clear()
        return path
