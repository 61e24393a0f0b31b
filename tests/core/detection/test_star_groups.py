"""Groups of stars, and the equations of one group at a time."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state
from ladder_scenes import PINNED_GALAXY, star_scene

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.detection.star_groups import StarsAlone, group_stars, with_groups
from galstep.core.engine import normal
from galstep.core.engine.normal import wing_half_sizes
from galstep.core.engine.solve import fit_scene
from galstep.flags import StarFlag
from galstep.records import BandFit, StarList


@pytest.fixture(name="row", scope="module")
def _row():
    """Two pairs, 1.9 and 2.1 px apart, and one star by itself, all bright."""
    synthetic = star_scene([15.2, 17.1, 40.0, 42.1, 28.0], [14, 14, 45, 45, 8], [80] * 5)
    return synthetic, bands_of(synthetic)


def list_of(x, y):
    zeros = np.zeros(len(x))
    own = (np.array(x, float), np.array(y, float))
    return StarList(np.arange(len(x)), *own, *[zeros] * 5, zeros.astype(int))


class TestGroups:
    def test_friends_of_friends(self):
        group_id, size = group_stars([0.0, 1.5, 3.0, 10.0], [0.0, 0, 0, 0], 1.6)
        assert group_id[0] == group_id[1] == group_id[2] != group_id[3]
        assert size.tolist() == [3, 3, 3, 1]

    @pytest.mark.parametrize("separation", [0.0, 1.4])
    def test_each_by_itself(self, separation):
        group_id, size = group_stars([0.0, 1.5, 3.0], [0.0, 0, 0], separation)
        assert sorted(group_id) == [1, 2, 3] and size.tolist() == [1, 1, 1]

    @pytest.mark.parametrize("n", [0, 1])
    def test_none_or_one(self, n):
        group_id, size = group_stars(np.ones(n), np.ones(n), 2.0)
        assert group_id.tolist() == [1] * n and size.tolist() == [1] * n


class TestLists:
    def test_stars_know_their_group(self, row, caplog):
        _, bands = row
        fwhm = bands[0].star_renderer.psf.fwhm
        stars = list_of([10, 10 + 0.8 * fwhm, 10 + 1.6 * fwhm, 40], [10, 10, 10, 40])
        fit = BandFit("basefit", (), None, stars)
        options = replace(ONE_PASS, group_separation=0.85, crowded=2)
        with caplog.at_level(logging.WARNING):
            (grouped,) = with_groups([fit], bands, options)
        assert grouped.stars.group_size.tolist() == [3, 3, 3, 1]
        assert np.unique(grouped.stars.group_id[:3]).size == 1
        flagged = (grouped.stars.flags & StarFlag.CROWDED_GROUP) > 0
        assert flagged.tolist() == [True, True, True, False]
        assert "F150W: 3 stars in groups of more than 2, the largest of 3" in caplog.text

    @pytest.mark.parametrize("crowded", [0, 3])
    def test_no_warning_below_the_threshold(self, row, caplog, crowded):
        stars = list_of([10, 11, 12], [10, 10, 10])
        fit = BandFit("basefit", (), None, stars)
        with caplog.at_level(logging.WARNING):
            (grouped,) = with_groups([fit], row[1], replace(ONE_PASS, crowded=crowded))
        assert not grouped.stars.flags.any() and not caplog.text
        assert len(grouped.stars) == 3


class TestStarsAlone:
    def test_the_border_stands_still(self, row):
        synthetic, bands = row
        start = true_state(synthetic, bands)
        result = fit_scene(bands, start, PINNED_GALAXY, method=StarsAlone())
        assert np.array_equal(result.state.galaxy_flux, start.galaxy_flux)
        assert np.array_equal(result.state.sky[0], start.sky[0])
        assert np.all(result.state.star_flux != start.star_flux)

    def test_a_sweep_is_that_of_gauss_and_seidel(self, row):
        synthetic, bands = row
        state = true_state(synthetic, bands)
        half_sizes = [wing_half_sizes(bands[0], state.star_flux[0])]
        evaluation = normal.evaluate(bands, state, half_sizes, PINNED_GALAXY)
        arguments = (bands, state, evaluation, half_sizes, PINNED_GALAXY)
        whole = normal.normal_equations(*arguments).matrix.stars.toarray()
        own = StarsAlone(2.0).normal_equations(*arguments)
        group_id, _ = group_stars(state.x, state.y, 2.0)
        group = np.repeat(group_id, 3)
        solved = own.matrix.factor().solve(own.border_gradient, own.star_gradient)[1]
        expected = np.zeros(len(group))
        for number in np.unique(group):  # each with what the groups before it have become
            inside = group == number
            right = own.star_gradient[inside] - whole[inside] @ expected
            expected[inside] = np.linalg.solve(whole[np.ix_(inside, inside)], right)
        np.testing.assert_allclose(solved, expected, rtol=1e-8, atol=1e-12)
        assert len(np.unique(group)) == 4  # the pair of 1.9 px is one

    def test_group_by_group_ends_where_all_at_once_does(self, row):
        synthetic, bands = row
        start = true_state(synthetic, bands)
        fits = [
            fit_scene(
                bands, start, PINNED_GALAXY, method=StarsAlone(reach), max_iterations=60,
                tolerance=1e-6,
            )
            for reach in (0.0, 2.0)
        ]  # fmt: skip
        assert fits[1].chi2 == pytest.approx(fits[0].chi2, abs=1e-3)
        np.testing.assert_allclose(fits[1].state.star_flux, fits[0].state.star_flux, rtol=2e-4)
