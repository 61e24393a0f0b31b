"""One galaxy in two filters of known truth, measured in one go."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.photometry.aperture_photometry import ApertureImages, ApertureSettings
from galstep.core.photometry.galaxy_photometry import PhotometryBand, measure_galaxy, placed
from galstep.core.psf.effective import EffectivePSF
from galstep.pixel_map import PixelMap
from galstep.records import Aperture
from galstep.testing.models import fitted_model
from galstep.testing.scenes import make_scene

FILTERS = ("F150W", "F277W")
TURNED = PixelMap(matrix=((0.0, -2.0), (2.0, 0.0)), origin=(200.0, 5.0))


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        seed=8, shape=(111, 111), filters=FILTERS, n_stars=6, psf_size=81, noise="none",
        offsets={"F277W": (0.7, -0.4)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def bands(scene):
    return bands_of(scene)


def bands_of(scene):
    made = {}
    for name, band in fitted_model(scene).bands.items():
        data = band.data - band.sky - band.stars
        images = ApertureImages(data, band.mask, band.residual, band.mask, band.err)
        psf = EffectivePSF.from_array(scene.psf_arrays[name], scene.truth.oversample)
        made[name] = PhotometryBand(images, band.fit, psf)
    return made


def ellipse(scene, a=14.0):
    shape = scene.truth.sersic
    return Aperture(shape.x_0, shape.y_0, a, 0.7 * a, shape.theta)


def test_the_ellipse_follows_the_galaxy_of_the_filter(scene, bands):
    found = placed(ellipse(scene), bands["F277W"])
    shape = scene.truth.sersic
    assert (found.x, found.y) == pytest.approx((shape.x_0 + 0.7, shape.y_0 - 0.4))
    assert (found.a, found.b, found.theta) == (14.0, pytest.approx(9.8), shape.theta)


def test_the_map_carries_the_shape(scene, bands):
    """Pixels half as large, turned by a right angle."""
    found = placed(ellipse(scene), replace(bands["F277W"], pixel_map=TURNED))
    assert found.a == pytest.approx(28.0)
    assert found.b == pytest.approx(19.6)
    turn = (found.theta - scene.truth.sersic.theta) % np.pi
    assert turn == pytest.approx(np.pi / 2)


def test_every_aperture_in_every_filter(scene, bands):
    wanted = [("petrosian", ellipse(scene)), ("ellipse", ellipse(scene, 6.0))]
    found = measure_galaxy(bands, wanted, "F150W", ApertureSettings())
    assert list(found) == list(FILTERS)
    for name, fluxes in found.items():
        assert [f.kind for f in fluxes] == ["petrosian", "ellipse"]
        for flux in fluxes:
            expected = flux.frac_enclosed * scene.truth.fluxes[name]
            assert flux.flux == pytest.approx(expected, rel=2e-3)
            assert set(flux.covariance) == set(FILTERS)
        assert fluxes[1].flux < fluxes[0].flux
    assert found["F150W"][0].psf_correction == 0


def test_the_kernel_gives_nearly_the_correction_of_the_model(scene, bands):
    """One shape in both filters, which is what the kernel's way assumes."""
    wanted = [("petrosian", ellipse(scene))]
    settings = ApertureSettings()
    (by_model,) = measure_galaxy(bands, wanted, "F150W", settings)["F277W"]
    (by_kernel,) = measure_galaxy(bands, wanted, "F150W", settings, by_kernel=True)["F277W"]
    assert by_kernel.psf_correction == pytest.approx(by_model.psf_correction, abs=0.006)
    assert by_kernel.psf_correction != by_model.psf_correction
    assert by_kernel.reason == ""


def test_without_light_the_kernel_gives_way_to_the_model(scene, bands):
    images = bands["F150W"].images
    dark = replace(bands["F150W"], images=replace(images, data=-images.data))
    wanted = [("petrosian", ellipse(scene))]
    (found,) = measure_galaxy(
        bands | {"F150W": dark}, wanted, "F150W", ApertureSettings(), by_kernel=True
    )["F277W"]
    assert "PSF correction is the model's: there is no light" in found.reason


@pytest.mark.parametrize("seed", [2, 7])
def test_the_error_never_falls_with_the_radius(seed):
    """From inside the PSF to beyond the frame, through gaps and a change of the noise's source."""
    scene = make_scene(shape=(121, 131), seed=seed, n_stars=25, filters=FILTERS, noise="correlated")
    bands = bands_of(scene)
    band = bands[FILTERS[0]]
    mask = band.images.mask.copy()
    mask[:, 70:76] = True
    bands[FILTERS[0]] = replace(band, images=replace(band.images, mask=mask, residual_mask=mask))
    shape = band.fit.sersic[0].params
    radii = np.geomspace(1.0, 90.0, 40)
    ellipses = [
        (kind, Aperture(shape.x_0, shape.y_0, a, q * a, shape.theta))
        for a in radii
        for kind, q in (("growth", 0.7), ("circle", 1.0))
    ]
    for empirical in (True, False):
        found = measure_galaxy(
            bands, ellipses, FILTERS[0], ApertureSettings(empirical_noise=empirical)
        )
        for name in FILTERS:
            for kind in ("growth", "circle"):
                family = [f for f in found[name] if f.kind == kind and np.isfinite(f.flux)]
                assert len(family) > 30
                for column in ("noise_err", "flux_err", "flux_corr_err"):
                    values = np.array([getattr(f, column) for f in family])
                    assert (np.diff(values) >= -1e-12 * values[1:]).all(), column
                # not made so at the end alone
                raised = [f.model_err for f in family]
                assert np.median(raised) < 0.5 * np.median([f.flux_err for f in family])
