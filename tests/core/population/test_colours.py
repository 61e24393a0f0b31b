"""Colours of black bodies and of a galaxy, and the prior that stars in the core are given."""

import numpy as np
import pytest

from galstep.core.population.colour_prior import colour_precision
from galstep.core.population.colours import (
    FEW_TEMPLATES,
    MAX_TEMPLATES,
    MISTAKEN,
    colour_evidence,
    galaxy_likelihood,
    star_colours,
)

WAVELENGTH = np.array([0.55, 0.81, 0.9, 1.5, 1.6, 2.77])
LOG_WAVELENGTHS = np.log(WAVELENGTH / 1.5)
SED = np.array([0.15, 0.5, 0.7, 1.0, 1.05, 1.6])  # a dusty galaxy: no black body is like it


def black_bodies(temperature):
    """(nb, n) fluxes, of one at 1.5 microns."""
    wavelength = WAVELENGTH[:, None]
    light = wavelength**-3 / np.expm1(14388 / wavelength / np.atleast_1d(temperature))
    return light / light[3]


def field(seed=0, n=60, snr=(15, 80), galaxy=30):
    """Stars of black bodies, then pieces with the galaxy's colours; errors of 1."""
    rng = np.random.default_rng(seed)
    stars = black_bodies(rng.uniform(3200, 8000, n))
    own = SED[:, None] * np.exp(rng.normal(0, 0.4, galaxy) * LOG_WAVELENGTHS[:, None])
    flux = np.concatenate([stars, own], axis=1)
    flux *= np.exp(rng.uniform(*np.log(snr), n + galaxy)) / np.linalg.norm(flux, axis=0)
    return flux + rng.normal(size=flux.shape), np.arange(n + galaxy) < n


class TestEvidence:
    @pytest.mark.parametrize("seed", range(4))
    def test_stars_and_pieces_are_told_apart(self, seed):
        flux, star = field(seed)
        outside = star & (np.arange(len(star)) % 2 == 0)
        found = colour_evidence(flux, np.ones_like(flux), outside, SED, LOG_WAVELENGTHS)
        inside = ~outside
        assert (found[inside & star] > 0).mean() > 0.85
        assert (found[inside & ~star] < 0).mean() > 0.85
        # never surer than it has been right
        assert np.abs(found).max() <= np.log(1 / MISTAKEN - 1)

    def test_units_and_order_do_not_matter(self):
        flux, star = field(1)
        given = np.ones_like(flux), star, SED, LOG_WAVELENGTHS
        one = colour_evidence(flux, *given)
        scaled = colour_evidence(1e7 * flux, 1e7 * given[0], star, 1e-4 * SED, LOG_WAVELENGTHS - 2)
        np.testing.assert_allclose(scaled, one, atol=1e-6)
        order = np.random.default_rng(2).permutation(len(star))
        turned = colour_evidence(flux[:, order], given[0], star[order], SED, LOG_WAVELENGTHS)
        np.testing.assert_allclose(turned, one[order], atol=1e-6)

    def test_a_star_is_not_compared_with_itself(self):
        # alone of its colour, at S/N 100: its own template would be perfect
        flux, star = field(3, galaxy=0)
        flux = np.concatenate([flux, 100 * np.eye(6)[:, [0]] + 5.0], axis=1)
        outside = np.ones(flux.shape[1], dtype=bool)
        library = star_colours(flux, np.ones_like(flux), outside)
        found = library.log_likelihood(flux, np.ones_like(flux))
        assert found[-1] < found[:-1].min() - 10

    @pytest.mark.parametrize(("bands", "n"), [(2, 60), (6, 2)])
    def test_no_library_says_nothing(self, bands, n):
        flux, star = field(0, n)
        flux = flux[:bands]
        found = colour_evidence(
            flux, np.ones_like(flux), star, SED[:bands], LOG_WAVELENGTHS[:bands]
        )
        np.testing.assert_array_equal(found, 0)

    def test_a_galaxy_that_is_dark_in_a_band_says_nothing(self):
        flux, star = field(0)
        sed = np.where(np.arange(6) == 0, 0.0, SED)
        found = colour_evidence(flux, np.ones_like(flux), star, sed, LOG_WAVELENGTHS)
        np.testing.assert_array_equal(found, 0)

    def test_a_band_without_data_is_as_if_it_were_not_there(self):
        flux, star = field(2)
        error = np.ones_like(flux)
        error[0] = np.inf
        flux[0] = 0.0
        found = colour_evidence(flux, error, star, SED, LOG_WAVELENGTHS)
        less = colour_evidence(flux[1:], error[1:], star, SED[1:], LOG_WAVELENGTHS[1:])
        np.testing.assert_allclose(found, less, atol=1e-6)

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_sources_that_a_band_does_not_cover(self, factor):
        # how bright the galaxy is as a whole does not matter
        flux, star = field(2)
        error = np.ones_like(flux)
        error[0, 1::2] = np.inf
        flux[0, 1::2] = 0.0
        one = colour_evidence(flux, error, star, SED, LOG_WAVELENGTHS)
        other = colour_evidence(flux, error, star, factor * SED, LOG_WAVELENGTHS)
        np.testing.assert_allclose(other, one, atol=1e-6)
        covered = np.ones_like(star)
        covered[1::2] = False
        for own in (covered, ~covered):
            assert (one[own & ~star] < 0).mean() > 0.7
            assert (one[own & star] > 0).mean() > 0.7

    def test_a_band_that_sees_the_galaxy_only(self):
        # without a star outside in it, it tells nothing
        flux, star = field(2)
        error = np.ones_like(flux)
        error[0, star] = np.inf
        flux[0, star] = 0.0
        found = colour_evidence(flux, error, star, SED, LOG_WAVELENGTHS)
        less = colour_evidence(flux[1:], error[1:], star, SED[1:], LOG_WAVELENGTHS[1:])
        np.testing.assert_allclose(found, less, atol=1e-6)


