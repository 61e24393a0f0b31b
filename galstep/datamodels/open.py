"""One door: whatever the user brings becomes a `GalaxyModel`."""

import logging
import os
from pathlib import Path

from galstep.datamodels.galaxy import GalaxyModel
from galstep.exceptions import InputError

__all__ = ["open_model"]

log = logging.getLogger(__name__)

_ASDF_MAGIC = b"#ASDF"
_FITS_MAGIC = b"SIMPLE  ="


def open_model(source, psf_file=None, filters=None, pixel_scale=0.03, unit="MJy/sr"):
    """Open a galaxy.

    The kind of file is told from its first bytes, not from its name.

    Parameters
    ----------
    source : str, path-like or GalaxyModel
        An HDF5 image file (`galstep.datamodels.hdf5_input`), a product
        ``<name>_gal.asdf``, or a model, which is returned as it is.
    psf_file : str or path-like, optional
        HDF5 file with a PSF per filter. Needed for an image file; a product
        carries its PSFs and needs none.
    filters : sequence of str, optional
        The filters to take, in this order. By default all.
    pixel_scale : float, optional
        Side of a pixel (arcsec), for images that do not tell theirs.
    unit : str, optional
        Unit of the images, for images that do not tell theirs.

    Returns
    -------
    GalaxyModel

    Raises
    ------
    InputError
        If the file is missing, of another kind, or cannot be used; the message
        names the file and what is wrong with it.
    """
    if isinstance(source, GalaxyModel):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"input must be the path of a file or a GalaxyModel, got {type(source).__name__}"
        )
    path = Path(source)
    kind = _kind_of_file(path)
    if kind == "asdf":
        from galstep.datamodels.asdf_io import read_asdf

        if psf_file is not None:
            log.info("input %s: a product carries its PSFs, so psf_file is not used", path)
        return read_asdf(path, filters=filters)
    from galstep.datamodels.hdf5_input import read_hdf5

    return read_hdf5(path, psf_file, filters=filters, pixel_scale=pixel_scale, unit=unit)


def _kind_of_file(path):
    """``"asdf"`` or ``"hdf5"``; an `InputError` for anything else."""
    if not path.exists():
        raise InputError(f"input {path}: there is no such file")
    if path.is_dir():
        raise InputError(f"input {path}: a file is needed, this is a folder")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_FITS_MAGIC))
    except OSError as error:
        raise InputError(f"input {path}: cannot be read ({error.strerror})") from error
    if start.startswith(_ASDF_MAGIC):
        return "asdf"
    import h5py

    if h5py.is_hdf5(path):
        return "hdf5"
    taken = "HDF5 with a dataset per filter, or a galstep product (_gal.asdf)"
    if start == _FITS_MAGIC:
        raise InputError(f"input {path}: FITS is not read yet; what is read is {taken}")
    raise InputError(f"input {path}: the kind of file is not known; what is read is {taken}")
