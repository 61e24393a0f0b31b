"""Calibration of a filter's PSF on scenes whose kernel is known."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.calibration.anchors import AnchorLimits
from galstep.core.calibration.calibrate import calibrate_psf, galaxy_core
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import variance
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.records import PsfKernel, SersicParams
from galstep.testing import make_scene

FILTERS = ("F150W", "F160W")
BLUR = {"F150W": 0.9, "F160W": 1.9}


def scene(**changes):
    settings = {
        "seed": 4,
        "shape": (151, 151),
        "n_stars": 60,
        "filters": FILTERS,
        "star_snr": (10.0, 300.0),
        "psf_blur": BLUR,
    }
    return make_scene(**{**settings, **changes})


SCENE = scene()


def library(synthetic, name):
    return EffectivePSF.from_array(synthetic.psf_arrays[name], synthetic.truth.oversample)


def calibrate(synthetic, name, mask=None, sigma="err", **how):
    data = synthetic.data[name]
    mask = np.zeros(data.shape, bool) if mask is None else mask
    sigma = synthetic.err[name] if sigma == "err" else sigma
    galaxy = synthetic.galaxy[name] + synthetic.sky[name]
    exclude = galaxy_core(data.shape, synthetic.truth.sersic)
    return calibrate_psf(data, mask, sigma, library(synthetic, name), galaxy, exclude, **how)


@pytest.fixture(scope="module")
def base():
    return calibrate(SCENE, "F150W")


def check(result, sigma, relative=0.03):
    """The kernel's sigma is right within its error and to a few per cent."""
    found = np.sqrt(variance(result.kernel))
    error = result.kernel.errors[0] / (2 * found)
    assert abs(found - sigma) < 3.5 * error
    assert abs(found / sigma - 1) < relative


def test_gaussian_blur_is_recovered(base):
    check(base, BLUR["F150W"])
    assert base.kernel.family == "gaussian"
    assert base.kernel.flags == 0
    assert base.kernel.reason == ""
    assert 3 <= base.kernel.n_anchors == len(base.anchors) <= 30
    assert abs(base.growth) < 0.03


def test_fwhm_is_that_of_the_true_psf(base):
    truth = SCENE.truth.psfs["F150W"].fwhm
    assert base.kernel.fwhm == pytest.approx(truth, rel=0.02)
    assert base.psf.fwhm == pytest.approx(truth, rel=0.02)


def test_anchors_are_true_bright_stars(base):
    table = SCENE.truth.stars
    for i in base.anchors:
        distance = np.hypot(table["x"] - base.stars.x[i], table["y"] - base.stars.y[i])
        nearest = int(np.argmin(distance))
        assert distance[nearest] < 0.3
        assert table["flux_F150W"][nearest] == pytest.approx(base.stars.flux[i], rel=0.15)


def test_known_positions_help_where_stars_overlap(base):
    result = calibrate(SCENE, "F160W", neighbours=(base.stars.x, base.stars.y))
    check(result, BLUR["F160W"], 0.06)
    assert len(result.stars) > 0.6 * len(base.stars)


def test_offset_between_filters_does_not_matter(base):
    plain = calibrate(SCENE, "F160W", neighbours=(base.stars.x, base.stars.y))
    moved = calibrate(SCENE, "F160W", neighbours=(base.stars.x + 0.4, base.stars.y - 0.3))
    assert variance(moved.kernel) == pytest.approx(variance(plain.kernel), rel=0.05)


@pytest.mark.parametrize("family", ["elliptical", "drizzle"])
def test_other_families_give_the_same_width(family):
    result = calibrate(SCENE, "F150W", options=CalibrationOptions(family=family))
    assert result.kernel.family == family
    assert np.sqrt(variance(result.kernel)) == pytest.approx(BLUR["F150W"], rel=0.04)


def test_right_library_gives_no_kernel():
    result = calibrate(scene(psf_blur=0.0), "F150W")
    assert result.kernel.family == "none"
    assert result.kernel.flags == 0
    assert "no blur: chi2 falls by" in result.kernel.reason
    assert result.kernel.n_anchors >= 3
    np.testing.assert_array_equal(result.psf.array, result.library.array)


def test_noise_can_be_measured():
    check(calibrate(SCENE, "F150W", sigma=None), BLUR["F150W"])


def test_masked_and_missing_pixels_do_not_matter():
    data = {name: image.copy() for name, image in SCENE.data.items()}
    mask = np.zeros(data["F150W"].shape, bool)
    mask[:, 30:34] = True
    data["F150W"][:, 30:34] = 1e5
    data["F150W"][100:, 140:] = np.nan
    check(calibrate(replace(SCENE, data=data), "F150W", mask=mask), BLUR["F150W"])


