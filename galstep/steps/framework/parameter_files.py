"""Parameter files: recognised, checked, read; their relative paths made absolute.

A parameter file is ASDF (a text file whose first line is ``#ASDF 1.0.0``) with
the keys ``class``, ``name`` and ``parameters``, and ``steps`` for a pipeline.
stpipe reads it; what is wrong with it is told here, in one line, because
stpipe's own reader falls back on another format and complains about that.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING, Any

import asdf
import yaml
from configobj import ConfigObj, ConfigObjError, Section
from stpipe import config_parser

from galstep.datamodels.files.asdf_stream import asdf_file, load_tree
from galstep.datamodels.files.regular_file import check_regular
from galstep.exceptions import InputError, ParameterFileError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = [
    "FOLDER_NAMES",
    "absolute_paths",
    "check_parameter_file",
    "expanded",
    "is_parameter_file",
    "load_parameters",
    "plain",
]

_ROLE = "parameter file"
_HEADER = b"#ASDF"
_FIRST_LINE = re.compile(rb"#ASDF \d+\.\d+\.\d+\s*$")
# text files that nobody writes but to hold parameters; told by the header otherwise
_PARAMETER_EXTENSIONS = (".asdf", ".yaml", ".yml", ".cfg")
# what ASDF files of data have at the top: ours, and those of the Roman telescope
_DATA_KEY = re.compile(rb"""^["']?(galstep_product|bands|roman)["']?\s*:""")
_END_OF_YAML = b"..."
# what is looked through for such a key: no line of a file need ever end
_LONGEST_LINE = 4096
_MOST_BYTES = 64 * 2**20
# of the older format; all parameters with their help fill 0.1 MB
_LARGEST_CFG = 2**20

_PATH_CHECKS = ("input_file", "output_file")
FOLDER_NAMES = ("input_dir", "output_dir")


def is_parameter_file(source: object) -> bool:
    """Whether ``source`` is the path of an existing parameter file.

    Parameters
    ----------
    source : object
        A path (str or path-like); anything else is not.

    Returns
    -------
    bool
        True also for a file that is meant as one but cannot be used, which
        `check_parameter_file` explains. False for ASDF files that hold data:
        galstep's products, Roman data models.
    """
    if not isinstance(source, str | os.PathLike) or not os.path.isfile(source):
        return False
    try:
        with open(source, "rb") as stream:
            if not stream.read(len(_HEADER)) == _HEADER:
                return os.path.splitext(source)[1].lower() in _PARAMETER_EXTENSIONS
            return not _holds_data(stream)
    except OSError:
        # whoever opens it as data tells why it cannot be read
        return False


def _holds_data(stream):
    """Whether the YAML text has a key of data."""
    is_start = True
    while stream.tell() < _MOST_BYTES:
        line = stream.readline(_LONGEST_LINE)
        if is_start and _DATA_KEY.match(line):
            return True
        if not line or (is_start and line.rstrip() == _END_OF_YAML):
            return False
        is_start = line.endswith(b"\n")
    return True


def check_parameter_file(path: PathLike) -> None:
    """Raise `ParameterFileError` unless ``path`` can be read as parameters.

    Parameters
    ----------
    path : path-like
        An ASDF parameter file, or a ``.cfg`` file (stpipe's older format),
        which only has to exist.
    """
    path = os.fspath(path)
    try:
        check_regular(path, _ROLE)
    except InputError as error:
        raise ParameterFileError(str(error)) from error
    if _is_cfg(path):
        if os.path.getsize(path) > _LARGEST_CFG:
            raise ParameterFileError(f"parameter file {path}: it must have less than 1 MB")
        return
    _check_node(path, _read_tree(path), "the top level")


def _is_cfg(path):
    return path.lower().endswith(".cfg")


def _read_tree(path):
    try:
        with open(path, "rb") as stream:
            is_asdf = _FIRST_LINE.match(stream.readline(_LONGEST_LINE)) is not None
    except OSError as error:
        raise ParameterFileError(
            f"parameter file {path}: cannot be read ({error.strerror})"
        ) from error
    if not is_asdf:
        raise ParameterFileError(f"parameter file {path}: the first line must be '#ASDF 1.0.0'")
    try:
        return load_tree(path, _ROLE)
    except InputError as error:
        raise ParameterFileError(str(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ParameterFileError(f"parameter file {path}: not valid YAML: {reason}") from error


def _check_node(path, node, where):
    """The part of the file that describes one step: its keys and their types."""

    def refuse(what):
        raise ParameterFileError(f"parameter file {path}: {where} {what}")

    if not isinstance(node, dict):
        refuse(f"must be a mapping with 'class', 'name' and 'parameters', got {_kind(node)}")
    for key, kind in (("class", str), ("name", str), ("parameters", dict)):
        if key not in node:
            refuse(f"has no {key!r}")
        if not isinstance(node[key], kind):
            needed = "a mapping ({} if empty)" if kind is dict else "a string"
            refuse(f"needs {needed} as {key!r}, got {_kind(node[key])}")
    steps = node.get("steps", [])
    if not isinstance(steps, list):
        refuse(f"needs a list as 'steps', got {_kind(steps)}")
    for i, step in enumerate(steps):
        _check_node(path, step, f"steps[{i}]")
    names = [step["name"] for step in steps]
    for name in names:
        if names.count(name) > 1:
            refuse(f"has more than one step called {name!r}")


def _kind(value):
    return "nothing" if value is None else type(value).__name__


def load_parameters(path: PathLike) -> ConfigObj:
    """Read a parameter file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    `configobj.ConfigObj`
        The parameters as stpipe holds them, ``class`` and ``name`` included,
        paths as written; see `absolute_paths`.

    Raises
    ------
    ParameterFileError
        If the file is missing or cannot be used.
    """
    path = os.fspath(path)
    check_parameter_file(path)
    try:
        with warnings.catch_warnings():
            # a tag that asdf does not know marks what is no parameter
            warnings.simplefilter("error", asdf.exceptions.AsdfConversionWarning)
            # not by stpipe's own: it opens by the path, which asdf takes for a URI
            if _is_cfg(path):
                return ConfigObj(path, raise_errors=True)
            with asdf_file(path, _ROLE) as file:
                return _config_of(config_parser.StepConfig.from_asdf(file))
    # OSError, IndexError: what follows the tree is no block, in older asdf
    except (
        ConfigObjError, asdf.exceptions.AsdfWarning, ValueError, OSError, IndexError
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())
        raise ParameterFileError(f"parameter file {path}: {reason}") from error


def _config_of(step):
    """stpipe's description of a step and its steps as the configuration it is validated as."""
    config = ConfigObj()
    config_parser.merge_config(config, step.parameters)
    config_parser.merge_config(config, {"class": step.class_name, "name": step.name})
    if step.steps:
        steps = {other.name: _config_of(other) for other in step.steps}
        config_parser.merge_config(config, {"steps": steps})
    return config


def absolute_paths(config: Section, spec: Section, folder: PathLike) -> None:
    """Make the relative paths in ``config`` absolute, in place.

    Concerned are parameters whose type in ``spec`` is ``input_file`` or
    ``output_file``, and ``input_dir`` and ``output_dir``. ``~`` and ``$NAME``
    are expanded. Values from the command line stay: they are relative to the
    current folder.

    Parameters
    ----------
    config : `configobj.Section`
    spec : `configobj.Section`
        As ``Step.load_spec_file`` gives it.
    folder : path-like
        What the paths are relative to.
    """
    for key, value in config.items():
        check = spec.get(key, spec.get("__many__"))
        if isinstance(value, Section) and isinstance(check, Section):
            absolute_paths(value, check, folder)
        elif _is_path(key, check) and _is_written(value):
            config[key] = os.path.abspath(os.path.join(folder, expanded(value, folder)))


def expanded(path: PathLike, folder: PathLike = os.curdir) -> str:
    """A path with ``~`` and ``$NAME`` replaced, unless there is one that is called so.

    Parameters
    ----------
    path : path-like
    folder : path-like, optional
        What a relative path is relative to.

    Returns
    -------
    str
    """
    path = os.fspath(path)
    if os.path.lexists(os.path.join(folder, path)):
        return path
    return os.path.expandvars(os.path.expanduser(path))


def _is_path(key, check):
    if not isinstance(check, str):
        return False
    return key in FOLDER_NAMES or check.partition("(")[0].strip() in _PATH_CHECKS


def _is_written(value):
    # stpipe marks what comes from the command line by a private subclass of str
    return (type(value) is str and value != "") or isinstance(value, os.PathLike)


def plain(value: Any) -> Any:
    """``value`` with sections as dicts and sequences as lists, all the way down.

    A ``configobj.Section`` drags the whole configuration along, which the log
    and the parameter file written by ``--save-parameters`` would show.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    # stpipe's private mark on strings from the command line goes as well
    return str(value) if isinstance(value, str) else value
