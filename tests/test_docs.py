"""The documentation follows the code: a page per step, every parameter on it."""

import sys
from pathlib import Path

import pytest

from galstep import steps

DOCS = Path(__file__).parents[1] / "docs"
STEPS = [name for name in steps.__all__ if name != "GalStep"]


@pytest.mark.parametrize("name", STEPS)
def test_a_page_for_every_step(name):
    module = getattr(steps, name).__module__.rpartition(".")[2]
    page = DOCS / "steps" / f"{module}.rst"
    text = page.read_text()
    assert text.startswith(f"{name}\n{'=' * len(name)}\n")
    assert f".. step-parameters:: galstep.steps.{name}\n" in text
    assert f"   {page.stem}\n" in (DOCS / "steps" / "index.rst").read_text()


@pytest.mark.parametrize("name", STEPS)
def test_every_parameter_is_on_the_page(name, monkeypatch):
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import galstep_tables

    spec = getattr(steps, name).spec
    entries = [line for line in spec.splitlines() if "=" in line.split("#")[0]]
    rows = galstep_tables.spec_rows(spec)
    assert len(rows) == len(entries) > 0
    assert all(text for row in rows for text in row)
    sys.modules.pop("galstep_tables")
