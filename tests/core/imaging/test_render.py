"""The galaxy renderer against independent renderings in real space, and GalSim."""

from pathlib import Path

import numpy as np
import pytest

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.sersic import log_central_brightness, sersic_bn
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import ParameterError
from galstep.records import SersicParams

PSF_FILE = Path(__file__).parents[3] / "../shared/truth/psf/PSF_eff.h5"


def gaussian_psf(sigma, size=81, oversample=4, shift=(0.0, 0.0)):
    """A Gaussian effective PSF; ``shift`` (x, y) of its light, native pixels."""
    offset = (np.arange(size) - (size - 1) / 2) / oversample
    along_y, along_x = (np.exp(-0.5 * ((offset - s) / sigma) ** 2) for s in shift[::-1])
    return EffectivePSF.from_array(np.outer(along_y, along_x), oversample)


def moffat_psf(size=201, oversample=4):
    """A PSF with wings to the edge of its array (25 px)."""
    offset = (np.arange(size) - (size - 1) / 2) / oversample
    r2 = offset[:, None] ** 2 + offset**2
    return EffectivePSF.from_array((1 + r2 / 1.3**2) ** -2.2, oversample)


def axes_matrix(params):
    """Columns: the major and minor semi-axis of the half-light ellipse."""
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    q = 1 - params.ellip
    return params.r_eff * np.array([[cos, -q * sin], [sin, q * cos]])


def integrated(params, sigma, x, y):
    """(Sersic * Gaussian)(x, y) by quadrature over the galaxy.

    In elliptical polar coordinates R, phi with R = t^n, where the profile is
    smooth in t up to its cusp.
    """
    axes = axes_matrix(params)
    n, b = params.n, sersic_bn(params.n)
    nodes, weights = np.polynomial.legendre.leggauss(600)
    t_max = 45.0 / b
    t = 0.5 * t_max * (nodes + 1)
    phi = 2 * np.pi * np.arange(720) / 720
    radius = t**n
    light = np.exp(log_central_brightness(n) - b * t) * radius * n * t ** (n - 1)
    light *= 0.5 * t_max * weights * 2 * np.pi / 720
    u = axes @ np.array([np.cos(phi), np.sin(phi)])
    d_x = x - params.x_0 - radius[:, None] * u[0]
    d_y = y - params.y_0 - radius[:, None] * u[1]
    kernel = np.exp(-0.5 * (d_x**2 + d_y**2) / sigma**2) / (2 * np.pi * sigma**2)
    return np.sum(light[:, None] * kernel)


def summed(params, psf, x, y):
    """(Sersic * PSF)(x, y) as a sum over the PSF's samples: right in the wings.

    Each sample stands for a cell 1 / oversample wide; where the cusp is near,
    the profile is averaged over 9 x 9 points of it.
    """
    axes = axes_matrix(params)
    inverse = np.linalg.inv(axes)
    (c_y, c_x), array = psf.centre, psf.array

    def brightness(d_x, d_y):
        radius = np.hypot(
            inverse[0, 0] * d_x + inverse[0, 1] * d_y, inverse[1, 0] * d_x + inverse[1, 1] * d_y
        )
        power = sersic_bn(params.n) * radius ** (1 / params.n)
        return np.exp(log_central_brightness(params.n) - power) / np.linalg.det(axes)

    d_y = y - params.y_0 - (np.arange(array.shape[0])[:, None] - c_y) / psf.oversample
    d_x = x - params.x_0 - (np.arange(array.shape[1])[None] - c_x) / psf.oversample
    values = brightness(d_x, d_y)
    near_y, near_x = np.nonzero(np.hypot(d_x, d_y) < 1.5)
    inside = ((np.arange(9) + 0.5) / 9 - 0.5) / psf.oversample
    cell_x = d_x[0, near_x, None, None] + inside
    cell_y = d_y[near_y, 0, None, None] + inside[:, None]
    values[near_y, near_x] = brightness(cell_x, cell_y).mean(axis=(1, 2))
    return np.sum(array * values)


