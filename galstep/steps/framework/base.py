"""`GalStep`: what all steps of galstep have in common.

They hand on a `~galstep.datamodels.GalaxyModel` and check that they do, record
in it what was done, and save it under a name of their own. For parameters see
`galstep.steps.framework.configurable`.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from stpipe import Step, config_parser
from threadpoolctl import threadpool_limits

from galstep import __version__
from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.atomic import check_writable, remove_unfinished
from galstep.datamodels.files.regular_file import alike_beside
from galstep.datamodels.files.safe_name import check_text
from galstep.datamodels.input.input_name import input_name
from galstep.datamodels.input.open import is_product
from galstep.exceptions import GalstepError, InputError
from galstep.execution.duration import duration
from galstep.steps.framework.configurable import ConfigurableStep
from galstep.steps.framework.parameter_files import expanded
from galstep.steps.framework.run_log import announce, framework_lines_demoted

__all__ = ["GalStep"]

log = logging.getLogger("stpipe.galstep.base")

MODEL_EXTENSIONS = (".asdf", ".h5", ".hdf5")
# what outputs end in; taken off before another suffix is put on
KNOWN_SUFFIXES = (
    "gal", "loadcrop", "psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit",
    "aperphot", "tweakreg", "starphot", "inject", "field", "loadfield", "maskfield", "fieldpsf",
    "fieldfit", "zeropoint",
)  # fmt: skip


class GalStep(ConfigurableStep):
    """Base class of the steps of galstep.

    A subclass has a ``class_alias``, a ``spec`` (every entry with a default
    and a comment that gives meaning and unit) and ``process``:

    >>> class Smooth(GalStep):
    ...     spec = '''
    ...     width = float(min=0, default=1.0)   # Width of the filter (pixels)
    ...     '''
    ...     def process(self, input):
    ...         model = self.prepare_output(input)
    ...         ...
    ...         self.complete(model, width=self.width)
    ...         return model

    Attributes
    ----------
    model_class : type
        What the step must return.
    works_on_galaxy_model : bool
        Says that ``process`` takes and returns a `GalaxyModel`, so that the
        class may replace a step of a pipeline. True for every `GalStep`; a
        ``stpipe.Step`` of another package may declare it as well.
    """

    spec = """
    output_ext = string(default='.asdf')     # Format of the saved model: .asdf, or .h5 for sphot's layout
    input_file = input_file(default=None)    # File to work on when none is given as an argument (not inside a pipeline)
    output_file = output_file(default=None)  # Base of the output names, and their folder unless output_dir is given; the suffix is added
    output_dir = string(default=None)        # Folder of the output files, made if absent; in a parameter file relative to that file, on the command line to the current folder
    overwrite = boolean(default=True)        # Replace products that are there already, with a warning before the work; false: an error before the work
    save_results = boolean(default=None)     # Save the result (default: if the data come from a file given to strun or from input_file)
    """

    works_on_galaxy_model = True
    model_class: Any = GalaxyModel
    save_results: bool | None  # of the spec; for the checker

    def __init__(self, *args: Any, **kws: Any) -> None:
        super().__init__(*args, **kws)
        self._started = time.perf_counter()
        self._status = None

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Names of the loggers that stpipe is to show."""
        return ("galstep", "stpipe", "photutils", "py.warnings")

    @property
    def key(self) -> str:
        """The step's name in products: its key in the pipeline, or its class in lower case."""
        # a hook has a parent as well, but no key
        is_in_pipeline = self.name in getattr(self.parent, "step_defs", ())
        return self.name if is_in_pipeline else type(self).__name__.lower()

    def own_parameters(self) -> dict[str, Any]:
        """The parameters that are this step's own, not those that all steps have.

        Returns
        -------
        dict
        """
        common = config_parser.get_merged_spec_file(GalStep)
        return {
            name: value
            for name, value in self.get_pars().items()
            if name not in common and name != "steps"
        }

    # ----------------------------------------------------------------- input

    def run(self, *args: Any) -> Any:
        """Run the step: a parameter file in ``args`` is dropped, input looked for.

        Parameters
        ----------
        *args
            Data: whatever `galstep.datamodels.input.open` takes, or several paths,
            which are the images of one galaxy. The parameter file that the step
            was made from may stand in front. Without data the parameter
            ``input_file`` is used.

        Returns
        -------
        GalaxyModel

        Raises
        ------
        InputError
            If there is no input or it does not exist.
        """
        self._started = time.perf_counter()
        self._status = None
        save_results = self.save_results
        if self.parent is None:
            args = self._data_arguments(args)
            self._prepare_output_dir()
            self._check_replaced()
        # the matrices are small: more threads of BLAS double the cost and gain nothing
        limits = threadpool_limits(1, user_api="blas") if self.parent is None else nullcontext()
        try:
            with limits, framework_lines_demoted():
                if self.parent is None:
                    announce(self, args)
                result = super().run(*args)
        finally:
            self.save_results = save_results
        if self.parent is None:
            log.info("%s: done in %s", self.name, self._time_taken())
        return result

    def _data_arguments(self, args):
        """``args`` without parameter file, with ``input_file`` where data are missing."""
        args = tuple(os.fspath(a) if isinstance(a, os.PathLike) else a for a in args)
        args = self.without_parameter_file(args)
        if not args:
            if self.input_file is None:
                raise InputError(f"{self.name}: no input: give a file or set input_file")
            args = (os.fspath(self.input_file),)
            if self.save_results is None:
                self.save_results = True
        args = self._one_input(args)
        for path in args[0] if isinstance(args[0], list) else args[:1]:
            if isinstance(path, str):
                check_text(path, "input")
                if not os.path.exists(self.make_input_path(path)):
                    raise InputError(f"input file {path!r} does not exist{alike_beside(path)}")
        # stpipe keeps the first name; a second galaxy would be saved over the first
        self.set_primary_input(self._name_of_products(args[0]), exclusive=False)
        return args

    def _name_of_products(self, source):
        """The file name that stpipe is to call products after.

        stpipe takes a suffix of ours off before it adds another. Of an image that is
        called ``two_gal.h5`` that would leave the name of the image ``two.h5``; so
        what it takes off is added here. A product keeps its name.
        """
        if isinstance(source, GalaxyModel):
            name, filename = input_name(source.meta.filename or source.meta.name)
        else:
            name, filename = input_name(source)
            path = self.make_input_path(source) if isinstance(source, str) else None
            if path is not None and is_product(path):
                name = self.remove_suffix(name)[0]
        return f"{name}_{KNOWN_SUFFIXES[0]}{os.path.splitext(filename)[1]}"

    @staticmethod
    def _one_input(args):
        """Several files, as ``strun`` takes them one after the other, are one input."""
        several = len(args) > 1 and all(isinstance(a, str) for a in args)
        return (list(args),) if several else args

    def _set_input_dir(self, input_, exclusive=True):
        # stpipe would look for every further file beside the first input, also in later runs
        pass

    @classmethod
    def _datamodels_open(cls, init, **kwargs):
        return GalaxyModel.open(init)

    def prepare_output(self, input: Any, **options: Any) -> GalaxyModel:
        """The model to work on, which may be changed freely.

        Parameters
        ----------
        input : path-like or object
            Whatever `galstep.datamodels.input.open` takes. A `GalaxyModel` is copied
            if the step runs on its own, so that the caller's stays as it is,
            and taken as it is in a pipeline.
        **options
            Of `GalaxyModel.open`, for what is no model yet.

        Returns
        -------
        GalaxyModel

        Raises
        ------
        InputError
            If ``input`` is something else or cannot be opened.
        """
        if isinstance(input, GalaxyModel):
            return input.copy() if self.parent is None else input
        if isinstance(input, list):
            return GalaxyModel.open([self._input_path(item) for item in input], **options)
        return GalaxyModel.open(self._input_path(input), **options)

    def _input_path(self, input):
        """A bare file name with the folder ``input_dir``; anything else as it is."""
        return self.make_input_path(os.fspath(input) if isinstance(input, os.PathLike) else input)

    # ---------------------------------------------------------------- status

    def complete(self, model: Any, **numbers: Any) -> None:
        """Record that the step ran.

        Parameters
        ----------
        model : GalaxyModel
            Changed in place.
        **numbers
            What to say in the log, such as ``n_stars=12``.
        """
        self._record(model, "COMPLETE", "complete")
        if numbers:
            said = ", ".join(f"{name} {_short(value)}" for name, value in numbers.items())
            self._logger.info("%s: %s (%s)", self.key, said, self._time_taken())

    def _time_taken(self):
        return duration(time.perf_counter() - self._started)

    def skipped(self, model: GalaxyModel, reason: str) -> None:
        """Record that the step could not run on this model.

        Parameters
        ----------
        model : GalaxyModel
            Changed in place.
        reason : str
        """
        self._record(model, "SKIPPED", f"skipped: {reason}")
        self._logger.warning("%s: skipped: %s", self.key, reason)

    def _record(self, model, status, in_words):
        setattr(model.meta.cal_step, self.class_alias or f"gal_{self.key}", status)
        model.meta.parameters[self.key] = self.own_parameters()
        self._status = in_words

    @property
    def _logger(self):
        return logging.getLogger(f"stpipe.galstep.{self.key}")

    # ---------------------------------------------------------------- output

    def finalize_result(self, result: Any, reference_files_used: Any) -> None:
        """Check the result, note time and version; called by stpipe before saving.

        Raises
        ------
        GalstepError
            If the result is not of ``model_class``.
        """
        if self.skip:
            if isinstance(result, self.model_class):
                result.meta.history.append(f"{self.key}: skipped as asked")
            return
        if not isinstance(result, self.model_class):
            raise GalstepError(
                f"step {self.name} ({type(self).__module__}.{type(self).__name__}) must return "
                f"a {self.model_class.__name__}, got {type(result).__name__}"
            )
        if self._status is None:
            self.complete(result)
        result.meta.timings[self.key] = time.perf_counter() - self._started
        result.meta.version = __version__
        result.meta.history.append(f"{self.key}: {self._status} (galstep {__version__})")

    def default_suffix(self) -> str:
        """What is added to the names of output files."""
        return self.key

    @staticmethod
    def remove_suffix(name: str) -> tuple[str, str]:
        """``name`` without a suffix of galstep's, and the separator.

        Parameters
        ----------
        name : str
            A file name without extension.

        Returns
        -------
        (str, str)
        """
        stem, separator, suffix = name.rpartition("_")
        return (stem if separator and suffix in KNOWN_SUFFIXES else name), "_"

    def _prepare_output_dir(self):
        """Make the folder, tidy it and try it before the work, not after it."""
        if self.output_file and not self.output_dir:
            self.output_dir = os.path.dirname(self.output_file) or None
        if not self.output_dir and not self.save_results:
            return
        folder = expanded(self.output_dir or os.curdir)
        check_text(folder, "output_dir")
        try:
            os.makedirs(folder, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise GalstepError(f"output_dir {folder!r} cannot be made: {reason}") from error
        remove_unfinished(folder)
        if self.save_results:
            check_writable(folder)

    def _check_replaced(self):
        """Tell of products that will be replaced, or refuse to, before the work."""
        paths = [p for step in self._saving_steps() for p in step.product_paths() if p.exists()]
        if not paths:
            return
        named = ", ".join(map(str, paths))
        if not self.overwrite:
            raise GalstepError(
                f"{named} {'are' if len(paths) > 1 else 'is'} there already: give another "
                "output_dir or output_file, or overwrite=true"
            )
        log.warning("%s will be replaced, and what belongs to it (overwrite=false refuses)", named)

    def _saving_steps(self):
        """The steps of this run that save their results: itself."""
        return [self] if self.save_results or self.output_file else []

    def product_paths(self) -> list[Path]:
        """Where the result is saved, in every form that it may have.

        Returns
        -------
        list of `pathlib.Path`
        """
        extension = os.path.splitext(f"x.{self.output_ext.lstrip('.')}")[1]
        extension = extension if extension in MODEL_EXTENSIONS else MODEL_EXTENSIONS[0]
        suffix = self.suffix or self.default_suffix()
        return [Path(self.make_output_path(ext=extension, suffix=suffix))]

    @staticmethod
    def _make_output_path(step, basepath=None, ext=None, suffix=None, **components):
        """Where a result is saved; see ``stpipe.Step``, which would expand ``$`` in any folder."""
        path = Step._make_output_path(step, basepath, ext, suffix, **components)
        folder = step.search_attr("output_dir", default="")
        return os.path.join(expanded(folder) if folder else "", os.path.basename(path))

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save a result; see ``stpipe.Step``.

        A `GalaxyModel` is written as ASDF or HDF5 also where a host asks for
        another extension (``.fits``), which stpipe hands down to hooks.
        """
        if isinstance(model, GalaxyModel) and "ext" not in kwargs:
            kwargs["ext"] = self.output_ext
            if os.path.splitext(f"x.{self.output_ext.lstrip('.')}")[1] not in MODEL_EXTENSIONS:
                log.warning(
                    "%s: output_ext %r cannot hold a galaxy, .asdf is written",
                    self.name, self.output_ext,
                )  # fmt: skip
                kwargs["ext"] = ".asdf"
        return super().save_model(model, *args, **kwargs)


def _short(value):
    return f"{value:.5g}" if isinstance(value, float) else f"{value}"
