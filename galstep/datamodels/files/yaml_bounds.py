"""The YAML part of a file, looked through before anything is built from it.

Aliases let 600 bytes stand for 10^10 nodes, deep nesting overruns the stack, and
an ASDF array may lie in another file or on another machine. The events of the
parser tell all that in the time it takes to read the text.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

import numpy as np
import yaml

from galstep.datamodels.files.messages import one_line
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_yaml", "yaml_text"]

# the largest products (six filters, 1e4 stars) have 6 MB and 2e5 nodes
_MOST_BYTES = 64 * 2**20
_MOST_NODES = 2_000_000
# an alias stands for a shared object now and then, not for most of the file
_MOST_REPEATED = 200_000
_DEEPEST = 60
# brackets that look open to who does not parse: some stand in texts without quotes
_MOST_OPEN = 500
_QUOTED = re.compile(rb"'[^'\n]*'|\"[^\"\n]*\"")
_END = re.compile(rb"\r?\n\.\.\.(\r?\n|$)")
_CHUNK = 2**20
# the number of a block, or the extension of the FITS file around an ASDF extension
_OWN_ARRAY = re.compile(r"-?\d+|fits:[^/:]*")


def yaml_text(stream: IO[bytes], what: str) -> bytes:
    """The text up to the end marker ``...`` or the end of the file.

    Parameters
    ----------
    stream : binary file
        At its beginning; left behind what was read.
    what : str
        The file, as messages call it.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If it is longer than any that holds a galaxy or parameters.
    """
    text = bytearray()
    while chunk := stream.read(_CHUNK):
        # the marker may lie across two chunks
        start = max(0, len(text) - 8)
        text += chunk
        found = _END.search(text, start)
        if found:
            return bytes(text[: found.end()])
        if len(text) > _MOST_BYTES:
            raise InputError(f"{what}: its YAML text has no end within {_MOST_BYTES >> 20} MB")
    return bytes(text)


def check_yaml(text: bytes, what: str) -> None:
    """Raise `InputError` for a text that would not be read within seconds.

    Text that is no YAML passes: whoever reads it tells what is wrong.

    Parameters
    ----------
    text : bytes
        As `yaml_text` gives it.
    what : str
        The file, as messages call it.
    """
    if _brackets_open(text) > _MOST_OPEN:
        raise InputError(f"{what}: its YAML text is nested more than {_MOST_OPEN} deep")
    try:
        _Counter(what).take(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
    except RecursionError as error:
        raise InputError(f"{what}: damaged ({one_line(error)})") from error


def _brackets_open(text):
    """How many brackets are open at once, those in quotes not counted.

    A parser gives up on a line of thousands of them as no YAML, after a time that grows with
    their square; readers of tables then try it in other ways, each of them as long.
    """
    if text.count(b"[") + text.count(b"{") <= _MOST_OPEN:
        return 0
    signs = np.frombuffer(_QUOTED.sub(b"", text), dtype=np.uint8)
    steps = np.isin(signs, list(b"[{")).astype(np.int64) - np.isin(signs, list(b"]}"))
    return int(np.cumsum(steps).max(initial=0))


class _Counter:
    """Nodes of a document, those that aliases repeat included."""

    def __init__(self, what):
        self._what = what
        self._known, self._open = {}, []
        self._nodes = self._repeated = 0

    def take(self, events: Iterator[yaml.Event]) -> None:
        """Count; raise `InputError` at what is too much."""
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open.append(_Collection(event))
                if len(self._open) > _DEEPEST:
                    self._refuse(f"is nested more than {_DEEPEST} deep")
                self._count(1)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self._open.pop()
                if done.anchor:
                    self._known[done.anchor] = done.size
                if self._open:
                    self._open[-1].take(done.size)

    def _scalar(self, event):
        self._count(1)
        if event.anchor:
            self._known[event.anchor] = 1
        if self._open:
            parent = self._open[-1]
            parent.take(1)
            if parent.refers_elsewhere(event.value):
                self._refuse("refers to another file, which is not followed")

    def _alias(self, anchor):
        if anchor not in self._known:  # within itself
            self._refuse("has an alias that holds itself")
        size = self._known[anchor]
        self._repeated += size
        if self._repeated > _MOST_REPEATED:
            self._refuse(f"has aliases that repeat more than {_MOST_REPEATED} values")
        if self._open:
            self._open[-1].take(size)

    def _count(self, number):
        self._nodes += number
        if self._nodes > _MOST_NODES:
            self._refuse(f"has more than {_MOST_NODES} values")

    def _refuse(self, why):
        raise InputError(f"{self._what}: its YAML text {why}")


class _Collection:
    """A sequence or mapping that is being read."""

    def __init__(self, event):
        self.anchor, self.size = event.anchor, 1
        self._is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._is_array = "core/ndarray" in (event.tag or "")
        self._children, self._key = 0, None

    def take(self, size):
        """One more child."""
        self.size += size
        self._children += 1

    def refers_elsewhere(self, value):
        """Whether this scalar, just taken, names another file."""
        if not self._is_mapping:
            return False
        if self._children % 2:
            self._key = value
            return value == "$ref"
        is_source = self._is_array and self._key == "source"
        return is_source and not _OWN_ARRAY.fullmatch(value)
