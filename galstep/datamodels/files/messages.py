"""Errors of other libraries as part of a message of one line."""

__all__ = ["one_line"]


def one_line(error: BaseException | str, length: int = 200) -> str:
    """The text of an error in one line, cut off where it is long."""
    line = " ".join(str(error).split())
    return line if len(line) <= length else f"{line[:length]} ..."
