"""FITS images: one filter or several to a file.

Which extension is what is told by ``EXTNAME``, in any case of letters:

==========================  ===========================================
``SCI``, ``IMAGE``, none    the image (the primary one has no name)
``ERR``, ``ERROR``, ...     1-sigma error
``VAR``, ``VAR_POISSON``..  variance, or parts of it
``WHT``, ``WEIGHT``, ...    weight map
``DQ``                      data quality bits
``MASK``                    nonzero = bad
``UNCERT``                  what ``CCDData`` writes, kind in ``UTYPE``
==========================  ===========================================

Extensions of one ``EXTVER`` belong together. In a file of several filters the
name of the filter may stand in the name (``F150W``, ``F150W_ERR``) instead.
Everything else (``CON``, tables, ...) is left alone.
"""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning, AstropyWarning
from astropy.wcs import WCS

from galstep.datamodels.files.fits_bounds import check_header_end, warn_of_checksums
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.files.regular_file import check_regular
from galstep.datamodels.files.wcs_bounds import check_wcs_header
from galstep.datamodels.images.fits_header import (
    calibration_of,
    filter_in_text,
    filter_of_header,
    pixel_scale_of,
)
from galstep.datamodels.images.image_source import ImageSource
from galstep.exceptions import GalstepError, InputError
from galstep.sky_frame import celestial_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

    from astropy.io.fits import HDUList, ImageHDU

    from galstep.hints import PathLike

__all__ = ["companion_role", "fits_sources", "header_wcs", "is_image", "open_fits", "sound"]

log = logging.getLogger(__name__)

