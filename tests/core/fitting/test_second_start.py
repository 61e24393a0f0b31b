"""A fit that went astray is made again; one that did not is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting import fits
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.second_start import from_other_starts, looks_degenerate
from galstep.records import SersicParams
from galstep.testing import make_scene

BOUNDS = ShapeBounds(r_eff=(0.5, 30.0))


@pytest.fixture(scope="module")
def scene():
    """A galaxy and six stars."""
    return make_scene(4, (61, 61), 6, ("F150W",), snr=150.0, psf_size=61)


@pytest.fixture(scope="module")
def bands(scene):
    return bands_of(scene)


@pytest.fixture(scope="module")
def truth(scene, bands):
    return true_state(scene, bands)


@pytest.fixture(scope="module")
def best(bands, truth):
    return fit_scene(bands, truth, Freedom(), bounds=BOUNDS, max_iterations=40)


def test_a_good_fit_does_not_look_degenerate(best):
    assert not looks_degenerate(best, BOUNDS)
    assert looks_degenerate(replace(best, converged=False), BOUNDS)


@pytest.mark.parametrize("name", ["r_eff", "n"])
def test_a_shape_at_its_bound_does(best, name):
    value = np.exp(best.state.shapes[0, {"r_eff": 2, "n": 5}[name]])
    assert looks_degenerate(best, replace(BOUNDS, **{name: (0.1, value)}))


@pytest.mark.parametrize("change", [(0.0, 0.0, 1.0), (2.0, -1.0, 0.4), (-1.5, 2.0, 2.5)])
def test_the_best_fit_is_found_from_other_starts(scene, bands, truth, best, change):
    true = scene.truth.sersic
    poor = SersicParams(true.x_0 + change[0], true.y_0 + change[1], change[2] * true.r_eff,
                        8.0, 0.9, 0.0)  # fmt: skip
    astray = replace(truth, shapes=BOUNDS.clip([*truth.shapes[0, :2], 9, 0, 0, 9])[None, :])
    found = from_other_starts(bands, astray, poor, BOUNDS)
    assert found.chi2 < best.chi2 + 1.0


@pytest.mark.parametrize("refit", [True, False])
def test_base_fit_asks_for_it_and_takes_only_what_is_better(scene, bands, monkeypatch, refit):
    band, tried = bands[0], []

    def spy(*args):
        tried.append(from_other_starts(*args))
        return tried[-1]

    monkeypatch.setattr(fits, "looks_degenerate", lambda *args: True)
    monkeypatch.setattr(fits, "from_other_starts", spy)
    data, sigma = scene.data["F150W"], np.full(band.shape, scene.truth.noise_sigma["F150W"])
    first = robust_galaxy_fit(data, ~np.isfinite(data), sigma, band.star_renderer.psf)
    options = replace(ONE_PASS, thresholds=(8.0,))
    fitted = fits.fit_base(band, first, options, refit=refit).fits[0]
    assert len(tried) == refit
    # the fit was good, so that nothing better was found
    monkeypatch.undo()
    usual = fits.fit_base(band, first, options).fits[0]
    assert fitted.sersic[0].params == usual.sersic[0].params


def test_what_is_better_is_taken(scene, bands, monkeypatch):
    band = bands[0]
    data, sigma = scene.data["F150W"], np.full(band.shape, scene.truth.noise_sigma["F150W"])
    first = robust_galaxy_fit(data, ~np.isfinite(data), sigma, band.star_renderer.psf)
    options = replace(ONE_PASS, thresholds=(8.0,))
    monkeypatch.setattr(fits, "looks_degenerate", lambda *args: True)
    monkeypatch.setattr(fits, "BETTER_BASIN", -1e9)
    again = fits.fit_base(band, first, options, refit=True).fits[0]
    monkeypatch.undo()
    usual = fits.fit_base(band, first, options).fits[0]
    assert again.sersic[0].params != usual.sersic[0].params, "one more pass was made"
    galaxy = usual.sersic[0]
    assert again.sersic[0].params.n == pytest.approx(galaxy.params.n, abs=galaxy.n_err)
