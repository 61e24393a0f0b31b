"""Parts of messages of one line."""

__all__ = ["one_line", "other_shape"]


def one_line(error: BaseException | str, length: int = 200) -> str:
    """The text of an error in one line, cut off where it is long."""
    line = " ".join(str(error).split())
    return line if len(line) <= length else f"{line[:length]} ..."


def other_shape(shape: tuple, got: tuple) -> str:
    """What a plane of another shape than the image is told: both shapes, and if it lies across."""
    across = " (it lies across: transpose it)" if tuple(got) == tuple(shape)[::-1] else ""
    return f"must have the shape of the image {tuple(shape)}, got {tuple(got)}{across}"
