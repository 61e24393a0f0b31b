"""`write_report`: the page of a folder of products."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.datamodels.files.atomic import check_writable, replacing
from galstep.datamodels.files.safe_name import check_text
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.report.card import OK, Card
from galstep.report.cards import card_of, tidy
from galstep.report.page import page
from galstep.report.products import find_products
from galstep.report.row import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from galstep.hints import PathLike

__all__ = ["PAGE_NAME", "files_beside", "write_report"]

log = logging.getLogger(__name__)

#: The page of a folder, unless it is asked for elsewhere.
PAGE_NAME = "report.html"
# three pictures are 27 kB in the page: 2.7 MB with so many galaxies, and 27 MB with a thousand,
# which a browser has to read before it shows the first
_MOST_EMBEDDED = 100


def files_beside(page_path: Path) -> Path:
    """The folder of cards and pictures that belongs to a page."""
    return page_path.with_name(f"{page_path.stem}_files")


def write_report(
    folder: PathLike,
    output: PathLike | None = None,
    rows: Mapping[str, Mapping] | None = None,
    embedded: bool | None = None,
    tell: Callable | None = None,
) -> Path:
    """Write the page of a folder of products.

    Parameters
    ----------
    folder : path-like
        Every ``<name>_gal.asdf`` (or ``_gal.h5``) in it and below it is a row.
    output : path-like, optional
        The page; by default ``report.html`` in the folder. What it needs is kept beside
        it, in ``report_files``.
    rows : mapping of str to mapping, optional
        Of the summary of a batch: name to ``status`` and ``reason``. Galaxies that are
        not ``ok`` have a row as well.
    embedded : bool, optional
        Whether the pictures are part of the page; by default up to 100 galaxies.
    tell : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    `pathlib.Path`
        The page.

    Raises
    ------
    InputError
        If the folder is not there, or there is nothing in it to report on.
    GalstepError
        If nothing can be written.
    """
    folder = Path(folder)
    check_text(str(folder), "folder")
    if not folder.is_dir():
        raise InputError(f"folder {str(folder)!r} is not there")
    path = Path(output) if output is not None else folder / PAGE_NAME
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise ParameterError(f"output must be a file that ends in .html, got {str(path)!r}")
    if not path.parent.is_dir():
        raise GalstepError(f"output {path}: the folder {path.parent} is not there")
    check_writable(path.parent)
    files = files_beside(path)
    cards = _cards(folder, files, rows or {}, tell or log.debug)
    if not cards:
        raise InputError(
            f"folder {str(folder)!r}: there is no product in it (<name>_gal.asdf) and no summary"
        )
    place = Place(folder, path, files, _is_embedded(cards, embedded))
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="replace") as out,
    ):
        out.writelines(page(cards, place, f"galstep: {folder.resolve().name}"))
    return path


def _is_embedded(cards, asked):
    return len(cards) <= _MOST_EMBEDDED if asked is None else asked


def _cards(folder, files, rows, tell):
    """The cards in the order of the summary, then those of other products."""
    products = {product.key: product for product in find_products(folder)}
    cards, used = [], set()
    for number, (name, row) in enumerate(rows.items(), 1):
        key = f"{name}/{name}"
        used.add(key)
        if row.get("status") == OK and key in products:
            cards.append(card_of(products[key], files))
        else:
            cards.append(_not_measured(name, row))
        _tell_now_and_then(tell, number, len(rows))
    others = [product for key, product in products.items() if key not in used]
    for number, product in enumerate(others, 1):
        cards.append(card_of(product, files))
        _tell_now_and_then(tell, number, len(others))
    tidy(files, products)
    return cards


def _not_measured(name, row):
    status = str(row.get("status") or "")
    reason = str(row.get("reason") or "")
    if status == OK:
        status, reason = "failed", "measured, but its product is not there any more"
    return Card(name, status, reason, name)


def _tell_now_and_then(tell, number, total):
    if number % 100 == 0 and number < total:
        tell(f"{number} of {total} galaxies read")