@pytest.mark.parametrize("sigma", [0.45, 1.0])
@pytest.mark.parametrize("shape", [(64, 64), (41, 60)])
def test_gaussian_galaxy_is_a_gaussian(sigma, shape):
    # n = 0.5: covariance of the galaxy plus that of the PSF, in closed form
    params = SersicParams(28.3, 19.6, 6.0, 0.5, 0.4, 0.7)
    axes = axes_matrix(params)
    covariance = axes @ axes.T / (2 * np.log(2.0)) + sigma**2 * np.eye(2)
    inverse = np.linalg.inv(covariance)
    d_y, d_x = np.mgrid[: shape[0], : shape[1]].astype(float)
    d_x, d_y = d_x - params.x_0, d_y - params.y_0
    exponent = inverse[0, 0] * d_x**2 + 2 * inverse[0, 1] * d_x * d_y + inverse[1, 1] * d_y**2
    expected = np.exp(-0.5 * exponent) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    image = GalaxyRenderer(shape, gaussian_psf(sigma)).image(params.to_vector())
    np.testing.assert_allclose(image, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("sigma", [0.45, 1.2])
def test_direct_integration(n, sigma):
    params = SersicParams(20.2, 19.7, 4.0, n, 0.3, 1.1)
    image = GalaxyRenderer((40, 40), gaussian_psf(sigma)).image(params.to_vector())
    pixels = [(20, 20), (21, 20), (20, 18), (23, 25), (12, 20), (33, 9)]
    for x, y in pixels:
        expected = integrated(params, sigma, x, y)
        assert image[y, x] == pytest.approx(expected, abs=2e-5 * image.max())


@pytest.mark.parametrize("centre", [(50.3, 49.6), (20.0, 61.0), (3.0, 97.0)])
@pytest.mark.parametrize(
    ("n", "r_eff", "ellip"), [(1.0, 12.0, 0.3), (4.0, 5.0, 0.5), (4.0, 30.0, 0.2), (6.0, 12.0, 0.3)]
)
def test_wings_have_no_periodic_copies(n, r_eff, ellip, centre):
    params = SersicParams(*centre, r_eff, n, ellip, 0.5)
    psf = moffat_psf()
    image = GalaxyRenderer((100, 100), psf).image(params.to_vector())
    peak = image.max()
    for x, y in [(0, 0), (99, 0), (0, 50), (50, 99), (99, 99), (80, 20)]:
        if np.hypot(x - centre[0], y - centre[1]) < 15:
            continue
        expected = summed(params, psf, x, y)
        assert image[y, x] == pytest.approx(expected, rel=5e-3, abs=3e-6 * peak)


def test_light_is_where_the_psf_has_it():
    # the PSF's own offset moves the galaxy; the array's centre is the position
    centred = GalaxyRenderer((50, 50), gaussian_psf(1.0))
    shifted = GalaxyRenderer((50, 50), gaussian_psf(1.0, shift=(0.5, -0.25)))
    z = SersicParams(25.0, 24.0, 3.0, 1.0, 0.2, 0.3).to_vector()
    moved = z + np.array([0.5, -0.25, 0, 0, 0, 0])
    np.testing.assert_allclose(shifted.image(z), centred.image(moved), atol=1e-8)


def test_even_sized_psf():
    params = SersicParams(25.0, 24.0, 3.0, 1.0, 0.2, 0.3)
    odd = GalaxyRenderer((50, 50), gaussian_psf(1.0, size=81)).image(params.to_vector())
    even = GalaxyRenderer((50, 50), gaussian_psf(1.0, size=80)).image(params.to_vector())
    np.testing.assert_allclose(even, odd, atol=2e-6 * odd.max())


def test_native_sampling():
    params = SersicParams(25.0, 24.0, 6.0, 1.0, 0.2, 0.3)
    fine = GalaxyRenderer((50, 50), gaussian_psf(1.2, size=101)).image(params.to_vector())
    native = GalaxyRenderer((50, 50), gaussian_psf(1.2, size=25, oversample=1)).image(
        params.to_vector()
    )
    np.testing.assert_allclose(native, fine, atol=2e-4 * fine.max())


def test_psf_larger_than_the_frame():
    params = SersicParams(5.0, 6.0, 2.0, 1.0, 0.2, 0.3)
    psf = moffat_psf()
    small = GalaxyRenderer((12, 12), psf).image(params.to_vector())
    large = GalaxyRenderer((90, 90), psf).image(params.moved(40, 40).to_vector())
    np.testing.assert_allclose(small, large[40:52, 40:52], atol=3e-6 * small.max())


@pytest.mark.parametrize("x_0", [-12.0, -80.0, 130.0])
def test_galaxy_off_the_frame(x_0):
    params = SersicParams(x_0, 20.0, 8.0, 1.5, 0.2, 0.3)
    psf = moffat_psf()
    image = GalaxyRenderer((50, 50), psf).image(params.to_vector())
    whole = GalaxyRenderer((50, 240), psf).image(params.moved(85, 0).to_vector())
    np.testing.assert_allclose(image, whole[:, 85:135], atol=1e-5 * whole.max())


def test_flux_is_one():
    params = SersicParams(100.0, 100.0, 5.0, 1.0, 0.3, 0.3)
    image = GalaxyRenderer((201, 201), gaussian_psf(1.0)).image(params.to_vector())
    assert image.sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "params",
    [
        SersicParams(30.3, 28.6, 5.0, 2.5, 0.4, 0.7),
        SersicParams(5.0, 52.0, 9.0, 1.0, 0.1, 2.0),
        SersicParams(29.5, 30.0, 4.0, 6.0, 0.6, 1.4),
        SersicParams(29.5, 30.0, 4.0, 0.5, 0.2, 0.0),
    ],
)
def test_derivatives_match_central_differences(params):
    renderer = GalaxyRenderer((60, 58), moffat_psf())
    z = params.to_vector()
    images = renderer.image_and_derivatives(z)
    assert images.shape == (7, 60, 58)
    np.testing.assert_allclose(images[0], renderer.image(z), atol=1e-14)
    for k in range(6):
        step = 1e-4 * np.eye(6)[k]
        numeric = (renderer.image(z + step) - renderer.image(z - step)) / 2e-4
        np.testing.assert_allclose(images[k + 1], numeric, atol=2e-6 * np.abs(numeric).max())


