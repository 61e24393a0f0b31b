"""Measure a galaxy inside a run of jwst, romancal or another stpipe package.

`Measure` is a Step that runs `~galstep.pipeline.GalPipeline` on the image that it
is given, saves the products, and hands the image on as it came: so it may be a
hook of any step whose input or result is one image, or a step of a pipeline. As a
function, for hooks that are written as a name, it is `measure`.

A hook of a host must not end the host's run: what goes wrong with the galaxy is
logged and recorded in ``meta.cal_step``, and the image goes on.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from stpipe import Step

from galstep.datamodels.images.duck_models import model_name
from galstep.exceptions import GalstepError, ParameterFileError

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["Measure", "measure"]

log = logging.getLogger("stpipe.galstep.hooks")

PARAMETER_FILE = "gal_pipeline.asdf"


class Measure(Step):
    """Measure the galaxy in one image; hand the image on unchanged but for its cal_step."""

    class_alias = "gal_measure"

    spec = """
    output_ext = string(default='.asdf')   # Hosts give it to their hooks; not used
    parameter_file = string(default='gal_pipeline.asdf')  # Of GalPipeline; .asdf may be left out
    must_succeed = boolean(default=False)  # End the host's run if the galaxy cannot be measured
    """

    def process(self, input: Any) -> Any:
        """Measure.

        Parameters
        ----------
        input : object
            An image: whatever `galstep.datamodels.input.open` takes.

        Returns
        -------
        object
            ``input`` itself, with ``meta.cal_step.gal_measure`` set.

        Raises
        ------
        GalstepError
            If the galaxy cannot be measured, with ``must_succeed``.
        """
        status = "COMPLETE"
        try:
            self.measured(input)
        except GalstepError as error:
            if self.must_succeed:
                raise
            status = "SKIPPED"
            log.error("galaxy not measured: %s", error)
        cal_step = getattr(getattr(input, "meta", None), "cal_step", None)
        if cal_step is not None:
            setattr(cal_step, self.class_alias, status)
        return input

    def measured(self, input: Any) -> GalaxyModel:
        """The galaxy in ``input``, its products saved.

        Returns
        -------
        `galstep.datamodels.GalaxyModel`
        """
        from galstep.pipeline import GalPipeline

        pipeline = GalPipeline.from_config_file(self._parameter_path())
        pipeline.save_results = True
        folder = self.search_attr("output_dir")
        if pipeline.output_dir is None and folder:
            pipeline.output_dir = folder
        host_input = self.search_attr("_input_filename")
        if pipeline.output_file is None and model_name(input) is None and host_input:
            # an image that has no name yet: products are called after the host's input
            pipeline.output_file = os.path.basename(host_input)
        return pipeline.run(input)

    def _parameter_path(self):
        """The parameter file; strings of hooks cannot hold a dot, so the ending may lack."""
        for path in (self.parameter_file, f"{self.parameter_file}.asdf"):
            path = os.path.expandvars(os.path.expanduser(path))
            if os.path.isfile(path):
                return path
        raise ParameterFileError(
            f"parameter_file {self.parameter_file!r}: there is no such file in {os.getcwd()}"
        )


def measure(model: Any) -> None:
    """Measure the galaxy in an image with the parameters in ``gal_pipeline.asdf``.

    The file stands in the current folder. See `Measure` for other places; it also
    knows what the host calls its files, for images that have no name of their own.

    Parameters
    ----------
    model : object
        An image model of the host.

    Returns
    -------
    None
        So the host goes on with what it has.
    """
    Measure().run(model)
