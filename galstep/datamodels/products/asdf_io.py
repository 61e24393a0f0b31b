"""The product ``<name>_gal.asdf``: the whole model in one file, and back.

The tree holds only what every ASDF reader knows (mappings, lists, strings,
numbers, arrays), so ``asdf.open`` shows it without galstep or any extension.
Its layout is the schema ``schemas/galaxy-1.0.0.yaml``; files are checked
against it when they are written and when they are read.

Every image is kept as float64: a step that runs on a re-read product sees the
very numbers it would have seen in the pipeline. ``residual`` and the tables
follow from the rest, are there for other readers, and are not read back; the
residual is float32, and NaN everywhere before a fit.
"""

from __future__ import annotations

import logging
import struct
import warnings
from contextlib import contextmanager
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING

import asdf
import numpy as np
import yaml

from galstep.datamodels.files.asdf_stream import asdf_file, load_tree, save_asdf
from galstep.datamodels.files.hdf5_access import choose_filters
from galstep.datamodels.files.image_bounds import check_arrays
from galstep.datamodels.files.serialise import plain, record_from_tree
from galstep.datamodels.files.wcs_text import wcs_from_text, wcs_to_text
from galstep.datamodels.galaxy import GalaxyModel, Meta
from galstep.datamodels.model.band import MODEL_IMAGES, BandData
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import GalstepError, InputError
from galstep.records import (
    ApertureFlux,
    BandFit,
    ForcedStars,
    Injections,
    JointSummary,
    PsfKernel,
    Registration,
)
from galstep.schemas import GALAXY_SCHEMA_URI, resource_mappings
from galstep.units import check_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["PRODUCT_VERSION", "model_tree", "read_asdf", "write_asdf"]

log = logging.getLogger(__name__)

PRODUCT_VERSION = 1
_IMAGES = ("data", "err", "mask", "psf", *MODEL_IMAGES)
_RECORDS = {
    "psf_kernel": PsfKernel,
    "fit": BandFit,
    "aperture": ApertureFlux,
    "forced": ForcedStars,
    "registration": Registration,
}
_UNITS = {
    "positions": "pix, 0-based, of the crop; origin is its first pixel in the input frame",
    "angles": "rad, counter-clockwise from +x",
    "fluxes": "unit of the filter x pix",
    "psf_correction": "mag",
    "timings": "s",
}


def write_asdf(model: GalaxyModel, path: PathLike) -> None:
    """Write the model to ``path``, whole or not at all.

    Parameters
    ----------
    model : GalaxyModel
    path : path-like

    Raises
    ------
    InputError
        If the folder is not there.
    GalstepError
        If the model does not fit the schema; an earlier file is left alone.
    """
    with _schema_known():
        try:
            file = asdf.AsdfFile(model_tree(model), custom_schema=GALAXY_SCHEMA_URI)
            file.validate()  # not every version of asdf checks a custom schema while writing
            save_asdf(file, path)
        except asdf.ValidationError as error:
            raise GalstepError(f"output {path}: not a sound model: {_fault(error)}") from error


def model_tree(model: GalaxyModel) -> dict:
    """The tree of the product; see the schema for what is where."""
    return {
        "galstep_product": PRODUCT_VERSION,
        "meta": _meta_tree(model),
        "bands": {name: _band_tree(band) for name, band in model.bands.items()},
        "joint": plain(model.joint),
        "injections": plain(model.injections),
        "tables": {name: _table_tree(table) for name, table in make_tables(model).items()},
    }


def read_asdf(path: PathLike, filters: Sequence[str] | None = None) -> GalaxyModel:
    """The model that `write_asdf` wrote to ``path``.

    Parameters
    ----------
    path : path-like
    filters : sequence of str, optional
        The filters to take; by default all. The joint result is left out where
        one of its filters is.

    Raises
    ------
    InputError
        If the file is damaged, is no product, or lacks a filter; the message
        names the file and the key at fault.
    """
    where = f"input {path}"
    tree = _read_tree(path, where)
    names = choose_filters(tree["meta"]["filters"], filters, where)
    bands = {}
    for name in names:
        if name not in tree["bands"]:
            raise InputError(f"{where}: not a sound product: bands: {name!r} is missing")
        bands[name] = _band(name, tree["bands"][name], where)
    meta = _meta(tree["meta"])
    if meta.base_filter not in names:
        meta.base_filter = None
    joint = record_from_tree(JointSummary, tree["joint"])
    if joint is not None and not set(joint.filters) <= set(names):
        log.info("%s: only some of its filters are taken, so the joint result is left out", where)
        joint = None
    injections = record_from_tree(Injections, tree.get("injections"))
    if injections is not None and not set(injections.filter) <= set(names):
        log.info("%s: only some of its filters are taken, so the injections are left out", where)
        injections = None
    return GalaxyModel(meta, bands, joint, injections)


