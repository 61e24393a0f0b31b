"""Parts of a synthetic galaxy, drawn through any PSF: Sersic profiles, other light, knots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.filters import filter_wavelength
from galstep.testing.light import total_light
from galstep.testing.real_space import CellImage, SersicImage, star_image

if TYPE_CHECKING:
    from galstep.records import SersicParams
    from galstep.testing.light import Light

__all__ = ["DiffusePart", "KnotsPart", "SersicPart"]

# cells per pixel for light without a cusp; for that of a Sersic SersicImage's own
_SUBSAMPLE = 5


@dataclass(frozen=True)
class _Part:
    """A name and the total flux by filter (image unit x pixel)."""

    name: str
    fluxes: dict

    def scaled(self, factor: float):
        """The same part, its fluxes times ``factor``."""
        return replace(self, fluxes={name: factor * value for name, value in self.fluxes.items()})


@dataclass(frozen=True)
class SersicPart(_Part):
    """A Sersic profile, ``params`` a `galstep.records.SersicParams`."""

    params: SersicParams

    def images(self, shape: tuple[int, int], psfs: dict) -> dict[str, np.ndarray]:
        """The part seen through each PSF, (ny, nx) by filter."""
        profile = SersicImage(self.params, shape, max(psf.reach() for psf in psfs.values()))
        return {name: self.fluxes[name] * profile.seen_through(psf) for name, psf in psfs.items()}


@dataclass(frozen=True)
class DiffusePart(_Part):
    """Any smooth light of `galstep.testing.light`; its shape may change with the filter."""

    light: Light

    @classmethod
    def dimmed(cls, name, fluxes, light, base):
        """Light whose total changes with wavelength, as behind dust.

        ``fluxes`` are those without that change; the one in ``base`` is kept.
        """
        wavelengths = {f: filter_wavelength(f) for f in fluxes}
        reference = total_light(light, wavelengths[base])
        return cls(
            name,
            {f: v * total_light(light, wavelengths[f]) / reference for f, v in fluxes.items()},
            light,
        )

    def images(self, shape: tuple[int, int], psfs: dict) -> dict[str, np.ndarray]:
        """The part seen through each PSF, (ny, nx) by filter."""
        images = {}
        for name, psf in psfs.items():
            wavelength = filter_wavelength(name)
            cells = CellImage(
                lambda x, y, w=wavelength: self.light(x, y, w),
                self.light.centre,
                shape,
                psf.reach(),
                _SUBSAMPLE,
            )
            unit = self.fluxes[name] / total_light(self.light, wavelength)
            images[name] = unit * cells.seen_through(psf)
        return images


@dataclass(frozen=True)
class KnotsPart(_Part):
    """Round Gaussian knots: places and sigmas in pixels, ``weights`` that sum to 1."""

    x: tuple
    y: tuple
    sigmas: tuple
    weights: tuple

    def images(self, shape: tuple[int, int], psfs: dict) -> dict[str, np.ndarray]:
        """The knots seen through each PSF, (ny, nx) by filter: exact, for mixtures of Gaussians."""
        images = {}
        for name, psf in psfs.items():
            images[name] = np.zeros(shape)
            for knot in zip(self.x, self.y, self.sigmas, self.weights, strict=True):
                x, y, sigma, weight = np.array(knot)[:, np.newaxis]
                flux = weight * self.fluxes[name]
                images[name] += star_image(shape, psf.blurred(float(sigma[0])), x, y, flux)
        return images
