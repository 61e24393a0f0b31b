"""What the results of all kinds share: files that are written, figures and warnings shown."""

from __future__ import annotations

import io
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from galstep.exceptions import GalstepError
from galstep.steps.galaxy.products import save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from galstep.hints import PathLike

__all__ = ["check_absent", "make_folder", "messages_html", "shown"]


def messages_html(messages: Sequence[str]) -> str:
    """The warnings of a run as HTML; "" where there are none."""
    if not messages:
        return ""
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return f"<p>warnings:</p><ul>{items}</ul>"


def check_absent(path: Path, overwrite: bool) -> None:
    """Refuse to replace a file, unless that is asked for."""
    if path.exists() and not overwrite:
        raise GalstepError(f"{path} is there already: overwrite=True replaces it")


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalstepError(f"folder {str(path)!r} cannot be made: {error.strerror}") from error


def shown(figure: Figure, path: PathLike | None) -> Figure:
    """The figure, written if asked, and known to notebooks: it has no pyplot behind it."""
    if path is not None:
        save_figure(lambda: figure, path)
    if not hasattr(figure, "_repr_png_"):
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
