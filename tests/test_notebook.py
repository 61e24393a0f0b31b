"""The notebooks of the documentation, run as they stand."""

import contextlib
import io
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def cells(path):
    """The cells of code and their stored outputs; magics are for the notebook alone."""
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            yield "\n".join(line for line in lines if line[:1] != "%"), cell["outputs"]


def test_there_is_one_and_it_is_named():
    assert NOTEBOOKS
    pages = "".join(page.read_text() for page in DOCS.rglob("*.rst"))
    for path in NOTEBOOKS:
        assert f"notebooks/{path.name}" in pages


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_and_small(path):
    assert path.stat().st_size < 300_000
    outputs = [output for _, stored in cells(path) for output in stored]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, elsewhere):
    pytest.importorskip("matplotlib")
    names, said = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, (source, _) in enumerate(cells(path)):
            exec(compile(source, f"{path.name}[{number}]", "exec"), names)
    assert "off by" in said.getvalue()
    assert names["result"].model.meta.fit_step == "jointfit"
    assert names["field"].model.meta.fit_step == "fieldfit"