def test_same_input_same_answer(base):
    assert calibrate(SCENE, "F150W").kernel == base.kernel


def test_brighter_image_same_kernel(base):
    factor = 1e4
    scaled = replace(
        SCENE,
        **{
            part: {name: factor * image for name, image in getattr(SCENE, part).items()}
            for part in ("data", "err", "galaxy", "sky")
        },
    )
    kernel = calibrate(scaled, "F150W").kernel
    assert kernel.parameters == pytest.approx(base.kernel.parameters, rel=1e-5)


EMPTY = scene(n_stars=0)
PRIOR = PsfKernel("gaussian", (0.8,))


def test_no_stars_no_kernel():
    kernel = calibrate(EMPTY, "F150W").kernel
    assert kernel.family == "none"
    assert kernel.flags == BandFlag.PSF_NOT_CALIBRATED
    assert kernel.reason == "0 isolated bright stars, 3 are needed"
    assert kernel.fwhm == pytest.approx(SCENE.truth.library["F150W"].fwhm, rel=0.02)


def test_no_stars_but_a_prior():
    kernel = calibrate(EMPTY, "F150W", start=PRIOR).kernel
    assert (kernel.family, kernel.parameters) == ("gaussian", (0.8,))
    assert kernel.flags == BandFlag.PSF_FROM_PRIOR
    assert "kernel from the prior" in kernel.reason


def test_few_stars_are_weighed_against_a_prior():
    options = CalibrationOptions(anchors=AnchorLimits(count=4))
    free = calibrate(SCENE, "F150W", options=options).kernel
    prior = PsfKernel("gaussian", (1.4,))
    held = calibrate(SCENE, "F150W", options=options, start=prior).kernel
    assert free.parameters[0] < held.parameters[0] < 1.4
    assert held.errors[0] < free.errors[0]
    assert held.flags & BandFlag.PSF_FROM_PRIOR
    assert "combined with the prior (4 anchors)" in held.reason


def test_many_stars_need_no_prior(base):
    result = calibrate(SCENE, "F150W", start=PsfKernel("gaussian", (2.0,)))
    assert variance(result.kernel) == pytest.approx(variance(base.kernel), rel=0.02)
    assert result.kernel.flags == 0


def test_start_without_blur_is_not_where_the_loop_starts(base):
    result = calibrate(SCENE, "F150W", start=PsfKernel("gaussian", (0.0,)))
    assert variance(result.kernel) == pytest.approx(variance(base.kernel), rel=0.02)


def test_nothing_but_masked_pixels():
    mask = np.ones((151, 151), bool)
    kernel = calibrate(SCENE, "F150W", mask=mask, sigma=None).kernel
    assert kernel.flags == BandFlag.PSF_NOT_CALIBRATED
    assert kernel.reason == "no usable pixels"


@pytest.mark.parametrize("name", ["mask", "galaxy", "exclude"])
def test_shapes_must_agree(name):
    arrays = {
        "mask": np.zeros((20, 30), bool),
        "galaxy": np.zeros((20, 30)),
        "exclude": np.zeros((20, 30), bool),
    }
    arrays[name] = arrays[name][1:]
    with pytest.raises(InputError, match=rf"{name} must have the shape of data, \(20, 30\)"):
        calibrate_psf(np.ones((20, 30)), sigma=1.0, psf=library(SCENE, "F150W"), **arrays)


def test_galaxy_core_is_an_ellipse():
    params = SersicParams(40.0, 30.0, 8.0, 1.0, 0.5, np.pi / 2)
    core = galaxy_core((60, 80), params, in_r_eff=1.5)
    assert core[30 + 11, 40]
    assert not core[30 + 13, 40]
    assert core[30, 40 + 5]
    assert not core[30, 40 + 7]
    assert core.sum() == pytest.approx(np.pi * 12 * 6, rel=0.05)


def test_galaxy_core_has_a_least_radius_and_a_largest_size():
    small = SersicParams(40.0, 30.0, 0.5, 1.0, 0.0, 0.0)
    assert galaxy_core((60, 80), small, least_radius=9.0).sum() == pytest.approx(
        np.pi * 81, rel=0.05
    )
    large = SersicParams(40.0, 30.0, 500.0, 1.0, 0.0, 0.0)
    assert galaxy_core((60, 80), large).sum() == pytest.approx(np.pi * 27**2, rel=0.05)