def test_derivatives_of_a_round_galaxy_are_finite():
    renderer = GalaxyRenderer((40, 40), gaussian_psf(1.0))
    z = SersicParams(20.0, 20.0, 4.0, 1.5, 0.0, 0.0).to_vector()
    images = renderer.image_and_derivatives(z)
    for k in (3, 4):
        step = 1e-4 * np.eye(6)[k]
        numeric = (renderer.image(z + step) - renderer.image(z - step)) / 2e-4
        np.testing.assert_allclose(images[k + 1], numeric, atol=1e-3 * np.abs(numeric).max())


class TestMatrix:
    """The map from the scene's offsets to the band's pixels."""

    renderer = GalaxyRenderer((60, 60), gaussian_psf(1.1))

    def test_identity(self):
        z = SersicParams(30.0, 28.0, 5.0, 2.0, 0.4, 0.7).to_vector()
        np.testing.assert_array_equal(
            self.renderer.image_and_derivatives(z, np.eye(2)),
            self.renderer.image_and_derivatives(z),
        )

    def test_scale_and_rotation(self):
        angle, scale = 0.5, 1.5
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        scene = SersicParams(30.0, 28.0, 5.0, 2.0, 0.4, 0.7)
        band = SersicParams(30.0, 28.0, 5.0 * scale, 2.0, 0.4, 0.7 + angle)
        np.testing.assert_allclose(
            self.renderer.image(scene.to_vector(), scale * turn),
            self.renderer.image(band.to_vector()),
            atol=1e-14,
        )

    def test_derivatives_are_those_of_the_scene(self):
        matrix = np.array([[1.3, 0.2], [-0.4, 0.9]])
        z = SersicParams(30.0, 28.0, 5.0, 2.0, 0.4, 0.7).to_vector()
        images = self.renderer.image_and_derivatives(z, matrix)
        for k in range(6):
            step = 1e-4 * np.eye(6)[k]
            high, low = (self.renderer.image(z + s, matrix) for s in (step, -step))
            numeric = (high - low) / 2e-4
            np.testing.assert_allclose(images[k + 1], numeric, atol=2e-6 * np.abs(numeric).max())


