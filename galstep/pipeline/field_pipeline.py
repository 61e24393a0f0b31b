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
from galstep.steps import FieldFit, FieldPSF, LoadField, MaskField, ZeroPoint
from galstep.steps.field.field_products import write_field_products
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_tasks import EXECUTION_SPEC, RECORDS
from galstep.steps.galaxy.products import table_spec

__all__ = ["FieldPipeline"]

log = logging.getLogger("stpipe.galstep.pipeline")

SUFFIX = "field"
# Of a fit that only the next PSF needs; after the second, light that no source has is found.
_FIRST_ROUNDS = 3


@contextmanager
def _held(step, **values):
    """A step with other parameters for a while, as far as it has them."""
    before = {name: getattr(step, name) for name in values if hasattr(step, name)}
    for name in before:
        setattr(step, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(step, name, value)


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
    psf_passes = integer(min=1, max=5, default=2)  # How often the PSF is measured on the stars: from the second time on beside the sources as they were fitted until then
    save_fits = boolean(default=False)          # Write the residual and the model of each band as <name>_field_<band>.fits
    qa_figure = boolean(default=True)           # Write the picture <name>_field.png (needs matplotlib)
{table_spec("both")}    keep_blocks = boolean(default=False)        # Keep the folder <name>_field_blocks of finished blocks after a run in which none failed
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
            self._progress([k for k in self.step_defs if not getattr(self, k).skip]) as done,
        ):
            for key in self.step_defs:
                started = time.perf_counter()
                if key == "fieldfit":
                    model = self._psf_again(model)
                model = self.run_step(key, model)
                done(key, time.perf_counter() - started, len(model.bands))
        self.complete(model)
        for line in field_summary_lines(model):
            log.info("%s", line)
        return model

    def _psf_again(self, model):
        """Measure the PSF beside fitted sources, as often as is asked for."""
        measured = not self.fieldpsf.skip and not self.fieldfit.skip
        for name in ("psf_order", "psf_file"):
            measured &= hasattr(self.fieldpsf, name)  # another class has its own way
        if not measured or self.fieldpsf.given("psf_file") is not None:
            return model
        for number in range(1, self.psf_passes):
            log.info("PSF %d of %d: a first fit of the sources", number + 1, self.psf_passes)
            with _held(self.fieldfit, rounds=_FIRST_ROUNDS):
                model = self.run_step("fieldfit", model)
            model = self.run_step("fieldpsf", model)
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
            model,
            stem,
            table_format=self.table_format,
            picture=self.qa_figure,
            images=self.save_fits,
        )
        self.export_config(f"{stem}_parameters.asdf")
        log.info("Saved %s_parameters.asdf", stem)
        kept = self.fieldfit.kept_folder() if hasattr(self.fieldfit, "kept_folder") else None
        if kept is not None and not self.keep_blocks and not model.n_failed:
            KeptResults(kept, RECORDS).clear()
        return path
