"""`GalPipelineBase`: a pipeline whose steps can be replaced for one run."""

from __future__ import annotations

import gc
import logging
import os
import time
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from stpipe import Pipeline, Step, config_parser, utilities

from galstep.exceptions import GalstepError, ParameterError
from galstep.integration import get_steps
from galstep.steps.framework import parameter_files, validation
from galstep.steps.framework.base import GalStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.hints import PathLike

__all__ = ["GalPipelineBase"]

log = logging.getLogger("stpipe.galstep.pipeline")


class GalPipelineBase(GalStep, Pipeline):
    """Base class of pipelines of steps that hand on a `GalaxyModel`, or another ``model_class``.

    The ``class`` of a step in the parameters names the class that is run under
    that key: the one in ``step_defs``, or any other Step that takes and returns
    a `GalaxyModel` (``works_on_galaxy_model``). Parameters are then checked
    against the ``spec`` of that class. A module beside the parameter file is
    found. On the command line only the parameters that the class in
    ``step_defs`` has as well can be given: ``strun`` makes its options before it
    reads a parameter file.
    """

    spec = ""
    #: What the steps hand on, and the attribute by which a Step says that it takes and returns it.
    works_on = "works_on_galaxy_model"
    derive_from = "galstep.steps.GalStep"
    # of a pipeline with replaced steps: the pipeline as defined, and key -> class
    _as_defined = None
    _replaced = MappingProxyType({})

    def __new__(cls, *args: Any, **kws: Any) -> Self:
        """A pipeline, of another class where steps are replaced."""
        with validation.reported():
            used = cls.with_replaced_steps(kws.get("steps"), kws.get("config_file"))
        return super().__new__(used)

    def __init__(self, *args: Any, **kws: Any) -> None:
        super().__init__(*args, **kws)
        for key, step_class in self._replaced.items():
            self._tell_replaced(key, step_class)

    def _tell_replaced(self, key, step_class):
        log.info("Step %s: class %s is used for this run", key, _dotted(step_class))
        for other, default in self._as_defined.step_defs.items():
            if default is step_class:
                log.warning(
                    "Step %s: its class %s is that of step %s. It will be run as asked",
                    key, _dotted(step_class), other,
                )  # fmt: skip

    @classmethod
    def with_replaced_steps(
        cls, steps: Mapping | None, config_file: PathLike | None = None
    ) -> type[Self]:
        """This pipeline with the step classes that ``steps`` asks for.

        Parameters
        ----------
        steps : mapping or None
            Parameters by step key; a step's ``class`` is a dotted name or an
            alias.
        config_file : path-like, optional
            The parameter file: modules beside it are found, and error
            messages name it.

        Returns
        -------
        type
            ``cls`` itself if every step has its own class, else a subclass.

        Raises
        ------
        ParameterError
            If a class cannot be imported or does not work on a `GalaxyModel`.
        """
        replaced = {}
        for key, parameters in cls._known_sections(steps):
            if parameters.get("class"):
                step_class = cls._import_step_class(str(parameters["class"]), key, config_file)
                if step_class is not cls.step_defs[key]:
                    replaced[key] = step_class
        if not replaced:
            return cls
        body = {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "spec": "",
            "step_defs": {**cls.step_defs, **replaced},
            "_as_defined": cls._as_defined or cls,
            "_replaced": {**cls._replaced, **replaced},
        }
        return type(cls.__name__, (cls,), body)

    @classmethod
    def _import_step_class(cls, name, key, config_file):
        where = f"{config_file}: steps/{key}" if config_file else f"steps/{key}"
        # stpipe puts the folder of this file on the import path for the moment
        beside = os.path.abspath(config_file) if config_file else None
        try:
            full_name = name if "." in name else _resolved_alias(name)
            step_class = utilities.import_class(full_name, Step, config_file=beside)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            known = [alias for _, alias, _ in get_steps()]
            raise ParameterError(
                f"{where}: class {name!r} cannot be used{validation.suggestion(name, known)}: "
                f"{error}"
            ) from error
        if not getattr(step_class, cls.works_on, False):
            raise ParameterError(
                f"{where}: class {name!r} does not take and return a {cls.model_class.__name__}: "
                f"derive it from {cls.derive_from}, or let it declare {cls.works_on} = True"
            )
        return step_class

    @classmethod
    def _known_sections(cls, steps):
        """Key and parameters of the steps there are; the rest is for validation to tell."""
        sections = steps.items() if isinstance(steps, dict) else ()
        return [(k, v) for k, v in sections if k in cls.step_defs and isinstance(v, dict)]

    @classmethod
    def merge_config(cls, config: Any, config_file: Any) -> Any:
        """Read the parameter files of single steps; make relative paths absolute.

        See `GalStep.merge_config`. A path in a step's own file is relative to
        that file. What the pipeline's parameters say of a step wins over it.
        """
        for key, section in cls._known_sections(config.get("steps")):
            if section.get("config_file"):
                cls._merge_step_file(key, section, config_file)
        used = cls.with_replaced_steps(config.get("steps"), config_file)
        return super(GalPipelineBase, used).merge_config(config, config_file)

    @classmethod
    def _merge_step_file(cls, key, section, config_file):
        path = section.pop("config_file")
        # only what is written in a file is relative to that file
        folder = os.path.dirname(config_file or "") if type(path) is str else ""
        path = os.path.abspath(os.path.join(folder, path))
        loaded = parameter_files.load_parameters(path)
        loaded.pop("name", None)
        name = section.get("class") or loaded.get("class")
        used = cls.with_replaced_steps({key: {"class": name}}, path)
        parameter_files.absolute_paths(
            loaded, used.step_defs[key].load_spec_file(), os.path.dirname(path)
        )
        config_parser.merge_config(loaded, section)
        config_parser.merge_config(section, loaded)

    @classmethod
    def from_config_section(
        cls, config: Any, parent: Any = None, name: str | None = None, config_file: Any = None
    ) -> Any:
        """A pipeline made from a configuration; see `GalStep.from_config_section`."""
        with validation.reported(), validation.explained():
            path = config_file or config.get("config_file")
            config = cls.merge_config(config, path)
            used = cls.with_replaced_steps(config.get("steps"), path)
        return super(GalPipelineBase, used).from_config_section(
            config, parent=parent, name=name, config_file=config_file
        )

    def run(self, *args: Any) -> Any:
        """Run the pipeline; see `GalStep.run`."""
        with _garbage_collected_fast():
            return super().run(*args)

    def _saving_steps(self):
        """Itself, and those of its steps that save what they have made."""
        steps = (getattr(self, key) for key in self.step_defs)
        return super()._saving_steps() + [
            step
            for step in steps
            if isinstance(step, GalStep) and step.save_results and not step.skip
        ]

    def run_step(self, key: str, input: Any) -> Any:
        """Run one step and check that it hands on a model of the pipeline's kind.

        Parameters
        ----------
        key : str
            Its key in ``step_defs``.
        input : path-like or model

        Returns
        -------
        object
            Of ``model_class``.

        Raises
        ------
        GalstepError
            If the step returns something else.
        """
        step = getattr(self, key)
        started = time.perf_counter()
        model = step.run(input)
        if not isinstance(model, self.model_class):
            raise GalstepError(
                f"step {key} ({_dotted(type(step))}) must return a {self.model_class.__name__}, "
                f"got {type(model).__name__}"
            )
        if not isinstance(step, GalStep) and not step.skip:
            _record_foreign(model, key, step, time.perf_counter() - started)
        return model


@contextmanager
def _garbage_collected_fast():
    """Leave what is in memory now, the imported modules above all, to later collections.

    stpipe collects garbage before every step, which takes about 0.1 s each time
    with all libraries loaded.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _record_foreign(model, key, step, seconds):
    """What a `GalStep` notes by itself, for a Step of another package."""
    setattr(model.meta.cal_step, step.class_alias or f"gal_{key}", "COMPLETE")
    model.meta.parameters[key] = parameter_files.plain(step.get_pars())
    model.meta.timings[key] = seconds


def _resolved_alias(alias):
    """The class of an alias; stpipe's way asks every installed package, 40 ms each time."""
    own = {alias_: class_name for class_name, alias_, _ in get_steps()}
    return own.get(alias) or utilities.resolve_step_class_alias(alias)


def _dotted(step_class):
    return f"{step_class.__module__}.{step_class.__qualname__}"