_ROLES = {
    **dict.fromkeys(("SCI", "IMAGE", "DATA"), "data"),
    **dict.fromkeys(("ERR", "ERROR", "SIGMA", "RMS", "UNC"), "err"),
    **dict.fromkeys(("VAR", "VARIANCE", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"), "variances"),
    **dict.fromkeys(("WHT", "WEIGHT", "IVM", "IVAR"), "weight"),
    "DQ": "dq",
    "MASK": "mask",
}
_UNCERTAINTIES = {
    "StdDevUncertainty": "err",
    "VarianceUncertainty": "variances",
    "InverseVariance": "weight",
}
_COMBINED = re.compile(rf"^(?P<filter>.+?)[_-](?P<role>{'|'.join(_ROLES)})$")
# the end of a file name that says what the file holds: galaxy_drz_wht.fits
_FILE_ROLE = re.compile(rf"^(?P<stem>.+?)[_-](?P<role>{'|'.join(_ROLES)})$", re.IGNORECASE)


def companion_role(path: PathLike) -> tuple[str, str | None]:
    """What the name of a file says of its content.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    (str, str or None)
        The name without extension and role, and the role as the attribute of
        `ImageSource`: ``galaxy_f150w_wht.fits`` gives ``("galaxy_f150w",
        "weight")``; None where the name says nothing.
    """
    stem = re.sub(r"\.fits?(\.gz|\.fz)?$", "", Path(path).name, flags=re.IGNORECASE)
    match = _FILE_ROLE.match(stem)
    return (match["stem"], _ROLES[match["role"].upper()]) if match else (stem, None)


def open_fits(path: PathLike, role: str, stack: ExitStack, sums: bool = True) -> HDUList:
    """The FITS file at ``path``, open until ``stack`` is left.

    Parameters
    ----------
    path : path-like
    role : str
        What the file is to the user (``"input"``, ``"psf_file"``).
    stack : `contextlib.ExitStack`
    sums : bool, optional
        Whether to warn of wrong checksums, for which the pixels are read.

    Raises
    ------
    InputError
        If it is damaged.
    """
    check_regular(path, role)
    with sound(f"{role} {path}"):
        # a stream of our own is closed also where astropy stops half-way
        stream = stack.enter_context(open(path, "rb"))
        check_header_end(stream, f"{role} {path}")
        hdus = stack.enter_context(fits.open(stream))
        len(hdus)  # reads all headers, and finds what is missing at the end
        if sums:
            warn_of_checksums(hdus, f"{role} {path}")
    return hdus


@contextmanager
def sound(where: str) -> Iterator[None]:
    """Headers and extensions are looked at here: what astropy cannot make out is an `InputError`.

    Parameters
    ----------
    where : str
        The file, as messages call it.
    """
    try:
        with warnings.catch_warnings():
            # headers of real instruments break small FITS rules that change nothing here
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            yield
    except GalstepError:
        raise
    except (
        OSError, AstropyUserWarning, fits.VerifyError, ValueError, TypeError, LookupError
    ) as error:  # fmt: skip
        raise InputError(f"{where}: the FITS file is damaged ({one_line(error)})") from error


def fits_sources(
    hdus: HDUList, where: str, filters: Sequence[str] | None = None
) -> list[ImageSource]:
    """The images of a FITS file.

    Parameters
    ----------
    hdus : `astropy.io.fits.HDUList`
    where : str
        The file, as messages call it.
    filters : sequence of str, optional
        Names that extensions may have beside those that look like filters.

    Returns
    -------
    list of ImageSource

    Raises
    ------
    InputError
        If there is no image, or a plane cannot belong to one.
    """
    with sound(where):
        groups = {}
        for index, hdu in enumerate(hdus):
            place = _place(hdu, index, filters or ())
            if place is not None:
                key, role = place
                groups.setdefault(key, {}).setdefault(role, []).append(hdu)
        images = {key: group for key, group in groups.items() if "data" in group}
        if not images:
            images = _only_image(hdus, groups)
        if not images:
            raise InputError(f"{where}: there is no image (extension SCI); it has {_listing(hdus)}")
        return [_source(group, key, hdus, where) for key, group in images.items()]


def _only_image(hdus, groups):
    """The one image without a name, where none has that of an image."""
    left = [hdu for hdu in hdus if is_image(hdu) and not hdu.name and len(hdu.shape) == 2]
    if len(left) != 1:
        return {}
    key = next(iter(groups)) if len(groups) == 1 else (None, 1)
    return {key: {**groups.get(key, {}), "data": left}}


def is_image(hdu: Any) -> bool:
    """Whether an extension holds pixels."""
    kinds = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
    return isinstance(hdu, kinds) and bool(hdu.shape)


def _place(hdu, index, filters):
    """((filter or None, EXTVER), role) of an extension, None if it is not for us."""
    if not is_image(hdu):
        return None
    name, version = hdu.name.upper(), hdu.ver
    if name in ("", "PRIMARY"):
        return ((None, 1), "data") if index == 0 else None
    if name in _ROLES:
        return (None, version), _ROLES[name]
    if name == "UNCERT":
        role = _UNCERTAINTIES.get(str(hdu.header.get("UTYPE", "StdDevUncertainty")).strip())
        return None if role is None else ((None, version), role)
    match = _COMBINED.match(name)
    if match:
        return (match["filter"], version), _ROLES[match["role"]]
    known = {filter_.upper(): filter_ for filter_ in filters}
    if name in known or filter_in_text(name):
        return (name, version), "data"
    return None


def _source(group, key, hdus, where):
    """One `ImageSource` of extensions that belong together."""
    if len(group["data"]) > 1:
        names = " and ".join(_label(hdu) for hdu in group["data"])
        raise InputError(f"{where}: one image of a kind is needed, got {names}")
    hdu = group["data"][0]
    what = f"{where}[{_label(hdu)}]"
    header = {**_keywords(hdus[0].header), **_keywords(hdu.header)}
    planes = {role: [_plane(h, where) for h in found] for role, found in group.items()}
    for role, found in planes.items():
        for plane, other in zip(found, group[role], strict=True):
            if plane.shape != planes["data"][0].shape:
                raise InputError(
                    f"{where}[{_label(other)}] must have the shape of the image "
                    f"{planes['data'][0].shape}, got {plane.shape}"
                )
    single = {role: found[0] for role, found in planes.items() if role not in ("data", "variances")}
    return ImageSource(
        name=key[0] or filter_of_header(header),
        where=what,
        data=planes["data"][0],
        variances=tuple(planes.get("variances", ())),
        wcs=header_wcs(hdu, hdus, what),
        unit=str(header["BUNIT"]) if header.get("BUNIT") else None,
        pixel_scale=pixel_scale_of(header, what),
        calibration=calibration_of(header, what),
        zero_is_no_data="weight" not in planes and "dq" not in planes,
        **single,
    )


def _keywords(header):
    return {card.keyword: card.value for card in header.cards if card.keyword}


def _plane(hdu, where):
    """The pixels of an extension, left on disc."""
    if len(hdu.shape) != 2:
        raise InputError(f"{where}[{_label(hdu)}] must be a 2-D image, got shape {hdu.shape}")
    return hdu.section if hdu.fileinfo() else hdu.data


def header_wcs(hdu: ImageHDU, hdus: HDUList, what: str) -> WCS | None:
    """The celestial WCS of an extension, None if it has none.

    Parameters
    ----------
    hdu : `astropy.io.fits.ImageHDU`
    hdus : `astropy.io.fits.HDUList`
        The file, which may hold look-up tables of distortion.
    what : str
        The file and extension, as messages call it.

    Raises
    ------
    InputError
        If the keywords are there and make no WCS.
    """
    if "CTYPE1" not in hdu.header:
        return None
    check_wcs_header(hdu.header, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            wcs = WCS(hdu.header, hdus, naxis=2)
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise InputError(f"{what}: the WCS cannot be read ({one_line(error)})") from error
    if not wcs.has_celestial:
        log.info("%s: axes %s are no sky coordinates", what, list(wcs.wcs.ctype))
        return None
    try:
        celestial_frame(wcs)
    except InputError as error:
        log.warning("%s: %s, so it is taken as without a WCS", what, error)
        return None
    if not np.isfinite(wcs.proj_plane_pixel_area().value) or not wcs.proj_plane_pixel_area() > 0:
        raise InputError(f"{what}: the WCS is singular")
    return wcs


def _label(hdu):
    return f"{hdu.name or 'PRIMARY'},{hdu.ver}" if hdu.ver > 1 else hdu.name or "PRIMARY"


def _listing(hdus):
    kinds = []
    for hdu in hdus:
        shape = "x".join(map(str, hdu.shape)) if is_image(hdu) else "no image"
        kinds.append(f"{_label(hdu)} ({shape})")
    return ", ".join(kinds)