class TestOut:
    Z = SersicParams(20.3, 18.6, 5.0, 2.0, 0.3, 0.4).to_vector()
    RENDERER = GalaxyRenderer((37, 41), gaussian_psf(1.0))

    def test_is_filled(self):
        out = np.full((7, 37, 41), np.nan)
        assert self.RENDERER.image_and_derivatives(self.Z, out=out) is out
        np.testing.assert_array_equal(out, self.RENDERER.image_and_derivatives(self.Z))

    @pytest.mark.parametrize(
        "out",
        [
            np.empty((6, 37, 41)),
            np.empty((7, 37, 41), np.float32),
            np.empty((7, 37, 82))[:, :, ::2],
        ],
    )
    def test_must_be_a_contiguous_stack(self, out):
        with pytest.raises(ParameterError, match="out must be a contiguous float64 array of shape"):
            self.RENDERER.image_and_derivatives(self.Z, out=out)


def test_results_are_fresh():
    renderer = GalaxyRenderer((40, 40), gaussian_psf(1.0))
    z = SersicParams(20.0, 20.0, 4.0, 1.5, 0.3, 0.2).to_vector()
    image, images = renderer.image(z), renderer.image_and_derivatives(z)
    copies = image.copy(), images.copy()
    renderer.image(z + 0.1)
    renderer.image_and_derivatives(z + 0.1)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(images, copies[1])


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros(5), "z must be .* six finite numbers"),
        ([20, 20, np.nan, 0, 0, 0], "z must be .* six finite numbers"),
        ([20, 20, 1, 0.8, 0.7, 0], r"e1\^2 \+ e2\^2 must be below 1, not 1.13"),
        ([20, 20, 1, 0, 0, np.log(9.0)], "Sersic index n must be in 0.3 to 8.5"),
        ([20, 500, 1, 0, 0, 0], r"centre must be within 256 pixels .* is at \(20, 500\)"),
    ],
)
def test_what_cannot_be_rendered(z, message):
    renderer = GalaxyRenderer((40, 40), gaussian_psf(1.0))
    with pytest.raises(ParameterError, match=message):
        renderer.image(z)


def test_shape_must_be_two_sizes():
    with pytest.raises(ParameterError, match=r"shape must be two positive integers, not \(40, 0\)"):
        GalaxyRenderer((40, 0), gaussian_psf(1.0))


@pytest.mark.parametrize("name", ["F090W", "F150W", "F160W", "F277W", "F555W", "F814W"])
@pytest.mark.parametrize(
    ("n", "r_eff"), [(0.5, 2.0), (1.0, 5.0), (2.5, 12.0), (4.0, 2.0), (4.0, 12.0), (6.0, 5.0)]
)
def test_galsim(name, n, r_eff):
    galsim = pytest.importorskip("galsim")
    h5py = pytest.importorskip("h5py")
    if not PSF_FILE.exists():
        pytest.skip(f"needs {PSF_FILE.name} of the truth set beside the repository")
    with h5py.File(PSF_FILE) as file:
        psf = EffectivePSF.from_array(file[name][()], int(file.attrs["oversample"]))
    params = SersicParams(64.3, 63.6, r_eff, n, 0.3, 0.6)
    image = GalaxyRenderer((128, 128), psf).image(params.to_vector())
    settings = galsim.GSParams(
        folding_threshold=2e-2, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=8192
    )
    point = galsim.InterpolatedImage(
        galsim.Image(psf.array.copy(), scale=1 / psf.oversample),
        x_interpolant="quintic",
        flux=1.0,
        gsparams=settings,
    )
    q = 1 - params.ellip
    galaxy = galsim.Sersic(n=n, half_light_radius=r_eff * np.sqrt(q), gsparams=settings)
    galaxy = galaxy.shear(q=q, beta=params.theta * galsim.radians)
    drawn = galsim.Image(384, 384, scale=1.0)
    offset = (params.x_0 + 128 - 191.5, params.y_0 + 128 - 191.5)
    galsim.Convolve([galaxy, point], gsparams=settings).drawImage(
        drawn, method="no_pixel", offset=offset
    )
    expected = drawn.array[128:256, 128:256]
    assert np.abs(image - expected).max() < 1e-4 * expected.max()
