"""PSFCalibrate: the kernel that turns each library PSF into that of the image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.linalg import LinAlgError

from galstep.core.calibration.calibrate import calibrate_psf, galaxy_core
from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.filter_width import ScanOptions
from galstep.core.calibration.kernel_verdict import borrow_kernel, unmeasured_kernel
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.fitting.galaxy_first import robust_galaxy_fit, scale_galaxy
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import distance, kernel_of_variance, variance
from galstep.exceptions import ParameterError
from galstep.flags import BandFlag
from galstep.mapped_records import mapped_params
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet, per_filter_spec
from galstep.steps.galaxy.base_filter import choose_base_filter
from galstep.steps.galaxy.grids import pixel_map_between
from galstep.steps.galaxy.passes import Passes
from galstep.steps.galaxy.per_filter import check_filters, for_filter
from galstep.steps.galaxy.psf_products import stacked_stars, write_psf_figure, write_psfs
from galstep.steps.galaxy.psf_scene import fit_in_scene
from galstep.steps.galaxy.scenes import error_or_noise, target_centre

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["PSFCalibrate"]

REASON = "PSF: "
# Thresholds of the search for stars that a fit has not listed.
BESIDE_A_FIT = (15.0, 6.0, 3.5)

OPTIONS, SCAN = OptionSet(CalibrationOptions()), OptionSet(ScanOptions())
_CORE_SPEC = """    center_mask_r_in_fwhm = float(min=0, default=2.5)  # No star within this radius of the galaxy's centre is used (FWHM of the library PSF)
    center_mask_r_in_r_eff = float(min=0, default=1.5)  # No star inside this ellipse of the galaxy is used (semi-major axis in r_eff)
