"""A card as a row of the page. Whatever a card holds is text: it is escaped here."""

from __future__ import annotations

import base64
import math
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from galstep.datamodels.tables.main_numbers import KINDS
from galstep.flags import BandFlag
from galstep.report.card import OK
from galstep.report.cards import picture_path
from galstep.report.products import files_of

if TYPE_CHECKING:
    from galstep.report.card import Card

__all__ = ["COLUMNS", "PICTURES", "Place", "flags_by_filter", "table_row"]

#: The pictures of a row and what they show.
PICTURES = {
    "colour": "in colour",
    "residual": "residual, -5 to 5 sigma",
    "stars_off": "stars taken off",
}
#: Title of a column, how it is sorted ("" not at all), and what it is.
COLUMNS = (
    ("galaxy", "text", "name; links to its pictures and tables"),
    ("colour, residual, stars off", "", "links to the overview"),
    ("filter", "", "the base filter is marked with *"),
    ("half light", "number", f"AB mag {KINDS['half']}; > is an upper limit"),
    ("Kron", "number", f"AB mag {KINDS['kron']}"),
    ("total", "number", f"AB mag, {KINDS['total']}"),
    ("color", "number", "total magnitude of the filter minus that of the base filter"),
    ("r_eff \u2033", "number", "half-light radius along the major axis, arcsec"),
    ("n", "number", "Sersic index of the first component"),
    ("stars", "number", "stars in the model of the filter"),
    ("\u03c7\u00b2", "number", "reduced chi-squared of the filter"),
    ("RA", "number", "ICRS, degrees"),
    ("Dec", "number", "ICRS, degrees"),
    ("flags", "number", "sorted by how many there are; rest the pointer on one for its meaning"),
)


class Place:
    """Where the page and what it links to are.

    Parameters
    ----------
    folder : `pathlib.Path`
        That is reported on.
    page : `pathlib.Path`
        The page.
    files : `pathlib.Path`
        The folder of pictures.
    embedded : bool
        Whether pictures are part of the page.
    """

    def __init__(self, folder: Path, page: Path, files: Path, embedded: bool) -> None:
        self.folder, self.files, self.embedded = folder, files, embedded
        self._from = page.parent.resolve()

    def url(self, path: Path) -> str:
        """A link from the page to a file, relative, whatever its name holds."""
        relative = os.path.relpath(path.resolve(), self._from)
        # a colon in the first part would make it a scheme
        return quote("./" + Path(relative).as_posix(), errors="surrogateescape")

    def picture(self, card: Card, kind: str) -> str:
        """The address of a picture."""
        if self.embedded:
            text = base64.b64encode(card.pictures[kind]).decode("ascii")
            return f"data:image/jpeg;base64,{text}"
        return self.url(picture_path(self.files, f"{card.folder}/{card.name}", kind))


def table_row(card: Card, place: Place) -> str:
    """The row of a galaxy.

    Parameters
    ----------
    card : Card
    place : Place

    Returns
    -------
    str
        ``<tr>``. Cells with a line per filter have them as lines of text, in one order.
    """
    files = files_of(place.folder / card.folder, card.name)
    cells = [_name_cell(card, files, place), _picture_cell(card, dict(files), place)]
    if card.status == OK:
        cells += _number_cells(card) + [_flag_cell(card)]
    else:
        text = f"{card.status}: {card.reason}" if card.reason else card.status
        cells.append(f'<td class="why" colspan="{len(COLUMNS) - 2}">{_text(text)}</td>')
    flags = " ".join(flags_by_filter(card))
    words = [card.name, card.folder, card.reason, flags.replace("_", " ")]
    words += [own.filter for own in card.filters]
    base = [own.filter for own in card.filters].index(card.base_filter) if card.numbers else 0
    return (
        f'<tr data-text="{_text(" ".join(words).lower())}" data-status="{_text(card.status)}" '
        f'data-flags="{_text(flags)}" data-base="{base}">{"".join(cells)}</tr>'
    )


def flags_by_filter(card: Card) -> dict[str, list[str]]:
    """The flags of a galaxy by name, with the filters that have them."""
    return {
        flag.name.lower(): filters
        for flag in BandFlag
        if (filters := [own.filter for own in card.filters if own.flags & flag])
    }


def _text(text):
    # names of files may hold bytes that are no text
    text = str(text).encode("utf-8", errors="replace").decode("utf-8")
    return escape("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))


def _name_cell(card, files, place):
    links = " ".join(
        f'<a href="{_text(place.url(path))}">{_text(text)}</a>' for text, path in files
    )
    folder = ""
    if card.folder not in ("", card.name):
        folder = f'<div class="folder">{_text(card.folder)}</div>'
    return f'<td><b>{_text(card.name)}</b>{folder}<div class="links">{links}</div></td>'


def _picture_cell(card, files, place):
    images = "".join(
        f'<img loading="lazy" src="{_text(place.picture(card, kind))}" '
        f'alt="{_text(f"{card.name}: {text}")}" title="{_text(text)}">'
        for kind, text in PICTURES.items()
        if kind in card.pictures
    )
    if images and "picture" in files:
        images = f'<a href="{_text(place.url(files["picture"]))}">{images}</a>'
    return f'<td class="pictures">{images}</td>'


def _number_cells(card):
    names = [f"{own.filter}{'*' if own.filter == card.base_filter else ''}" for own in card.filters]
    columns = [[str(getattr(own, kind)) for own in card.filters] for kind in KINDS]
    columns.append([_with_error(own.color, own.color_err) for own in card.filters])
    per_filter = [[str(own.n_stars) for own in card.filters]]
    per_filter.append([_number(own.chi2, ".2f") for own in card.filters])
    first = card.numbers.n if card.numbers else math.nan
    return [
        _lines(names),
        *(_lines(lines) for lines in columns),
        _lines([_number(card.r_eff_arcsec, ".3f")]),
        _lines([_number(first, ".2f")]),
        *(_lines(lines) for lines in per_filter),
        _lines([_number(card.ra, ".6f")]),
        _lines([_number(card.dec, "+.6f")]),
    ]


def _lines(lines):
    return f"<td>{_text(chr(10).join(lines))}</td>"


def _flag_cell(card):
    chips = []
    for name, filters in flags_by_filter(card).items():
        flag = BandFlag[name.upper()]
        # what to do about it, where the registry says so
        meaning = " \u2014 ".join(filter(None, (flag.text, getattr(flag, "remedy", ""))))
        where = "" if len(filters) == len(card.filters) else f" {', '.join(filters)}"
        chips.append(
            f'<span class="flag" title="{_text(meaning)}">{_text(name.replace("_", " "))}'
            f"<small>{_text(where)}</small></span>"
        )
    reasons = "".join(
        f"<li>{_text(name)}: {_text('; '.join(texts))}</li>" for name, texts in card.reasons.items()
    )
    if reasons:
        reasons = f"<details><summary>reasons</summary><ul>{reasons}</ul></details>"
    return f'<td class="flags">{"".join(chips) or "ok"}{reasons}</td>'


def _with_error(value, error):
    return "-" if not math.isfinite(value) else f"{value:.3f} ± {_number(error, '.3f')}"


def _number(value, number_format):
    return format(value, number_format) if math.isfinite(value) else "-"
