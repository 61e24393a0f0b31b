"""Modes of a galaxy's structure: patterns that are written down, and no finer than the PSF."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.modeling.models import Sersic2D

from galstep.core.imaging.structure_modes import structure_modes
from galstep.records import SersicParams

SHAPE = (91, 95)
GALAXY = SersicParams(47.3, 44.8, 9.0, 1.0, 0.3, 0.7)
FWHM, OUTER = 2.5, 28.0


def light_of(params=GALAXY):
    """The galaxy by astropy."""
    yy, xx = np.indices(SHAPE)
    own = dict(r_eff=params.r_eff, n=params.n, x_0=params.x_0, y_0=params.y_0)
    return Sersic2D(1.0, ellip=params.ellip, theta=params.theta, **own)(xx, yy)


def polar(params=GALAXY):
    """Semi-major axis and angle of the ellipse through each pixel."""
    yy, xx = np.indices(SHAPE)
    z = ((xx - params.x_0) + 1j * (yy - params.y_0)) * np.exp(-1j * params.theta)
    z = z.real + 1j * z.imag / (1 - params.ellip)
    return np.abs(z), np.angle(z)


def modes_of(light=None, params=GALAXY, fwhm=FWHM, outer=OUTER):
    light = light_of(params) if light is None else light
    return structure_modes(light, params.to_vector(), fwhm, outer)


def best(modes, image, where):
    """The least-squares answer of the modes to an image, from the pixels ``where``."""
    use = where.ravel()[modes.places]
    columns, values = modes.images[:, use].T, image.ravel()[modes.places][use]
    size = np.linalg.norm(columns, axis=0)
    return modes.image(np.linalg.lstsq(columns / size, values, rcond=None)[0] / size)


class TestPatterns:
    # between the centre of the first hat and that of the last the hats add up to one
    R, PHI = polar()
    WITHIN = (R > 1.2 * FWHM) & (R < 20.0)

    @pytest.mark.parametrize("pattern", [
        lambda r, phi: 0.3 * np.cos(2 * phi),
        lambda r, phi: 0.2 * np.sin(3 * phi + 0.4) - 0.1 * np.cos(phi),
        lambda r, phi: 0.25 + 0.1 * np.sin(2 * phi - 1.0),
    ], ids=["bar", "three arms and a lopsided disc", "brighter and twisted"])  # fmt: skip
    def test_what_does_not_change_with_the_radius_is_recovered(self, pattern):
        extra = light_of() * pattern(self.R, self.PHI)
        found = best(modes_of(), extra, self.WITHIN)
        assert np.abs(found - extra)[self.WITHIN].max() < 0.01 * np.abs(extra).max()
        assert found[self.WITHIN].sum() == pytest.approx(
            extra[self.WITHIN].sum(), abs=0.001 * np.abs(extra).sum()
        )

    def test_an_open_spiral_is_recovered(self):
        # pitch 30 degrees: its arms change by less than a wave over a hat
        arms = 0.3 * np.cos(2 * (self.PHI - np.log(self.R + 0.1) / np.tan(np.radians(30))))
        where = self.WITHIN & (self.R > 5.0)
        extra = light_of() * arms
        found = best(modes_of(), extra, where)
        left = np.sqrt(np.mean((found - extra)[where] ** 2) / np.mean(extra[where] ** 2))
        assert left < 0.15

    def test_two_arms_are_not_four(self):
        modes = modes_of()
        extra = light_of() * 0.3 * np.cos(2 * self.PHI)
        other = modes.order != 2
        few = replace(modes, chosen=modes.chosen[other])
        assert np.abs(best(few, extra, self.WITHIN)).sum() < 0.1 * np.abs(extra).sum()


class TestNoFinerThanThePsf:
    @pytest.mark.parametrize("ellip", [0.0, 0.3, 0.7])
    @pytest.mark.parametrize("fwhm", [5.0, 8.0])
    def test_along_and_across_the_isophotes(self, ellip, fwhm):
        # a PSF of many pixels, so that the pixels do not matter
        params = SersicParams(47.0, 45.0, 9.0, 1.0, ellip, 0.7)
        radius = polar(params)[0].ravel()
        modes = modes_of(np.ones(SHAPE), params, fwhm)
        first = {}
        for m, image in zip(modes.order, modes.images, strict=True):
            own = np.abs(image) > 0.5 * np.abs(image).max()
            if m == 0:
                assert np.ptp(radius[modes.places[own]]) > 0.9 * fwhm
            peak = np.average(radius[modes.places], weights=np.abs(image))
            first[m] = min(first.get(m, np.inf), peak)
        assert len(first) > 2
        for m in first:
            # half a wave along the mean circle, of a hat that is somewhat farther out
            assert m == 0 or np.pi * first[m] * np.sqrt(1 - ellip) / m > fwhm

    def test_a_wider_psf_has_fewer_modes(self):
        counts = [len(modes_of(fwhm=fwhm)) for fwhm in (2.0, 3.0, 5.0, 9.0)]
        assert np.all(np.diff(counts) < 0)


class TestTotals:
    def test_waves_have_no_light_of_their_own(self):
        modes = modes_of(fwhm=5.0)
        share = modes.images.sum(axis=1) / np.abs(modes.images).sum(axis=1)
        assert np.abs(share[modes.order > 0]).max() < 0.01
        np.testing.assert_allclose(share[modes.order == 0], 1.0)

    def test_a_brighter_galaxy_has_the_same_structure(self):
        one, two = modes_of(), modes_of(1e9 * light_of())
        np.testing.assert_allclose(two.images, 1e9 * one.images)
        np.testing.assert_array_equal(two.order, one.order)

    def test_no_light_no_structure(self):
        light = light_of()
        light[:, :47] = -3.0
        image = modes_of(light).image(np.ones(len(modes_of(light))))
        assert not image[:, :47].any() and image[:, 48:].any()


@pytest.mark.parametrize("outer", [0.0, 2.9])
def test_a_galaxy_that_is_not_resolved_has_none(outer):
    modes = modes_of(outer=outer)
    assert len(modes) == 0 and len(modes.images) == 0
    np.testing.assert_array_equal(modes.image(np.zeros(0)), np.zeros(SHAPE))


def test_a_centre_outside_of_the_frame():
    away = SersicParams(-30.0, 45.0, 9.0, 1.0, 0.0, 0.0)
    modes = modes_of(light_of(away), away, outer=60.0)
    assert len(modes) and np.isfinite(modes.images).all()