def _meta_tree(model):
    meta = model.meta
    tree = {field.name: plain(getattr(meta, field.name)) for field in fields(meta)}
    return tree | {
        "cal_step": plain(vars(meta.cal_step)),
        "filters": list(model.bands),
        "units": dict(_UNITS),
    }


def _meta(tree):
    # products of earlier versions do not say where the target was looked for
    older = {"target_position": None, "target_filter": None}
    values = {field.name: (older | tree)[field.name] for field in fields(Meta)}
    values["cal_step"] = SimpleNamespace(**values["cal_step"])
    for name in ("parameters", "timings", "history", "convergence"):
        values[name] = plain(values[name])
    for name in ("input_shape", "target_position"):
        if values[name] is not None:
            values[name] = tuple(values[name])
    return Meta(**values)


def _band_tree(band):
    # `stars` of the band is the image; the star list is in `fit`
    tree = {field.name: plain(getattr(band, field.name)) for field in fields(band)}
    tree["wcs"] = None if band.wcs is None else wcs_to_text(band.wcs)
    residual = np.full(band.shape, np.nan) if band.residual is None else band.residual
    tree["residual"] = residual.astype(np.float32)
    del tree["name"]
    return tree


def _band(name, tree, where):
    """The filter of a tree that the schema has passed."""
    # products of earlier versions lack the keys that are not required
    names = [field.name for field in fields(BandData) if field.name != "name"]
    values = {name: tree.get(name) for name in names}
    try:
        for key in _IMAGES:
            values[key] = None if values[key] is None else np.array(values[key])
        for key, record in _RECORDS.items():
            values[key] = record_from_tree(record, values[key])
        _check_stars(values["fit"])
        values["reasons"] = list(values["reasons"])
        values["unit"] = check_unit(values["unit"], "unit")
        if values["wcs"] is not None:
            values["wcs"] = wcs_from_text(values["wcs"], "wcs")
        return BandData(name, **values)
    except (KeyError, TypeError, InputError) as error:
        raise InputError(f"{where}: not a sound product: bands/{name}: {error}") from error


def _check_stars(fit):
    """The arrays of a star list must be of one length."""
    for key in () if fit is None else ("stars", "knots"):
        lengths = {name: len(values) for name, values in vars(getattr(fit, key)).items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"fit/{key}: arrays must be of one length, got {lengths}")


def _table_tree(table):
    """Columns, units, texts and meta of a table as plain mappings."""
    columns, units = {}, {}
    for name in table.colnames:
        column = table[name]
        units[name] = None if column.unit is None else column.unit.to_string()
        values = np.asarray(getattr(column, "value", column))
        columns[name] = values.tolist() if values.dtype.kind == "U" else values.copy()
    return {
        "columns": columns,
        "units": units,
        "descriptions": {name: table[name].info.description for name in table.colnames},
        "meta": plain(table.meta),
    }


@contextmanager
def _schema_known():
    """asdf finds our schemas here, installed as its plug-in or not, and checks by them."""
    # the search for plug-ins, most of the time of a read, is kept with the outer configuration
    # and done again in every inner one without
    _ = asdf.get_config().extensions
    with asdf.config_context() as config:
        for mapping in resource_mappings():
            config.add_resource_mapping(mapping)
        config.validate_on_read = True  # the default of asdf up to version 5
        yield


def _read_tree(path, where):
    """The tree, checked against the schema, its arrays in memory."""
    try:
        with (
            _schema_known(),
            _conversion_checked(),
            asdf_file(path, "input", custom_schema=GALAXY_SCHEMA_URI, lazy_load=False) as file,
        ):
            check_arrays(file.tree, where)
            return file.tree
    except asdf.ValidationError as error:
        if "galstep_product" not in load_tree(path, "input"):
            raise InputError(
                f"{where}: an ASDF file, but no product of galstep (no 'galstep_product')"
            ) from error
        raise InputError(f"{where}: not a sound product: {_fault(error)}") from error
    except InputError:
        raise
    except (
        OSError, ValueError, RuntimeError, struct.error, yaml.YAMLError, MemoryError, TypeError,
        # a file that is cut off, in older asdf
        IndexError, asdf.exceptions.AsdfWarning,
    ) as error:  # fmt: skip
        raise InputError(f"{where}: the ASDF file is damaged ({_one_line(error)})") from error


@contextmanager
def _conversion_checked():
    """What asdf cannot convert is an error: it would hand on the bare description."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", asdf.exceptions.AsdfConversionWarning)
        yield


def _fault(error):
    """The key that is at fault and what is wrong with it, from asdf's error.

    Where null is allowed as well ("anyOf"), what counts is why the other, last
    choice does not fit, as deep in the tree as it goes.
    """
    while error.context:
        error = max(error.context, key=lambda e: (e.schema_path[0], len(e.absolute_path)))
    key = "/".join(str(part) for part in error.absolute_path)
    return f"{key}: {_one_line(error.message)}" if key else _one_line(error.message)


def _one_line(text, length=200):
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[:length]} ..."
