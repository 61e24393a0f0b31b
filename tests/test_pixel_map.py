"""Positions, shapes, errors and apertures from one pixel grid to another."""

import numpy as np
import pytest

from galstep.mapped_records import mapped_aperture, mapped_params, mapped_sersic, mapped_stars
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, SersicFit, SersicParams, StarList

TURN = np.radians(20)
SCALE = 0.03 / 0.063
SIMILAR = PixelMap(
    SCALE * np.array([[np.cos(TURN), np.sin(TURN)], [-np.sin(TURN), np.cos(TURN)]]), (3.0, 21.5)
)
MIRROR = PixelMap([[-0.5, 0.0], [0.0, 0.5]], (60.0, 2.0))
SHEAR = PixelMap([[1.1, 0.2], [-0.1, 0.9]], (-4.0, 2.5))
PARAMS = SersicParams(30.0, 41.0, 8.0, 2.0, 0.4, 1.1)
MAPS = pytest.mark.parametrize(
    "pixel_map", [SIMILAR, MIRROR, SHEAR], ids=["turn", "mirror", "shear"]
)


def boundary(ellipse_a, ellipse_b, theta, x, y):
    """Points of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 40)
    u, v = ellipse_a * np.cos(angle), ellipse_b * np.sin(angle)
    return x + u * np.cos(theta) - v * np.sin(theta), y + u * np.sin(theta) + v * np.cos(theta)


def elliptical_radius(params, x, y):
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    dx, dy = x - params.x_0, y - params.y_0
    return np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - params.ellip))


class TestPoints:
    @MAPS
    def test_there_and_back(self, pixel_map):
        x, y = np.random.default_rng(1).uniform(0, 100, (2, 20))
        back = pixel_map.inverse().points(*pixel_map.points(x, y))
        np.testing.assert_allclose(back, (x, y), atol=1e-12)

    @MAPS
    def test_one_after_the_other(self, pixel_map):
        both = SHEAR.after(pixel_map)
        np.testing.assert_allclose(
            both.points(3.0, 7.0), SHEAR.points(*pixel_map.points(3.0, 7.0)), rtol=1e-14
        )

    def test_a_translation_stays_one(self):
        moved = PixelMap(origin=(3, -2))
        assert moved.is_translation and moved.inverse().is_translation
        assert moved.inverse().origin == (-3, 2)
        assert moved.after(moved.inverse()) == PixelMap()
        assert moved.points(1, 1) == (4, -1)

    @MAPS
    def test_a_map_after_its_inverse_is_a_translation(self, pixel_map):
        assert pixel_map.after(pixel_map.inverse()).is_translation

    def test_scale(self):
        assert SIMILAR.scale == pytest.approx(SCALE)
        assert MIRROR.scale == pytest.approx(0.5)
        assert SIMILAR.after(SIMILAR.inverse()).scale == pytest.approx(1)

    def test_directions_do_not_know_the_origin(self):
        np.testing.assert_allclose(
            SIMILAR.directions(2.0, -1.0),
            np.subtract(SIMILAR.points(12.0, 9.0), SIMILAR.points(10.0, 10.0)),
        )


class TestShapes:
    @MAPS
    def test_the_boundary_of_an_ellipse_lands_on_that_of_its_image(self, pixel_map):
        a, b = PARAMS.r_eff, PARAMS.r_eff * (1 - PARAMS.ellip)
        points = boundary(a, b, PARAMS.theta, PARAMS.x_0, PARAMS.y_0)
        mapped = mapped_params(pixel_map, PARAMS)
        radius = elliptical_radius(mapped, *pixel_map.points(*points))
        np.testing.assert_allclose(radius, mapped.r_eff, rtol=1e-12)
        assert mapped.n == pytest.approx(PARAMS.n)

    @MAPS
    def test_apertures_go_the_same_way(self, pixel_map):
        mapped = mapped_aperture(pixel_map, Aperture(30.0, 41.0, 8.0, 4.8, 1.1))
        params = mapped_params(pixel_map, PARAMS)
        assert (mapped.x, mapped.y) == pytest.approx((params.x_0, params.y_0))
        assert (mapped.a, mapped.theta) == pytest.approx((params.r_eff, params.theta))
        assert mapped.b == pytest.approx(params.r_eff * (1 - params.ellip))

    def test_a_similarity_keeps_axis_ratio_and_turns_the_angle(self):
        mapped = mapped_params(SIMILAR, PARAMS)
        assert mapped.ellip == pytest.approx(PARAMS.ellip)
        assert mapped.r_eff == pytest.approx(SCALE * PARAMS.r_eff)
        assert mapped.theta == pytest.approx(PARAMS.theta - TURN)

    def test_a_mirror_turns_the_angle_round(self):
        assert mapped_params(MIRROR, PARAMS).theta == pytest.approx(np.pi - PARAMS.theta)

    def test_a_translation_touches_nothing_else(self):
        assert mapped_params(PixelMap(), PARAMS) == PARAMS
        assert mapped_params(PixelMap(origin=(2, 3)), PARAMS) == PARAMS.moved(2, 3)

    def test_a_round_galaxy(self):
        round_one = SersicParams(1.0, 2.0, 5.0, 1.0, 0.0, 0.0)
        assert mapped_params(SIMILAR, round_one).ellip == pytest.approx(0, abs=1e-12)
        # of the map alone: semi-axes are its singular values
        long, short = np.linalg.svd(SHEAR.matrix, compute_uv=False)
        assert mapped_params(SHEAR, round_one).r_eff == pytest.approx(5 * long)
        assert mapped_params(SHEAR, round_one).ellip == pytest.approx(1 - short / long)


def fit_with_errors(pinned=()):
    """A component with a full covariance, NaN for what was pinned."""
    rng = np.random.default_rng(5)
    root = rng.normal(size=(7, 7)) * np.array([0.02, 0.03, 0.01, 0.01, 0.02, 0.02, 0.3])[:, None]
    covariance = root @ root.T
    error = np.sqrt(np.diag(covariance))
    covariance[list(pinned)] = covariance[:, list(pinned)] = np.nan
    names = ("x_0_err", "y_0_err")
    errors = dict(zip(names, error, strict=False)) | {"r_eff_err": error[2] * PARAMS.r_eff}
    return SersicFit(PARAMS, 50.0, error[6], n_err=0.1, **errors, covariance=covariance)


class TestErrors:
    @MAPS
    def test_the_covariance_is_that_of_mapped_draws(self, pixel_map):
        fit = fit_with_errors()
        mapped = mapped_sersic(pixel_map, fit)
        rng = np.random.default_rng(2)
        mean = np.append(PARAMS.to_vector(), fit.flux)
        draws = rng.multivariate_normal(mean, fit.covariance, 4000)
        landed = [np.append(pixel_map.vector(draw[:6]), draw[6]) for draw in draws]
        measured = np.cov(np.transpose(landed))
        size = np.sqrt(np.outer(np.diag(measured), np.diag(measured)))
        np.testing.assert_allclose(mapped.covariance / size, measured / size, atol=0.1)
        assert mapped.x_0_err == pytest.approx(np.sqrt(measured[0, 0]), rel=0.06)
        assert (mapped.flux, mapped.flux_err) == (fit.flux, fit.flux_err)

    def test_there_and_back(self):
        fit = fit_with_errors()
        back = mapped_sersic(SIMILAR.inverse(), mapped_sersic(SIMILAR, fit))
        np.testing.assert_allclose(back.covariance, fit.covariance, rtol=1e-6, atol=1e-9)
        assert back.x_0_err == pytest.approx(fit.x_0_err)
        assert back.r_eff_err == pytest.approx(fit.r_eff_err)

    def test_what_was_pinned_has_no_error_there_either(self):
        covariance = mapped_sersic(SIMILAR, fit_with_errors(pinned=(3,))).covariance
        assert np.isnan(covariance[[3, 4]]).all()  # e1 and e2 turn into each other
        assert np.isfinite(covariance[np.ix_([0, 1, 5, 6], [0, 1, 5, 6])]).all()

    def test_without_a_covariance_the_errors_of_x_and_y_are_independent(self):
        mapped = mapped_sersic(
            SIMILAR, SersicFit(PARAMS, 1.0, x_0_err=0.3, y_0_err=0.1, r_eff_err=0.4)
        )
        (a, b), _ = SIMILAR.matrix
        assert mapped.covariance is None
        assert mapped.x_0_err == pytest.approx(np.hypot(0.3 * a, 0.1 * b))
        assert mapped.r_eff_err == pytest.approx(0.4 * SCALE)

    def test_a_translation_keeps_every_error(self):
        fit = fit_with_errors()
        moved = mapped_sersic(PixelMap(origin=(1, 2)), fit)
        assert moved.covariance is fit.covariance
        assert moved.x_0_err == fit.x_0_err


def test_stars_move_and_keep_their_fluxes():
    one = np.ones(3)
    stars = StarList(
        np.arange(3), 10 * np.arange(3.0), 5 * one, 7 * one, 0.1 * one, 0.2 * one,
        one, one, np.zeros(3, int),
    )  # fmt: skip
    mapped = mapped_stars(SIMILAR, stars)
    np.testing.assert_allclose((mapped.x, mapped.y), SIMILAR.points(stars.x, stars.y))
    np.testing.assert_array_equal(mapped.flux, stars.flux)
    # equal errors in x and y stay equal, in the other pixels
    even = PixelMap(SIMILAR.matrix).position_errors(0.2, 0.2)
    assert even == pytest.approx((0.2 * SCALE, 0.2 * SCALE))
