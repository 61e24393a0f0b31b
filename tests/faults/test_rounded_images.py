"""Images whose values are steps, and counts with true zeros, are measured as any other."""

import numpy as np
import pytest
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.table import Table

from galstep.datamodels import GalaxyModel
from galstep.flags import BandFlag
from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.steps import StarPhot
from galstep.testing import make_scene
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

FILTERS = ("F150W", "F277W")


@pytest.fixture(scope="module")
def scene():
    shape = SersicParams(30.3, 30.8, 4.5, 1.2, 0.3, 0.7)
    return make_scene(
        3, (61, 61), 8, FILTERS, sersic=shape, psf_size=61, snr=300, star_snr=(40, 300)
    )


def galaxy_flux(scene, step, with_error):
    """(flux, error) of the galaxy in both filters, in images of steps of so many sigma."""
    images = {}
    for name in FILTERS:
        sigma = scene.truth.noise_sigma[name]
        data = step * sigma * np.rint(scene.data[name] / (step * sigma))
        # rounding is noise of its own
        error = np.hypot(scene.err[name], step * sigma / np.sqrt(12))
        images[name] = NDData(data, StdDevUncertainty(error) if with_error else None, unit="MJy/sr")
    psf = {name: (scene.psf_arrays[name], scene.truth.oversample) for name in FILTERS}
    pipeline = GalPipeline()
    pipeline.save_results = False
    model = pipeline.run(GalaxyModel.open(images, psf_file=psf, pixel_scale=0.03))
    return {name: model.bands[name].fit.sersic[0] for name in FILTERS}


@pytest.mark.parametrize(
    ("step", "with_error"),
    [
        (0.1, False),
        (2.0, True),
        (5.0, False),
        *(
            pytest.param(*values, marks=pytest.mark.slow)
            for values in ((1.0, True), (1.0, False), (2.0, False), (5.0, True))
        ),
    ],
)
def test_a_galaxy(scene, step, with_error):
    for name, found in galaxy_flux(scene, step, with_error).items():
        truth = scene.truth.fluxes[name]
        assert np.isfinite(found.flux_err) and found.flux_err < 0.2 * truth
        assert found.flux == pytest.approx(truth, abs=5 * found.flux_err)


@pytest.mark.parametrize("step", [1.0, 5.0, 10.0])
@pytest.mark.parametrize("finder", ["galstep", "none"])
def test_stars(step, finder):
    star = GaussianMixturePSF.gaussian(1.3)
    x, y, flux = np.array([20.3, 50.6]), np.array([20.2, 30.9]), np.array([900.0, 2600.0])
    data = star_frame((71, 71), star, x, y, flux) + np.random.default_rng(1).normal(size=(71, 71))
    given = Table({"x": x, "y": y}) if finder == "none" else None
    run = StarPhot(finder=finder).run
    rows = run(step * np.rint(data / step), (star.sampled(4, 61), 4), init_params=given).rows
    for x_0, truth in zip(x, flux, strict=True):
        (own,) = np.flatnonzero(np.abs(rows.x_fit - x_0) < 1)
        assert rows.flux_fit[own] == pytest.approx(truth, abs=6 * np.sqrt(1 + step**2 / 12) * 4)


