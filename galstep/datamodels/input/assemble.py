"""`ImageSource` to `BandData`: cut, converted to MJy/sr, pixels sorted into good and bad."""

from __future__ import annotations

import logging
from dataclasses import replace
from math import radians
from typing import TYPE_CHECKING

import numpy as np
from astropy.units import Unit

from galstep.datamodels.files.image_bounds import check_pixel_side, check_pixels
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.images.calibration import (
    SURFACE_BRIGHTNESS,
    surface_brightness_factor,
)
from galstep.datamodels.images.mosaic_cut import SMALLEST_SIDE, cut_about, fits_wcs, whole
from galstep.datamodels.images.pixel_rules import (
    check_error_scale,
    filled_border,
    flawed_errors,
    least_error,
)
from galstep.datamodels.images.weights import error_from_weight
from galstep.datamodels.model.band import BandData
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.sky_frame import pixel_side
from galstep.unit_names import parse_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.images.image_source import ImageSource
    from galstep.datamodels.images.mosaic_cut import Cut
    from galstep.datamodels.input.read_options import ReadOptions

__all__ = ["check_frames", "cut_of", "make_band", "pixel_side_of", "tell_assumed_units"]

log = logging.getLogger(__name__)

_SAME_SCALE = 0.01
_SAME_FIELD = 2.0  # pixels, as galstep.core.imaging.affine has it
OFF_THE_IMAGE = "the position is off this filter's image"
NO_PIXEL = "every pixel is masked or not finite"


def cut_of(source: ImageSource, options: ReadOptions) -> Cut:
    """The part of an image that the options ask for.

    Raises
    ------
    InputError
        If the image is smaller than 16 pixels a side; see also
        `galstep.datamodels.images.mosaic_cut.cut_about`.
    """
    if min(source.shape) < SMALLEST_SIDE:
        raise InputError(
            f"{source.where}: images must have at least {SMALLEST_SIDE} pixels a side, "
            f"got {source.shape}"
        )
    if options.size is None:
        check_pixels(source.shape, source.where, "cut it out with ra, dec and size")
        return whole(source.shape)
    return cut_about(source, options.ra, options.dec, options.size)


def tell_assumed_units(sources: Sequence[ImageSource], options: ReadOptions) -> None:
    """Say in one line which images do not tell their unit, and what it is taken for."""
    where = [source.where for source in sources if source.unit is None]
    if len(where) == 1:
        log.info("%s: its unit is not told, taken as %s", where[0], options.unit)
    elif where:
        filters = ", ".join(source.name for source in sources if source.unit is None)
        log.info("%s: their unit is not told, taken as %s", filters, options.unit)


def make_band(
    source: ImageSource, cut: Cut, psf: tuple[np.ndarray, int], side: float, options: ReadOptions
) -> BandData:
    """The filter as it travels between the steps.

    Parameters
    ----------
    source : `galstep.datamodels.images.image_source.ImageSource`
        With a name.
    cut : `galstep.datamodels.images.mosaic_cut.Cut`
    psf : tuple of (2-D array, int)
    side : float
        Of a pixel, arcsec; see `pixel_side_of`.
    options : `galstep.datamodels.input.read_options.ReadOptions`

    Returns
    -------
    BandData
        In MJy/sr where unit and keywords tell how to get there, else in its own
        unit, with a reason. Flagged ``NO_DATA`` without a usable pixel.

    Raises
    ------
    InputError
        If a plane cannot be read, or the unit is unknown.
    """
    unit, factor, reasons = _conversion(source, side, options)
    data, mask = _data_and_mask(source, cut, options)
    err, reason = _error(source, cut, data, options)
    x_min, y_min = cut.origin
    band = BandData(
        source.name,
        data * factor,
        *psf,
        err=None if err is None else err * factor,
        mask=mask,
        unit=unit,
        pixel_scale=side,
        wcs=None
        if source.wcs is None or cut.box is None
        else fits_wcs(source.wcs, cut, source.where),
        origin=(source.origin[0] + x_min, source.origin[1] + y_min),
        input_shape=source.shape,
        reasons=[text for text in (*reasons, reason) if text],
    )
    for text in band.reasons:
        log.warning("%s: %s", band.name, text)
    if not band.usable:
        _flag_empty(band, OFF_THE_IMAGE if cut.box is None else NO_PIXEL)
    return band


def _flag_empty(band, reason):
    band.flags |= int(BandFlag.NO_DATA)
    band.reasons.append(reason)
    log.warning("%s: %s; nothing is measured in it", band.name, reason)


def pixel_side_of(source: ImageSource, cut: Cut, options: ReadOptions) -> float:
    """Side of a pixel in the part, arcsec: of the WCS, else as told, else as given."""
    told = source.pixel_scale
    if source.wcs is None:
        side = options.pixel_scale if told is None else told
        check_pixel_side(side, source.where)
        return side
    side = pixel_side(source.wcs, *_middle(source, cut))
    if not side > 0:
        raise InputError(f"{source.where}: the WCS gives no sky positions in the image")
    check_pixel_side(side, source.where)
    if told is not None and abs(told / side - 1) > _SAME_SCALE:
        log.warning(
            "%s: pixels are %.5g arcsec wide by the WCS, which is used, and %.5g by a keyword",
            source.where, side, told,
        )  # fmt: skip
    return side


