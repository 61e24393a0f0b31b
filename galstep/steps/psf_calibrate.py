"""PSFCalibrate: the kernel that turns each library PSF into that of the image."""

import numpy as np
from numpy.linalg import LinAlgError

from galstep.core.anchors import AnchorLimits
from galstep.core.background import pixel_noise
from galstep.core.calibrate import CalibrationOptions, calibrate_psf, galaxy_core
from galstep.core.galaxy_first import robust_galaxy_fit, scale_galaxy
from galstep.core.kernel_families import kernel_of_variance, variance
from galstep.core.kernel_verdict import borrow_kernel, unmeasured_kernel
from galstep.core.psf import EffectivePSF
from galstep.exceptions import ParameterError
from galstep.flags import BandFlag
from galstep.steps.base import GalStep
from galstep.steps.base_filter import choose_base_filter
from galstep.steps.grids import pixel_map_between
from galstep.steps.per_filter import check_filters, for_filter

__all__ = ["PSFCalibrate"]

REASON = "PSF: "


class PSFCalibrate(GalStep):
    """Calibrate the PSF of each filter on the stars in its frame.

    The library PSF is convolved with a kernel that is fitted to bright isolated
    stars, their neighbours included. The base filter comes first; the others
    take its star list as known positions.
    """

    class_alias = "gal_psfcalibrate"

    spec = """
    base_filter = string(default='F150W')       # Filter that is calibrated first and gives the star list, unless an earlier step has chosen one; not in the data: the filter with the most signal
    kernel_family = option('gaussian', 'elliptical', 'moffat', 'drizzle', default='gaussian')  # Form of the kernel; drizzle is a Gaussian and a square of drizzle_width
    drizzle_width = float(min=0, default=1.0)   # Side of the square of the family drizzle (pixels)
    kernel_anchor_K = integer(min=3, default=30)  # Number of the brightest isolated stars that the kernel is fitted to
    min_anchors = integer(min=3, default=3)     # With fewer of them there is no measurement
    kernel_fit_objective = option('multi_source', 'single_source', default='multi_source')  # Neighbours of these stars are fitted along, or drawn and held
    kernel_fit_stamp_half_min = integer(min=4, default=8)  # Least half-size of the stamps in which stars are fitted (pixels)
    kernel_fit_stamp_half_in_sigmaeff = float(min=1, max=10, default=3.0)  # Radius of the disc of pixels fitted round each such star, in sigma (FWHM / 2.3548) of the current PSF; at least 3.5 pixels
    kernel_fit_max_neighbors = integer(min=0, default=15)  # Largest number of neighbours fitted along with one star
    kernel_fit_neighbor_pad_pix = float(min=0, default=4.0)  # Neighbours are stars up to so far outside a disc (pixels)
    center_mask_r_in_fwhm = float(min=0, default=2.5)  # No star within this radius of the galaxy's centre is used (FWHM of the library PSF)
    center_mask_r_in_r_eff = float(min=0, default=1.5)  # No star inside this ellipse of the galaxy is used (semi-major axis in r_eff)
    forced_neighbors = boolean(default=True)    # Take the positions of the stars from the base filter's list; otherwise each filter finds its own, and faint blends widen the kernel
    max_loops = integer(min=1, max=20, default=4)  # Largest number of loops (find stars, fit kernel)
    blur_psf_error = float(min=0.001, max=10, default=0.05)  # Relative error of the values in blur_psf
    [blur_psf]                                  # Gaussian sigma of the kernel by filter (samples of the library PSF), if it is known: start of the fit, and prior where the stars do not suffice
    __many__ = float(min=0, default=None)       # By filter
    [per_filter]                                # Other values for single filters, by the filter's name: per_filter: {F160W: {kernel_family: moffat}}
    [[__many__]]
    kernel_family = option('gaussian', 'elliptical', 'moffat', 'drizzle', default=None)  # kernel_family of this filter
    drizzle_width = float(min=0, default=None)  # drizzle_width of this filter (pixels)
    kernel_anchor_K = integer(min=3, default=None)  # kernel_anchor_K of this filter
    kernel_fit_stamp_half_in_sigmaeff = float(min=1, max=10, default=None)  # kernel_fit_stamp_half_in_sigmaeff of this filter (sigma of the PSF)
    center_mask_r_in_fwhm = float(min=0, default=None)  # center_mask_r_in_fwhm of this filter (FWHM of the library PSF)
    center_mask_r_in_r_eff = float(min=0, default=None)  # center_mask_r_in_r_eff of this filter (r_eff)
    max_loops = integer(min=1, max=20, default=None)  # max_loops of this filter
    """

    def process(self, input):
        """Calibrate every filter that has data.

        Parameters
        ----------
        input : path-like or GalaxyModel

        Returns
        -------
        GalaxyModel
            With ``psf_kernel`` in every filter; where none could be measured,
            that of ``blur_psf``, of a similar filter, or none, with a flag and
            a reason.

        Raises
        ------
        ParameterError
            If ``blur_psf`` names a filter that is not in the data.
        """
        model = self.prepare_output(input)
        self._check_filters(model)
        check_filters(self, model, self._logger)
        wanted = model.meta.base_filter or self.base_filter
        base = choose_base_filter(model.bands, wanted)
        model.meta.base_filter = model.meta.base_filter or base
        libraries = {
            name: EffectivePSF.from_array(band.psf, band.oversample, f"PSF of {name}")
            for name, band in model.bands.items()
        }
        known = None
        for name in [base, *(name for name in model.bands if name != base)]:
            band = model.bands[name]
            seen = (None, None) if known is None else _seen_in(band, *known)
            found = self._calibrate(band, libraries[name], *seen)
            if known is None and found is not None:
                known = band, *found
        self._borrow(model, libraries)
        for band in model.bands.values():
            _note_reason(band)
        self._report(model, base)
        return model

    def _check_filters(self, model):
        unknown = [name for name in self.blur_psf or {} if name not in model.bands]
        if unknown:
            raise ParameterError(
                f"blur_psf: {', '.join(unknown)} not in the data, which have "
                f"{', '.join(model.bands)}"
            )

    def _calibrate(self, band, library, params, positions):
        """Calibrate one filter.

        Returns the galaxy's shape and the star positions, for other filters to
        share; None if the fit failed.
        """
        start = self._start(band)
        if not band.usable:
            band.psf_kernel = unmeasured_kernel(start, 0, "no usable pixels")
            return None
        sigma = pixel_noise(band.data, band.mask) if band.err is None else band.err
        try:
            if params is None:
                first = robust_galaxy_fit(band.data, band.mask, sigma, library)
            else:
                first = scale_galaxy(band.data, band.mask, sigma, library, params)
            result = calibrate_psf(
                band.data,
                band.mask,
                band.err,
                library,
                first.galaxy + first.sky,
                self._core(band, first.params, library),
                start=start,
                options=self._options(band),
                neighbours=positions if self.forced_neighbors else None,
            )
        except LinAlgError as error:
            band.psf_kernel = unmeasured_kernel(start, 0, f"the fit failed ({error})")
            return None
        band.psf_kernel = result.kernel
        # an empty list is no list: the next filter finds its own stars
        return first.params, (result.stars.x, result.stars.y) if len(result.stars) else None

    def _start(self, band):
        sigma = (self.blur_psf or {}).get(band.name)
        if sigma is None:
            return None
        size = (sigma / band.oversample) ** 2
        own = for_filter(self, band.name)
        return kernel_of_variance(own.kernel_family, size, own.drizzle_width)

    def _core(self, band, params, library):
        own = for_filter(self, band.name)
        least = own.center_mask_r_in_fwhm * library.fwhm
        return galaxy_core(band.shape, params, own.center_mask_r_in_r_eff, least)

    def _options(self, band):
        own = for_filter(self, band.name)
        several = self.kernel_fit_objective == "multi_source"
        return CalibrationOptions(
            family=own.kernel_family,
            drizzle_width=own.drizzle_width,
            anchors=AnchorLimits(count=own.kernel_anchor_K),
            min_anchors=self.min_anchors,
            disc_in_sigma=own.kernel_fit_stamp_half_in_sigmaeff,
            least_half_size=self.kernel_fit_stamp_half_min,
            neighbour_pad=self.kernel_fit_neighbor_pad_pix,
            max_neighbours=self.kernel_fit_max_neighbors if several else 0,
            max_loops=own.max_loops,
            prior_error=self.blur_psf_error,
        )

    def _borrow(self, model, libraries):
        """Filters without measurement and prior take the kernel of a similar one."""
        missing = int(BandFlag.PSF_NOT_CALIBRATED)
        kernels = {name: band.psf_kernel for name, band in model.bands.items()}
        measured = {
            name: (libraries[name], kernel)
            for name, kernel in kernels.items()
            if kernel.n_anchors >= self.min_anchors and not kernel.flags & missing
        }
        for name, kernel in kernels.items():
            if kernel.flags & missing:
                model.bands[name].psf_kernel = borrow_kernel(libraries[name], kernel, measured)

    def _report(self, model, base):
        said = []
        for name, band in model.bands.items():
            kernel = band.psf_kernel
            sigma = band.oversample * np.sqrt(variance(kernel))
            said.append(f"{name} {sigma:.3g}" + ("?" if kernel.flags else ""))
        self.complete(model, base=base, sigma=f"{'; '.join(said)} (library samples; ?: flagged)")


def _seen_in(band, first, params, positions):
    """A galaxy's shape and star positions in one filter, in the pixels of another."""
    pixel_map, _ = pixel_map_between(first, band)
    return pixel_map.params(params), None if positions is None else pixel_map.points(*positions)


def _note_reason(band):
    """The kernel's reason among those of the filter, once."""
    band.reasons = [reason for reason in band.reasons if not reason.startswith(REASON)]
    if band.psf_kernel.flags:
        band.reasons.append(REASON + band.psf_kernel.reason)