def test_the_galaxy_likes_its_own_pieces_best():
    sed = 50 * SED[:, None]
    others = 50 * np.concatenate([black_bodies([3500, 12000]), SED[::-1, None]], axis=1)
    flux = np.concatenate([sed, others], axis=1)
    found = galaxy_likelihood(flux, np.ones_like(flux), SED, LOG_WAVELENGTHS)
    assert found.argmax() == 0 and found[0] - found[1:].max() > 2


class TestLibrary:
    def test_the_brightest_outside(self):
        flux, star = field(0, n=200, galaxy=20)
        library = star_colours(flux, np.ones_like(flux), star)
        assert len(library) == MAX_TEMPLATES and (library.source < 200).all()
        snr = np.sqrt((np.maximum(flux, 0) ** 2).sum(axis=0))
        left = np.setdiff1d(np.flatnonzero(star), library.source)
        assert snr[library.source].min() >= snr[left].max()
        np.testing.assert_array_equal(library.flux, flux[:, library.source])

    def test_faint_stars_are_no_templates(self):
        flux, star = field(0, snr=(4, 9))
        assert star_colours(flux, np.ones_like(flux), star) is None


@pytest.fixture(name="library", scope="module")
def _library():
    flux, star = field(5, n=60, snr=(40, 200), galaxy=0)
    return star_colours(flux, np.ones_like(flux), star)


class TestPrior:
    def test_symmetric_non_negative_and_free_along_the_stars(self, library):
        true = 30 * black_bodies([3500, 5000, 7000])
        error = np.full(true.shape, 2.0)
        for flux, q in zip(true.T, colour_precision(true, error, library), strict=True):
            np.testing.assert_allclose(q, q.T, atol=1e-12 * np.abs(q).max())
            values, vectors = np.linalg.eigh(q)
            assert values[0] > -1e-10 * values[-1]
            # the amplitude is free, all else is held, and it is a star's colours
            assert values[0] < 1e-10 * values[-1] < 1e-3 * values[1] * 1e-3
            mean = vectors[:, 0] * np.sign(vectors[:, 0].sum())
            assert (mean > 0).all()
            assert mean @ flux / np.linalg.norm(flux) > 0.995

    def test_units_do_not_matter(self, library):
        flux = 30 * black_bodies([3500, 7000])
        one = colour_precision(flux, np.ones_like(flux), library)
        two = colour_precision(1e8 * flux, 1e8 * np.ones_like(flux), library)
        np.testing.assert_allclose(1e16 * two, one, rtol=1e-6, atol=1e-9 * np.abs(one).max())

    def test_a_star_pays_less_than_what_is_none(self, library):
        star = 30 * black_bodies([4500])
        other = star * np.array([3.0, 0.2, 2.0, 0.5, 1.5, -0.3])[:, None]
        error = np.full(star.shape, 2.0)
        (q,) = colour_precision(star, error, library)
        own, strange = star[:, 0] @ q @ star[:, 0], other[:, 0] @ q @ other[:, 0]
        assert own < 1 and strange > 20

    def test_a_band_without_data_is_free(self, library):
        flux, error = 30 * black_bodies([4500]), np.full((6, 1), 2.0)
        error[0] = np.inf
        flux[0] = 0.0
        (q,) = colour_precision(flux, error, library)
        assert np.isfinite(q).all()
        assert abs(q[0, 0]) < 1e-6 * np.diag(q)[1:].min()

    def test_a_small_library_holds_nothing(self):
        flux, star = field(5, n=FEW_TEMPLATES - 1, snr=(40, 200), galaxy=0)
        few = star_colours(flux, np.ones_like(flux), star)
        assert 0 < len(few) < FEW_TEMPLATES
        assert not colour_precision(flux, np.ones_like(flux), few).any()

    def test_no_stars(self, library):
        none = np.zeros((6, 0))
        assert colour_precision(none, none, library).shape == (0, 6, 6)