def _middle(source, cut):
    ny, nx = source.shape
    if cut.box is None:
        return (nx - 1) / 2, (ny - 1) / 2
    rows, columns = cut.box
    return (columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2


def _conversion(source, side, options):
    """Unit of the band, the factor to it, and what is to be said about that."""
    unit = parse_unit(options.unit if source.unit is None else source.unit, source.where)
    calibration = source.calibration
    if calibration.ab_zero_point is None:
        calibration = replace(calibration, ab_zero_point=options.ab_zero_point)
    area = radians(side / 3600.0) ** 2
    factor, reason = surface_brightness_factor(unit, area, calibration)
    if factor is None:
        return unit.to_string(), 1.0, [reason]
    if factor != 1.0:
        log.info("%s: one %s is %.6g %s", source.where, unit, factor, SURFACE_BRIGHTNESS)
    return SURFACE_BRIGHTNESS, factor, []


def _data_and_mask(source, cut, options):
    if cut.box is None:
        return np.full(cut.shape, np.nan), None
    data = _take(source, "data", cut)
    bad = np.zeros(data.shape, dtype=bool)
    if source.mask is not None:
        bad |= _take(source, "mask", cut) != 0
    if source.dq is not None and options.bad_dq_bits:
        bits = _take(source, "dq", cut, dtype=np.int64)
        bad |= (bits & options.bad_dq_bits) != 0
    if source.weight is not None:
        bad |= ~(_take(source, "weight", cut) > 0)
    filled = filled_border(data) if source.zero_is_no_data else None
    if filled is not None:
        log.info(
            "%s: %d pixels at the border are 0 and taken as no data", source.name, filled.sum()
        )
        data[filled] = np.nan
    return data, bad


def _error(source, cut, data, options):
    """1-sigma error in the image's unit, None if nothing tells; and a reason."""
    if cut.box is None:
        return None, ""
    if source.has_error:
        return _plausible(_told_error(source, cut), data, source)
    if source.weight is not None:
        return error_from_weight(data, _take(source, "weight", cut), options.weights)
    return None, ""


def _told_error(source, cut):
    if source.err is not None:
        return _take(source, "err", cut)
    variance = sum(_numbers(plane, source, "variance", cut) for plane in source.variances)
    with np.errstate(invalid="ignore"):
        return np.sqrt(variance)


def _plausible(err, data, source):
    """The errors without those that none can have, and what is to be said about that."""
    check_error_scale(err, data, source.where)
    flaw = (err > 0) & (err < least_error(err, data))
    if not flaw.any():
        return err, ""
    return np.where(flaw, np.nan, err), flawed_errors(np.count_nonzero(flaw))


def _take(source, attribute, cut, dtype=np.float64):
    return _numbers(getattr(source, attribute), source, attribute, cut, dtype)


def _numbers(plane, source, what, cut, dtype=np.float64):
    """The pixels of a plane in the part, as numbers of our own."""
    try:
        values = np.asarray(plane[cut.box])
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError) as error:
        # ImportError: a compression that asdf leaves to another package
        raise InputError(f"{source.where}: {what} cannot be read ({one_line(error)})") from error
    if values.dtype.kind not in "fiub":
        raise InputError(f"{source.where}: {what} must hold real numbers, got {values.dtype}")
    if dtype is np.int64 and values.dtype.kind == "f":
        values = np.nan_to_num(values)
    # a copy even where the type fits: the user's array stays as it is
    return np.array(values, dtype=dtype)


def check_frames(bands: dict[str, BandData], where: str) -> None:
    """Raise `InputError` unless the filters can be measured together.

    Images of different fields need a WCS each; units must convert into each
    other, because fluxes of all filters share a column.
    """
    without = [name for name, band in bands.items() if band.wcs is None and band.usable]
    if without and not _one_field(bands.values()):
        same_scale = len({band.pixel_scale for band in bands.values()}) == 1
        listed = ", ".join(
            f"{name} {band.shape}" + ("" if same_scale else f" of {band.pixel_scale:g} arcsec")
            for name, band in bands.items()
        )
        raise InputError(
            f"{where}: all images must have one shape, got {listed}, unless each has a WCS: "
            f"there is none in {', '.join(without)}"
        )
    units = [band.unit for band in bands.values()]
    for unit in units:
        if not Unit(unit).is_equivalent(units[0]):
            raise InputError(
                f"{where}: units must convert into each other, got {units[0]!r} and {unit!r}"
            )
    if not any(band.usable for band in bands.values()):
        raise InputError(f"{where}: {_nothing(bands)}")


def _one_field(bands):
    """Whether the sides of all images agree (arcsec) to two of the coarsest pixels."""
    sides = np.array([np.multiply(band.shape, band.pixel_scale) for band in bands])
    return np.ptp(sides, axis=0).max() <= _SAME_FIELD * max(band.pixel_scale for band in bands)


def _nothing(bands):
    reasons = {band.reasons[-1] for band in bands.values()}
    if reasons == {OFF_THE_IMAGE}:
        return "the position (ra, dec) is off the image of every filter"
    return "no filter has a usable pixel, all are masked or not finite"
