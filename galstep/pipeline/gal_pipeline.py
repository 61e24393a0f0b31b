"""`GalPipeline`: one galaxy, from image files to the products."""

import importlib.util
import logging
import os
import time
from contextlib import contextmanager
from pathlib import Path

from galstep.datamodels import GalaxyModel
from galstep.datamodels.atomic import replacing
from galstep.datamodels.products import write_products
from galstep.exceptions import InputError
from galstep.pipeline.base import GalPipelineBase
from galstep.pipeline.progress import progress_over
from galstep.pipeline.summary import summary_lines
from galstep.steps import (
    AperPhot,
    BaseFit,
    ForcedScaleFit,
    JointFit,
    LoadCrop,
    PSFCalibrate,
    ScaleFit,
)

__all__ = ["GalPipeline"]

log = logging.getLogger("stpipe.galstep.pipeline")

SUFFIX = "gal"


class GalPipeline(GalPipelineBase):
    """Measure a galaxy seen through a crowded star field, in all its filters.

    Give it an image file (HDF5, one dataset per filter), a parameter file that
    names one, or a galaxy that an earlier run has saved:

        strun gal_pipeline config.asdf --steps.basefit.iter_basefit=5

    Options follow the file names, or stand before them as --name=value.
    """

    class_alias = "gal_pipeline"

    spec = """
    filters = force_list(default=None)     # Filters to work on, such as F150W,F277W (default: those of steps.loadcrop.filters, else all in the file)
    qa_figure = boolean(default=True)      # Write the picture <name>_qa.png beside the saved model (needs matplotlib)
    suffix = string(default='gal')         # Suffix of the saved model; with another one the names of all products begin with <name>_<suffix>
    """

    step_defs = {  # noqa: RUF012
        "loadcrop": LoadCrop,
        "psfcalibrate": PSFCalibrate,
        "basefit": BaseFit,
        "scalefit": ScaleFit,
        "forcedscalefit": ForcedScaleFit,
        "jointfit": JointFit,
        "aperphot": AperPhot,
    }

    def process(self, input):
        """Run the steps in order.

        Parameters
        ----------
        input : path-like or GalaxyModel
            A model is copied: the caller's stays as it is.

        Returns
        -------
        GalaxyModel
        """
        with (
            self._filters_passed_on(),
            progress_over(list(self.step_defs), self.get_stpipe_loggers()) as done,
        ):
            model = self._first_input(input)
            for key in self.step_defs:
                started = time.perf_counter()
                model = self.run_step(key, model)
                done(key, time.perf_counter() - started)
        self.complete(model)
        for line in summary_lines(model):
            log.info("%s", line)
        return model

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
        elif not self.loadcrop.skip:
            return self.make_input_path(input)
        else:
            model = self.prepare_output(input, **self._reading_options())
        if self.loadcrop.skip and self.loadcrop.filters:
            _keep_filters(model, self.loadcrop.filters)
        return model

    def _reading_options(self):
        """How LoadCrop would have read the file."""
        names = ("psf_file", "pixel_scale", "unit")
        options = {name: getattr(self.loadcrop, name, None) for name in names}
        return {name: value for name, value in options.items() if value is not None}

    def save_model(self, model, *args, **kwargs):
        """Save the model, and beside it the tables, the regions and the picture.

        See `GalStep.save_model`. Every file is written whole or not at all.
        """
        path = super().save_model(model, *args, **kwargs)
        if path is not None and isinstance(model, GalaxyModel):
            folder, file_name = os.path.split(path)
            name = os.path.splitext(file_name)[0].removesuffix(f"_{SUFFIX}")
            for written in write_products(model, folder or ".", name):
                log.info("Saved %s", written)
            if self.qa_figure:
                _write_figure(model, Path(folder) / f"{name}_qa.png")
        return path


def _keep_filters(model, filters):
    missing = [name for name in filters if name not in model.bands]
    if missing:
        raise InputError(
            f"filters: {', '.join(missing)} not in the input, which has {', '.join(model.bands)}"
        )
    model.bands = {name: model.bands[name] for name in filters}


def _write_figure(model, path):
    if importlib.util.find_spec("matplotlib") is None:
        log.info("matplotlib is not installed, so %s is not written", path)
        return
    from galstep.plotting import qa_figure

    with replacing(path) as temporary:
        # packing the pixels harder takes as long as drawing them, for 10 % of the size
        qa_figure(model).savefig(temporary, pil_kwargs={"compress_level": 2})
    log.info("Saved %s", path)
