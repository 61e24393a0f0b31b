"""Names of galaxies and filters as parts of file names and of FITS headers."""

from __future__ import annotations

import hashlib
import os
import unicodedata

__all__ = ["check_text", "folded", "header_text", "safe_name"]

from galstep.datamodels.files.regular_file import printable
from galstep.exceptions import InputError

# a file name may have 255 bytes; suffix, filter and extension come after this
_LONGEST = 150
_HASH = 8


def safe_name(text: str) -> str:
    """A name as it can stand in a file name, in any script.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        ``text`` itself, unless it has characters that lead elsewhere (``/``) or
        cannot be printed, is empty, ``.`` or ``..``, or is too long. Then what is
        left of it and a hash: two names never become one.
    """
    kept = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text)
    short = kept.encode("utf-8", errors="replace")[:_LONGEST].decode("utf-8", errors="ignore")
    if short == text and text.strip(" .") != "":
        return text
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
    return f"{short.strip(' .') or 'name'}-{digest[:_HASH]}"


def folded(name: str) -> str:
    """What two names share that some file systems take for one: case, composed accents."""
    return unicodedata.normalize("NFC", name).casefold()


def header_text(text: str) -> str:
    r"""A text as the value of a FITS keyword, which is ASCII: others as ``\u03b1``."""
    escaped = str(text).encode("ascii", errors="backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in escaped)


def check_text(path: str, what: str) -> None:
    """Raise `InputError` for a path whose bytes are no text: no product can hold its name.

    Parameters
    ----------
    path : str
    what : str
        What it is to the user; starts the message.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} {printable(path)}: the name must be valid UTF-8: rename the file"
        ) from error
