"""Fixtures of all tests. Being here, it makes ``tests`` importable: see `toy_steps`."""

import gc
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest


def _test_what_is_installed():
    """Keep the source tree off the import path where the package is installed.

    ``python -m pytest`` searches the current folder first, before what ``pip``
    installed; a file missing from the wheel would go unnoticed, and programs that
    tests start would run other code than the tests. An editable installation and
    a folder named in PYTHONPATH stay as they are.
    """
    here = Path.cwd()
    if here in map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        return
    elsewhere = [place for place in sys.path if Path(place) != here]
    found = PathFinder.find_spec("galstep", elsewhere)
    if found is None or Path(found.origin).parents[1].joinpath("pyproject.toml").is_file():
        return
    sys.path[:] = elsewhere
    # of the programs that tests start, and of the workers of xdist
    os.environ["PYTHONSAFEPATH"] = "1"


_test_what_is_installed()


def pytest_report_header():
    """Which package is tested."""
    import galstep

    return f"galstep {galstep.__version__}: {Path(galstep.__file__).parent}"


@pytest.fixture(scope="session", autouse=True)
def _imports_not_searched_for_garbage():
    # stpipe collects garbage before every step, 0.1 s each with all that tests import
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def toy_file(tmp_path):
    """A saved galaxy, ``galaxy.asdf``, in a folder of its own."""
    # not above: tests of galstep.core have no use for stpipe
    from toy_steps import toy_model

    folder = tmp_path / "data"
    folder.mkdir()
    return toy_model("galaxy").save(folder / "galaxy.asdf")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty current folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def write_parameters(tmp_path):
    """Write a parameter file for `ToyPipeline` into the folder ``data``."""

    def write(parameters="{input_file: galaxy.asdf}", steps="", name="config.asdf",
              class_name="toy_steps.ToyPipeline"):  # fmt: skip
        (tmp_path / "data").mkdir(exist_ok=True)
        path = tmp_path / "data" / name
        path.write_text(
            "#ASDF 1.0.0\n%YAML 1.1\n---\n"
            f"class: {class_name}\nname: Config\nparameters: {parameters}\n{steps}...\n"
        )
        return str(path)

    return write
