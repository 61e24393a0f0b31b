"""PSFCalibrate where there is little to calibrate on: what is taken instead, and what is said."""

import numpy as np
import pytest

from galstep.core.psf.kernel_families import variance
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps.psf_calibrate import PSFCalibrate
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model
from galstep.testing.star_frames import star_frame

BLUR = {"F150W": 0.9, "F160W": 1.9}
MISSING = BandFlag.PSF_NOT_CALIBRATED
GUESSED = BandFlag.PSF_FROM_PRIOR


def make_model(**changes):
    settings = {
        "seed": 4,
        "shape": (101, 101),
        "n_stars": 40,
        "filters": ("F150W", "F160W"),
        "star_snr": (10.0, 300.0),
        "psf_blur": BLUR,
    }
    return unfitted_model(make_scene(**{**settings, **changes}))


@pytest.fixture(scope="module")
def model():
    return make_model()


def kernels(model, **parameters):
    result = PSFCalibrate(**parameters).run(model)
    return {name: band.psf_kernel for name, band in result.bands.items()}


def relative(kernel, sigma):
    return np.sqrt(variance(kernel)) / sigma


def test_all_nan(model):
    lost = model.copy()
    lost.bands["F160W"].data[:] = np.nan
    lost.bands["F160W"].mask[:] = True
    kernel = kernels(lost)["F160W"]
    assert kernel.flags == MISSING | GUESSED
    assert kernel.reason == "no usable pixels; kernel of F150W"
    assert kernel.errors[0] == pytest.approx(0.5 * kernel.parameters[0])
    given = kernels(lost, blur_psf={"F160W": 7.6}, blur_psf_error=0.1)["F160W"]
    assert given.flags == GUESSED
    assert given.reason == "no usable pixels; kernel from the prior"
    assert given.parameters == pytest.approx((1.9**2,))
    assert given.errors == pytest.approx((2 * 0.1 * 1.9**2,), rel=1e-3)


def test_nothing_anywhere(model):
    lost = model.copy()
    for band in lost.bands.values():
        band.data[:] = np.nan
        band.mask[:] = True
    with pytest.raises(InputError, match="none of F150W, F160W has a usable pixel"):
        kernels(lost)


def test_two_stars():
    """Too few for a measurement: the library, or what is given."""
    few = make_model(n_stars=2, star_snr=(100.0, 300.0), filters=("F150W",), psf_blur=0.9)
    kernel = kernels(few)["F150W"]
    assert (kernel.family, kernel.flags) == ("none", MISSING)
    assert "isolated bright stars, 3 are needed" in kernel.reason
    given = kernels(few, blur_psf={"F150W": 3.6})["F150W"]
    assert given.flags == GUESSED and given.errors[0] > 0


def test_only_blends():
    """Every star has a companion less than one FWHM away."""
    scene = make_scene(
        seed=4, shape=(101, 101), n_stars=16, filters=("F150W",), star_snr=(60.0, 300.0),
        star_separation=12, psf_blur=0.9,
    )  # fmt: skip
    model, stars, rng = unfitted_model(scene), scene.truth.stars, np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, len(stars))
    x, y = stars["x"] + 2.5 * np.cos(angle), stars["y"] + 2.5 * np.sin(angle)
    psf, flux = scene.truth.psfs["F150W"], rng.uniform(0.7, 1, len(stars)) * stars["flux_F150W"]
    model.bands["F150W"].data += star_frame((101, 101), psf, x, y, flux)
    band = PSFCalibrate().run(model).bands["F150W"]
    kernel = band.psf_kernel
    assert kernel.flags == BandFlag.PSF_BOOTSTRAPPED
    assert "best of a grid of widths" in kernel.reason
    assert abs(variance(kernel) - 0.81) < 2 * kernel.errors[0] < 0.8
    assert band.all_flags & BandFlag.PSF_BOOTSTRAPPED
    assert band.reasons == ["PSF: " + kernel.reason]


def test_a_galaxy_that_fills_the_frame():
    """Its light is 300 times that of the brightest star."""
    galaxy = SersicParams(50.0, 50.0, 22.0, 3.0, 0.3, 0.4)
    full = make_model(snr=20000.0, sersic=galaxy, n_stars=60, filters=("F150W",), psf_blur=0.9)
    kernel = kernels(full)["F150W"]
    assert kernel.family == "gaussian"
    assert relative(kernel, 0.9) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("number", "height", "side"), [(8, 1.0, 1), (3, 2.0, 2)])
def test_spikes_of_bad_pixels(model, number, height, side):
    """Brighter than any star, and not masked."""
    spiked, rng = model.copy(), np.random.default_rng(3)
    for band in spiked.bands.values():
        highest = np.nanmax(band.data)
        for x, y in rng.integers(6, 92, (number, 2)):
            band.data[y : y + side, x : x + side] += height * highest
    found = kernels(spiked)
    assert relative(found["F150W"], 0.9) == pytest.approx(1, abs=0.06)
    assert relative(found["F160W"], 1.9) == pytest.approx(1, abs=0.12)


def test_a_hot_column(model):
    hot = model.copy()
    band = hot.bands["F150W"]
    band.data[:, 37] = 20 * np.nanmax(band.data)
    assert relative(kernels(hot)["F150W"], 0.9) == pytest.approx(1, abs=0.08)
