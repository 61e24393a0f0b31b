"""The page: one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from html import escape
from importlib.resources import files as package_files
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.report.row import COLUMNS, flags_by_filter, table_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from galstep.report.card import Card
    from galstep.report.row import Place

__all__ = ["page"]


def page(cards: Sequence[Card], place: Place, title: str) -> Iterator[str]:
    """The page, part by part.

    Parameters
    ----------
    cards : sequence of Card
    place : Place
    title : str

    Yields
    ------
    str
    """
    script, style = _part("report.js"), _part("report.css")
    yield _HEAD.format(
        title=escape(title), style=style, script_hash=_hash(script), version=escape(__version__)
    )
    yield _controls(cards)
    yield f'<table id="galaxies"><thead><tr>{_headers()}</tr></thead><tbody>\n'
    for card in cards:
        yield table_row(card, place) + "\n"
    yield f"</tbody></table>\n<script>{script}</script>\n</body></html>\n"


# what the page may load: its own script, told by its hash, and pictures beside it. A name that
# were taken for markup in spite of all would run nothing.
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src '{script_hash}'; style-src 'unsafe-inline'; img-src 'self' data: file:">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="galstep {version}">
<title>{title}</title>
<style>{style}</style></head><body>
<h1>{title}</h1>
"""


def _part(name):
    return package_files("galstep.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script):
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _headers():
    return "".join(
        f'<th title="{escape(text)}"'
        + (f' data-sort="{kind}" tabindex="0"' if kind else "")
        + f">{escape(name)}</th>"
        for name, kind, text in COLUMNS
    )


def _controls(cards):
    """What the rows are chosen by. Without a script the page shows them all."""
    statuses = Counter(card.status for card in cards)
    flags = Counter(flag for card in cards for flag in flags_by_filter(card))
    filters = dict.fromkeys(own.filter for card in cards for own in card.filters)
    clean = sum(card.status == "ok" and not flags_by_filter(card) for card in cards)
    said = ", ".join(f"{count} {status}" for status, count in statuses.items()) or "no galaxies"
    return f"""<div id="controls">
<label>text <input id="text" type="search" placeholder="name, reason, flag" size="18"></label>
<label>status <select id="status"><option value="">all</option>{_options(statuses)}</select></label>
<label>flag <select id="flag"><option value="">any</option>\
<option value="-">none ({clean})</option>{_options(flags)}</select></label>
<label>sort magnitudes by <select id="filter"><option value="">base filter</option>\
{_options(dict.fromkeys(filters))}</select></label>
<span><b id="shown">{len(cards)}</b> of {len(cards)} galaxies ({escape(said)})</span>
<span class="hint">click a header to sort; magnitudes are AB with 1-sigma errors</span>
</div>
"""


def _options(counts):
    return "".join(
        f'<option value="{escape(str(name))}">{escape(str(name).replace("_", " "))}'
        + ("" if count is None else f" ({count})")
        + "</option>"
        for name, count in sorted(counts.items())
    )