"""
_PER_FILTER = (
    OPTIONS.lines(
        "kernel_family",
        "drizzle_width",
        "kernel_anchor_K",
        "kernel_fit_stamp_half_in_sigmaeff",
        "max_loops",
    )
    + _CORE_SPEC
)


class PSFCalibrate(GalStep):
    """Calibrate the PSF of each filter on the stars in its frame.

    The library PSF is convolved with a kernel that is fitted to bright isolated
    stars, their neighbours included. The base filter comes first; the others
    take its star list as known positions.

    ``galstep params psfcalibrate --all`` lists every parameter.
    """

    class_alias = "gal_psfcalibrate"

    spec = f"""
    base_filter = string(default='F150W')       # Filter that is calibrated first and gives the star list, unless an earlier step has chosen one; not in the data: the filter with the most signal
    kernel_fit_objective = option('multi_source', 'single_source', 'scene', default='multi_source')  # What is fitted together with the kernel: these stars and their neighbours; these stars, neighbours drawn and held; or afterwards all stars, the galaxy and the sky, taken if it agrees with these stars and is better known
{OPTIONS.spec}{_CORE_SPEC}    forced_neighbors = boolean(default=True)    # Take the positions of the stars from the base filter's list; otherwise each filter finds its own, and faint blends widen the kernel
    fwhm_method = option('empirical', 'scan', default='empirical')  # empirical: that filter is the calibrated PSF drawn filter_width times as wide; scan: 0.7, 1 and 1.4 times that width are tried in the first two loops, and the one that scores best is taken
{SCAN.spec}    in_mainloop = boolean(default=False)        # Filters that have been fitted are calibrated beside that fit: its galaxy, sky and star list. In a pipeline the kernels are then calibrated again after the fits, and the fits made again
    mainloop_calibrations = integer(min=1, max=20, default=3)  # Largest number of times that a pipeline does so; it ends before if all kernels stay as they were
    kernel_fit_skip_on_convergence = boolean(default=False)  # With in_mainloop: a kernel that would move by less than kernel_skip_threshold stays as it was
    kernel_skip_threshold = float(min=0, default=1e-3)  # Root of the summed squares of the changes of the kernel's parameters (square pixels; logarithms for moffat)
    save_psfs = boolean(default=None)           # Write the calibrated PSFs: <name>_psf.h5, which can be given as PSF_file, and <name>_psf.asdf with kernels and stacked stars (default: if the step runs on its own and saves its result)
    save_figure = boolean(default=None)         # Draw them, with the stacked stars beside them: <name>_psf.png (needs matplotlib; default as save_psfs)
    [blur_psf]                                  # Gaussian sigma of the kernel by filter (samples of the library PSF), if it is known: start of the fit, and prior where the stars do not suffice
    __many__ = float(min=0, default=None)       # By filter
    [per_filter]                                # Other values for single filters, by the filter's name: per_filter: {{F160W: {{kernel_family: moffat}}}}
    [[__many__]]
{per_filter_spec(_PER_FILTER)}    """

    def process(self, input: Any) -> GalaxyModel:
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
        known, results = None, {}
        passes = Passes(self)
        for name in [base, *(name for name in model.bands if name != base)]:
            band = model.bands[name]
            seen = (None, None) if known is None else _seen_in(band, *known)
            centre = target_centre(model, band) if known is None else None
            found = self._calibrate(band, libraries[name], *seen, centre, results)
            passes.tell(f"{name} calibrated")
            if known is None and found is not None:
                known = band, *found
        if self.kernel_fit_objective == "scene":
            fit_in_scene(model, results, base, self.empirical_correction)
        self._borrow(model, libraries)
        for band in model.bands.values():
            _note_reason(band)
            if band.psf_kernel.flags & BandFlag.PSF_TOO_BROAD:
                self._logger.warning("%s: %s", band.name, band.psf_kernel.reason)
        self._report(model, base)
        self._save_psfs(model, results)
        return model

    def _save_psfs(self, model, results):
        """Write the PSFs and their picture where that is asked for."""
        alone = self.parent is None and bool(self.save_results)
        asdf, hdf5, picture = (
            self.make_output_path(suffix="psf", ext=ext) for ext in (".asdf", ".h5", ".png")
        )
        psfs, figure = (alone if w is None else w for w in (self.save_psfs, self.save_figure))
        stacks = stacked_stars(model, results) if psfs or figure else {}
        if psfs:
            write_psfs(model, stacks, asdf, hdf5)
        if figure:
            write_psf_figure(model, stacks, picture)

    def _check_filters(self, model):
        unknown = [name for name in self.blur_psf or {} if name not in model.bands]
        if unknown:
            raise ParameterError(
                f"blur_psf: {', '.join(unknown)} not in the data, which have "
                f"{', '.join(model.bands)}"
            )

    def _calibrate(self, band, library, params, positions, centre, results):
        """Calibrate one filter and add what came of it to ``results``.

        Returns the galaxy's shape and the star positions, for other filters to
        share; None if the fit failed.
        """
        start, before = self._start(band), band.psf_kernel
        if not band.usable:
            band.psf_kernel = unmeasured_kernel(start, 0, "no usable pixels", self.blur_psf_error)
            return None
        fitted = self.in_mainloop and band.fitted and bool(band.fit.sersic)
        try:
            if fitted:
                params, galaxy = band.fit.sersic[0].params, band.scene_image - band.stars
                positions = _joined_positions(band.fit.stars, positions, library.fwhm)
            else:
                params, galaxy = _first_galaxy(band, library, params, centre)
            result = calibrate_psf(
                band.data,
                band.mask,
                band.err,
                library,
                galaxy,
                self._core(band, params, library),
                start=start,
                options=self._options(band, fitted),
                neighbours=positions if self.forced_neighbors or fitted else None,
                initial=before if fitted else None,
            )
        except LinAlgError as error:
            band.psf_kernel = unmeasured_kernel(
                start, 0, f"the fit failed ({error})", self.blur_psf_error
            )
            return None
        band.psf_kernel = result.kernel
        results[band.name] = result
        if fitted and self.kernel_fit_skip_on_convergence and before is not None:
            if distance(before, result.kernel) < self.kernel_skip_threshold:
                band.psf_kernel = before
        # an empty list is no list: the next filter finds its own stars
        return params, (result.stars.x, result.stars.y) if len(result.stars) else None

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

    def _options(self, band, fitted):
        options = OPTIONS.record_of(self, for_filter(self, band.name))
        if fitted:  # what a fit was not sure of is still to be found
            options = replace(options, thresholds=BESIDE_A_FIT)
        if self.kernel_fit_objective == "single_source":
            options = replace(options, max_neighbours=0)
        if self.kernel_fit_objective == "scene":  # the correction comes after the scene's fit
            options = replace(options, empirical_correction="none")
        scan = self.fwhm_method == "scan"
        return replace(options, scan=SCAN.record_of(self) if scan else None)

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


def _joined_positions(stars, known, fwhm):
    """Where a fit has stars, and where else another filter's calibration has found some.

    The fits stop at stars that they are sure of; the wings of fainter ones widen a kernel.
    """
    listed = FieldStars(stars.x, stars.y, stars.flux)
    if known is not None:
        others = FieldStars(*known, np.zeros(len(known[0])))
        listed = listed.joined(others.away_from(listed, 0.5 * fwhm))
    return (listed.x, listed.y) if len(listed) else None


def _first_galaxy(band, library, params, centre):
    """Shape and model image of galaxy and sky, stars masked; the shape may be known."""
    sigma = error_or_noise(band)
    if params is None:
        first = robust_galaxy_fit(band.data, band.mask, sigma, library, centre=centre)
    else:
        first = scale_galaxy(band.data, band.mask, sigma, library, params)
    return first.params, first.galaxy + first.sky


def _seen_in(band, first, params, positions) -> tuple[Any, Any]:
    """A galaxy's shape and star positions in one filter, in the pixels of another."""
    pixel_map, _ = pixel_map_between(first, band)
    return mapped_params(pixel_map, params), None if positions is None else pixel_map.points(
        *positions
    )


def _note_reason(band):
    """The kernel's reason among those of the filter, once."""
    band.reasons = [reason for reason in band.reasons if not reason.startswith(REASON)]
    if band.psf_kernel.flags:
        band.reasons.append(REASON + band.psf_kernel.reason)
