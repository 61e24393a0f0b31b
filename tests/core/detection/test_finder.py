"""The two finders, and first fluxes from apertures."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars
from ladder_scenes import found, ladder_of, run, star_scene

from galstep.core.detection.detect import significance_map
from galstep.core.detection.finder import (
    DaoFinder,
    Look,
    MatchedFinder,
    aperture_fluxes,
)
from galstep.core.detection.ladder_noise import PassNoise
from galstep.core.detection.ladder_options import ONE_PASS
from galstep.exceptions import ParameterError
from galstep.testing import make_scene

PLACES = [12.3, 45.4, 16.7, 46.0], [14.7, 12.1, 48.3, 44.6]
FINDERS = (MatchedFinder(), DaoFinder())


@pytest.fixture(name="scene", scope="module")
def _scene():
    return star_scene(*PLACES, [60.0, 40.0, 25.0, 15.0])


def look_at(synthetic, finder, spike=None, bands=None):
    """What there is to see beside the true galaxy; a spike is one bright pixel."""
    bands = bands or bands_of(synthetic)
    if spike is not None:
        data = bands[0].data.copy()
        data[spike] += 60 * bands[0].sigma
        bands[0] = replace(bands[0], data=data)
    state = truth_without_stars(synthetic, bands)
    ladder = ladder_of(synthetic, state, bands=bands, finder=finder)
    return ladder._look()


@pytest.mark.parametrize("finder", FINDERS, ids=["matched", "dao"])
class TestBoth:
    def test_isolated_stars_are_found(self, scene, finder):
        result = run(scene, thresholds=(20.0, 6.0), keep=6.0, finder=finder)
        assert found(scene, result.solution.state, 0.5).all()
        assert result.solution.state.n_stars == 4

    def test_candidates_lie_on_the_stars(self, scene, finder):
        peaks = finder.find(look_at(scene, finder), 6.0, 0.5)
        assert np.all(np.diff(peaks.significance) <= 0)
        assert np.all(peaks.significance > 6.0)
        for x, y in zip(*PLACES, strict=True):
            nearest = np.argmin(np.hypot(peaks.x - x, peaks.y - y))
            assert (peaks.x[nearest], peaks.y[nearest]) == pytest.approx((x, y), abs=0.3)
        assert peaks.flux[0, 0] == pytest.approx(scene.truth.stars["flux_F150W"][0], rel=0.15)

    def test_known_stars_are_left(self, scene, finder):
        look = look_at(scene, finder)
        known = replace(look, x=np.array(PLACES[0][:2]), y=np.array(PLACES[1][:2]))
        every, rest = finder.find(look, 6.0, 1.0), finder.find(known, 6.0, 1.0)
        assert len(rest.x) == len(every.x) - 2

    def test_thresholds_are_in_units_of_what_noise_does(self, finder):
        # 2.9 above the mean of as many independent places as there are is about one
        synthetic = make_scene(2, (81, 81), 0, ("F150W",), snr=60)
        look = look_at(synthetic, finder)
        assert 1 <= len(finder.find(look, 3.0, 0.5).x) <= 20
        assert len(finder.find(look, 5.0, 0.5).x) <= 1

    def test_nothing_to_find(self, scene, finder):
        peaks = finder.find(look_at(scene, finder), 1e4, 1.0)
        assert len(peaks.x) == 0 and peaks.flux.shape == (1, 0)

    def test_a_frame_without_data(self, scene, finder):
        band = bands_of(scene)[0]
        blank = replace(band, mask=np.ones_like(band.mask), weight=np.zeros(band.shape),
                        data=np.zeros(band.shape))  # fmt: skip
        empty = np.zeros((69, 69))
        map_ = significance_map([(empty, empty, empty)], np.ones((1, 1)))
        none = np.zeros(0)
        look = Look([blank], [blank.data], np.zeros((1, 2)), map_, [1.0], none, none)
        assert len(finder.find(look, 5.0, 1.0).x) == 0


class TestDao:
    @pytest.mark.parametrize(
        ("sharpness_range", "spike_is_found"), [((0.2, 1.0), False), ((0.2, 9.0), True)]
    )
    def test_a_single_bright_pixel_is_too_sharp(self, scene, sharpness_range, spike_is_found):
        peaks = DaoFinder(sharpness_range).find(look_at(scene, DaoFinder(), (50, 20)), 10.0, 1.0)
        assert (np.hypot(peaks.x - 20, peaks.y - 50) < 1).any() == spike_is_found

    @pytest.mark.parametrize(
        ("keyword", "value", "n_found"),
        [
            ("roundness_range", (-0.001, 0.001), 0),
            ("sigma_radius", 3.0, 4),
            ("ratio", 0.5, 2),
            ("n_brightest", 2, 2),
            ("min_separation", 60.0, 1),
            ("peak_max", 1e-3, 0),
        ],
    )
    def test_keywords_are_handed_on(self, scene, keyword, value, n_found):
        finder = DaoFinder(**{keyword: value})
        peaks = finder.find(look_at(scene, finder), 10.0, 1.0)
        usual = DaoFinder().find(look_at(scene, DaoFinder()), 10.0, 1.0)
        assert len(peaks.x) == n_found != len(usual.x)

    def test_the_angle_of_a_long_kernel(self, scene):
        finders = [DaoFinder(ratio=0.8, theta=angle) for angle in (0.0, 60.0)]
        one, two = (finder.find(look_at(scene, finder), 8.0, 1.0) for finder in finders)
        assert one.significance[0] != two.significance[0]

    def test_no_star_at_the_border(self):
        edge = star_scene([1.2, 40.0], [30.2, 45.3], [60.0, 60.0])
        for exclude, n_found in ((False, 2), (True, 1)):
            finder = DaoFinder(exclude_border=exclude)
            assert len(finder.find(look_at(edge, finder), 10.0, 1.0).x) == n_found

    def test_one_band_only(self, scene):
        look = look_at(scene, DaoFinder())
        two = replace(look, bands=look.bands * 2, images=look.images * 2)
        with pytest.raises(ParameterError, match="finder 'dao' works on one band, got 2"):
            DaoFinder().find(two, 5.0, 1.0)

    def test_unresolved_stars_raise_the_threshold(self, scene):
        band = bands_of(scene)[0]
        rng = np.random.default_rng(5)
        noise = rng.normal(0, band.sigma, band.shape)
        x, y = rng.uniform(0, 61, (2, 600))
        flux = rng.choice([-1.0, 1.0], 600) * 8 * band.sigma
        carpet = noise + band.star_renderer.render(band.shape, x, y, flux)
        finder = DaoFinder()
        kernel = finder._photutils(band, 1.0).kernel.data
        white = finder.scatter(band, noise)
        assert white == pytest.approx(np.sqrt((kernel**2).sum()), rel=0.1)
        # the same variance in single pixels would not
        assert finder.scatter(band, carpet) > 1.15 * white


class TestFloor:
    def test_it_holds_for_the_finder_too(self, scene):
        bands = bands_of(scene)
        noise = PassNoise([None], replace(ONE_PASS, finder=DaoFinder(), noise_floor=0.5))
        noise.first, noise._first_scatter = [bands[0].sigma], [8 * bands[0].sigma]
        noise.images = [np.random.default_rng(1).normal(0, bands[0].sigma, bands[0].shape)]
        noise._measure_finder(0, bands[0])
        assert noise.scatters[0] == pytest.approx(4)


class TestFirstFlux:
    def test_of_isolated_stars(self, scene):
        look = look_at(scene, MatchedFinder())
        flux = aperture_fluxes(look, *np.array(PLACES), 3.0)[0]
        true = np.array(scene.truth.stars["flux_F150W"])
        # an aperture of 3 px holds three times the noise of a fitted star
        assert np.all(abs(flux - true) < 4 * 3 * true / [60.0, 40.0, 25.0, 15.0])

    def test_outside_of_the_frame_there_is_none(self, scene):
        flux = aperture_fluxes(
            look_at(scene, MatchedFinder()), np.array([-9.0]), np.array([3.0]), 3
        )
        assert flux[0, 0] == 0

    def test_the_fit_does_not_depend_on_it(self, scene):
        one, two = (run(scene, thresholds=(20.0, 6.0), keep=6.0, first_flux=r) for r in (0.0, 3.0))
        np.testing.assert_allclose(
            np.sort(two.solution.state.star_flux), np.sort(one.solution.state.star_flux), rtol=2e-3
        )
        assert not np.array_equal(one.solution.state.star_flux, two.solution.state.star_flux)
