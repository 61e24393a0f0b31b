"""The documentation follows the code: a page per step, every parameter on it."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

import galstep
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


def test_the_picture_of_the_architecture_is_that_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import draw_architecture

    if not draw_architecture.ROOT.is_dir():
        pytest.skip("the source is not beside the documentation")
    assert draw_architecture.PICTURE.read_text() == draw_architecture.draw(), (
        "python docs/_ext/draw_architecture.py draws it anew"
    )
    sys.modules.pop("draw_architecture")


WALK = re.compile(r"``((?:pipeline|steps|datamodels|core|galstep)/[\w/]+\.py)``")


def test_the_walks_through_the_architecture_lead_through_rooms_that_are_there():
    text = (DOCS / "architecture.rst").read_text()
    root = Path(galstep.__file__).parent
    for walk in text.split("\nBe ")[1:]:
        stations = [line for line in walk.splitlines() if line.startswith("#. ")]
        assert 5 <= len(stations) <= 10
    missing = [n for n in WALK.findall(text) if not (root / n.removeprefix("galstep/")).exists()]
    assert not [n for n in missing if not n.startswith("galstep/docs")]


ROOT = Path(galstep.__file__).parent
DOCTESTED = [
    ".".join(("galstep", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("name", DOCTESTED)
def test_the_examples_in_docstrings_run(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed
