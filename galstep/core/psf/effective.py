"""The effective PSF: an oversampled array with a stated centre and norm.

The array is the PSF with the pixel response already in it, sampled
``oversample`` times finer than the image's pixels: the value of a star of
flux F in the pixel at offset (dx, dy) is F * oversample^2 * array,
interpolated at that offset; there is no second integration over the pixel.
The star sits at the geometric centre of the array, (size - 1) / 2 in both
axes, wherever its light may peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq
from scipy.ndimage import map_coordinates, spline_filter

from galstep.core.psf.kernels import kernel_reach, kernel_transform, kernel_transform_derivatives
from galstep.core.psf.modes import correction_array
from galstep.psf_array import checked_psf, whole_oversample

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from galstep.records import PsfKernel

__all__ = ["EffectivePSF"]

_SPLINE_REACH = 32  # samples: the filter of a cubic spline falls by 3.7 with each


@dataclass(frozen=True, eq=False)
class EffectivePSF:
    """An effective PSF.

    Make it with `from_array`, which checks and normalises.

    Attributes
    ----------
    array : (ny, nx) float64 array
        Sum 1, read-only.
    oversample : int
        Samples per native pixel, in both axes.
    """

    array: np.ndarray
    oversample: int

    @classmethod
    def from_array(cls, array: np.ndarray, oversample: int, name: str = "PSF") -> EffectivePSF:
        """Check an array and normalise it to sum 1.

        Nothing is cropped, shifted or clipped; even sizes are allowed.

        Parameters
        ----------
        array : 2-D array
            Oversampled effective PSF, any positive normalisation. Negative
            values down to -0.05 of the maximum are kept as they are.
        oversample : int
            Samples per native pixel, >= 1.
        name : str, optional
            What to call it in messages.

        Returns
        -------
        EffectivePSF

        Raises
        ------
        InputError
            If the array is not 2-D, not finite, has no positive sum, or is
            negative beyond that; if ``oversample`` is not a positive integer.
        """
        factor = whole_oversample(oversample, name)
        values = checked_psf(array, name)
        return cls._read_only(values / values.sum(), factor)

    @classmethod
    def _read_only(cls, array, oversample):
        array.setflags(write=False)
        return cls(array, oversample)

    def derived(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Something that is made from this PSF alone, made once and kept with it.

        Parameters
        ----------
        key : hashable
            Names it.
        make : callable
            Makes it, without arguments. The result must not be changed.

        Returns
        -------
        object
        """
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    @cached_property
    def _derived(self):
        return {}

    @property
    def centre(self) -> tuple[float, float]:
        """(y, x) of the star in oversampled samples, 0-based."""
        ny, nx = self.array.shape
        return (ny - 1) / 2, (nx - 1) / 2

    @property
    def half_size(self) -> int:
        """Native pixels from the centre to the nearer edge, rounded down."""
        return int(min(self.centre) / self.oversample)

    @cached_property
    def fwhm(self) -> float:
        """Full width at half maximum in native pixels.

        The diameter of the circle with the area where the PSF is above half
        of its maximum, measured on a cubic-spline resampling at 1/16 px or
        finer. For an elliptical Gaussian it is the geometric mean of the two
        widths.
        """
        factor = max(1, -(-16 // self.oversample))
        peak_y, peak_x = np.unravel_index(np.argmax(self.array), self.array.shape)
        above = self.array > 0.4 * self.array[peak_y, peak_x]
        rows, columns = np.nonzero(above.any(axis=1))[0], np.nonzero(above.any(axis=0))[0]
        y = np.arange((rows[0] - 2) * factor, (rows[-1] + 2) * factor + 1) / factor
        x = np.arange((columns[0] - 2) * factor, (columns[-1] + 2) * factor + 1) / factor
        # a spline's coefficients know nothing of values farther away
        first = [max(0, own[0] - _SPLINE_REACH) for own in (rows, columns)]
        core = self.array[
            first[0] : rows[-1] + _SPLINE_REACH, first[1] : columns[-1] + _SPLINE_REACH
        ]
        fine = map_coordinates(
            spline_filter(core, order=3, mode="mirror"),
            np.meshgrid(y - first[0], x - first[1], indexing="ij"),
            order=3,
            mode="constant",
            prefilter=False,
        )
        area = np.count_nonzero(fine > fine.max() / 2) / (factor * self.oversample) ** 2
        return float(2 * np.sqrt(area / np.pi))

    @cached_property
    def noise_area(self) -> float:
        """Equivalent noise area in native pixels.

        1 / sum(P^2) over native pixels, averaged over the star's position
        within the pixel: 1 / (oversample^2 * sum(array^2)). The variance of a
        star's flux in white noise of variance s^2 is s^2 * noise_area
        (King 1983, PASP 95, 163).
        """
        return float(1 / (self.oversample**2 * np.sum(self.array**2)))

    @cached_property
    def at_places(self) -> np.ndarray:
        """A star of unit flux on native pixels, at up to four places in a pixel.

        (n_places, n_pixels), without the pixels' order.
        """
        factor = self.oversample
        ny, nx = (size // factor * factor for size in self.array.shape)
        fine = self.array[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor)
        half = max(1, factor // 2)
        return factor**2 * np.moveaxis(
            fine[:, ::half, :, ::half][:, :2, :, :2], (1, 3), (0, 1)
        ).reshape(min(2, factor) ** 2, -1)

    def convolved(self, kernel: PsfKernel) -> EffectivePSF:
        """This PSF convolved with a kernel, its correction added.

        Done in Fourier space with zero padding, so that nothing wraps around.
        The array grows by the reach of the kernel, equally on both sides: the
        centre stays the centre and the centroid is kept. A kernel with a
        (slightly) negative variance sharpens; the result may then have small
        negative values, which are kept.

        Parameters
        ----------
        kernel : PsfKernel

        Returns
        -------
        EffectivePSF
            With the same oversampling; self for the family "none" without correction.

        Raises
        ------
        ParameterError
            If the kernel's family is unknown or its parameters are outside
            their range.
        """
        if kernel.family == "none":
            return self if kernel.correction is None else self._corrected(self.array, kernel)
        grid = _PaddedTransform(self, kernel)
        array = grid.image(kernel_transform(kernel, grid.f_x, grid.f_y))
        return self._corrected(array / array.sum(), kernel)

    def _corrected(self, array, kernel):
        if kernel.correction is not None:
            array = array + correction_array(array.shape, self.oversample, kernel.correction)
        return self._read_only(array, self.oversample)

    def kernel_derivatives(self, kernel: PsfKernel) -> list[np.ndarray]:
        """Derivatives of `convolved` with respect to the kernel's parameters.

        Parameters
        ----------
        kernel : PsfKernel

        Returns
        -------
        list of (ny, nx) array
            One per parameter, in their order, on the grid of
            ``convolved(kernel).array``; each sums to 0.
        """
        return self.convolved_with_derivatives(kernel)[1]

    def convolved_with_derivatives(
        self, kernel: PsfKernel
    ) -> tuple[EffectivePSF, list[np.ndarray]]:
        """`convolved` and `kernel_derivatives` at once.

        Parameters
        ----------
        kernel : PsfKernel

        Returns
        -------
        psf : EffectivePSF
        derivatives : list of (ny, nx) array
        """
        if kernel.family == "none":
            return self.convolved(kernel), []
        grid = _PaddedTransform(self, kernel)
        image = grid.image(kernel_transform(kernel, grid.f_x, grid.f_y))
        total = image.sum()
        derivatives = []
        for transform in kernel_transform_derivatives(kernel, grid.f_x, grid.f_y):
            change = grid.image(transform)
            derivatives.append((change - image * (change.sum() / total)) / total)
        return self._corrected(image / total, kernel), derivatives


class _PaddedTransform:
    """Fourier transform of a PSF on a grid with room for a kernel."""

    def __init__(self, psf, kernel):
        ny, nx = psf.array.shape
        reach = kernel_reach(kernel, max(ny, nx) / 2 / psf.oversample)
        self.margin = int(np.ceil(reach * psf.oversample))
        self.shape = (ny + 2 * self.margin, nx + 2 * self.margin)
        # the kernel's own transform is sampled: what lies beyond the period
        # comes back from the other side, so leave its reach free once more
        self.padded = tuple(next_fast_len(n + self.margin, real=True) for n in self.shape)
        self.transform = rfft2(psf.array, self.padded)
        self.f_y = fftfreq(self.padded[0], 1 / psf.oversample)[:, None]
        self.f_x = rfftfreq(self.padded[1], 1 / psf.oversample)

    def image(self, kernel_transform):
        image = irfft2(self.transform * kernel_transform, self.padded)
        image = np.roll(image, (self.margin, self.margin), axis=(0, 1))
        return image[: self.shape[0], : self.shape[1]].copy()
