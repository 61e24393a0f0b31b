"""Several names in one cell of the summary, separated by blanks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["join_words", "split_words"]

# a name may hold blanks; the sign that stands for them may be in it as well
_SPECIAL = re.compile(r"[\s%]")


def join_words(names: Iterable[str]) -> str:
    """The names separated by blanks; blanks within them as ``%20``.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    str
    """
    return " ".join(_SPECIAL.sub(lambda match: quote(match[0], safe=""), name) for name in names)


def split_words(text: str) -> list[str]:
    """The names that `join_words` has joined."""
    return [unquote(word) for word in text.split()]
