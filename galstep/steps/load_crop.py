"""LoadCrop: read the galaxy and cut out the part of the frame that is fitted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from galstep.core.detection.spikes import find_spikes
from galstep.core.fitting.cutout import central_box, crop_box, guess_size
from galstep.core.imaging.plateau import saturated_pixels
from galstep.core.imaging.stars import StarRenderer
from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.region_files import read_regions, region_mask, region_place
from galstep.datamodels.input.read_options import ReadOptions
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.steps.framework.base import GalStep
from galstep.steps.galaxy.base_filter import choose_base_filter
from galstep.steps.galaxy.grids import box_in, mask_unseen
from galstep.steps.galaxy.scenes import effective_psf, error_or_noise, target_centre

__all__ = ["LoadCrop"]

# A galaxy farther from where it is looked for than its own sigma, and so many pixels, is told.
FAR_IN_SIGMA, FAR = 1.0, 10.0


class LoadCrop(GalStep):
    """Read the images and the PSF of each filter, and crop them about the galaxy.

    ``galstep params loadcrop --all`` lists every parameter.
    """

    class_alias = "gal_loadcrop"

    spec = """
    psf_file = input_file(default=None)         # PSF of each filter: an HDF5 file with the root attribute oversample, a FITS file, or a folder of FITS files; needed for images
    filters = force_list(default=None)          # Names of the filters to load, in this order (default: every filter in the file)
    base_filter = string(default='F150W')       # Filter in which place and size are guessed; if it is not in the data, the one with the most signal
    custom_initial_crop = float(min=0.01, max=1, default=1)  # Fraction of each side of the frame that is kept before anything else; 1 keeps all
    sigma_guess = float(min=0.1, default=10)    # Gaussian sigma of the galaxy to begin with, and if the size cannot be measured (pixels)
    x_guess = float(default=None)               # x of the galaxy in the input frame (0-based pixels; default: found near the middle)
    y_guess = float(default=None)               # y of the galaxy in the input frame (0-based pixels; default: found near the middle)
    auto_crop = boolean(default=True)           # Crop to a square about the galaxy
    auto_crop_factor = float(min=0.5, default=8)  # Half a side of the square in units of the sigma of the best-fit Gaussian
    min_crop_size = integer(min=1, default=256)  # Least side of the square (pixels): sky and PSF stars need room; a frame up to this size is kept whole
    pixel_scale = float(min=0.000001, default=0.03)  # Side of a pixel where the file does not tell (arcsec)
    unit = string(default='MJy/sr')             # Unit of the images where the file does not tell
    ra = float(min=-360, max=360, default=None)  # Right ascension of the galaxy (ICRS, degrees); with dec the place where it is looked for
    dec = float(min=-90, max=90, default=None)  # Declination of the galaxy (ICRS, degrees)
    galaxy_region = input_file(default=None)    # ds9 file with one region, at the galaxy: its place instead of ra and dec, x_guess and y_guess
    mask_regions = input_file(default=None)     # ds9 file with the regions in which no pixel is used; a region with a minus before it takes out of those before
    size = float(min=0, default=None)           # Side of the square about ra, dec that is cut out of each image on its own grid (arcsec; default: the whole image)
    bad_dq_bits = integer(min=-1, default=1)    # Sum of the data quality bits that make a pixel bad; 1 is DO_NOT_USE of jwst and romancal, 0 none, -1 any
    weights = option('auto', 'inverse_variance', 'relative', 'ignore', default='auto')  # What a weight map is, where there are no errors; auto: inverse variance if the scatter of the pixels agrees
    ab_zero_point = float(default=None)         # AB magnitude of one image unit, for images whose unit and keywords do not tell (mag)
    psf_oversample = integer(min=1, default=None)  # Samples of the PSF per image pixel, where its file does not tell
    spike_threshold = float(min=0, default=10)  # Pixels that exceed by so much what light through the PSF can do (hot, dead, cosmic rays) are masked (sigma of the pixel noise; 0: none)
    reproject_to = string(default=None)         # Filter onto whose grid all images are resampled, which correlates their noise (needs reproject; default: each keeps its pixels)
    """

    def process(self, input: Any) -> GalaxyModel:
        """Read, guess the size, crop.

        Parameters
        ----------
        input : path-like or object
            Whatever `galstep.datamodels.input.open` takes. A `GalaxyModel` is cropped
            again. If that takes pixels away, fits of the whole frame no longer
            hold and are dropped.

        Returns
        -------
        GalaxyModel

        Raises
        ------
        InputError
            If the input cannot be used, or a filter is missing.
        """
        model = self.prepare_output(input, **self.reading_options())
        if isinstance(input, GalaxyModel) and self.psf_file is not None:
            self._logger.info("psf_file is not used: the input has its PSFs already")
        self._select_filters(model)
        self._crop(model, lambda band: central_box(band.shape, self.custom_initial_crop))
        self._flag_empty(model)
        model.meta.base_filter = choose_base_filter(model.bands, self.base_filter)
        base = model.bands[model.meta.base_filter]
        self._mask_regions(model, base)
        model.meta.input_shape = model.meta.input_shape or base.input_shape
        guess, given = self._guess(model, base), self._given_place(base)
        model.meta.target_position = guess.x + base.origin[0], guess.y + base.origin[1]
        model.meta.target_filter = base.name
        self._crop(model, lambda band: box_in(base, band, self._box(base, guess)))
        self._mask_corners(model)
        self._mask_saturated(model)
        self._mask_spikes(model)
        self._flag_empty(model)
        self._tell_displacement(base, guess, given)
        self._report(model, guess, base.origin)
        return model

    def reading_options(self) -> dict[str, Any]:
        """How images are read: the parameters that `GalaxyModel.open` takes.

        Returns
        -------
        dict
        """
        place = self._place()
        return {f.name: place.get(f.name, getattr(self, f.name)) for f in fields(ReadOptions)}

    def _place(self):
        """Where the galaxy is, by the names of the parameters."""
        if self.galaxy_region is not None:
            return region_place(self.galaxy_region)
        return {name: getattr(self, name) for name in ("ra", "dec", "x_guess", "y_guess")}

    def _mask_regions(self, model, base):
        if self.mask_regions is None:
            return
        regions = read_regions(self.mask_regions, "mask_regions")
        for band in model.bands.values():
            inside = region_mask(regions, band, base) & ~band.mask
            band.mask |= inside
            self._logger.info("%s: %d pixels masked by regions", band.name, inside.sum())

    def _select_filters(self, model):
        if not self.filters:
            return
        missing = [name for name in self.filters if name not in model.bands]
        if missing:
            raise InputError(
                f"filters: {', '.join(missing)} not in the data, "
                f"which have {', '.join(model.bands)}"
            )
        model.bands = {name: model.bands[name] for name in self.filters}

    def _guess(self, model, base):
        """Place and size in the base filter, in the pixels of its array."""
        place = self._place()
        x, y = place.get("x_guess"), place.get("y_guess")
        if x is not None and y is not None:
            x, y = x - base.origin[0], y - base.origin[1]
        elif place.get("ra") is not None and place.get("dec") is not None:
            x, y = base.pixel_position(place["ra"], place["dec"])
        elif x is None and y is None:  # a model that was cropped before knows
            x, y = target_centre(model, base) or (None, None)
        return guess_size(base.data, base.mask, self.sigma_guess, x, y)

    def _box(self, base, guess):
        """The part of the base filter that is kept."""
        if not self.auto_crop:
            return tuple(slice(0, size) for size in base.shape)
        half_size = self.auto_crop_factor * guess.sigma
        return crop_box(base.shape, guess.x, guess.y, half_size, self.min_crop_size)

    def _crop(self, model, box_of):
        """Crop each filter to its box; what was fitted to the whole is dropped."""
        boxes = {name: box_of(band) for name, band in model.bands.items()}
        cropped = {
            name: band.crop(x.start, y.start, x.stop - x.start, y.stop - y.start)
            for (name, band), (y, x) in zip(model.bands.items(), boxes.values(), strict=True)
        }
        if all(cropped[name].shape == band.shape for name, band in model.bands.items()):
            return
        if model.meta.fit_step is not None:
            self._logger.warning("the crop takes pixels away from a fitted model: fits dropped")
        model.bands, model.joint, model.meta.fit_step = cropped, None, None

    @staticmethod
    def _mask_corners(model):
        base = model.bands[model.meta.base_filter]
        for band in model.bands.values():
            if band.usable:
                mask_unseen(base, band)

    @staticmethod
    def _mask_saturated(model):
        for band in model.bands.values():
            if not band.usable or band.constant:
                continue
            saturated = saturated_pixels(band.data, band.mask)
            if saturated.any():
                band.mask |= saturated
                band.flags |= int(BandFlag.SATURATED)
                band.reasons.append(f"{np.count_nonzero(saturated)} saturated pixels masked")

    def _mask_spikes(self, model):
        if not self.spike_threshold:
            return
        for band in model.bands.values():
            if not band.usable or band.constant:
                continue
            renderer = StarRenderer(effective_psf(band))
            spikes = find_spikes(
                band.data, band.mask, error_or_noise(band), renderer, self.spike_threshold
            )
            if spikes.any():
                band.mask |= spikes
                band.flags |= int(BandFlag.BAD_PIXELS)
                band.reasons.append(f"{np.count_nonzero(spikes)} bad pixels found and masked")

    @staticmethod
    def _flag_empty(model):
        for band in model.bands.values():
            reason = "no usable pixel in the crop"
            if band.constant:
                band.mask[:] = True
                reason = "all pixels have the same value"
            if not band.usable and not band.flags & BandFlag.NO_DATA:
                band.flags |= int(BandFlag.NO_DATA)
                band.reasons.append(reason)

    def _tell_displacement(self, base, guess, given):
        """One line where the galaxy is not where it was said or thought to be."""
        x, y = guess.x + base.origin[0], guess.y + base.origin[1]
        ny, nx = base.input_shape or base.shape
        told = "the place that was given" if given else "the middle of the frame"
        x_0, y_0 = given or ((nx - 1) / 2, (ny - 1) / 2)
        distance = float(np.hypot(x - x_0, y - y_0))
        if distance > max(FAR_IN_SIGMA * guess.sigma, FAR):
            self._logger.warning(
                "%s: the galaxy is taken to be at x = %.1f, y = %.1f, %.0f pixels from %s; "
                "x_guess and y_guess decide", base.name, x, y, distance, told,
            )  # fmt: skip

    def _given_place(self, base):
        """(x, y) in the input frame, or None."""
        place = self._place()
        if place.get("x_guess") is not None and place.get("y_guess") is not None:
            return place["x_guess"], place["y_guess"]
        if place.get("ra") is None or place.get("dec") is None:
            return None
        x, y = base.pixel_position(place["ra"], place["dec"])
        return x + base.origin[0], y + base.origin[1]

    def _report(self, model, guess, origin):
        if guess.reason:
            self._logger.info("size not measured (%s): sigma_guess is used", guess.reason)
        base = model.bands[model.meta.base_filter]
        ny, nx = base.shape
        self.complete(
            model,
            filters=len(model.bands),
            base=base.name,
            x=round(guess.x + origin[0], 1),
            y=round(guess.y + origin[1], 1),
            sigma=guess.sigma,
            crop=f"{nx}x{ny}",
            origin=base.origin,
        )
