"""`ImageList`: several images that a step has worked on, and what it found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from galstep import __version__
from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.distinct_names import distinct_names, file_of
from galstep.datamodels.sky.chips import file_of_chips, products_of
from galstep.datamodels.sky.image_writer import corrected_model, is_model, save_chips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from astropy.table import QTable

    from galstep.datamodels.sky.sky_image import SkyImage
    from galstep.hints import PathLike

__all__ = ["ImageList", "image_meta"]


def image_meta(filename: str) -> SimpleNamespace:
    """The ``meta`` that stpipe and the steps expect of a model of images."""
    return SimpleNamespace(
        filename=filename,
        cal_step=SimpleNamespace(),
        parameters={},
        timings={},
        history=[],
        version=__version__,
    )


class ImageList:
    """Images in their order, with a summary and further tables.

    Parameters
    ----------
    images : sequence of `galstep.datamodels.sky.sky_image.SkyImage`
    filename : str
        What products are named after: the first input.
    suffix : str
        Added to the names of the images' own files.

    Attributes
    ----------
    summary : `astropy.table.QTable` or None
        One row per image.
    alignments : list of tuples
        For each image what became of it, relative and absolute:
        `galstep.core.align.alignment.Alignment` or None.
    tables : dict of str to (`astropy.table.Table`, str)
        Stem of a file to table and its format: catalogues.
    """

    crds_observatory = None

    def __init__(
        self, images: Sequence[SkyImage], filename: str = "images", suffix: str = "tweakreg"
    ) -> None:
        self.images = list(images)
        self.suffix = suffix
        self.meta = image_meta(filename)
        self.summary: QTable | None = None
        self.alignments: list[tuple] = []
        self.tables: dict[str, tuple] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> SkyImage:
        return self.images[index]

    def __iter__(self) -> Iterator[SkyImage]:
        return iter(self.images)

    @property
    def models(self) -> list:
        """Of images that came from models: copies of these, with the corrected WCS."""
        return [corrected_model(image) for image in self.images if is_model(image.source)]

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def close(self) -> None:
        """Do nothing: part of the data model protocol."""

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write summary, images and tables; every file whole or not at all.

        Parameters
        ----------
        path : str, path-like or callable
            Of the summary. The other files go beside it:
            ``<image>_<suffix>.fits`` and the tables.
        dir_path : path-like, optional
            Folder that replaces the one in ``path``.
        *args, **kwargs
            Ignored.

        Returns
        -------
        str
            The summary's file.
        """
        path = Path(path(self.meta.filename) if callable(path) else path)
        folder = path.parent if dir_path is None else Path(dir_path)
        path = (folder / path.name).with_suffix(".ecsv")
        with replacing(path) as temporary:
            self.summary.write(temporary, format="ascii.ecsv")
        products = products_of(self.images)
        names = [file_of_chips(c[0].name) if len(c) > 1 else c[0].name for c in products]
        # exposures of one file name in two folders are two images
        names = distinct_names(names, [file_of(chips[0].source) for chips in products])
        for chips, name in zip(products, names, strict=True):
            path_of_image = folder / f"{name}_{self.suffix}.fits"
            if len(chips) == 1:
                chips[0].save(path_of_image)
            else:
                save_chips(chips, path_of_image)
        for stem, (table, table_format) in self.tables.items():
            write_table(table, folder / stem, table_format)
        return str(path)


def write_table(table: QTable, stem: PathLike, table_format: str) -> str:
    """Write a table in a format that astropy knows by this name or extension."""
    known = {"ecsv": "ascii.ecsv", "csv": "ascii.csv", "txt": "ascii.basic"}
    path = Path(f"{stem}.{table_format.rpartition('.')[2]}")
    with replacing(path) as temporary:
        table.write(temporary, format=known.get(table_format, table_format))
    return str(path)
