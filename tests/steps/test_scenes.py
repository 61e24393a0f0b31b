"""Between model and scene: what is handed to the engine, and what a failure leaves."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.linalg import LinAlgError

from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.imaging.background import pixel_noise
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.records import PsfKernel
from galstep.steps.galaxy.scenes import (
    effective_psf,
    error_or_noise,
    fitted_base,
    scaled_scene,
    scene_band,
    sky_order_for,
    store,
    try_fit,
)


@pytest.fixture
def band(unfitted):
    """The base filter, to be changed freely."""
    return unfitted.copy().bands["F150W"]


class TestEffectivePsf:
    def test_without_a_kernel_it_is_the_library_psf(self, band):
        psf = effective_psf(band)
        np.testing.assert_allclose(psf.array, band.psf / band.psf.sum(), atol=1e-12)
        assert psf.oversample == 4

    def test_with_a_kernel_it_is_wider_and_keeps_the_light(self, band):
        sharp = effective_psf(band)
        band.psf_kernel = PsfKernel("gaussian", (0.9**2,))
        broad = effective_psf(band)
        assert broad.array.sum() == pytest.approx(1.0, abs=1e-12)
        expected = EffectivePSF.from_array(band.psf, 4).convolved(band.psf_kernel)
        np.testing.assert_allclose(broad.array, expected.array, atol=1e-12)
        # widths of near-Gaussians add in quadrature: sqrt(2.2^2 + (2.3548 0.9)^2)
        assert broad.fwhm == pytest.approx(np.hypot(sharp.fwhm, 2.3548 * 0.9), rel=0.03)

    def test_a_changed_array_is_seen(self, band):
        before = effective_psf(band).fwhm
        yy, xx = np.indices(band.psf.shape) - 50.0
        band.psf = np.exp(-0.5 * (xx**2 + yy**2) / 8.0**2)
        assert effective_psf(band).fwhm == pytest.approx(2.3548 * 8 / 4, rel=0.01)
        assert effective_psf(band).fwhm != before

    def test_an_array_that_is_no_psf_is_named(self, band):
        band.psf = np.zeros((9, 9))
        with pytest.raises(InputError, match=r"psf of filter 'F150W' must hold light"):
            effective_psf(band)


class TestNoise:
    def test_the_error_plane_where_there_is_one(self, band):
        assert error_or_noise(band) is band.err
        scene = scene_band(band)
        assert scene.error_known
        np.testing.assert_allclose(scene.weight, 1 / band.err**2, rtol=1e-12)

    def test_measured_where_there_is_none(self, band, scene):
        true = scene.truth.noise_sigma["F150W"]
        band.err = None
        assert error_or_noise(band) == pixel_noise(band.data, band.mask)
        assert error_or_noise(band) == pytest.approx(true, rel=0.1)  # stars are in it
        own = scene_band(band)
        assert not own.error_known
        np.testing.assert_allclose(own.weight, 1 / error_or_noise(band) ** 2, rtol=1e-12)


class TestSceneBand:
    def test_what_is_bad_has_no_weight(self, band):
        band.data[3, 4], band.mask[3, 4] = np.nan, True
        scene = scene_band(band)
        assert scene.mask[3, 4] and scene.weight[3, 4] == 0
        assert np.count_nonzero(scene.weight) == 91 * 91 - 1
        assert np.isfinite(scene.data).all()

    @pytest.mark.parametrize(("order", "n_terms"), [(0, 1), (1, 3), (2, 6)])
    def test_sky_terms(self, band, order, n_terms):
        scene = scene_band(band, order)
        assert scene.name == "F150W"
        assert scene.basis.shape == (n_terms, 91, 91)
        np.testing.assert_allclose(scene.basis[0], 1.0)


class TestSkyOrder:
    @pytest.fixture
    def first(self, band):
        """The robust galaxy fit."""
        return robust_galaxy_fit(band.data, band.mask, band.err, effective_psf(band))

    def test_what_is_asked_for(self, band, first):
        assert [sky_order_for(band, order, first) for order in "012"] == [0, 1, 2]

    def test_auto_is_a_plane_here(self, band, first):
        assert sky_order_for(band, "auto", first) == 1

    @pytest.mark.parametrize(("wanted", "n_terms"), [("auto", 3), ("0", 1), ("2", 6)])
    def test_of_another_filter(self, based, wanted, n_terms):
        scene = scaled_scene(based.bands["F277W"], based.bands["F150W"].fit, wanted)
        assert scene.name == "F277W"
        assert len(scene.basis) == n_terms


class TestFittedBase:
    def test_it_is_found(self, based):
        assert fitted_base(based, "ScaleFit") is based.bands["F150W"]

    def test_without_a_fit(self, unfitted):
        unfitted = unfitted.copy()
        for name in (None, "F150W", "F444W"):
            unfitted.meta.base_filter = name
            with pytest.raises(PrerequisiteError, match="JointFit needs the base fit: run BaseFit"):
                fitted_base(unfitted, "JointFit")


def test_store(band, based):
    class Measured:
        """As the engine gives it."""

        fits, galaxy, stars, sky, knots, companions = (
            [first, second]
            for first, second in (
                (None, based.bands["F150W"].fit),
                (None, np.full((91, 91), 1.0)),
                (None, np.full((91, 91), 2.0)),
                (None, np.full((91, 91), 3.0)),
                (None, np.full((91, 91), 4.0)),
                (None, np.full((91, 91), 5.0)),
            )
        )

    store(band, Measured, 1)
    assert band.fit is based.bands["F150W"].fit
    np.testing.assert_allclose(band.residual, band.data - 15.0)


class TestTryFit:
    def test_arguments_and_result_are_passed_on(self, band):
        assert try_fit("basefit", [band], divmod, 17, 5) == (3, 2)
        assert try_fit("basefit", [band], dict, a=1) == {"a": 1}
        assert band.flags == 0 and band.reasons == []

    def test_a_singular_problem_is_a_flag_and_a_reason(self, band, based):
        other = based.copy().bands["F150W"]
        fit = other.fit
        other.flags = int(BandFlag.GALAXY_MASKED)

        def singular():
            raise LinAlgError("leading minor not positive")

        assert try_fit("jointfit", [band, other], singular) is None
        for own in (band, other):
            assert own.reasons == [
                "jointfit: the normal equations are singular (leading minor not positive)"
            ]
        assert band.flags == BandFlag.NOT_FITTED
        assert other.flags == BandFlag.NOT_FITTED | BandFlag.GALAXY_MASKED
        assert other.fit is fit

    def test_any_other_failure_is_a_defect_and_shows(self, band):
        with pytest.raises(ZeroDivisionError):
            try_fit("basefit", [band], lambda: 1 / 0)
        assert band.flags == 0


def test_a_kernel_of_no_width_changes_nothing(band):
    plain = effective_psf(band).array
    band.psf_kernel = replace(PsfKernel(), fwhm=2.2, n_anchors=5)
    np.testing.assert_allclose(effective_psf(band).array, plain, atol=1e-12)
