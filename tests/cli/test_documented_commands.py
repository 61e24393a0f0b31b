"""Every ``galstep`` command in the documentation is one that there is."""

import shlex
from pathlib import Path

import pytest

from galstep.cli.main import _parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))]
COMMANDS = [
    (page.name, line.strip())
    for page in PAGES
    for line in page.read_text().splitlines()
    # only what is indented is a command and not a sentence
    if line.startswith(" ") and line.strip().startswith("galstep ")
]


def test_there_are_some():
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda x: str(x))
def test_command_is_understood(page, line):
    arguments = shlex.split(line, comments=True)[1:]
    assert _parser().parse_args(arguments).run
