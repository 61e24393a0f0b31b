"""PSFCalibrate: which filter first, what is shared, what a failure leaves."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from galstep.core.calibration import kernel_stars
from galstep.core.psf.kernel_families import variance
from galstep.datamodels import GalaxyModel
from galstep.exceptions import ParameterError
from galstep.flags import BandFlag
from galstep.steps.psf_calibrate import PSFCalibrate
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

BLUR = {"F150W": 0.9, "F160W": 1.9, "F090W": 0.0}
SHARED = Path(__file__).parents[3] / "shared" / "truth"


def make_model(**changes):
    settings = {
        "seed": 4,
        "shape": (121, 121),
        "n_stars": 45,
        "filters": ("F090W", "F150W", "F160W"),
        "star_snr": (10.0, 300.0),
        "psf_blur": BLUR,
    }
    return unfitted_model(make_scene(**{**settings, **changes}))


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def calibrated(model):
    return PSFCalibrate().run(model)


@pytest.fixture(scope="module")
def single(model):
    """The base filter alone."""
    alone = model.copy()
    alone.bands = {"F150W": alone.bands["F150W"]}
    return alone


def base_kernel(model, **parameters):
    return PSFCalibrate(**parameters).run(model).bands["F150W"].psf_kernel


def sigmas(result):
    return {name: np.sqrt(variance(band.psf_kernel)) for name, band in result.bands.items()}


def test_every_filter_gets_its_kernel(calibrated):
    found = sigmas(calibrated)
    assert found["F150W"] == pytest.approx(0.9, rel=0.04)
    assert found["F160W"] == pytest.approx(1.9, rel=0.06)
    assert found["F090W"] == 0.0
    assert calibrated.bands["F090W"].psf_kernel.family == "none"
    assert all(band.psf_kernel.n_anchors >= 3 for band in calibrated.bands.values())


def test_nothing_else_is_touched(model, calibrated):
    assert all(band.psf_kernel is None for band in model.bands.values())
    for name, band in calibrated.bands.items():
        np.testing.assert_array_equal(band.psf, model.bands[name].psf)
        np.testing.assert_array_equal(band.data, model.bands[name].data)
        assert not band.fitted


def test_status_and_base_filter_are_recorded(calibrated):
    assert calibrated.meta.cal_step.gal_psfcalibrate == "COMPLETE"
    assert calibrated.meta.base_filter == "F150W"
    assert calibrated.meta.parameters["psfcalibrate"]["kernel_anchor_K"] == 30


def test_one_line_tells_every_sigma(model, caplog):
    with caplog.at_level(logging.INFO, logger="stpipe.galstep.psfcalibrate"):
        PSFCalibrate().run(model)
    lines = [r.message for r in caplog.records if r.name == "stpipe.galstep.psfcalibrate"]
    assert len(lines) == 1
    assert "base F150W" in lines[0]
    assert all(f"{name} " in lines[0] for name in model.bands)


def test_running_again_gives_the_same(calibrated):
    again = PSFCalibrate().run(calibrated)
    for name, band in again.bands.items():
        assert band.psf_kernel == calibrated.bands[name].psf_kernel
        assert band.reasons == calibrated.bands[name].reasons


def test_order_of_the_filters_does_not_matter(model, calibrated):
    turned = model.copy()
    turned.bands = dict(reversed(turned.bands.items()))
    result = PSFCalibrate().run(turned)
    for name, band in result.bands.items():
        assert band.psf_kernel == calibrated.bands[name].psf_kernel


def test_earlier_choice_of_base_filter_is_kept(model):
    chosen = model.copy()
    chosen.meta.base_filter = "F160W"
    result = PSFCalibrate().run(chosen)
    assert result.meta.base_filter == "F160W"
    assert result.bands["F160W"].psf_kernel.family == "gaussian"


def test_without_known_positions_each_filter_finds_its_own(model, calibrated):
    alone = PSFCalibrate(forced_neighbors=False).run(model)
    assert alone.bands["F150W"].psf_kernel == calibrated.bands["F150W"].psf_kernel
    assert alone.bands["F160W"].psf_kernel != calibrated.bands["F160W"].psf_kernel


@pytest.mark.parametrize(
    "parameters",
    [
        {"kernel_anchor_K": 10},
        {"kernel_fit_stamp_half_in_sigmaeff": 4.0},
        {"kernel_fit_stamp_half_min": 14},
        {"kernel_fit_objective": "single_source"},
        {"kernel_fit_neighbor_pad_pix": 0.0},
        {"center_mask_r_in_fwhm": 20.0},
        {"center_mask_r_in_r_eff": 4.0},
        {"max_loops": 1},
        {"filter_width": 1.2},
    ],
)
def test_each_parameter_counts_and_harms_little(parameters, single, calibrated):
    kernel = base_kernel(single, **parameters)
    assert kernel.parameters != calibrated.bands["F150W"].psf_kernel.parameters
    assert np.sqrt(variance(kernel)) == pytest.approx(0.9, rel=0.06)


@pytest.fixture(scope="module")
def crowded():
    return make_model(filters=("F150W",), n_stars=250, seed=5, psf_blur=0.9)


@pytest.mark.parametrize(
    "parameters",
    [
        {"fwhm_method": "empirical"},
        {"scan_method": "nnls"},
        {"scan_metric": "resid_mad"},
        {"scan_top_k": 5},
    ],
)
def test_parameters_of_the_scan(parameters, crowded, monkeypatch):
    """Each of them changes what is asked of the frame; what comes of it is tested in core."""
    asked = []
    monkeypatch.setattr(kernel_stars, "best_width", lambda *args: asked.append(args) or 0.6)
    base_kernel(crowded, **{"fwhm_method": "scan", **parameters})
    if "fwhm_method" in parameters:
        assert not asked
        return
    assert [args[3] for args in asked] == [0.7, 0.6]
    (name, value), options = next(iter(parameters.items())), asked[0][-1]
    assert getattr(options, name.removeprefix("scan_")) == value


def test_fewer_neighbours(crowded):
    few, many = (base_kernel(crowded, kernel_fit_max_neighbors=n) for n in (1, 15))
    assert few.parameters != many.parameters


@pytest.mark.parametrize("family", ["elliptical", "moffat", "drizzle"])
def test_families(family, single, calibrated):
    kernel = base_kernel(single, kernel_family=family)
    assert kernel.family == family
    assert kernel.fwhm == pytest.approx(calibrated.bands["F150W"].psf_kernel.fwhm, rel=0.02)


def test_drizzle_width_is_taken(single):
    kernel = base_kernel(single, kernel_family="drizzle", drizzle_width=1.5)
    assert kernel.parameters[1] == 1.5


@pytest.fixture(scope="module")
def starless():
    return make_model(n_stars=0)


def test_without_stars_the_psf_stays_and_is_flagged(starless):
    result = PSFCalibrate().run(starless)
    for band in result.bands.values():
        assert band.psf_kernel.family == "none"
        assert band.all_flags & BandFlag.PSF_NOT_CALIBRATED
        assert band.reasons == ["PSF: " + band.psf_kernel.reason]
    assert result.meta.cal_step.gal_psfcalibrate == "COMPLETE"


def test_without_stars_the_users_blur_is_taken(starless):
    result = PSFCalibrate(blur_psf={"F150W": 3.6}).run(starless)
    kernel = result.bands["F150W"].psf_kernel
    assert kernel.parameters == pytest.approx((0.81,))
    assert kernel.flags == BandFlag.PSF_FROM_PRIOR
    assert result.bands["F090W"].psf_kernel.flags == BandFlag.PSF_NOT_CALIBRATED


def test_error_of_the_users_blur(single):
    few = {"kernel_anchor_K": 4, "blur_psf": {"F150W": 5.0}}
    tight = base_kernel(single, **few, blur_psf_error=0.005)
    loose = base_kernel(single, **few, blur_psf_error=1.0)
    assert np.sqrt(variance(tight)) > 0.95
    assert np.sqrt(variance(loose)) == pytest.approx(0.9, rel=0.05)


def test_users_blur_for_a_filter_that_is_not_there(single):
    with pytest.raises(ParameterError, match="blur_psf: F444W not in the data, which have F150W"):
        PSFCalibrate(blur_psf={"F444W": 2.0}).run(single)


def test_filter_with_few_stars_borrows(model):
    lacking = model.copy()
    lacking.bands["F160W"].err = lacking.bands["F160W"].err * 1e3
    kernel = PSFCalibrate().run(lacking).bands["F160W"].psf_kernel
    assert kernel.flags == BandFlag.PSF_NOT_CALIBRATED | BandFlag.PSF_FROM_PRIOR
    assert "kernel of F150W" in kernel.reason


def test_min_anchors(single):
    assert base_kernel(single, min_anchors=60).flags == BandFlag.PSF_NOT_CALIBRATED


def test_filter_without_data_is_flagged_and_the_rest_goes_on(model):
    lost = model.copy()
    lost.bands["F150W"].data[:] = np.nan
    lost.bands["F150W"].mask[:] = True
    result = PSFCalibrate().run(lost)
    kernel = result.bands["F150W"].psf_kernel
    assert kernel.flags & BandFlag.PSF_NOT_CALIBRATED
    assert kernel.reason.startswith("no usable pixels")
    assert result.meta.base_filter != "F150W"
    assert np.sqrt(variance(result.bands["F160W"].psf_kernel)) == pytest.approx(1.9, rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the truth set is not beside the repository")
def test_truth_set():
    manifest = json.loads((SHARED / "truth" / "manifest.json").read_text())["galaxies"]
    true = {"F555W": 4.3, "F814W": 4.2, "F090W": 4.0, "F150W": 3.5, "F160W": 7.5, "F277W": 7.0}
    for name in ("t09", "t12"):
        data = GalaxyModel.open(
            SHARED / "data" / f"{name}.h5", psf_file=SHARED / manifest[name]["given_psf"]
        )
        found = sigmas(PSFCalibrate().run(data))
        for filter_name, sigma in true.items():
            allowed = 0.04 if filter_name == "F160W" else 0.02
            assert 4 * found[filter_name] == pytest.approx(sigma, rel=allowed), filter_name
