"""The list of frequencies against direct sums."""

import numpy as np
import pytest

from galstep.core.imaging.passband import Passband
from galstep.core.psf.effective import EffectivePSF


def make_psf(size=41, oversample=4, sigma=0.5):
    offset = (np.arange(size) - (size - 1) / 2) / oversample
    core = np.exp(-0.5 * ((offset[:, None] - 0.2) ** 2 + (offset + 0.1) ** 2) / sigma**2)
    return EffectivePSF.from_array(core, oversample)


def direct(psf, f_x, f_y):
    (c_y, c_x), (ny, nx) = psf.centre, psf.array.shape
    along_y = np.exp(-2j * np.pi * f_y * (np.arange(ny) - c_y) / psf.oversample)
    along_x = np.exp(-2j * np.pi * f_x * (np.arange(nx) - c_x) / psf.oversample)
    return along_y @ psf.array @ along_x


@pytest.mark.parametrize("size", [41, 40])
def test_transform_is_the_direct_sum(size):
    psf, period = make_psf(size), 20
    band = Passband(psf, period)
    for i in range(0, band.j_x.size, 97):
        expected = direct(psf, band.j_x[i] / period, band.j_y[i] / period)
        assert band.transform[i] == pytest.approx(expected, abs=1e-14)
    zero = (band.j_x == 0) & (band.j_y == 0)
    assert band.transform[zero] == pytest.approx(1.0)


def test_a_psf_larger_than_the_period_wraps():
    psf, period = make_psf(size=121, sigma=2.0), 12
    band = Passband(psf, period)
    for i in range(0, band.j_x.size, 7):
        expected = direct(psf, band.j_x[i] / period, band.j_y[i] / period)
        assert band.transform[i] == pytest.approx(expected, abs=1e-14)


def test_cells_are_the_folded_frequencies():
    band = Passband(make_psf(), 20)
    rows, columns = band.shape
    assert rows == 20
    assert columns <= 11
    cell = np.repeat(np.arange(band.first.size - 1), np.diff(band.first))
    np.testing.assert_array_equal(band.j_y % 20, cell // columns)
    np.testing.assert_array_equal(band.j_x % 20, cell % columns)


def test_spectrum_gives_the_sampled_psf():
    # a PSF with power beyond Nyquist, back on the pixels: aliasing included
    psf, period = make_psf(), 20
    band = Passband(psf, period, tolerance=1e-12)
    assert np.abs(band.j_x).max() > period / 2
    spectrum = np.zeros(band.shape, dtype=complex)
    cell = np.repeat(np.arange(band.first.size - 1), np.diff(band.first))
    np.add.at(spectrum.reshape(-1), cell, band.transform)
    image = np.fft.irfft2(spectrum, (period, period))
    # the centre, sample 20, lies on pixel 0; every fourth sample is a pixel
    sampled = np.roll(psf.array[::4, ::4] * 16, (-5, -5), axis=(0, 1))
    expected = np.zeros((period, period))
    for i in range(-5, 6):
        for j in range(-5, 6):
            expected[i, j] = sampled[i, j]
    np.testing.assert_allclose(image, expected, atol=1e-8)


def test_tolerance_bounds_the_list():
    psf = make_psf()
    sizes = [Passband(psf, 30, tolerance).j_x.size for tolerance in (1e-3, 1e-5, 1e-7)]
    assert sizes[0] < sizes[1] < sizes[2] < (30 * 4) ** 2
