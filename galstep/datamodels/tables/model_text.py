"""A model in words: what ``repr`` and a notebook show of it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables.main_numbers import KINDS, main_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.galaxy import GalaxyModel

__all__ = ["html_table", "model_html", "model_text", "text_table"]

_HEADERS = ("filter", "half light", "Kron", "total", "color", "r_eff", "n", "stars", "flags")


def model_text(model: GalaxyModel) -> str:
    """One line that says what it is, and a table of the main numbers if it has been fitted.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    str
    """
    lines = [f"<{_title(model)}>"]
    if model.meta.fit_step is not None:
        lines += text_table(_HEADERS, _rows(model))
    return "\n".join(lines)


def model_html(model: GalaxyModel) -> str:
    """The same as HTML; names are escaped.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    str
    """
    text = f"<p><b>{escape(_title(model))}</b></p>"
    if model.meta.fit_step is None:
        return text
    return text + html_table(_HEADERS, _rows(model)) + f"<p>{escape(_legend(model))}</p>"


def _title(model):
    meta = model.meta
    fitted = (
        f"fitted by {meta.fit_step}, base {meta.base_filter}" if meta.fit_step else "not fitted"
    )
    return f"GalaxyModel {meta.name!r}: {', '.join(model.bands)}; {fitted}"


def _legend(model):
    base = model.meta.base_filter
    kinds = "; ".join(f"{'Kron' if kind == 'kron' else kind}: {KINDS[kind]}" for kind in KINDS)
    return f"AB magnitudes, {kinds}; color: minus {base}; r_eff: pixels of {base}"


def _rows(model):
    return [
        (
            numbers.filter,
            *(str(getattr(numbers, kind)) for kind in KINDS),
            _with_error(numbers.color, numbers.color_err),
            _number(numbers.r_eff, ".2f"),
            _number(numbers.n, ".2f"),
            str(numbers.n_stars),
            ", ".join(numbers.words) or "ok",
        )
        for numbers in main_numbers(model)
    ]


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text, in columns of equal width.

    Parameters
    ----------
    headers : sequence of str
    rows : sequence of sequences of str

    Returns
    -------
    list of str
        The headers, then the rows.
    """
    table = [headers, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(headers))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


def html_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as HTML; whatever the cells hold is text.

    Parameters
    ----------
    headers : sequence of str
    rows : sequence of sequences of str

    Returns
    -------
    str
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _with_error(value, error):
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f} ± {_number(error, '.3f')}"


def _number(value, number_format):
    return format(value, number_format) if np.isfinite(value) else "-"
