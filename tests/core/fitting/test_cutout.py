"""Size guess and crop box against scenes with known truth."""

import numpy as np
import pytest

from galstep.core.fitting.cutout import central_box, central_signal, crop_box, guess_size
from galstep.exceptions import InputError, ParameterError


def gaussian(shape, x, y, sigma_x, sigma_y, peak):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return peak * np.exp(-0.5 * (((xx - x) / sigma_x) ** 2 + ((yy - y) / sigma_y) ** 2))


def scene(shape=(200, 240), x=110.0, y=95.0, sigmas=(14.0, 9.0), peak=1.0, n_stars=0, seed=0):
    rng = np.random.default_rng(seed)
    data = 0.5 + gaussian(shape, x, y, *sigmas, peak) + rng.normal(0, 0.05, shape)
    for sx, sy in zip(
        rng.uniform(0, shape[1], n_stars), rng.uniform(0, shape[0], n_stars), strict=True
    ):
        data += gaussian(shape, sx, sy, 1.2, 1.2, rng.uniform(1, 30))
    return data


def no_mask(data):
    return np.zeros(data.shape, dtype=bool)


def test_a_clean_gaussian_is_recovered():
    data = scene()
    guess = guess_size(data, no_mask(data))
    assert guess.reason == ""
    assert guess.x == pytest.approx(110, abs=0.5)
    assert guess.y == pytest.approx(95, abs=0.5)
    assert guess.sigma == pytest.approx(14, rel=0.1)


def test_stars_and_gaps_do_not_mislead_it():
    data = scene(n_stars=150)
    data[:, :40] = np.nan
    data[90:93] = np.nan
    mask = no_mask(data)
    mask[:, 200:] = True
    data[:, 200:] = 1e5
    guess = guess_size(data, mask)
    assert guess.reason == ""
    assert np.hypot(guess.x - 110, guess.y - 95) < 2
    assert guess.sigma == pytest.approx(14, rel=0.25)


def test_a_given_centre_is_used_where_the_search_would_not_look():
    data = scene(x=30.0, y=160.0, sigmas=(7.0, 7.0))
    guess = guess_size(data, no_mask(data), x_guess=35, y_guess=155)
    assert (guess.x, guess.y) == pytest.approx((30, 160), abs=0.5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.full((60, 60), np.nan), "too few good pixels"),
        (np.ones((10, 60)), "too few good pixels"),
        (np.ones((60, 60)), "the image is constant"),
        (np.random.default_rng(1).normal(size=(100, 100)), "no source stands out"),
    ],
)
def test_a_failure_gives_the_guess_and_a_reason(data, reason):
    guess = guess_size(data, np.isnan(data), sigma_guess=12)
    assert guess.sigma == 12
    assert (guess.x, guess.y) == ((data.shape[1] - 1) / 2, (data.shape[0] - 1) / 2)
    assert reason in guess.reason


def test_masked_where_the_centre_is_looked_for():
    data = scene()
    mask = no_mask(data)
    mask[40:160, 40:200] = True
    assert "where the centre" in guess_size(data, mask).reason


def test_bad_arguments_are_refused():
    data = np.ones((50, 50))
    with pytest.raises(ParameterError, match="sigma_guess must be > 0 pixels, got 0"):
        guess_size(data, no_mask(data), sigma_guess=0)
    with pytest.raises(ParameterError, match="given together, got 3 and None"):
        guess_size(data, no_mask(data), x_guess=3)


def test_signal_ranks_filters_by_how_well_the_galaxy_is_seen():
    signals = [central_signal(d, no_mask(d)) for d in (scene(peak=p) for p in (0.2, 1.0))]
    # matched filter of a Gaussian: peak * sqrt(pi sigma_x sigma_y) / noise
    expected = np.sqrt(np.pi * 14 * 9) / 0.05
    assert signals[1] == pytest.approx(expected, rel=0.15)
    assert signals[0] == pytest.approx(0.2 * expected, rel=0.25)
    assert central_signal(np.full((60, 60), np.nan), np.ones((60, 60), bool)) == 0


@pytest.mark.parametrize(("fraction", "size"), [(1, (10, 21)), (0.5, (5, 10)), (1e-9, (1, 1))])
def test_central_box_keeps_the_middle(fraction, size):
    rows, columns = central_box((10, 21), fraction)
    assert (rows.stop - rows.start, columns.stop - columns.start) == size
    assert abs((columns.start + columns.stop) / 2 - 10.5) <= 0.5


@pytest.mark.parametrize("fraction", [0, 1.2, np.nan])
def test_central_box_refuses_an_impossible_share(fraction):
    with pytest.raises(ParameterError, match=r"fraction must be in \(0, 1\], got"):
        central_box((10, 10), fraction)


def test_crop_box_is_centred_and_odd():
    assert crop_box((400, 500), 250.4, 99.6, 40) == (slice(60, 141), slice(210, 291))


def test_crop_box_is_clipped_not_shifted():
    assert crop_box((400, 500), 490, 10, 40) == (slice(0, 51), slice(450, 500))


def test_crop_box_keeps_short_axes_whole_and_the_least_side():
    assert crop_box((255, 600), 300, 100, 20, min_size=256) == (slice(0, 255), slice(172, 429))


def test_crop_box_refuses_a_centre_off_the_frame():
    with pytest.raises(InputError, match=r"y in \[-0.5, 49.5\), got 49.5"):
        crop_box((50, 60), 10, 49.5, 5)
    with pytest.raises(ParameterError, match="half_size must be a number >= 0, got nan"):
        crop_box((50, 60), 10, 10, np.nan)
