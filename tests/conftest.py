"""Fixtures of all tests. Being here, it makes ``tests`` importable: see `toy_steps`."""

import gc

import pytest


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
