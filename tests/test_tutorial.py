"""The tutorial, run as it stands."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from stpipe import Step

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.rst"
BLOCK = re.compile(r"\.\. code-block:: (python|console)\n\n((?:    .*\n|\n)+)")


def blocks():
    """Language and text of the blocks of code, in order."""
    for match in BLOCK.finditer(PAGE.read_text()):
        yield match[1], "".join(line[4:] or "\n" for line in match[2].splitlines(keepends=True))


def test_no_block_is_left_out():
    assert PAGE.read_text().count("code-block::") == len(list(blocks())) > 5
    assert "::\n" not in re.sub(r"code-block:: \w+\n", "", PAGE.read_text())


@pytest.mark.slow
def test_tutorial(elsewhere):
    pytest.importorskip("matplotlib")
    pytest.importorskip("regions")
    names = {}
    for number, (language, text) in enumerate(blocks()):
        if language == "console":
            for line in text.splitlines():
                if line:
                    prompt, command, *arguments = shlex.split(line)
                    assert (prompt, command) == ("$", "strun")
                    Step.from_cmdline(arguments)
        else:
            test = doctest.DocTestParser().get_doctest(text, names, f"block {number}", None, 0)
            told = []
            failed, _ = doctest.DocTestRunner(verbose=False).run(test, None, told.append, False)
            assert not failed, "".join(told)
            names = test.globs
