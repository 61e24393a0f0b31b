"""The witness against analytic results, finer grids and GalSim."""

import numpy as np
import pytest
from scipy.special import gammainc, gammaincinv

from galstep.exceptions import ParameterError
from galstep.records import SersicParams
from galstep.testing.psfs import GaussianMixturePSF, default_psf
from galstep.testing.real_space import SersicImage, star_image

SHAPE = (81, 91)


def gaussian_covariance(params):
    """An n = 0.5 profile is a Gaussian: sigma = r_eff / sqrt(2 ln 2) along the major axis."""
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    rotation = np.array([[cos, -sin], [sin, cos]])
    axes = params.r_eff**2 / (2 * np.log(2)) * np.diag([1, (1 - params.ellip) ** 2])
    return rotation @ axes @ rotation.T


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.37, -1.21)])
def test_gaussian_galaxy_through_a_gaussian_psf_is_analytic(offset):
    params = SersicParams(44.3, 40.8, 6.0, 0.5, 0.4, 0.7)
    psf = default_psf("F150W")
    c = gaussian_covariance(params)
    added = tuple((xx + c[0, 0], xy + c[0, 1], yy + c[1, 1]) for xx, xy, yy in psf.covariances)
    exact = GaussianMixturePSF(psf.weights, added)
    image = SersicImage(params, SHAPE, psf.reach()).seen_through(psf, offset)
    expected = star_image(SHAPE, exact, [params.x_0 + offset[0]], [params.y_0 + offset[1]], [1.0])
    np.testing.assert_allclose(image, expected, atol=3e-6 * expected.max())


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_flux_inside_a_circle_is_the_analytic_curve_of_growth(n):
    """A narrow PSF moves no light over a wide circle."""
    params = SersicParams(45.2, 40.1, 5.0, n, 0.0, 0.0)
    psf = GaussianMixturePSF.gaussian(0.7)
    image = SersicImage(params, SHAPE, psf.reach()).seen_through(psf)
    fraction = gammainc(2 * n, gammaincinv(2 * n, 0.5) * (30 / 5.0) ** (1 / n))
    y, x = np.indices(SHAPE)
    inside = np.hypot(x - params.x_0, y - params.y_0) < 30
    assert image[inside].sum() == pytest.approx(fraction, abs=3e-4)


def test_total_flux_is_conserved():
    params = SersicParams(45.2, 40.1, 4.0, 1.0, 0.3, 1.0)
    psf = default_psf("F277W")
    image = SersicImage(params, SHAPE, psf.reach()).seen_through(psf)
    assert image.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n", [0.7, 2.5, 6.0])
def test_finer_cells_change_nothing_that_matters(n):
    params = SersicParams(30.31, 29.83, 4.0, n, 0.5, 0.7)
    psf = default_psf("F090W")
    coarse, fine = (
        SersicImage(params, (61, 61), psf.reach(), subsample).seen_through(psf)
        for subsample in (7, 21)
    )
    np.testing.assert_allclose(coarse, fine, atol=3e-4 * fine.max())


@pytest.mark.parametrize(("n", "r_eff"), [(1.0, 8.0), (2.5, 5.0), (4.0, 8.0)])
def test_agrees_with_galsim(n, r_eff):
    galsim = pytest.importorskip("galsim")
    params = SersicParams(45.3, 39.6, r_eff, n, 0.4, 0.7)
    psf = default_psf("F150W")
    image = SersicImage(params, SHAPE, psf.reach()).seen_through(psf)
    precise = galsim.GSParams(
        folding_threshold=1e-4, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=16384
    )
    q = 1 - params.ellip
    galaxy = galsim.Sersic(n=n, half_light_radius=r_eff * np.sqrt(q), gsparams=precise)
    galaxy = galaxy.shear(q=q, beta=params.theta * galsim.radians)
    seen = galsim.Convolve(galaxy, galsim_mixture(galsim, psf), gsparams=precise)
    offset = (params.x_0 - (SHAPE[1] - 1) / 2, params.y_0 - (SHAPE[0] - 1) / 2)
    expected = seen.drawImage(
        nx=SHAPE[1], ny=SHAPE[0], scale=1, method="no_pixel", offset=offset
    ).array
    np.testing.assert_allclose(image, expected, atol=1e-4 * expected.max())


def galsim_mixture(galsim, psf):
    parts = []
    for weight, (xx, xy, yy) in zip(psf.weights, psf.covariances, strict=True):
        root = np.linalg.cholesky([[xx, xy], [xy, yy]])
        parts.append(galsim.Gaussian(sigma=1).transform(*root.ravel()).withFlux(weight))
    return galsim.Sum(parts)


def test_star_sums_to_its_flux_wherever_it_sits():
    psf = default_psf("F277W")
    for x, y in [(40, 40), (40.5, 40.5), (44.21, 38.77)]:
        assert star_image(SHAPE, psf, [x], [y], [7.0]).sum() == pytest.approx(7, rel=1e-6)


def test_star_centroid_is_its_position():
    # 2 pi sigma^2 exp(-2 pi^2 sigma^2): what pixel sampling leaves of a Gaussian's centroid
    image = star_image(SHAPE, default_psf("F150W"), [44.21], [38.77], [1.0])
    y, x = np.indices(SHAPE)
    assert np.sum(x * image) == pytest.approx(44.21, abs=2e-5)
    assert np.sum(y * image) == pytest.approx(38.77, abs=2e-5)


def test_star_outside_the_frame_leaves_its_wing_or_nothing():
    psf = default_psf("F150W")
    assert star_image(SHAPE, psf, [-500.0], [40.0], [1.0]).max() == 0
    assert 0 < star_image(SHAPE, psf, [-1.0], [40.0], [1.0]).sum() < 0.5


def test_rejects_an_even_subsample():
    with pytest.raises(ParameterError, match="subsample must be an odd number, got 4"):
        SersicImage(SersicParams(30, 30, 4, 1, 0, 0), SHAPE, 10, subsample=4)


def test_rejects_a_profile_that_is_none():
    with pytest.raises(ParameterError, match="params must have r_eff > 0"):
        SersicImage(SersicParams(30, 30, -4, 1, 0, 0), SHAPE, 10)
