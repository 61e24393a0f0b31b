"""A `FieldModel` in an ASDF file: plain trees and arrays, checked against a schema.

Images stay where they are: the file has their paths. An image that never was in a file is kept
whole. Nothing of galstep is needed to read it.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asdf
import numpy as np
import yaml
from astropy import units as u
from astropy.table import QTable, Table

from galstep.datamodels.field.field_band import FieldBand, FieldPsf
from galstep.datamodels.field.field_data import FieldBlock, FieldMeta
from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.files.asdf_stream import asdf_file, load_tree, save_asdf
from galstep.datamodels.files.image_bounds import check_arrays
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.files.serialise import plain
from galstep.datamodels.files.wcs_text import wcs_from_text, wcs_to_text
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import GalstepError, InputError
from galstep.pixel_map import PixelMap
from galstep.schemas import FIELD_SCHEMA_URI, resource_mappings

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["is_field_product", "read_field", "write_field"]

_VERSION = 1
_BLOCK_ARRAYS = ("rows", "chi2", "n_pixels", "sky")


def is_field_product(path: PathLike) -> bool:
    """Whether a file is what `write_field` wrote."""
    try:
        with open(path, "rb") as stream:
            if stream.read(5) != b"#ASDF":
                return False
        tree = load_tree(path, "input")
    except (OSError, InputError, yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and "galstep_field" in tree


def write_field(model: FieldModel, path: PathLike) -> None:
    """Write the model, whole or not at all.

    Parameters
    ----------
    model : FieldModel
    path : path-like

    Raises
    ------
    GalstepError
        If it does not fit the schema, or cannot be written.
    """
    with _schema_known():
        try:
            file = asdf.AsdfFile(_tree(model), custom_schema=FIELD_SCHEMA_URI)
            file.validate()
            save_asdf(file, path)
        except asdf.ValidationError as error:
            raise GalstepError(
                f"output {path}: not a sound field: {one_line(error.message)}"
            ) from error


def read_field(path: PathLike) -> FieldModel:
    """The model that `write_field` wrote.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    InputError
        If it is damaged or no such product.
    """
    where = f"input {path}"
    try:
        with (
            _schema_known(),
            asdf_file(path, "input", custom_schema=FIELD_SCHEMA_URI, lazy_load=False) as file,
        ):
            check_arrays(file.tree, where)
            return _model(file.tree)
    except asdf.ValidationError as error:
        text = one_line(error.message)
        raise InputError(f"{where}: not a field of galstep ({text})") from error
    except InputError as error:
        raise InputError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from error
    except (
        OSError, ValueError, RuntimeError, struct.error, yaml.YAMLError, MemoryError, TypeError,
        LookupError, AttributeError, asdf.exceptions.AsdfWarning,
    ) as error:  # fmt: skip
        raise InputError(f"{where}: the ASDF file is damaged ({one_line(error)})") from error


# ------------------------------------------------------------------- writing


def _tree(model):
    meta = {own.name: plain(getattr(model.meta, own.name)) for own in fields(model.meta)}
    return {
        "galstep_field": _VERSION,
        "meta": meta | {"cal_step": plain(vars(model.meta.cal_step)), "bands": list(model.bands)},
        "bands": {name: _band_tree(band) for name, band in model.bands.items()},
        "start": _table_tree(model.start),
        "catalog": _table_tree(model.catalog),
        "inputs": _table_tree(model.inputs),
        "covariance": _covariance_tree(model),
        "blocks": _blocks_tree(model.blocks),
        "ellipses": np.array(model.ellipses),
    }


def _band_tree(band):
    own = {f.name: getattr(band, f.name) for f in fields(band) if f.name not in ("source", "wcs")}
    tree = {name: plain(value) for name, value in own.items()}
    tree["wcs"] = None if band.wcs is None else wcs_to_text(band.wcs)
    tree["path"] = None if band.path is None else os.path.abspath(band.path)
    tree["image"] = None if band.path is not None else _image_tree(band.source)
    return tree


def _image_tree(image):
    planes = {name: getattr(image, name) for name in ("data", "err", "mask")}
    tree = {k: None if v is None else np.array(v) for k, v in planes.items()}
    return tree | {"name": image.name, "unit": image.unit}


def _table_tree(table):
    columns, units, texts = {}, {}, {}
    for name in table.colnames:
        column = table[name]
        unit = getattr(column, "unit", None)
        units[name] = None if unit is None else unit.to_string()
        texts[name] = column.info.description
        mask = getattr(column, "mask", None)
        values = getattr(column, "unmasked", column)
        values = np.array(np.ma.getdata(getattr(values, "value", values)))
        if values.dtype.kind == "O":
            values = values.astype(str)
        if values.dtype.kind in "US" and not values.dtype.itemsize:
            values = values.astype("U1")
        columns[name] = values.astype(values.dtype.newbyteorder("="))
        if mask is not None and np.any(mask):
            texts[f"{name}.mask"] = np.array(mask, dtype=bool)
    return {
        "names": list(table.colnames),
        "length": len(table),
        "columns": columns,
        "units": units,
        "descriptions": texts,
        "meta": plain(table.meta),
    }


def _covariance_tree(model):
    """Lower triangles one after the other: a list of thousands of arrays would be slow."""
    triangles = [np.asarray(c)[np.tril_indices(len(c))] for c in model.covariance]
    return {
        "values": np.concatenate(triangles) if triangles else np.zeros(0),
        "sizes": np.array([len(c) for c in model.covariance], dtype=np.int64),
        "names": [" ".join(names) for names in model.covariance_names],
    }


def _blocks_tree(blocks):
    tree = [{f.name: plain(getattr(b, f.name)) for f in fields(b)} for b in blocks]
    for own in tree:
        # some numbers each: as lists they stand in the text and cost no block of the file
        own.update({name: np.asarray(own[name]).tolist() for name in _BLOCK_ARRAYS})
    return tree


# ------------------------------------------------------------------- reading


def _model(tree):
    names = list(tree["meta"]["bands"])
    bands = {name: _band(tree["bands"][name]) for name in names}
    meta = {own.name: plain(tree["meta"][own.name]) for own in fields(FieldMeta)}
    meta["cal_step"] = SimpleNamespace(**meta["cal_step"])
    model = FieldModel(FieldMeta(**meta), bands, _table(tree["start"], Table))
    model.catalog = _table(tree["catalog"], QTable)
    model.inputs = _table(tree["inputs"], QTable)
    model.covariance, model.covariance_names = _covariances(tree["covariance"])
    model.blocks = [_block(own) for own in tree["blocks"]]
    model.ellipses = np.array(tree["ellipses"], dtype=float).reshape(-1, 5)
    return model


def _band(tree):
    names = {own.name for own in fields(FieldBand)} - {"source", "wcs", "pixel_map", "psf"}
    values = {name: plain(tree[name]) for name in names}
    values["shape"] = tuple(values["shape"])
    values["sky_factors"] = np.array(tree["sky_factors"], dtype=float)
    wcs = None if tree["wcs"] is None else wcs_from_text(tree["wcs"], "wcs")
    psf = tree["psf"]
    if psf is not None:
        psf = {own.name: _owned(psf[own.name]) for own in fields(FieldPsf)}
        psf["stars"] = np.array(psf["stars"], dtype=float).reshape(-1, 2)
        psf = FieldPsf(**psf)
    source = tree["path"] if tree["image"] is None else _image(tree["image"], wcs)
    pixel_map = PixelMap(**plain(tree["pixel_map"]))
    return FieldBand(source=source, wcs=wcs, pixel_map=pixel_map, psf=psf, **values)


def _image(tree, wcs):
    planes = {k: None if tree[k] is None else np.array(tree[k]) for k in ("data", "err", "mask")}
    return SkyImage(tree["name"], wcs=wcs, unit=tree["unit"], **planes)


def _owned(value):
    if hasattr(value, "items"):
        return {str(key): _owned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_owned(item) for item in value]
    return np.array(value) if hasattr(value, "__array__") else value


def _table(tree, kind):
    table = kind(meta=_owned(tree["meta"]))
    for name in tree["names"]:
        values, unit = np.array(tree["columns"][name]), tree["units"][name]
        mask = tree["descriptions"].get(f"{name}.mask")
        if mask is not None:
            values = np.ma.array(values, mask=np.array(mask))
        table[name] = values if unit is None else values * u.Unit(unit)
        if len(values) != tree["length"]:
            raise InputError(f"column {name} must have {tree['length']} rows, got {len(values)}")
        table[name].info.description = tree["descriptions"][name]
    return table


def _covariances(tree):
    values, sizes = np.array(tree["values"]), np.array(tree["sizes"], dtype=int)
    ends = np.cumsum(sizes * (sizes + 1) // 2)
    covariances = []
    for size, triangle in zip(
        sizes, np.split(values, ends[:-1]) if len(sizes) else (), strict=True
    ):
        matrix = np.zeros((size, size))
        matrix[np.tril_indices(size)] = triangle
        covariances.append(matrix + np.tril(matrix, -1).T)
    return covariances, [text.split() for text in tree["names"]]


def _block(tree):
    values: dict[str, Any] = {own.name: _owned(tree[own.name]) for own in fields(FieldBlock)}
    n_bands = len(values["chi2"])
    values["rows"] = np.array(values["rows"], dtype=int)
    values["n_pixels"] = np.array(values["n_pixels"], dtype=int)
    values["chi2"] = np.array(values["chi2"], dtype=float)
    values["sky"] = np.array(values["sky"], dtype=float).reshape(n_bands, -1)
    return FieldBlock(**values)


@contextmanager
def _schema_known():
    """asdf finds our schemas here, installed as its plug-in or not, and checks by them."""
    with asdf.config_context() as config:
        for mapping in resource_mappings():
            config.add_resource_mapping(mapping)
        config.validate_on_read = True  # the default of asdf up to version 5
        yield
