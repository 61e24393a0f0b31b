"""Exposures as jwst's pipelines hold them, made without jwst: models, library, FITS files."""

import copy
import io
from types import SimpleNamespace

import asdf
import numpy as np
from astropy.io import fits
from stpipe.library import AbstractModelLibrary, NoGroupID


class Meta(SimpleNamespace):
    """Attributes that are None if they are not there, as in jwst's models."""

    def __getattr__(self, name):
        # it is no mapping
        if name.startswith("__") or name in ("get", "keys", "instance"):
            raise AttributeError(name)
        return None


class Model:
    """An image model: what stpipe and TweakReg ask of one."""

    def __init__(self, data, wcs, wcsinfo=None, filename="model.fits", **meta):
        self.data = data
        # jwst's are zero where nothing is known
        self.err, self.dq = np.zeros_like(data), np.zeros(data.shape, dtype=np.uint32)
        instance = {**(wcsinfo or {})}
        self.meta = Meta(
            wcs=wcs, wcsinfo=Meta(**instance, instance=instance), filename=filename,
            cal_step=Meta(), **meta,
        )  # fmt: skip

    def copy(self):
        return copy.deepcopy(self)

    def save(self, path, *args, **kwargs):
        fits.PrimaryHDU(self.data).writeto(path)
        return path

    def get_crds_parameters(self):
        return {}

    crds_observatory = None


class Library(AbstractModelLibrary):
    """A library of such models, or of the files of an association."""

    crds_observatory = None
    open_model = None

    @property
    def asn_dir(self):
        return str(self._asn_dir)

    def _datamodels_open(self, filename, **kwargs):
        return type(self).open_model(filename)

    def _load_asn(self, path):
        import json

        with open(path) as stream:
            return json.load(stream)

    def _model_to_filename(self, model):
        return model.meta.filename

    def _model_to_exptype(self, model):
        return "SCIENCE"

    def _filename_to_group_id(self, filename):
        raise NoGroupID(filename)

    def _model_to_group_id(self, model):
        if model.meta.group_id is None:
            raise NoGroupID(model.meta.filename)
        return model.meta.group_id

    def _assign_member_to_model(self, model, member):
        for name in ("group_id", "tweakreg_catalog"):
            if name in member:
                setattr(model.meta, name, member[name])


def write_exposure(path, data, wcs, wcsinfo=None, header=None, keywords=None, **meta):
    """A FITS file whose gwcs is in the extension ASDF; with ``header``, a FITS WCS as well."""
    tree = {"meta": {"wcs": wcs, "wcsinfo": wcsinfo or {}, **meta}}
    stream = io.BytesIO()
    asdf.AsdfFile(tree).write_to(stream)
    cell = np.frombuffer(stream.getvalue(), dtype=np.uint8)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("ASDF_METADATA", f"{len(cell)}B", array=cell[None, :])], name="ASDF"
    )
    primary = fits.PrimaryHDU()
    primary.header.update(keywords or {})
    science = fits.ImageHDU(data, header, name="SCI")
    fits.HDUList([primary, science, table]).writeto(path)
    return path


def tree_of(path):
    """The tree of the extension ASDF, opened by asdf itself."""
    with fits.open(path) as hdulist:
        raw = np.asarray(hdulist["ASDF"].data["ASDF_METADATA"]).tobytes()
    with asdf.open(io.BytesIO(raw)) as file:
        return copy.deepcopy(dict(file.tree))
