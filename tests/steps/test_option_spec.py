"""An option is written once: at the field of a record, of which the specs are made."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import galstep.pipeline
import galstep.steps
from galstep.options import detail, option, options, parameters_of
from galstep.steps.framework.option_spec import OptionSet

SPEC_LINE = re.compile(r"^\s*(\w+)\s*=\s*\w+\(.*default=.*\)\s*#", re.MULTILINE)


@options
class Search:
    """How things are looked for."""

    threshold: float = option(default=5.0, help="Threshold (sigma)", least=1)
    rounds: int = option(default=3, help="Number of rounds", name="n_rounds", least=0, most=9)
    sizes: tuple[int, int] = option(default=(0, 0), help="Sizes (pixels)", least=2, most=2)
    kind: str = option(default="a", help="Which", choices=("a", "b"))
    limit: float | None = option(default=None, help="Limit", kind="float")
    final: bool = detail(default=True, help="Not for users.")


class TestOptionSet:
    def test_lines(self):
        lines = [re.sub(" +", " ", line).strip() for line in OptionSet(Search()).spec.splitlines()]
        assert lines == [
            "threshold = float(min=1, default=5) # Threshold (sigma)",
            "n_rounds = integer(min=0, max=9, default=3) # Number of rounds",
            "sizes = int_list(min=2, max=2, default=list(0, 0)) # Sizes (pixels)",
            "kind = option('a', 'b', default='a') # Which",
            "limit = float(default=None) # Limit",
        ]

    def test_what_is_different_in_a_step(self):
        own = OptionSet(
            Search(final=False), without=["sizes", "kind", "limit"],
            n_rounds={"name": "iter_own", "default": 7},
        )  # fmt: skip
        assert "iter_own = integer(min=0, max=9, default=7)" in own.spec
        assert "sizes" not in own.spec
        made = own.record_of(SimpleNamespace(threshold=9.0, iter_own=2, sizes=[5, 5]))
        assert made == Search(threshold=9.0, rounds=2, final=False)

    def test_the_first_source_wins(self):
        step = SimpleNamespace(threshold=9.0, n_rounds=1)
        assert OptionSet(Search()).record_of(step, SimpleNamespace(n_rounds=2)) == Search(9.0, 2)

    @pytest.mark.parametrize("how", [{"only": ["other"]}, {"without": ["other"]}, {"other": {}}])
    def test_an_unknown_name(self, how):
        with pytest.raises(KeyError, match="no parameters of Search: other"):
            OptionSet(Search(), **how)


def written_lines(path):
    """Names of the parameters whose ``spec`` lines stand in a file as text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from SPEC_LINE.findall(node.value)


def imported(path):
    """Modules and names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


STEP_FILES = sorted(
    path for package in (galstep.steps, galstep.pipeline)
    for path in Path(package.__file__).parent.glob("*.py")
)  # fmt: skip


@pytest.mark.parametrize("path", STEP_FILES, ids=lambda path: path.name)
def test_no_parameter_is_written_twice(path):
    written = set(written_lines(path))
    for module, name in imported(path):
        if not (module or "").startswith("galstep.core"):
            continue
        record = getattr(importlib.import_module(module), name, None)
        if has_defaults(record):
            own = {own.name for own in dataclasses.fields(record)}
            own |= {parameter.name for parameter in parameters_of(record)}
            assert not written & own, f"{record.__name__} has these already"


def has_defaults(record):
    """Whether this is a record of options: it can be made of nothing."""
    return (
        isinstance(record, type)
        and dataclasses.is_dataclass(record)
        and all(own.default is not dataclasses.MISSING for own in dataclasses.fields(record))
    )
