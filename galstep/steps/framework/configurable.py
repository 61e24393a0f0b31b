"""`ConfigurableStep`: where the parameters of a step come from.

Defaults < parameter file given as the first argument < ``config_file`` of
`call` or the file given to ``strun`` < command line or keywords. No reference
server (CRDS) is asked. Relative paths in a parameter file are relative to that
file, others to the current folder. What is wrong is told in one line.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Self

from stpipe import Step, config_parser

from galstep.datamodels.files.atomic import replacing
from galstep.exceptions import InputError, ParameterFileError
from galstep.steps.framework import parameter_files, validation
from galstep.steps.framework.command_line import check_not_cut
from galstep.steps.framework.given_tables import as_text
from galstep.steps.framework.run_log import framework_lines_demoted
from galstep.steps.framework.short_help import asks_for_help, shortened
from galstep.steps.framework.spelling import respelled, without_marks

if TYPE_CHECKING:
    from configobj import ConfigObj, Section

    from galstep.hints import PathLike

__all__ = ["ConfigurableStep"]

log = logging.getLogger("stpipe.galstep.parameters")


class ConfigurableStep(Step):
    """A Step that takes a parameter file as its first argument, and no reference server."""

    spec = ""

    def __init__(
        self,
        name: str | None = None,
        parent: Step | None = None,
        config_file: str | None = None,
        _validate_kwds: bool = True,
        **kws: Any,
    ) -> None:
        spec, kws = self.load_spec_file(), as_text(kws)
        if _validate_kwds:
            respelled(kws, spec)
        with validation.explained(spec, kws if _validate_kwds else None), framework_lines_demoted():
            super().__init__(name, parent, config_file, _validate_kwds, **kws)
        for key in spec.scalars:
            if hasattr(self, key):
                setattr(self, key, without_marks(getattr(self, key)))
        self._parameter_files = []

    def __setattr__(self, name: str, value: Any) -> None:
        # a parameter that is set later is given like the others
        is_parameter = not name.startswith("_")
        super().__setattr__(name, as_text({name: value})[name] if is_parameter else value)

    @classmethod
    def load_spec_file(cls, *args: Any, **kwargs: Any) -> ConfigObj:
        """All parameters; those one touches where ``strun`` is asked for help."""
        spec = super().load_spec_file(*args, **kwargs)
        return shortened(spec, cls.class_alias) if asks_for_help(cls) else spec

    @classmethod
    def _get_config_from_parameters(cls, crds_parameters, crds_observatory):
        # a host's pipeline would look for our parameters on its reference server
        return cls._empty_config()

    @classmethod
    def get_config_from_reference(
        cls, dataset: Any, disable: Any = None, crds_observatory: Any = None
    ) -> ConfigObj:
        """Parameters from the first argument, if that is a parameter file.

        Parameters
        ----------
        dataset : object
            The first positional argument: a parameter file, or data.
        disable, crds_observatory : object, optional
            Not used: there are no parameters on a reference server.

        Returns
        -------
        `configobj.ConfigObj`
            Empty for data. With the key ``config_file`` for a parameter file.

        Raises
        ------
        ParameterFileError
            If the file cannot be used, or is one for another class.
        """
        config = cls._empty_config()
        if not parameter_files.is_parameter_file(dataset):
            return config
        with validation.reported(), validation.explained():
            path = os.path.abspath(dataset)
            loaded = cls._load_own_parameters(path)
            config_parser.merge_config(config, loaded)
        config["config_file"] = path
        log.info("Parameters read from %s", path)
        return config

    @classmethod
    def _load_own_parameters(cls, path):
        """The parameters in ``path``, which must be meant for this class."""
        config = parameter_files.load_parameters(path)
        class_name = config.get("class", "")
        try:
            wanted, name = Step._parse_class_and_name(config, config_file=path)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ParameterFileError(
                f"parameter file {path}: class {class_name!r} cannot be used: {error}"
            ) from error
        if not issubclass(cls, wanted):
            raise ParameterFileError(
                f"parameter file {path}: it is for class {class_name!r}, not for {cls.__name__}"
            )
        config["name"] = name
        return cls.merge_config(config, path)

    @classmethod
    def merge_config(cls, config: ConfigObj, config_file: str | None) -> ConfigObj:
        """Make the relative paths of a parameter file absolute.

        Parameters
        ----------
        config : `configobj.ConfigObj`
            Changed in place.
        config_file : str or None
            The parameter file that ``config`` was read from.

        Returns
        -------
        `configobj.ConfigObj`
        """
        # stpipe's own reads the files of single steps: see GalPipelineBase
        if config_file:
            folder = os.path.dirname(os.path.abspath(config_file))
            parameter_files.absolute_paths(config, cls.load_spec_file(), folder)
        return config

    @classmethod
    def build_config(cls, input: Any, **kwargs: Any) -> tuple[ConfigObj, str | None]:
        """Parameters of `call`: first argument < ``config_file`` < keywords.

        Parameters
        ----------
        input : object
            The first positional argument of `call`, or None.
        **kwargs
            ``config_file`` and parameters.

        Returns
        -------
        config : `configobj.ConfigObj`
        config_file : str or None
            Absolute, as are all paths in ``config``.
        """
        config = cls.get_config_from_reference(input)
        with validation.reported(), validation.explained():
            config_file = kwargs.pop("config_file", None)
            if config_file is not None:
                config_file = os.path.abspath(config_file)
                config_parser.merge_config(config, cls._load_own_parameters(config_file))
            keywords = config_parser.ConfigObj()
            config_parser.merge_config(keywords, as_text(kwargs))
            # a file called "here" makes the current folder what paths are relative to
            keywords = cls.merge_config(keywords, os.path.join(os.getcwd(), "here"))
            config_parser.merge_config(config, keywords)
        return config, config_file

    @classmethod
    def from_config_file(
        cls, config_file: PathLike, parent: Step | None = None, name: str | None = None
    ) -> Self:
        """A step made from a parameter file; see ``stpipe.Step``."""
        with validation.reported():
            path = os.path.abspath(os.fspath(config_file))
            # not by stpipe's own, which opens by the path: asdf takes that for a URI
            config = parameter_files.load_parameters(path)
            step_class, name = cls._parse_class_and_name(config, parent, name, path)
            return step_class.from_config_section(
                config, parent=parent, name=name, config_file=path
            )

    def export_config(self, filename: PathLike, include_metadata: bool = False) -> None:
        """Save the parameters to a file, whole or not at all; see ``stpipe.Step``."""
        with tempfile.TemporaryDirectory() as folder, replacing(filename) as temporary:
            # stpipe writes by a path, which asdf takes for a URI
            plain_path = os.path.join(folder, "parameters.asdf")
            super().export_config(plain_path, include_metadata=include_metadata)
            shutil.copyfile(plain_path, temporary)

    @classmethod
    def from_config_section(
        cls,
        config: Section,
        parent: Step | None = None,
        name: str | None = None,
        config_file: str | None = None,
    ) -> Self:
        """A step made from a configuration; see ``stpipe.Step``.

        Raises
        ------
        ParameterError
            If a parameter is unknown, of the wrong type or out of range.
        """
        # left there by get_config_from_reference
        first_argument = config.pop("config_file", None)
        files = [os.path.abspath(path) for path in (config_file, first_argument) if path]
        config_file = files[0] if files else None
        with validation.reported():
            check_not_cut(config)
            config = cls._merged_absolute(config, config_file)
            respelled(config, cls.load_spec_file())
            given = {k: v for k, v in config.items() if k not in ("class", "name", "config_file")}
            with validation.explained(cls.load_spec_file(), given):
                step = super().from_config_section(
                    config, parent=parent, name=name, config_file=config_file
                )
        step._parameter_files = files
        return step

    @classmethod
    def _merged_absolute(cls, config, config_file):
        """``config`` with every folder absolute, those of the command line as well.

        A folder that stayed relative would mean another one once the
        parameters are saved to a file elsewhere.
        """
        with validation.explained():
            config = cls.merge_config(config, config_file)
            for name in parameter_files.FOLDER_NAMES:
                if isinstance(config.get(name), str):
                    config[name] = os.path.abspath(parameter_files.expanded(config[name]))
        return config

    def get_pars(self, full_spec: bool = True) -> dict[str, Any]:
        """The parameters as plain dicts and lists; see ``stpipe.Step``."""
        with validation.explained():
            parameters = parameter_files.plain(super().get_pars(full_spec=full_spec))
        if parameters.get("input_dir") == "":
            parameters["input_dir"] = None
        return parameters

    def without_parameter_file(self, args: tuple) -> tuple:
        """``args`` of `run` without the parameter file that may stand in front.

        Raises
        ------
        InputError
            If the step was not made from that file.
        """
        if not args or not parameter_files.is_parameter_file(self.make_input_path(args[0])):
            return args
        path = self.make_input_path(args[0])
        if not any(os.path.samefile(path, own) for own in self._parameter_files):
            raise InputError(
                f"{path} is a parameter file and {self.name} was not made from it: "
                f"use {type(self).__name__}.call({path!r}) or .from_config_file({path!r})"
            )
        return args[1:]
