"""Every kernel family on frames whose kernel is known: value, error, centroid, use."""

from functools import cache

import numpy as np
import pytest
from kernel_truth import DRIZZLE_WIDTH, KERNELS, LIBRARY, make_frame

from galstep.core.calibration.calibrate import calibrate_psf
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.engine.scene import make_band
from galstep.core.noise.psf_error import relative_star_errors
from galstep.core.psf.cache import displaced_psfs
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import n_free, variance
from galstep.records import PsfKernel
from galstep.testing.psfs import default_psf

FAMILIES = tuple(KERNELS)
# no correction: what is tested is the kernel alone
PLAIN = {"empirical_correction": "none", "drizzle_width": DRIZZLE_WIDTH}


def calibrated(family, seed=0, image=None, **options):
    image = make_frame(family, seed)[0] if image is None else image
    nothing = np.zeros(image.shape)
    options = CalibrationOptions(family=family, **{**PLAIN, **options})
    return calibrate_psf(image, nothing > 0, 1.0, LIBRARY, nothing, nothing > 0, options=options)


@cache
def kernel_of(family):
    """What is found on the first frame."""
    return calibrated(family).kernel


def pulls(kernel):
    """(found - true) / error of the fitted parameters."""
    n, true = n_free(kernel.family), KERNELS[kernel.family].parameters
    return np.subtract(kernel.parameters, true)[:n] / kernel.errors[:n]


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_found_within_their_errors(family):
    kernel = kernel_of(family)
    assert kernel.family == family
    assert np.abs(pulls(kernel)).max() < 3.0
    assert np.sqrt(variance(kernel) / variance(KERNELS[family])) == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_errors_are_true(family):
    found = np.array([pulls(calibrated(family, seed).kernel) for seed in range(20)])
    # 20 realisations know a scatter to 16 %; the larger of two errors is quoted
    assert np.all((found.std(axis=0) > 0.6) & (found.std(axis=0) < 1.3))
    assert np.all(np.abs(found.mean(axis=0)) < 3 / np.sqrt(20))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [120, 121])
def test_the_centroid_stays(family, size):
    """Also of an array that is not centred itself, and of an even one."""
    offset = (np.arange(size) - (size - 1) / 2) / 4
    array = default_psf("F150W")(offset[None, :] - 0.13, offset[:, None] + 0.21)
    library = EffectivePSF.from_array(array, 4)
    moved = library.convolved(KERNELS[family])
    np.testing.assert_allclose(centroid(moved), centroid(library), atol=1e-3)


def centroid(psf):
    """(y, x) of the light from the array's centre, pixels."""
    yy, xx = np.indices(psf.array.shape)
    sums = np.array([(psf.array * yy).sum(), (psf.array * xx).sum()]) / psf.array.sum()
    return (sums - psf.centre) / psf.oversample


@pytest.mark.parametrize("family", FAMILIES)
def test_errors_reach_the_fluxes_of_stars(family):
    """As much as the flux changes along another root of the same covariance."""
    kernel = kernel_of(family)
    n = n_free(family)
    covariance = np.diag(np.square(kernel.errors[:n]))
    if kernel.covariance:
        covariance = np.reshape(kernel.covariance, (n, n))
    psf, changes = LIBRARY.convolved(kernel), []
    for column in np.linalg.cholesky(covariance).T:
        moved = np.add(kernel.parameters[:n], column)
        other = LIBRARY.convolved(PsfKernel(family, (*moved, *kernel.parameters[n:])))
        changes.append(flux_change(psf.array, other.array))
    displaced = displaced_psfs(LIBRARY.array, LIBRARY.oversample, kernel)
    assert len(displaced) == n
    found = relative_star_errors(band_with(psf, displaced))
    assert found == pytest.approx(np.linalg.norm(changes), rel=0.15)


def flux_change(own, other):
    """Relative change of a star's flux if it is fitted with another PSF."""
    size = max(len(own), len(other))
    own, other = (np.pad(a, (size - len(a)) // 2) for a in (own, other))
    return (own * other).sum() / np.square(own).sum() - 1


def band_with(psf, displaced):
    empty = np.zeros((9, 9))
    return make_band("x", empty, empty > 0, psf, 1.0, displaced_psfs=displaced)


def test_correlated_errors_do_not_add_up():
    """A Moffat's two parameters are each known badly, its width well."""
    kernel = kernel_of("moffat")
    apart, psf = PsfKernel("moffat", kernel.parameters, kernel.errors), LIBRARY.convolved(kernel)
    together, alone = (
        relative_star_errors(band_with(psf, displaced_psfs(LIBRARY.array, 4, k)))
        for k in (kernel, apart)
    )
    assert alone > 4 * together


class TestCrowd:
    """Stars on each other: neighbours fitted along, or drawn and held."""

    def widths(self, **options):
        """sigma over the true one, frame by frame."""
        found = []
        for seed in range(2):
            image, _ = make_frame("gaussian", seed, count=300, separation=1.5, snr=(5, 200))
            result = calibrated("gaussian", image=image, max_loops=2, **options)
            found.append(variance(result.kernel))
        return np.sqrt(np.array(found) / variance(KERNELS["gaussian"]))

    def test_neighbours_fitted_along_are_better(self):
        several, one = self.widths(), self.widths(max_neighbours=0)
        assert np.abs(several - 1).max() < 0.02
        assert np.abs(several - 1).mean() < 0.8 * np.abs(one - 1).mean()
