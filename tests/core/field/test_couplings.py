"""Couplings of sources, groups, blocks."""

import numpy as np
import pytest
from scene_cases import evaluation, frame, source

from galstep.core.field.couplings import Links, bisected_blocks, coupled_groups, stamp_links
from galstep.core.scene.box import Box


@pytest.mark.parametrize("distance", [0.0, 1.5, 4.0])
def test_coupling_of_two_gaussian_stars(distance):
    z = np.array([[30.0, 30, 0, 0, 0, 0], [30.0 + distance, 30, 0, 0, 0, 0]])
    blank = frame(np.zeros((61, 61)), sigma=0.01)
    stars = [source(point=True)] * 2
    links = stamp_links(np.array([7, 3]), evaluation([blank], stars, z, [[1e3], [1e3]]).stamps)
    # <P, P'> of two Gaussians of 1.5 pixels
    assert links.coupling[0] == pytest.approx(np.exp(-(distance**2) / (4 * 1.5**2)), rel=2e-3)
    assert (links.i[0], links.j[0]) == (3, 7)


def test_links_that_come_twice_count_once_and_the_stronger():
    links = Links.sorted([2, 0, 1], [1, 3, 2], [0.2, 0.5, 0.3])
    np.testing.assert_array_equal(links.i, [0, 1])
    np.testing.assert_array_equal(links.coupling, [0.5, 0.3])
    others, coupling = links.neighbours(4)[2]
    assert others.tolist() == [1]
    assert coupling.tolist() == [0.3]


def test_groups_hold_what_is_coupled_and_no_more_than_25():
    chain = Links.sorted(np.arange(59), np.arange(1, 60), np.full(59, 0.5))
    groups = coupled_groups(62, chain)
    assert max(map(len, groups)) <= 25
    assert sorted(np.concatenate(groups)) == list(range(62))
    assert [60] in [g.tolist() for g in groups]


@pytest.mark.parametrize("where", ["spread", "one place"])
def test_blocks_share_out_the_sources_and_the_plane(where):
    rng = np.random.default_rng(1)
    n, area = 230, Box(0, 0, 3000, 900)
    x, y = rng.uniform(0, 3000, n), rng.uniform(0, 900, n)
    if where == "one place":
        x[:], y[:] = 100.0, 100.0
    groups = [np.array([k]) for k in range(n)]
    blocks = bisected_blocks(x, y, groups, 40, area)
    rows = np.concatenate([rows for rows, _ in blocks])
    assert sorted(rows) == list(range(n))
    assert max(len(rows) for rows, _ in blocks) <= 40
    if where == "spread":
        assert max(max(box.shape) for _, box in blocks) <= 1024
        assert sum(box.size for _, box in blocks) == area.size
        for own, box in blocks:
            assert box.grown(1).holds(x[own], y[own]).all()
