"""The effective PSF: checks, sizes, and convolution with every kernel."""

import numpy as np
import pytest

from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError, ParameterError
from galstep.records import PsfKernel

KERNELS = [
    PsfKernel("gaussian", (0.4,)),
    PsfKernel("elliptical", (0.5, 0.1, 0.3)),
    PsfKernel("moffat", (np.log(1.2), np.log(3.0))),
    PsfKernel("drizzle", (0.1, 1.3)),
]


def gaussian(shape, oversample, variance, shift=(0.0, 0.0), tilt=0.0):
    """A Gaussian about the geometric centre plus ``shift`` (x, y), native pixels."""
    y, x = (
        (np.arange(size) - (size - 1) / 2)[:, None] / oversample
        if axis == 0
        else (np.arange(size) - (size - 1) / 2) / oversample
        for axis, size in enumerate(shape)
    )
    x, y = x - shift[0], y - shift[1]
    inverse = np.linalg.inv([[variance, tilt], [tilt, variance]])
    exponent = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    return np.exp(-0.5 * exponent)


def moments(psf):
    """Sum, centroid (x, y) and covariance (xx, xy, yy) about the centre, native pixels."""
    (c_y, c_x), array = psf.centre, psf.array
    y = (np.arange(array.shape[0]) - c_y)[:, None] / psf.oversample
    x = (np.arange(array.shape[1]) - c_x) / psf.oversample
    total = array.sum()
    m_x, m_y = (array * x).sum() / total, (array * y).sum() / total
    second = [(array * p).sum() / total for p in (x * x, x * y, y * y)]
    return total, (m_x, m_y), np.array(second) - [m_x * m_x, m_x * m_y, m_y * m_y]


def test_from_array_normalises_and_keeps_the_array():
    given = gaussian((41, 45), 4, 1.0) * 16
    kept = given.copy()
    psf = EffectivePSF.from_array(given, 4)
    assert psf.array.sum() == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_array_equal(given, kept)
    np.testing.assert_allclose(psf.array, given / given.sum(), rtol=1e-13)
    assert psf.array.dtype == float
    with pytest.raises(ValueError, match="read-only"):
        psf.array[0, 0] = 1.0


@pytest.mark.parametrize(
    ("shape", "centre", "half_size"), [((41, 41), (20.0, 20.0), 5), ((40, 48), (19.5, 23.5), 4)]
)
def test_centre_of_odd_and_even_arrays(shape, centre, half_size):
    psf = EffectivePSF.from_array(np.ones(shape), 4)
    assert psf.centre == centre
    assert psf.half_size == half_size


def bad(value):
    array = gaussian((9, 9), 2, 1.0)
    array[2, 3] = value
    return array


@pytest.mark.parametrize(
    ("array", "oversample", "message"),
    [
        (np.ones(5), 2, r"F150W must be a 2-D image, got shape \(5,\)"),
        (np.ones((0, 3)), 2, r"F150W must be a 2-D image, got shape \(0, 3\)"),
        (bad(np.nan), 2, "F150W must be finite everywhere, got 1 NaN"),
        (bad(np.inf), 2, "F150W must be finite everywhere, got 1 NaN or infinite samples"),
        (np.zeros((5, 5)), 2, "F150W must hold light, got zeros only"),
        (bad(-0.06), 2, "F150W must not be negative beyond 5% of its peak"),
        (-np.ones((5, 5)), 2, "F150W must not be negative"),
        (np.ones((5, 5)), 0, "F150W: oversample must be a positive integer, got 0"),
        (np.ones((5, 5)), 2.5, "F150W: oversample must be a positive integer, got 2.5"),
        (np.ones((5, 5)), None, "F150W: oversample must be a positive integer, got None"),
        (np.ones((5, 5)), True, "F150W: oversample must be a positive integer, got True"),
    ],
)
def test_what_cannot_be_a_psf(array, oversample, message):
    with pytest.raises(InputError, match=message):
        EffectivePSF.from_array(array, oversample, name="F150W")


def test_tiny_negatives_are_kept():
    psf = EffectivePSF.from_array(bad(-1.5e-3), 2)
    assert psf.array[2, 3] < 0


def test_numpy_integer_oversample():
    assert EffectivePSF.from_array(np.ones((5, 5)), np.int64(3)).oversample == 3


@pytest.mark.parametrize("oversample", [1, 4])
@pytest.mark.parametrize("sigma", [0.8, 1.7])
def test_fwhm_of_a_gaussian(oversample, sigma):
    shift = (0.1, -0.2)
    psf = EffectivePSF.from_array(gaussian((81, 81), oversample, sigma**2, shift), oversample)
    tolerance = 0.005 if oversample == 4 else 0.02
    assert psf.fwhm == pytest.approx(2.354820 * sigma, rel=tolerance)


def test_noise_area_of_a_gaussian():
    sigma = 1.4
    psf = EffectivePSF.from_array(gaussian((101, 101), 4, sigma**2), 4)
    assert psf.noise_area == pytest.approx(4 * np.pi * sigma**2, rel=1e-6)


@pytest.mark.parametrize("shape", [(61, 61), (60, 67)])
def test_gaussian_kernel_on_a_gaussian(shape):
    psf = EffectivePSF.from_array(gaussian(shape, 4, 1.0, (0.3, -0.2)), 4)
    result = psf.convolved(PsfKernel("gaussian", (0.7,)))
    expected = gaussian(result.array.shape, 4, 1.7, (0.3, -0.2))
    np.testing.assert_allclose(
        result.array, expected / expected.sum(), atol=2e-4 * result.array.max()
    )
    assert result.oversample == 4
    growth = np.subtract(result.array.shape, shape)
    assert growth[0] == growth[1] > 0
    assert growth[0] % 2 == 0


