"""Models of a library, looked at one at a time.

A library may keep its models on disk and lend them (stpipe's ``ModelLibrary``): what holds on to
a model that was given back holds all of them in memory in the end. So of each only what is small
is kept, and its pixels are borrowed again when they are looked at.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LentModel", "LentPlane", "in_memory", "lent_image"]


class LentModel:
    """Where a model is to be had.

    Parameters
    ----------
    library : object
        Lends models: ``borrow(index)``, ``shelve(model, index, modify)``, as a context.
    index : int
    model : object
        The model, of which the name is kept.
    """

    def __init__(self, library: Any, index: int, model: Any) -> None:
        self._library, self._index = library, index
        self.meta = SimpleNamespace(filename=getattr(model.meta, "filename", None))
        if hasattr(model.meta, "wcs"):
            self.meta.wcs = None  # it has one: `galstep.datamodels.sky.image_writer.is_model`

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """The model, to be looked at and not to be changed."""
        with self._library:
            model = self._library.borrow(self._index)
            try:
                yield model
            finally:
                self._library.shelve(model, self._index, modify=False)

    def copy(self) -> Any:
        """A copy of the model."""
        with self.borrowed() as model:
            return model.copy()

    def save(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        """Save the model as it is."""
        with self.borrowed() as model:
            return model.save(path, *args, **kwargs)


class LentPlane:
    """A plane of such a model, read when it is looked at.

    Parameters
    ----------
    source : LentModel
    name : str
        Attribute of `galstep.datamodels.sky.sky_image.SkyImage`.
    plane : (ny, nx) array
        Of which shape and type are kept.
    """

    ndim = 2

    def __init__(self, source: LentModel, name: str, plane: Any) -> None:
        self.source, self._name = source, name
        self.shape, self.dtype = plane.shape, getattr(plane, "dtype", None)

    def __getitem__(self, part: Any) -> np.ndarray:
        with self.source.borrowed() as model:
            return np.array(getattr(open_image(model), self._name)[part])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:, :], dtype=dtype)


_PLANES = ("data", "err", "mask")


def lent_image(image: SkyImage, source: LentModel) -> SkyImage:
    """An image of a model, without its pixels.

    Parameters
    ----------
    image : SkyImage
        Of the model, borrowed.
    source : LentModel

    Returns
    -------
    SkyImage
    """
    planes = {name: getattr(image, name) for name in _PLANES}
    lent: dict[str, Any] = {
        name: None if plane is None else LentPlane(source, name, plane)
        for name, plane in planes.items()
    }
    return replace(image, source=source, **lent)


def in_memory(image: SkyImage) -> SkyImage:
    """The image with its pixels, all of them read at once; one that has them as it is."""
    if not isinstance(image.data, LentPlane):
        return image
    with image.data.source.borrowed() as model:
        whole = open_image(model)
        return replace(image, **{name: getattr(whole, name) for name in _PLANES})
