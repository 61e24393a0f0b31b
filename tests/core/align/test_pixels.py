import numpy as np
import pytest

from galstep.core.align.catalog import Positions

pytest.importorskip("tweakwcs")

from galstep.core.align.options import MatchOptions
from galstep.core.align.pixels import register

CENTRE = (127.0, 127.0)
OPTIONS = MatchOptions(minobj=6, searchrad=0.3, separation=0.1, tolerance=0.15, fitgeometry="shift")


def stars(x, y, error):
    return Positions(x, y, np.ones(len(x)), np.full(len(x), error))


def pair(rng, offset, rotation=0.0, scale=1.0, count=60, error=0.1):
    x, y = rng.uniform(5, 250, (2, count))
    c, s = scale * np.cos(rotation), scale * np.sin(rotation)
    u, v = x - CENTRE[0], y - CENTRE[1]
    image = CENTRE[0] + c * u - s * v + offset[0], CENTRE[1] + s * u + c * v + offset[1]
    noise = rng.normal(0, error, (2, count))
    return stars(x, y, error), stars(image[0] + noise[0], image[1] + noise[1], error)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.12, -0.3), (2.5, 1.5)])
def test_offset_has_the_sign_of_a_fit(offset):
    base, image = pair(np.random.default_rng(1), offset)
    found = register(base, image, CENTRE, 0.03, OPTIONS)
    assert found.status == "aligned"
    # the other filter's stars are at the base's plus the offset
    assert found.offset == pytest.approx(offset, abs=0.06)
    # the image's own error only, and the base has none here
    assert found.offset_err == pytest.approx((0.1 / np.sqrt(60),) * 2, rel=0.3)
    assert found.rms == pytest.approx(0.1, rel=0.3)


def test_errors_are_true():
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(60):
        base, image = pair(rng, (0.2, 0.1), count=25)
        found = register(base, image, CENTRE, 0.03, OPTIONS)
        pulls.append((np.array(found.offset) - (0.2, 0.1)) / found.offset_err)
    assert 0.8 < np.std(pulls) < 1.25
    assert abs(np.mean(pulls)) < 0.3


def test_rotation_and_scale():
    base, image = pair(
        np.random.default_rng(3), (0.5, 0.5), rotation=0.004, scale=1.002, error=0.02
    )
    options = MatchOptions(
        minobj=6, searchrad=0.3, separation=0.1, tolerance=0.15, fitgeometry="rscale"
    )
    found = register(base, image, CENTRE, 0.03, options)
    assert found.rotation == pytest.approx(0.004, abs=2e-4)
    assert found.scale == pytest.approx(1.002, abs=2e-4)
    assert found.offset == pytest.approx((0.5, 0.5), abs=0.02)


def test_unrelated_stars_are_refused():
    rng = np.random.default_rng(4)
    base, image = (stars(*rng.uniform(0, 255, (2, 80)), 0.1) for _ in range(2))
    found = register(base, image, CENTRE, 0.03, OPTIONS)
    assert found.status == "failed"
    assert "80 stars in the base filter, 80 here" in found.reason
    assert np.isnan(found.offset_err).all()


def test_no_stars():
    found = register(Positions.empty(), Positions.empty(), CENTRE, 0.03, OPTIONS)
    assert found.reason == "too few stars: 0 stars in the base filter, 0 here"
