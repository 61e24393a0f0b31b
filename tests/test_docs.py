"""The documentation follows the code: a page per step, every parameter on it."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest
from packaging.version import Version

import galstep
from galstep import __version__, steps
from galstep.configuration.parameters import pipeline_parameters
from galstep.datamodels.tables.columns import COLUMNS
from galstep.flags import BandFlag, StarFlag
from galstep.pipeline import GalPipeline

DOCS = Path(__file__).parents[1] / "docs"
STEPS = [name for name in steps.__all__ if name != "GalStep"]
STATIC = DOCS / "_static"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.rst"))]


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


def test_pictures_of_the_pages_are_there_and_small():
    named = set()
    for page in PAGES:
        for name in re.findall(r"(?:docs/)?_static/([\w.]+)", page.read_text()):
            named.add(name)
            assert (STATIC / name).stat().st_size < 300_000, name
    assert {path.name for path in STATIC.iterdir()} == named
    assert sum(name.startswith("gallery_") for name in named) >= 5
    assert "_static/gallery_structured_qa.jpg" in (DOCS.parent / "README.md").read_text()


def test_a_remedy_for_every_flag_is_on_the_page(monkeypatch):
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import galstep_tables

    text = (DOCS / "troubleshooting.rst").read_text()
    for name, registry in (("BandFlag", BandFlag), ("StarFlag", StarFlag)):
        assert f".. flag-remedies:: {name}\n" in text
        lines = galstep_tables.FlagRemedies.lines(None, name)
        for flag in registry:
            assert any(f"``{flag.name.lower()}``" in line for line in lines)
            assert any(line.endswith(f"- {flag.text}") for line in lines)
    sys.modules.pop("galstep_tables")


def test_parameters_that_the_pages_name_are_there():
    known = {parameter.name for parameter in pipeline_parameters()}
    keys = "|".join(GalPipeline.step_defs)
    for page in PAGES:
        for name in re.findall(rf"``(?:steps\.)?((?:{keys})\.[a-z]\w*)", page.read_text()):
            assert name in known, f"{page.name}: {name}"


def test_columns_of_the_table_of_magnitudes_are_there():
    text = (DOCS / "which.rst").read_text()
    columns = {column.name for table in COLUMNS.values() for column in table}
    named = set(re.findall(r"``(\w*mag_ab\w*)``", text))
    assert len(named) == 5 and named <= columns


def test_the_citation_is_of_this_version():
    citation = (DOCS.parent / "CITATION.cff").read_text()
    assert f"version: {Version(__version__).base_version}\n" in citation
    assert "CITATION.cff" in (DOCS / "citing.rst").read_text()


def test_every_page_can_be_reached():
    text = "".join(path.read_text() for path in DOCS.rglob("index.rst"))
    for page in (page for page in PAGES if page.suffix == ".rst" and page.stem != "index"):
        assert f"   {page.stem}\n" in text, page.name


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
