"""`GalPipeline`: one galaxy, from image files to the products."""

from __future__ import annotations

import io
import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.magnitude_table import read_magnitudes
from galstep.exceptions import InputError
from galstep.execution.duration import duration
from galstep.pipeline.base import GalPipelineBase
from galstep.pipeline.main_loop import MAIN_LOOP, main_loop
from galstep.pipeline.progress import progress_over
from galstep.pipeline.summary import flag_lines, summary_lines
from galstep.steps import (
    AperPhot,
    BaseFit,
    ForcedScaleFit,
    Inject,
    JointFit,
    LoadCrop,
    PSFCalibrate,
    ScaleFit,
    TweakReg,
)
from galstep.steps.framework.run_log import say_always
from galstep.steps.galaxy.products import TABLE_SPEC, chosen_pictures, write_beside

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["GalPipeline"]

log = logging.getLogger("stpipe.galstep.pipeline")

SUFFIX = "gal"
LONG_LEFT = 30.0  # seconds: of a shorter wait nobody needs to be told
LEAST_DONE = 0.1  # of the work: what the first step took says little about the rest


class GalPipeline(GalPipelineBase):
    """Measure a galaxy seen through a crowded star field, in all its filters.

    Give it images (an HDF5 file, FITS files or a folder of them), a parameter file
    that names them, or a galaxy that an earlier run has saved:

        strun gal_pipeline config.asdf --steps.basefit.iter_basefit=5

    Options follow the file names, or stand before them as --name=value. These are the most
    used; galstep params --all lists every parameter of every step.
    """

    class_alias = "gal_pipeline"
    shows_progress = True

    spec = (
        """
    filters = force_list(default=None)     # Filters to work on, such as F150W,F277W (default: those of steps.loadcrop.filters, else all in the file)
    qa_figure = boolean(default=True)      # Write the picture <name>_qa.png beside the saved model (needs matplotlib)
    figures = force_list(default=None)     # Further pictures to write as <name>_<picture>.png: profiles, sed, stars, growth, convergence, completeness, or all
    magnitudes = input_file(default=None)  # Table to draw beside ours in the picture sed: columns filter, mag_ab, mag_ab_err, and galaxy if there are others in it
    save_fits = boolean(default=False)     # Write the images of each filter, models included, as <name>_<filter>.fits
    suffix = string(default='gal')         # Suffix of the saved model; with another one the names of all products begin with <name>_<suffix>
    """
        + TABLE_SPEC
    )

    step_defs = {
        "tweakreg": TweakReg,
        "loadcrop": LoadCrop,
        "psfcalibrate": PSFCalibrate,
        "basefit": BaseFit,
        "scalefit": ScaleFit,
        "forcedscalefit": ForcedScaleFit,
        "jointfit": JointFit,
        "inject": Inject,
        "aperphot": AperPhot,
    }

    def process(self, input: PathLike | GalaxyModel) -> GalaxyModel:
        """Run the steps in order.

        Parameters
        ----------
        input : path-like or GalaxyModel
            A model is copied: the caller's stays as it is.

        Returns
        -------
        GalaxyModel
        """
        chosen_pictures(self.figures)  # a wrong name is told now, not after the work
        self._magnitudes()
        with (
            self._filters_passed_on(),
            self._progress() as done,
        ):
            model = self._first_input(input)
            for key in self._keys():
                started = time.perf_counter()
                model = self.run_step(key, model)
                if key == MAIN_LOOP[-1]:
                    model = main_loop(self, model)
                _tell_left(done(key, time.perf_counter() - started, len(model.bands)))
        self.complete(model)
        for line in (*summary_lines(model), *flag_lines(model)):
            say_always(log, line)
        return model

    def _progress(self):
        """A bar on a terminal, unless the caller wants none."""
        stream = None if self.shows_progress else io.StringIO()
        return progress_over(self._working_keys(), self.get_stpipe_loggers(), stream)

    def _keys(self):
        """The steps to call: all but TweakReg where it is skipped, which has no model to note it in."""
        return [key for key in self.step_defs if key != "tweakreg" or not self.tweakreg.skip]

    def _working_keys(self):
        return [key for key in self._keys() if not getattr(self, key).skip]

    @contextmanager
    def _filters_passed_on(self):
        """LoadCrop takes the pipeline's filters, unless it has its own."""
        own = getattr(self.loadcrop, "filters", None)
        if self.filters and not own:
            self.loadcrop.filters = [str(name) for name in self.filters]
        try:
            yield
        finally:
            self.loadcrop.filters = own

    def _first_input(self, input):
        """What the first step works on: a file is left to LoadCrop to read, if it runs."""
        if isinstance(input, GalaxyModel):
            model = self.prepare_output(input)
        elif not self.loadcrop.skip and self.tweakreg.skip:
            return self.make_input_path(input)
        else:
            model = self.prepare_output(input, **self._reading_options())
        if self.loadcrop.skip and self.loadcrop.filters:
            _keep_filters(model, self.loadcrop.filters)
        return model

    def _reading_options(self):
        """How LoadCrop would have read the file; another step in its place may not tell."""
        return getattr(self.loadcrop, "reading_options", dict)()

    def save_model(self, model: GalaxyModel, *args: Any, **kwargs: Any) -> Any:
        """Save the model, and beside it the tables, the regions and the pictures.

        See `GalStep.save_model`. Every file is written whole or not at all.
        """
        path = super().save_model(model, *args, **kwargs)
        if path is not None and isinstance(model, GalaxyModel):
            write_beside(
                model, path, SUFFIX, self._pictures(), self.save_fits, self._magnitudes(),
                self.table_format,
            )  # fmt: skip
        return path

    def _pictures(self):
        """The pictures to write; the overview first."""
        asked = chosen_pictures(self.figures)
        if self.magnitudes is not None and "sed" not in asked:
            asked = [*asked, "sed"]
        others = [name for name in asked if name != "qa"]
        overview = self.qa_figure and getattr(self.aperphot, "plot", True)
        return ["qa", *others] if overview or "qa" in asked else others

    def _magnitudes(self):
        return None if self.magnitudes is None else read_magnitudes(self.magnitudes)


def _tell_left(progress):
    """How long it will take, where that is long; a bar on a terminal has it in any case."""
    tells_something = progress.share > LEAST_DONE and progress.left > LONG_LEFT
    if tells_something and not sys.stderr.isatty():
        log.info(
            "%.0f %% done, about %s left", 100 * progress.share, duration(progress.left)
        )  # fmt: skip


def _keep_filters(model, filters):
    missing = [name for name in filters if name not in model.bands]
    if missing:
        raise InputError(
            f"filters: {', '.join(missing)} not in the input, which has {', '.join(model.bands)}"
        )
    model.bands = {name: model.bands[name] for name in filters}
