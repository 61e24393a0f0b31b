"""Star fields with a PSF that changes, drawn by formula: for the tests of `star_field`."""

import numpy as np

from galstep.core.star_field.psf import PsfField
from galstep.testing.psfs import GaussianMixturePSF, default_psf
from galstep.testing.star_frames import star_frame, star_positions

OVERSAMPLE = 4
SIZE = 4 * 45 + 1


class VaryingPSF:
    """Bilinear between four mixtures at the corners of a field."""

    def __init__(self, shape, widths=(2.0, 2.6, 2.3, 2.9)):
        self.x_grid, self.y_grid = (0.0, shape[1] - 1.0), (0.0, shape[0] - 1.0)
        names = ("F090W", "F150W", "F277W", "F150W")
        self.corners = [
            default_psf(name, fwhm=width) for name, width in zip(names, widths, strict=True)
        ]

    def weights(self, x, y):
        """Shares of the corners (0, 0), (1, 0), (0, 1), (1, 1)."""
        u, v = x / self.x_grid[1], y / self.y_grid[1]
        return np.array([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])

    def at(self, x, y):
        """The PSF of a star at (x, y)."""
        weights, covariances = [], []
        for share, corner in zip(self.weights(x, y), self.corners, strict=True):
            weights += [share * weight for weight in corner.weights]
            covariances += corner.covariances
        return GaussianMixturePSF(tuple(weights), tuple(covariances))

    def field(self):
        """The same as a grid of arrays."""
        data = [c.sampled(OVERSAMPLE, SIZE) * OVERSAMPLE**2 for c in self.corners]
        positions = [(x, y) for y in self.y_grid for x in self.x_grid]
        return PsfField.from_grid(np.array(data), np.array(positions), OVERSAMPLE)


def make_field(seed=0, shape=(220, 260), count=60, separation=9.0, noise=0.5, sky=3.0,
               flux=(2.0, 4.0)):  # fmt: skip
    """An image, its PSFs, and the true x, y and flux of its stars."""
    rng = np.random.default_rng(seed)
    psf = VaryingPSF(shape)
    x, y = star_positions(rng, count, shape, separation)
    flux = 10 ** rng.uniform(*flux, count)
    image = sky + star_frame(shape, psf, x, y, flux) + rng.normal(0, noise, shape)
    return image, psf.field(), (x, y, flux)