@pytest.mark.parametrize("background", ["global", "local"])
@pytest.mark.parametrize(
    "step",
    [
        *(0.1, 2.0, 5.0, 30.0),
        *(pytest.param(step, marks=pytest.mark.slow) for step in (0.3, 1.0, 3.0, 10.0, 20.0)),
    ],
)
def test_errors_of_stars_hold_for_every_step(step, background):
    """100 stars of S/N 60 to 6000 each on skies anywhere within a step, no error plane."""
    star, pulls, errors = GaussianMixturePSF.gaussian(1.3), [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        places = np.mgrid[15:186:19.0, 15:186:19.0].reshape(2, -1)
        x, y = places + rng.uniform(-0.5, 0.5, places.shape)
        flux = 10 ** rng.uniform(2.5, 4.5, len(x))
        data = star_frame((201, 201), star, x, y, flux) + rng.normal(300, 1, (201, 201))
        data = step * np.rint((data + rng.uniform(-0.5, 0.5) * step) / step)
        run = StarPhot(finder="none", background=background).run
        rows = run(data, (star.sampled(4, 61), 4), init_params=Table({"x": x, "y": y})).rows
        pulls.append((rows.flux_fit - flux) / rows.flux_err)
        errors.append(rows.flux_err)
    pulls, errors = np.concatenate(pulls), np.concatenate(errors)
    expected = np.sqrt(4 * np.pi) * 1.3 * np.sqrt(1 + step**2 / 12)
    # a sky that is off by step / sqrt(12) moves a star by 4.6 of these, the root of its noise area
    assert 0.95 * expected < np.median(errors) < (1.15 if step <= 2 else 5.5) * expected
    assert (0.85 if step <= 2 else 0.35) < pulls.std() < 1.25
    assert np.mean(np.abs(pulls) > 4) < 0.01


@pytest.mark.parametrize("sky", [0.1, 0.5, 3.0])
def test_counts_have_true_zeros(sky):
    """No pixel of photon counts is masked because nothing came, and the sky is what it is."""
    star = GaussianMixturePSF.gaussian(1.3)
    light = star_frame((81, 81), star, [40.3], [39.8], [8000.0])
    counts = np.random.default_rng(2).poisson(np.maximum(light, 0) + sky)
    assert (counts == 0).any()
    table = Table({"x": [40.3], "y": [39.8]})
    result = StarPhot(finder="none", gain=1.0).run(
        counts, (star.sampled(4, 61), 4), init_params=table
    )
    assert result.rows.flux_fit[0] == pytest.approx(8000.0, abs=5 * result.rows.flux_err[0])
    assert result.rows.local_bkg[0] == pytest.approx(sky, abs=0.06 + 0.1 * sky)
    band = GalaxyModel.open(
        {"F150W": counts}, psf_file={"F150W": (star.sampled(4, 61), 4)}, unit="MJy/sr"
    ).bands["F150W"]
    assert not band.mask.any()


@pytest.mark.parametrize("background", ["global", "local"])
@pytest.mark.parametrize("sky", [0.1, 0.5, 1.0, 3.0])
def test_fluxes_in_counts_are_true(sky, background):
    """Stars of 150 photons, whose flux a sky of 0 under them would put off by two errors."""
    star = GaussianMixturePSF.gaussian(1.3)
    x, y = (v.ravel() + 0.3 for v in np.meshgrid(np.arange(15, 116, 20), np.arange(15, 116, 20)))
    light = star_frame((131, 131), star, x, y, np.full(len(x), 150.0))
    counts = np.random.default_rng(3).poisson(np.maximum(light, 0) + sky)
    step = StarPhot(finder="none", gain=1.0, background=background, fixed_positions=True)
    rows = step.run(counts, (star.sampled(4, 61), 4), init_params=Table({"x": x, "y": y})).rows
    pulls = (rows.flux_fit - 150) / rows.flux_err
    assert abs(pulls.mean()) < 3.5 / np.sqrt(len(x))
    assert 0.7 < pulls.std() < 1.4
    assert np.mean(rows.local_bkg) == pytest.approx(sky, abs=0.03 + 0.03 * sky)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(0.1, marks=pytest.mark.slow),
        1.0,
        pytest.param(3.0, marks=pytest.mark.slow),
        10.0,
        pytest.param(30.0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("place", [0.2, pytest.param(0.6, marks=pytest.mark.slow)])
def test_noise_errors_and_flag_at_every_step(step, place):
    """The noise holds the rounding; totals are right within the error, or it is said why not."""
    scene = make_scene(13, (101, 101), 0, FILTERS[:1], snr=3000)
    truth, name = scene.truth, FILTERS[0]
    sigma = truth.noise_sigma[name]
    rng = np.random.default_rng(int(10 * step))
    x, y = np.array([14.3, 83.6, 19.1, 80.4]), np.array([17.2, 20.9, 84.4, 79.3])
    flux = np.array([2e3, 5e3, 1e4, 3e4]) * max(1.0, step / 3)
    light = scene.galaxy[name] / sigma + star_frame((101, 101), truth.psfs[name], x, y, flux)
    data = light + step * (7 + place) + rng.normal(size=light.shape)
    psf = {name: (scene.psf_arrays[name], truth.oversample)}
    pipeline = GalPipeline()
    pipeline.save_results = False
    image = CCDData(
        step * np.rint(data / step), unit="adu", meta={"FILTER": name, "PIXSCALE": 0.03}
    )
    band = pipeline.run(GalaxyModel.open(image, psf_file=psf)).bands[name]
    fit, rounding = band.fit, step / np.sqrt(12)
    assert 0.98 * rounding < fit.noise_sigma < 1.1 * np.hypot(1, max(rounding, step / 2.5))
    if step <= 1:
        assert fit.noise_sigma == pytest.approx(np.hypot(1, rounding), rel=0.04)
    lost = bool(fit.flags & BandFlag.ROUNDED)
    assert lost == (step > 3) or step == 3
    assert (f"steps of {step:g}" in fit.reason) == lost
    found = StarPull(fit.stars, x, y, flux)
    assert np.abs(found.pulls).max() < 3.5
    if step <= 10:
        total = truth.fluxes[name] / sigma
        assert abs(fit.total_flux - total) < 3.5 * fit.total_flux_err


class StarPull:
    """Rows of a list beside the true stars."""

    def __init__(self, stars, x, y, flux):
        distance = np.hypot(stars.x[:, None] - x, stars.y[:, None] - y)
        own = distance.argmin(axis=0)
        assert distance.min(axis=0).max() < 0.5
        self.pulls = (stars.flux[own] - flux) / stars.flux_err[own]
