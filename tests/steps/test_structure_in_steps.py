"""Steps that take or leave images: knots go with the galaxy, companions are others."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.imaging.stars import StarRenderer
from galstep.core.injection.sources import InjectedGalaxy
from galstep.datamodels.model.band import MODEL_IMAGES
from galstep.mapped_records import mapped_fit
from galstep.pixel_map import PixelMap
from galstep.records import SersicParams, StarList
from galstep.steps import Inject, PSFCalibrate, inject, psf_calibrate
from galstep.steps.galaxy.scenes import effective_psf, store
from galstep.steps.scale_fit import next_star_id
from galstep.testing import make_scene
from galstep.testing.structured_models import FIRST_ID, structured_model

GALAXY = SersicParams(60.0, 62.0, 6.0, 1.0, 0.3, 0.4)
COMPANION = SersicParams(100.0, 90.0, 5.0, 1.0, 0.3, 0.2)
KNOTS = [(66.0, 66.0, 0.05), (55.0, 58.0, 0.08)]
NAME = "F150W"


@pytest.fixture(scope="module")
def scene():
    return make_scene(
        seed=8, shape=(141, 151), n_stars=20, filters=(NAME,), snr=300, sersic=GALAXY,
        psf_size=61,
    )  # fmt: skip


@pytest.fixture
def model(scene):
    return structured_model(scene, [(COMPANION, 0.5)], KNOTS)


def test_a_fit_leaves_all_its_images(model):
    band, other = (m.bands[NAME] for m in (model, model.copy()))
    other.clear_results()

    class Measured:
        fits = (band.fit,)

    for name in MODEL_IMAGES:
        setattr(Measured, name, [getattr(band, name)])
    store(other, Measured)
    np.testing.assert_array_equal(other.residual, band.residual)
    assert other.fit is band.fit


def test_numbers_of_stars_go_on_above_those_of_knots(model):
    assert next_star_id(model) == FIRST_ID + len(KNOTS)


def test_the_psf_is_calibrated_beside_all_galaxies(model, monkeypatch):
    """What is subtracted before stars are fitted is all that is none."""
    taken = {}

    def calibrate(data, mask, err, library, galaxy, core, neighbours=None, **options):
        taken.update(galaxy=galaxy, neighbours=neighbours)
        raise np.linalg.LinAlgError("enough")

    monkeypatch.setattr(psf_calibrate, "calibrate_psf", calibrate)
    band = model.bands[NAME]
    PSFCalibrate(in_mainloop=True).run(model)
    expected = band.galaxy + band.knots + band.companions + band.sky
    np.testing.assert_allclose(taken["galaxy"], expected)
    assert len(taken["neighbours"][0]) == len(band.fit.stars)


def test_a_box_for_a_copy_has_no_target_and_keeps_other_galaxies(model, scene):
    band = model.bands[NAME]
    truth = InjectedGalaxy(SersicParams(30.0, 30.0, 6.0, 1.0, 0.3, 0.4), (0.0,), (80, 70))
    box = Inject(box=61)._box(band, truth, 0)
    part = truth.part(61)
    left = scene.data[NAME] - scene.galaxy[NAME] + band.companions
    np.testing.assert_allclose(box.data, left[part], atol=1e-12)
    assert box.fit is None and box.knots is None
    others = inject._other_galaxies(band)
    assert others[90, 100] and not others[66, 66]


def test_what_an_injected_galaxy_came_back_with_is_its_total(model):
    band = model.bands[NAME]
    one = inject._as_one(band)
    assert (one.flux, one.flux_err) == (band.fit.total_flux, band.fit.total_flux_err)
    assert one.params == band.fit.sersic[0].params


def test_spurious_stars_are_counted_in_a_frame_with_all_galaxies(model, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Inject, "_refit", lambda self, model, frames, base: seen.extend(frames) or model
    )
    band = model.bands[NAME]
    Inject()._spurious(model, [band], band, 1.0, np.random.default_rng(0))
    (frame,) = seen
    noise = frame.data - (band.scene_image)
    sigma = band.fit.noise_sigma
    assert np.std(noise) == pytest.approx(sigma, rel=0.1)
    # where the companion is there is nothing but noise either
    assert abs(np.mean(noise[86:95, 96:105])) < 5 * sigma / 9


def test_knots_are_carried_to_other_pixels(model):
    fit = model.bands[NAME].fit
    half = PixelMap(matrix=((2.0, 0.0), (0.0, 2.0)), origin=(1.0, -3.0))
    mapped = mapped_fit(half, fit)
    np.testing.assert_allclose(mapped.knots.x, 2 * fit.knots.x + 1)
    np.testing.assert_allclose(mapped.knots.y_err, 2 * fit.knots.y_err)
    np.testing.assert_array_equal(mapped.knots.flux, fit.knots.flux)
    np.testing.assert_array_equal(mapped.knots.star_probability, fit.knots.star_probability)
    assert [one.galaxy_id for one in mapped.sersic] == [0, 1]
    assert mapped.total_flux == fit.total_flux
    back = mapped_fit(half.inverse(), mapped)
    np.testing.assert_allclose(back.knots.x, fit.knots.x)


def test_a_selection_keeps_probabilities():
    listed = structured_model(
        make_scene(seed=8, shape=(61, 61), n_stars=2, filters=(NAME,), psf_size=41),
        knots=[(30.0, 30.0, 0.1), (33.0, 30.0, 0.1)],
    ).bands[NAME].fit.knots  # fmt: skip
    listed = replace(listed, star_probability=np.array([0.1, 0.4]))
    assert listed.select(np.array([False, True])).star_probability.tolist() == [0.4]
    assert StarList.empty().star_probability.shape == (0,)


def test_the_own_renderer_and_the_fits_agree_on_knots(model):
    """The images of `structured_model` are what the fit would make of its lists."""
    band = model.bands[NAME]
    knots = band.fit.knots
    drawn = StarRenderer(effective_psf(band)).render(band.shape, knots.x, knots.y, knots.flux)
    assert np.abs(drawn - band.knots).max() < 1e-3 * band.knots.max()
