"""Cards kept beside the page: a product is read once, or never if the batch has made its card."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.atomic import replacing
from galstep.exceptions import GalstepError
from galstep.report.card import FAILED, Card

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.report.products import Product

__all__ = ["FILES", "card_of", "keep_card", "picture_path", "tidy"]

log = logging.getLogger(__name__)

#: The folder of cards and pictures beside ``report.html``.
FILES = "report_files"
# counts up when a card is made in another way
_CARD_VERSION = 1
_OWN_NAME = re.compile(r"([0-9a-f]{24})(\.json|_\w+\.jpg)")


def keep_card(model: GalaxyModel, product: Product, files: Path) -> Card:
    """Make the card of a galaxy and keep it with its pictures.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    product : Product
        Where it was saved.
    files : `pathlib.Path`
        The folder of cards, made if absent.

    Returns
    -------
    Card
    """
    card = Card.of_model(model, product.name, _pictures(model))
    card.folder = product.folder
    files.mkdir(parents=True, exist_ok=True)
    for kind, picture in card.pictures.items():
        with replacing(picture_path(files, product.key, kind), durable=False) as temporary:
            temporary.write_bytes(picture)
    sizes = {kind: len(picture) for kind, picture in card.pictures.items()}
    kept = {"made_by": _made_by(), "stamp": product.stamp, "pictures": sizes}
    with replacing(_path(files, product.key), durable=False) as temporary:
        temporary.write_text(
            json.dumps(kept) + "\n" + card.to_json(), encoding="utf-8", errors="surrogatepass"
        )
    return card


def card_of(product: Product, files: Path) -> Card:
    """The card of a product: the one kept, or made anew where the product has changed.

    Parameters
    ----------
    product : Product
    files : `pathlib.Path`
        The folder of cards.

    Returns
    -------
    Card
        With the status ``failed`` and a reason if the product cannot be read.
    """
    kept = _kept(product, files)
    if kept is not None:
        return kept
    try:
        with GalaxyModel.open(product.path) as model:
            return keep_card(model, product, files)
    except GalstepError as error:
        if not product.path.is_file() or not files.parent.is_dir():
            raise
        return Card(product.name, FAILED, str(error), product.folder)


def picture_path(files: Path, key: str, kind: str) -> Path:
    """Where a picture of a galaxy is kept."""
    return files / f"{_digest(key)}_{kind}.jpg"


def tidy(files: Path, keys: Iterable[str]) -> None:
    """Remove the cards and pictures of galaxies that are there no more.

    Parameters
    ----------
    files : `pathlib.Path`
    keys : iterable of str
        `Product.key` of those that are.
    """
    known = {_digest(key) for key in keys}
    for path in files.iterdir() if files.is_dir() else ():
        match = _OWN_NAME.fullmatch(path.name)
        if match and match[1] not in known:
            path.unlink(missing_ok=True)


def _path(files, key):
    return files / f"{_digest(key)}.json"


def _digest(key):
    return hashlib.sha256(key.encode("utf-8", errors="surrogatepass")).hexdigest()[:24]


def _made_by():
    return [_CARD_VERSION, __version__, importlib.util.find_spec("matplotlib") is not None]


def _kept(product, files):
    """The card that is kept, if it is of this product as it is now."""
    try:
        head, _, text = _path(files, product.key).read_text(encoding="utf-8").partition("\n")
        kept = json.loads(head)
        if kept["made_by"] != _made_by() or kept["stamp"] != product.stamp:
            return None
        card = Card.from_json(text)
        for kind, size in kept["pictures"].items():
            card.pictures[kind] = picture_path(files, product.key, kind).read_bytes()
            if len(card.pictures[kind]) != size:
                return None
    # not there, or not whole: it is made again
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return card


def _pictures(model):
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    from galstep.plotting.thumbnails import thumbnails

    return thumbnails(model)
