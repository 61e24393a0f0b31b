"""LoadCrop: read the galaxy and cut out the part of the frame that is fitted."""

from galstep.core.cutout import central_box, crop_box, guess_size
from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.steps.base import GalStep
from galstep.steps.base_filter import choose_base_filter

__all__ = ["LoadCrop"]


class LoadCrop(GalStep):
    """Read the images and the PSF of each filter, and crop them about the galaxy."""

    class_alias = "gal_loadcrop"

    spec = """
    psf_file = input_file(default=None)         # HDF5 file with the PSF of each filter and the root attribute oversample; needed for an HDF5 image file
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
    """

    def process(self, input):
        """Read, guess the size, crop.

        Parameters
        ----------
        input : path-like or GalaxyModel
            A model is cropped again. If that takes pixels away, fits of the
            whole frame no longer hold and are dropped.

        Returns
        -------
        GalaxyModel

        Raises
        ------
        InputError
            If the input cannot be used, or a filter is missing.
        """
        model = self.prepare_output(
            input,
            psf_file=self.psf_file,
            filters=self.filters,
            pixel_scale=self.pixel_scale,
            unit=self.unit,
        )
        if isinstance(input, GalaxyModel) and self.psf_file is not None:
            self._logger.info("psf_file is not used: the input has its PSFs already")
        self._select_filters(model)
        shape = self._common_shape(model)
        model.meta.input_shape = model.meta.input_shape or shape
        self._crop(model, central_box(shape, self.custom_initial_crop))
        self._flag_empty(model)
        model.meta.base_filter = choose_base_filter(model.bands, self.base_filter)
        base = model.bands[model.meta.base_filter]
        guess = self._guess(base)
        if self.auto_crop:
            half_size = self.auto_crop_factor * guess.sigma
            box = crop_box(base.shape, guess.x, guess.y, half_size, self.min_crop_size)
            self._crop(model, box)
        self._flag_empty(model)
        self._report(model, guess, base.origin)
        return model

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

    @staticmethod
    def _common_shape(model):
        shapes = {name: band.shape for name, band in model.bands.items()}
        if len(set(shapes.values())) != 1:
            raise InputError(f"all filters must have images of one shape, got {shapes}")
        return next(iter(shapes.values()))

    def _guess(self, base):
        """Place and size in the base filter, in the pixels of its array."""
        x, y = self.x_guess, self.y_guess
        if x is not None and y is not None:
            x, y = x - base.origin[0], y - base.origin[1]
        return guess_size(base.data, base.mask, self.sigma_guess, x, y)

    def _crop(self, model, box):
        """Crop all filters to one box; what was fitted to the whole is dropped."""
        rows, columns = box
        nx, ny = columns.stop - columns.start, rows.stop - rows.start
        if (ny, nx) == self._common_shape(model):
            return
        if model.meta.fit_step is not None:
            self._logger.warning("the crop takes pixels away from a fitted model: fits dropped")
        for name, band in model.bands.items():
            model.bands[name] = band.crop(columns.start, rows.start, nx, ny)
        model.joint = None
        model.meta.fit_step = None

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
