"""The kernel where no star is alone."""

import numpy as np
import pytest
from kernel_truth import KERNELS, LIBRARY, make_frame, make_pairs

from galstep.core.calibration.calibrate import calibrate_psf, galaxy_core
from galstep.core.calibration.disc_fit import Frame
from galstep.core.calibration.kernel_bootstrap import GRID, bootstrap_kernel
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.psf.kernel_families import variance
from galstep.flags import BandFlag
from galstep.records import PsfKernel, SersicParams

TRUE = variance(KERNELS["gaussian"])


def frame_of(image):
    return Frame(image, np.ones(image.shape), np.ones(image.shape, bool), LIBRARY)


def calibrated(image, **how):
    nothing = np.zeros(image.shape)
    return calibrate_psf(image, nothing > 0, 1.0, LIBRARY, nothing, nothing > 0, **how)


@pytest.fixture(scope="module")
def blends():
    return make_pairs(0, 2.5)


def test_the_width_is_right_within_its_error(blends):
    found = bootstrap_kernel(frame_of(blends), "gaussian")
    (value,), (error,) = found.kernel.parameters, found.kernel.errors
    assert abs(value - TRUE) < error < 0.4 * TRUE
    assert found.n_stars >= 20


@pytest.mark.parametrize("family", ["elliptical", "moffat", "drizzle"])
def test_any_family(blends, family):
    kernel = bootstrap_kernel(frame_of(blends), family, 1.0).kernel
    assert kernel.family == family
    assert variance(kernel) == pytest.approx(TRUE, rel=0.3)
    assert max(kernel.errors) > 0


def test_narrow_and_wide():
    library = LIBRARY.convolved(PsfKernel("gaussian", (TRUE,)))
    image = make_frame("gaussian", 3, count=15)[0]
    frame = Frame(image, np.ones(image.shape), np.ones(image.shape, bool), library)
    assert variance(bootstrap_kernel(frame, "gaussian").kernel) < GRID[1]


def test_too_few_stars_say_nothing():
    empty = np.random.default_rng(0).normal(size=(60, 60))
    assert bootstrap_kernel(frame_of(empty), "gaussian") is None
    image = make_frame("gaussian", 1, shape=(60, 60), count=2)[0]
    assert bootstrap_kernel(frame_of(image), "gaussian") is None


def test_the_calibration_takes_it_where_there_are_only_blends(blends):
    result = calibrated(blends)
    assert result.kernel.flags == BandFlag.PSF_BOOTSTRAPPED
    assert "isolated bright stars, 3 are needed; best of a grid of widths" in result.kernel.reason
    assert variance(result.kernel) == pytest.approx(TRUE, rel=0.25)
    assert result.kernel.errors[0] > 0


def test_a_prior_is_better_than_a_grid(blends):
    options = CalibrationOptions(prior_error=0.1)
    kernel = calibrated(blends, start=PsfKernel("gaussian", (0.7,)), options=options).kernel
    assert kernel.flags == BandFlag.PSF_FROM_PRIOR
    assert kernel.parameters == (0.7,)
    assert kernel.errors == pytest.approx((0.14,), rel=1e-3)


def test_from_there_closer_pairs_are_told_apart():
    """What looks like blends with the broad first guess need not be any."""
    kernel = calibrated(make_pairs(0, 1.5)).kernel
    assert kernel.flags == 0
    assert kernel.n_anchors >= 3
    assert variance(kernel) == pytest.approx(TRUE, abs=4 * kernel.errors[0])


def test_what_a_profile_leaves_of_the_galaxy_is_no_star():
    """No star in the frame: bulge and disk stand above one profile, as bright as stars."""
    shape = (181, 181)
    renderer = GalaxyRenderer(shape, LIBRARY)
    bulge = SersicParams(90.5, 86.8, 1.6, 2.5, 0.07, 0.0).to_vector()
    disk = SersicParams(90.5, 86.8, 9.7, 1.0, 0.2, 0.07).to_vector()
    light = 1e5 * renderer.image(bulge) + 3e5 * renderer.image(disk)
    data = light + np.random.default_rng(2).normal(size=shape)
    nothing = np.zeros(shape, bool)
    first = robust_galaxy_fit(data, nothing, 1.0, LIBRARY)
    model, core = first.galaxy + first.sky, galaxy_core(shape, first.params)
    # left to itself it would be decided by what is no star
    frame = Frame(data - model, np.ones(shape), ~core, LIBRARY)
    assert (frame.image[frame.good] > 15).any()
    found = calibrate_psf(data, nothing, 1.0, LIBRARY, model, core)
    assert found.kernel.family == "none"
    assert found.kernel.flags & BandFlag.PSF_NOT_CALIBRATED


def test_still_better_at_the_broadest_is_no_answer():
    yy, xx = np.indices((121, 121))
    image = np.random.default_rng(1).normal(size=xx.shape)
    for x, y in ((20, 30), (60, 100), (90, 40), (40, 75), (100, 95)):
        image += 60 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 7.0**2))
    assert bootstrap_kernel(frame_of(image), "gaussian") is None