@pytest.mark.parametrize(
    ("kernel", "covariance"),
    [
        (PsfKernel("gaussian", (0.4,)), (0.4, 0.0, 0.4)),
        (PsfKernel("elliptical", (0.5, 0.1, 0.3)), (0.5, 0.1, 0.3)),
        (PsfKernel("drizzle", (0.1, 1.3)), (0.1 + 1.3**2 / 12, 0.0, 0.1 + 1.3**2 / 12)),
        (PsfKernel("gaussian", (-0.02,)), (-0.02, 0.0, -0.02)),
    ],
)
def test_moments_add_and_the_centroid_stays(kernel, covariance):
    psf = EffectivePSF.from_array(gaussian((90, 97), 4, 1.0, (0.3, -0.2), tilt=0.3), 4)
    _, before, second_before = moments(psf)
    total, after, second_after = moments(psf.convolved(kernel))
    assert total == pytest.approx(1.0, abs=1e-14)
    assert after == pytest.approx(before, abs=1e-6)
    np.testing.assert_allclose(second_after - second_before, covariance, atol=1e-4)


def test_moffat_kernel_is_a_moffat():
    # of a single sample the convolution is the kernel itself, off the cusp
    # that a band-limited grid rounds
    point = np.zeros((401, 401))
    point[200, 200] = 1.0
    alpha, beta = 2.0, 3.5
    kernel = PsfKernel("moffat", (np.log(alpha), np.log(beta - 1)))
    result = EffectivePSF.from_array(point, 4).convolved(kernel)
    (c_y, c_x), radius = result.centre, np.arange(0, 80)
    along = result.array[int(c_y), int(c_x) + radius]
    r2 = (radius / 4) ** 2
    expected = (beta - 1) / (np.pi * alpha**2) * (1 + r2 / alpha**2) ** -beta / 16
    np.testing.assert_allclose(along, expected, atol=1e-4 * expected[0])


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.family)
def test_moffat_and_others_keep_centroid_of_a_lopsided_psf(kernel):
    array = gaussian((201, 201), 4, 1.0) + 0.5 * gaussian((201, 201), 4, 2.0, (1.1, 0.7))
    psf = EffectivePSF.from_array(array, 4)
    assert moments(psf.convolved(kernel))[1] == pytest.approx(moments(psf)[1], abs=2e-4)


def test_sharpening_undoes_blurring():
    psf = EffectivePSF.from_array(gaussian((81, 81), 4, 1.0), 4)
    blurred = psf.convolved(PsfKernel("gaussian", (0.02,)))
    back = blurred.convolved(PsfKernel("gaussian", (-0.02,)))
    edge = (back.array.shape[0] - 81) // 2
    np.testing.assert_allclose(back.array[edge:-edge, edge:-edge], psf.array, atol=1e-7)


def test_nothing_wraps_around():
    # light in one corner must not come out at the opposite one
    array = np.full((41, 41), 1e-12)
    array[2, 3] = 1.0
    psf = EffectivePSF.from_array(array, 4).convolved(PsfKernel("gaussian", (1.0,)))
    assert np.abs(psf.array[-30:, -30:]).max() < 1e-9 * psf.array.max()


def test_none_is_the_psf_itself():
    psf = EffectivePSF.from_array(np.ones((5, 5)), 2)
    assert psf.convolved(PsfKernel()) is psf
    assert psf.kernel_derivatives(PsfKernel()) == []


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.family)
def test_kernel_derivatives_match_central_differences(kernel):
    psf = EffectivePSF.from_array(gaussian((61, 61), 4, 1.0, (0.3, 0.1)), 4)
    analytic = psf.kernel_derivatives(kernel)
    size = psf.convolved(kernel).array.shape[0]
    assert len(analytic) == len(kernel.parameters)
    step = 1e-4
    for k, derivative in enumerate(analytic):
        assert derivative.shape == (size, size)
        assert derivative.sum() == pytest.approx(0.0, abs=1e-12)
        ends = []
        for sign in (1, -1):
            moved = np.array(kernel.parameters)
            moved[k] += sign * step
            array = psf.convolved(PsfKernel(kernel.family, tuple(moved))).array
            trim = (array.shape[0] - 61) // 2
            ends.append(array[trim:-trim, trim:-trim])
        numeric = (ends[0] - ends[1]) / (2 * step)
        trim = (size - 61) // 2
        inner = derivative[trim:-trim, trim:-trim]
        np.testing.assert_allclose(inner, numeric, atol=2e-5 * np.abs(numeric).max())


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (PsfKernel("airy", (1.0,)), "kernel family must be one of none, gaussian, .*not 'airy'"),
        (PsfKernel("gaussian", ()), r"a gaussian kernel needs 1 finite parameters, not \(\)"),
        (PsfKernel("moffat", (0.0, np.nan)), "a moffat kernel needs 2 finite parameters"),
        (PsfKernel("gaussian", (-0.5,)), r"gaussian kernel must be at least -0.1 px\^2, not -0.5"),
        (PsfKernel("elliptical", (0.1, 0.9, 0.1)), r"at least -0.1 px\^2, not -0.8"),
        (PsfKernel("drizzle", (0.1, -1.0)), "width of a drizzle kernel must be >= 0 px, not -1"),
    ],
)
def test_what_cannot_be_a_kernel(kernel, message):
    psf = EffectivePSF.from_array(np.ones((5, 5)), 2)
    with pytest.raises(ParameterError, match=message):
        psf.convolved(kernel)
    with pytest.raises(ParameterError, match=message):
        psf.kernel_derivatives(kernel)
