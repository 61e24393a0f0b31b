"""The width of the detection filter: drawn, scanned, used."""

import numpy as np
import pytest
from kernel_truth import KERNELS, LIBRARY, make_frame

from galstep.core.calibration import filter_width
from galstep.core.calibration.calibrate import calibrate_psf
from galstep.core.calibration.disc_fit import Frame, WorkingPsf
from galstep.core.calibration.filter_width import METHODS, METRICS, ScanOptions, best_width
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.calibration.star_peaks import find_star_peaks, zero_sum_filter
from galstep.core.psf.kernel_families import variance
from galstep.exceptions import ParameterError

WORKING = WorkingPsf(LIBRARY, KERNELS["gaussian"])
CROWD = make_frame("gaussian", 0, count=300, separation=1.5, snr=(5, 200))[0]


def frame_of(image):
    return Frame(image, np.ones(image.shape), np.ones(image.shape, bool), LIBRARY)


class TestFilter:
    @pytest.mark.parametrize("width", [0.5, 0.7, 1.0, 1.6])
    def test_sums_to_zero_and_knows_its_response(self, width):
        kernel, response = zero_sum_filter(WORKING.renderer, WORKING.fwhm, width)
        h = len(kernel) // 2
        star = WORKING.renderer.render(kernel.shape, np.array([h]), np.array([h]), np.ones(1))
        assert kernel.sum() == pytest.approx(0, abs=1e-12)
        assert response == pytest.approx((kernel * star).sum())

    def test_is_the_psf_drawn_wider(self):
        kernel, _ = zero_sum_filter(WORKING.renderer, WORKING.fwhm, 2.0)
        h = len(kernel) // 2
        column = kernel[h, h:] - kernel[h, h:].min()
        plain, _ = zero_sum_filter(WORKING.renderer, WORKING.fwhm, 1.0)
        own = plain[len(plain) // 2, len(plain) // 2 :]
        own = own - own.min()
        # half of the height is reached twice as far out
        assert column[2] / column[0] == pytest.approx(own[1] / own[0], abs=0.05)

    def test_a_sharper_one_finds_more_in_a_crowd(self):
        frame = frame_of(CROWD)
        found = [
            len(
                find_star_peaks(frame.image, frame.good, WORKING.renderer, WORKING.fwhm, 6.0, width)
            )
            for width in (0.6, 1.0)
        ]
        assert found[0] > 1.3 * found[1] > 60


class TestScan:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("metric", METRICS)
    def test_a_crowd_asks_for_a_sharper_filter(self, method, metric):
        frame = frame_of(CROWD)
        assert best_width(frame, WORKING, 6.0, 1.0, ScanOptions(method, metric)) == 0.7

    def test_only_the_brightest_are_measured(self, monkeypatch):
        measured = []
        refine = filter_width.refine_stars
        monkeypatch.setattr(
            filter_width,
            "refine_stars",
            lambda *args, **how: (
                measured.append((len(args[4]), how["move"])) or refine(*args, **how)
            ),
        )
        frame = frame_of(make_frame("gaussian", 0)[0])
        best_width(frame, WORKING, 6.0, 1.0, ScanOptions("lm", top_k=12))
        assert measured == [(12, True)] * 3
        measured.clear()
        best_width(frame, WORKING, 6.0, 1.0, ScanOptions("nnls", top_k=0))
        assert len(measured) == 3 and all(n >= 30 and not move for n, move in measured)

    def test_of_equal_scores_the_middle_counts(self):
        empty = frame_of(np.zeros((40, 40)))
        assert best_width(empty, WORKING, 6.0, 0.9, ScanOptions(metric="count")) == 0.9

    def test_widths_have_limits(self, monkeypatch):
        tried = []
        monkeypatch.setattr(filter_width, "_score", lambda *args: tried.append(args[3]) or 0.0)
        best_width(frame_of(np.zeros((40, 40))), WORKING, 6.0, 0.6, ScanOptions())
        assert tried == pytest.approx([0.6, 0.5, 0.84])

    @pytest.mark.parametrize(("name", "value"), [("method", "dao"), ("metric", "chi2")])
    def test_unknown_names(self, name, value):
        with pytest.raises(ParameterError, match=f"{name} of the scan must be one of .* '{value}'"):
            ScanOptions(**{name: value})


def test_the_calibration_detects_with_the_width_found():
    nothing = np.zeros(CROWD.shape)

    def calibrated(**options):
        options = CalibrationOptions(empirical_correction="none", **options)
        return calibrate_psf(
            CROWD, nothing > 0, 1.0, LIBRARY, nothing, nothing > 0, options=options
        )

    scanned = calibrated(filter_width=1.0, scan=ScanOptions())
    plain = calibrated(filter_width=1.0)
    assert plain.filter_width == 1.0
    assert scanned.filter_width < 0.8
    assert len(scanned.stars) > len(plain.stars)
    assert variance(scanned.kernel) == pytest.approx(variance(KERNELS["gaussian"]), rel=0.05)
