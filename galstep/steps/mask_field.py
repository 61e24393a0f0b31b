"""MaskField: saturated pixels, bright light that the catalogue lacks, reference stars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.field_edge import inside_margin
from galstep.core.field.reference_match import mutual_matches, near_places, unmatched
from galstep.datamodels.catalogs.reference_stars import read_reference_stars
from galstep.datamodels.field.field_catalog import empty_start
from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.field.field_pixels import SATURATED, ellipse_mask
from galstep.datamodels.field.field_tables import empty_catalog
from galstep.exceptions import InputError, ParameterError
from galstep.flags import FieldFlag
from galstep.sky_frame import pixels_of_sky, sky_of_pixels
from galstep.steps.field.field_detection import DetectionLimits, detected
from galstep.steps.field.field_rows import append_rows, names_of_their_own, rows_of
from galstep.steps.field.field_step import FieldStep
from galstep.steps.field.field_tasks import EXECUTION_SPEC, TaskOptions, task_runner

if TYPE_CHECKING:
    from typing import Any

__all__ = ["MaskField"]

_STRIP = 512  # rows of an image that are looked at together


class MaskField(FieldStep):
    """Say which pixels are not used and which sources that touches; add sources.

    Saturated pixels are masked and the sources beside them flagged. Light that the catalogue
    lacks is masked if that is asked for (FieldFit otherwise finds, adds and fits it). Reference
    stars are matched one to one, and added where the catalogue has none. Without a catalogue
    sources are detected.

    ``galstep params maskfield --all`` lists every parameter.
    """

    class_alias = "gal_maskfield"
    takes_objects = ("reference",)

    spec = f"""
    saturation_divisor = float(min=1.0, max=100.0, default=1.3)  # Pixels from SATURATE over this on are masked
    saturation_radius = float(min=0, max=10000, default=20.0)   # Sources with a saturated pixel so near are flagged (pixels)
    saturation_all_bands = boolean(default=False)  # Flag only sources near saturated pixels in every band
    saturation_exclude = boolean(default=False) # Do not fit flagged sources; else what is not saturated is fitted: their wings carry their flux, and their neighbours need it
    bright = option('none', 'mask', 'add', default='none')  # Bright light that no source explains: left to FieldFit (none), masked, or added as a source at once
    bright_threshold = float(min=1, max=1000, default=5.0)      # Of its detection on the stack of all bands (sigma of the smoothed stack)
    bright_min_area = integer(min=1, max=100000, default=20)    # Least number of pixels above the threshold
    bright_match = float(min=0, max=1000, default=3.0)          # Light closer to a source is the source's (pixels)
    bright_scale = float(min=0, max=100, default=3.0)           # Semi-axes of the masked ellipse in those of the light (1 sigma)
    bright_min_radius = float(min=0, max=1000, default=6.0)     # Least semi-axis of the masked ellipse (pixels)
    bright_dilate = float(min=0, max=1000, default=1.0)         # Added to the semi-axes (pixels)
    detect = boolean(default=None)              # Detect sources and add those that the catalogue lacks (default: only where there is no catalogue)
    detect_threshold = float(min=1, max=1000, default=5.0)      # Of a detection (sigma of the smoothed stack)
    detect_min_area = integer(min=1, max=100000, default=5)     # Least number of pixels of a detection
    reference = input_file(default=None)        # Table of reference stars: source_id, ra, dec, phot_g_mean_mag, mag_<band>
    reference_mag = float_list(min=2, max=2, default=None)      # Brightest and faintest magnitude of reference stars (default: 8,18)
    reference_match = float(min=0.001, max=3600, default=3.0)   # Largest distance of a source from its reference star (arcsec); each must be the other's nearest
    reference_add = boolean(default=True)       # Add reference stars that no source is
    reference_pos_err = float(min=0, max=100, default=0.1)      # Width of the prior on the position of stars that are added (pixels; 0: none)
    reference_epoch = float(min=1000, max=3000, default=None)   # Epoch to which proper motions bring the reference stars (year, a number; default: as they are)
{EXECUTION_SPEC}    """

    def process(self, input: Any) -> FieldModel:
        """Mask, flag and add.

        Parameters
        ----------
        input : path-like or FieldModel

        Returns
        -------
        FieldModel
        """
        model = self.prepare_output(input)
        for band in model.bands.values():
            band.saturation = band.saturate / self.saturation_divisor
        counts = {}
        options = TaskOptions(
            *(self.search_attr(name) for name in ("executor", "workers", "scheduler"))
        )
        if self.detect or (self.detect is None and not model.meta.catalog and not len(model)):
            limits = DetectionLimits(self.detect_threshold, self.detect_min_area)
            with task_runner(options) as run:
                found = detected(model, limits, run)
            counts["detected"] = self._add_detected(model, found, self.bright_match)
        if self.bright != "none":
            limits = DetectionLimits(self.bright_threshold, self.bright_min_area)
            with task_runner(options) as run:
                found = detected(model, limits, run)
            counts["bright"] = self._bright(model, found)
        if self.given("reference") is not None:
            counts |= self._take_references(model)
        counts["saturated"] = self._flag_saturated(model)
        if len(model.ellipses):
            counts["in_bright_mask"] = self._flag_bright(model)
        model.catalog = empty_catalog(model.start, list(model.bands))
        self.complete(model, sources=len(model), **counts)
        return model

    # -------------------------------------------------------------- detection

    @staticmethod
    def _new(model, found, match):
        """Detections that no source is near to."""
        start = model.start
        near = near_places(
            found.x, found.y, *_known(np.asarray(start["x"]), np.asarray(start["y"])), match
        )
        return found.rows(np.flatnonzero(~near))

    def _add_detected(self, model, found, match):
        new = self._new(model, found, match)
        is_all = not model.meta.catalog and not len(model)
        name = "d" if is_all else "new_"
        rows = rows_of(new, list(model.bands), name, model.start["id"])
        rows["pos_err"] = new.place_width
        if not is_all:
            rows["flags"] |= int(FieldFlag.ADDED)
        append_rows(model, rows)
        return len(new)

    def _bright(self, model, found):
        new = self._new(model, found, self.bright_match)
        if self.bright == "add":
            rows = rows_of(new, list(model.bands), "new_", model.start["id"])
            rows["pos_err"] = new.place_width
            rows["flags"] |= int(FieldFlag.ADDED)
            append_rows(model, rows)
            return len(new)
        axes = [
            np.maximum(self.bright_scale * own, self.bright_min_radius) + self.bright_dilate
            for own in (new.a, new.b)
        ]
        own = np.column_stack([new.x, new.y, *axes, new.theta])
        model.ellipses = np.concatenate([model.ellipses, own])
        return len(new)

    # -------------------------------------------------------------- reference

    def _take_references(self, model):
        first = model.reference
        if first.wcs is None:
            raise InputError(f"reference stars need a WCS, and band {first.name} has none")
        bands = list(model.bands)
        stars = read_reference_stars(self.given("reference"), bands, self.reference_epoch)
        brightest, faintest = self.reference_mag or (8.0, 18.0)
        if not brightest < faintest:
            raise ParameterError(
                f"reference_mag must be the brightest and the faintest, got {brightest:g},"
                f"{faintest:g}"
            )
        # stars without such a magnitude are taken: nothing speaks against them
        outside = (stars.magnitude < brightest) | (stars.magnitude > faintest)
        stars = stars.rows(np.flatnonzero(~outside))
        x, y = pixels_of_sky(first.wcs, stars.ra, stars.dec, first.shape)
        inside = inside_margin(x, y, first.shape, self._margin(model))
        stars, x, y = stars.rows(np.flatnonzero(inside)), x[inside], y[inside]
        index, own = self._matched(model, stars, first)
        self._tag(model.start, index, stars, own, bands, model.meta.zp_ref)
        added = 0
        if self.reference_add:
            left = unmatched(len(stars), own)
            rows = self._star_rows(model, stars.rows(left), x[left], y[left])
            append_rows(model, rows)
            added = len(left)
        self._logger.info(
            "reference stars: %d in the field, %d are sources, %d added",
            len(stars),
            len(index),
            added,
        )
        return {"reference_stars": len(index), "reference_added": added}

    @staticmethod
    def _margin(model):
        return model.meta.parameters.get("loadfield", {}).get("crop_margin", 0)

    def _matched(self, model, stars, first):
        x, y = np.array(model.start["x"]), np.array(model.start["y"])
        fitted = np.asarray(model.start["flags"]) & int(FieldFlag.EXCLUDED) == 0
        ra, dec = np.full(len(x), np.nan), np.full(len(x), np.nan)
        if fitted.any():
            ra[fitted], dec[fitted] = sky_of_pixels(first.wcs, x[fitted], y[fitted])
        return mutual_matches(ra, dec, stars.ra, stars.dec, self.reference_match)

    @staticmethod
    def _tag(start, index, stars, own, bands, zp_ref):
        """Names and magnitudes of reference stars to the rows that they are; missing fluxes."""
        start["reference_id"][index] = stars.id[own]
        start["flags"][index] |= int(FieldFlag.REFERENCE)
        for band in stars.magnitudes:
            magnitude = stars.magnitudes[band][own]
            start[f"reference_mag_{band}"][index] = magnitude
            start[f"reference_mag_{band}_err"][index] = stars.errors[band][own]
            missing = np.isnan(start[f"flux_{band}"][index])
            start[f"flux_{band}"][index[missing]] = 10 ** (-0.4 * (magnitude[missing] - zp_ref))

    def _star_rows(self, model, stars, x, y):
        bands = list(model.bands)
        rows = empty_start(len(stars), bands)
        rows["id"] = names_of_their_own([f"gaia_{name}" for name in stars.id], model.start["id"])
        rows["x"], rows["y"], rows["type"] = x, y, "STAR"
        rows["pos_err"] = self.reference_pos_err or np.nan
        rows["flags"] = int(FieldFlag.ADDED)
        everything = np.arange(len(stars))
        self._tag(rows, everything, stars, everything, bands, model.meta.zp_ref)
        return rows

    # ------------------------------------------------------------------ flags

    def _flag_saturated(self, model):
        start = model.start
        x, y = np.asarray(start["x"]), np.asarray(start["y"])
        near = []
        for band in model.bands.values():
            places = _saturated_pixels(band)
            # the radius is in pixels of the first band
            back = band.pixel_map.inverse().points(*places)
            near.append(near_places(x, y, *back, self.saturation_radius))
        hit = (np.all if self.saturation_all_bands else np.any)(near, axis=0)
        hit &= np.isfinite(x) & np.isfinite(y)
        own = np.flatnonzero(hit)
        start["flags"][own] |= int(FieldFlag.SATURATED)
        if self.saturation_exclude:
            start["flags"][own] |= int(FieldFlag.EXCLUDED)
        return len(own)

    @staticmethod
    def _flag_bright(model):
        start = model.start
        count = 0
        for row in range(len(start)):
            x, y = start["x"][row], start["y"][row]
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            at = int(np.rint(x)), int(np.rint(y))
            if ellipse_mask(model.ellipses, at, (1, 1))[0, 0]:
                start["flags"][row] |= int(FieldFlag.IN_BRIGHT_MASK)
                count += 1
        return count


def _known(x, y):
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good]


def _saturated_pixels(band):
    """x and y of the saturated pixels of a band, a strip at a time."""
    if not np.isfinite(band.saturation):
        return np.zeros(0), np.zeros(0)
    pixels, (ny, nx) = band.pixels(), band.shape
    found = [np.zeros((2, 0))]
    for y in range(0, ny, _STRIP):
        box = _Box(0, y, nx, min(y + _STRIP, ny))
        rows, columns = np.nonzero(pixels.mask_bits(box) & SATURATED)
        found.append(np.array([columns, rows + y], dtype=float))
    x, y = np.concatenate(found, axis=1)
    return x, y


class _Box:
    def __init__(self, x0, y0, x1, y1):
        self.x0, self.y0, self.x1, self.y1 = x0, y0, x1, y1
