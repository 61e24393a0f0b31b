"""What is taken off the detection image, and what is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars
from ladder_scenes import found, ladder_of, run, star_scene

from galstep.core.detection.candidates import standing_out
from galstep.core.detection.detection_background import (
    DetectionBackground,
    annulus_levels,
    mesh_background,
)
from galstep.exceptions import ParameterError

MESH = DetectionBackground((8, 8), (3, 3))


def hill(shape, height, centre=(40, 20), width=10.0):
    yy, xx = np.indices(shape)
    return height * np.exp(-0.5 * (np.hypot(xx - centre[0], yy - centre[1]) / width) ** 2)


@pytest.fixture(name="hilly", scope="module")
def _hilly():
    """A star of S/N 30 and one of 200 on a hill that no polynomial follows."""
    synthetic = star_scene([14.2, 40.3], [45.1, 20.4], [30.0, 200.0])
    band = bands_of(synthetic)[0]
    return synthetic, replace(band, data=band.data + hill(band.shape, 4 * band.sigma))


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (dict(box_size=(0, 5)), "bkg_box_size must be two positive sizes, .* got (0, 5)"),
            (dict(box_size=(-1, -1)), "bkg_box_size must be two positive sizes, .* got (-1, -1)"),
            (dict(filter_size=(3, 4)), "bkg_filter_size must be two odd .* got (3, 4)"),
            (dict(filter_size=(0, 3)), "bkg_filter_size must be two odd .* got (0, 3)"),
            (dict(annulus=(3.0, 2.0)), "localbkg_bounds_in_psfsigma must be .* got (3.0, 2.0)"),
            (dict(annulus=(-1.0, 2.0)), "localbkg_bounds_in_psfsigma must be .* got (-1.0, 2.0)"),
        ],
    )
    def test_what_cannot_be(self, options, message):
        with pytest.raises(ParameterError, match=re.escape(message).replace(r"\.\*", ".*")):
            DetectionBackground(**options)

    def test_nothing_by_default(self):
        options = DetectionBackground()
        assert not options.has_mesh and not options.has_annulus


class TestMesh:
    def test_it_follows_a_hill_and_no_star(self, hilly):
        synthetic, band = hilly
        noise = np.random.default_rng(3).normal(0, band.sigma, band.shape)
        star = band.star_renderer.render(band.shape, *np.array([[40.0], [20.0], [9.0]]))
        true = hill(band.shape, 4 * band.sigma)
        background = mesh_background(true + noise + star, band.mask, MESH)
        assert np.std(background - true) < 0.6 * np.std(true)
        assert background[20, 40] < true[20, 40] + 0.5 * band.sigma

    def test_options_count(self, hilly):
        _, band = hilly
        image = hill(band.shape, 4 * band.sigma) + np.random.default_rng(3).normal(
            0, band.sigma, band.shape
        )
        image[::7, ::5] += 30 * band.sigma
        first = mesh_background(image, band.mask, MESH)
        others = dict(box_size=(20, 8)), dict(filter_size=(5, 5)), dict(sigma_clip=9.0)
        for other in others:
            assert not np.allclose(mesh_background(image, band.mask, replace(MESH, **other)), first)

    def test_boxes_larger_than_the_frame_and_no_data(self, hilly):
        _, band = hilly
        wide = mesh_background(band.data, band.mask, DetectionBackground((500, 500), (1, 1)))
        assert np.ptp(wide) == pytest.approx(0, abs=1e-9)
        nothing = mesh_background(band.data, np.ones_like(band.mask), MESH)
        assert not nothing.any()

    def test_stars_stand_out_and_the_data_stay(self, hilly):
        synthetic, band = hilly
        options = dict(thresholds=(20.0, 6.0), keep=6.0, near_from=9, modes=False)
        plain = run(synthetic, bands=[band], **options)
        mesh = run(synthetic, bands=[band], background=MESH, **options)
        assert found(synthetic, mesh.solution.state, 0.5).all()
        # without it the hill has a star of its own
        assert mesh.solution.state.n_stars == 2 < plain.solution.state.n_stars
        assert mesh.notes[0].startswith("F150W: background of the detection image: median ")
        assert plain.notes == ()
        # and the light of the hill is not gone from what was fitted
        assert mesh.bands[0].data is plain.bands[0].data is band.data

    def test_the_map_is_in_units_of_its_own_noise(self, hilly):
        synthetic, band = hilly
        state = truth_without_stars(synthetic, [band])
        peaks = [
            ladder_of(synthetic, state, bands=[band], background=background).detect(8.0, False)
            for background in (DetectionBackground(), MESH)
        ]
        assert peaks[1].significance[0] > 1.5 * peaks[0].significance[0]
        alone = replace(band, data=band.data - hill(band.shape, 4 * band.sigma))
        best = ladder_of(synthetic, state, bands=[alone]).detect(8.0, False)
        assert 0.7 < peaks[1].significance[0] / best.significance[0] < 1.1


class TestAnnulus:
    OPTIONS = DetectionBackground(annulus=(1.0, 2.5))

    def test_levels(self, hilly):
        _, band = hilly
        image = np.full(band.shape, 3.5)
        image[:, :20] = 1.0
        x, y = np.array([40.0, 5.0, 300.0, -40.0]), np.array([30.0, 30.0, 30.0, 2.0])
        levels = annulus_levels(band, image, x, y, self.OPTIONS)
        np.testing.assert_allclose(levels, [3.5, 1.0, 0.0, 0.0])

    def test_a_constant_does_not_stand_out(self, hilly):
        synthetic, band = hilly
        flat = replace(band, data=band.data - hill(band.shape, 4 * band.sigma))
        state = truth_without_stars(synthetic, [flat])
        look = ladder_of(synthetic, state, bands=[flat])._look()
        raised = replace(look, images=[look.images[0] + 2.0])
        peaks = ladder_of(synthetic, state, bands=[flat]).options.finder.find(look, 5.0, 1.0)
        before, after = (standing_out(own, peaks, self.OPTIONS) for own in (look, raised))
        lowered = before.flux - after.flux
        np.testing.assert_allclose(lowered, 2.0 * band.star_renderer.psf.noise_area)
        expected = before.significance - peaks.significance / peaks.flux[0] * lowered[0]
        np.testing.assert_allclose(after.significance, expected)

    def test_the_ladder_uses_it(self, hilly):
        synthetic, band = hilly
        options = dict(thresholds=(20.0, 6.0), keep=6.0, near_from=9)
        plain = run(synthetic, bands=[band], **options)
        own = run(synthetic, bands=[band], background=self.OPTIONS, **options)
        assert found(synthetic, own.solution.state, 0.5).all()
        assert own.solution.state.n_stars < plain.solution.state.n_stars

    def test_one_band_only(self, hilly):
        synthetic, band = hilly
        look = ladder_of(synthetic, truth_without_stars(synthetic, [band]), bands=[band])._look()
        two = replace(look, bands=look.bands * 2)
        with pytest.raises(ParameterError, match="localbkg_bounds_in_psfsigma works on one band"):
            standing_out(two, None, self.OPTIONS)
