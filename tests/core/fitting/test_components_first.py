"""The galaxy explains what it can: a bulge is no stars, and one profile stays one."""

import numpy as np
import pytest
from engine_scenes import bands_of, effective_psf

from galstep.core.engine.scene import make_band
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing import make_bulge_disk, make_scene

NAME = "F150W"


def structured_band(synthetic):
    """The band of a structured galaxy as it is measured."""
    truth, data = synthetic.truth, synthetic.data[NAME]
    library = truth.library[NAME].sampled(truth.oversample, truth.psf_size)
    psf = EffectivePSF.from_array(library, truth.oversample, NAME)
    return make_band(NAME, data, ~np.isfinite(data), psf, synthetic.err[NAME])


def fitted(band, psf, **options):
    first = robust_galaxy_fit(band.data, band.mask, band.sigma, psf)
    return fit_base(band, first, **options)


@pytest.fixture(name="two", scope="module")
def _two():
    synthetic = make_bulge_disk(0.25, shape=(101, 101), disk=9.0, snr=500.0)
    band = structured_band(synthetic)
    return synthetic, fitted(band, band.star_renderer.psf, two="auto"), band


def test_bulge_and_disk_are_two_components(two):
    synthetic, measured, _ = two
    (fit,) = measured.fits
    bulge, disk = fit.sersic
    assert bulge.params.r_eff == pytest.approx(2.0, abs=4 * bulge.r_eff_err)
    assert disk.params.r_eff == pytest.approx(9.0, abs=4 * disk.r_eff_err)
    assert bulge.r_eff_err < 0.5 and disk.r_eff_err < 0.5
    total = synthetic.truth.fluxes[NAME]
    assert bulge.flux == pytest.approx(0.25 * total, abs=4 * bulge.flux_err)
    assert bulge.flux > 0.15 * total
    assert fit.total_flux == pytest.approx(total, rel=0.02)
    assert fit.total_flux == pytest.approx(total, abs=4 * fit.total_flux_err)


def test_no_piece_of_it_is_a_star(two):
    synthetic, measured, _ = two
    stars = measured.fits[0].stars
    x_0, y_0 = measured.fits[0].sersic[0].params.x_0, measured.fits[0].sersic[0].params.y_0
    assert not (np.hypot(stars.x - x_0, stars.y - y_0) < 18.0).any()


def test_the_images_add_up_to_the_data(two):
    synthetic, measured, band = two
    parts = (measured.galaxy, measured.knots, measured.companions, measured.stars, measured.sky)
    residual = band.data - sum(own[0] for own in parts)
    good = ~band.mask
    assert (residual[good] ** 2 * band.weight[good]).mean() == pytest.approx(1.0, abs=0.1)
    # what is left knows nothing of the galaxy
    light = synthetic.galaxy[NAME]
    share = np.vdot(residual[good], light[good]) / np.vdot(light, light)
    assert abs(share) < 0.002


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sersic_galaxy_keeps_its_one_profile(seed):
    galaxy = SersicParams(35.4, 34.7, 6.0, 1.4, 0.3, 0.7)
    synthetic = make_scene(seed, (71, 71), 5, (NAME,), sersic=galaxy, snr=300, star_separation=10)
    (band,) = bands_of(synthetic)
    (fit,) = fitted(band, effective_psf(synthetic, NAME), two="auto").fits
    assert len(fit.sersic) == 1
    assert fit.sersic[0].flux == pytest.approx(
        synthetic.truth.fluxes[NAME], abs=4 * fit.sersic[0].flux_err
    )
