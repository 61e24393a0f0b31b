"""The tutorials, run as they stand."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from stpipe import Step

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "tutorial.rst", DOCS / "field" / "tutorial.rst"]
BLOCK = re.compile(r"\.\. code-block:: (python|console)\n\n((?:    .*\n|\n)+)")


def blocks(page):
    """Language and text of the blocks of code of a page, in order."""
    for match in BLOCK.finditer(page.read_text()):
        yield match[1], "".join(line[4:] or "\n" for line in match[2].splitlines(keepends=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_no_block_is_left_out(page):
    text = page.read_text()
    assert text.count("code-block::") == len(list(blocks(page))) > 5
    assert "::\n" not in re.sub(r"code-block:: \w+\n", "", text)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_tutorial(elsewhere, page):
    pytest.importorskip("matplotlib")
    pytest.importorskip("regions")
    names = {}
    for number, (language, text) in enumerate(blocks(page)):
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
