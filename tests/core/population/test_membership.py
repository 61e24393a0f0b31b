"""Stars and pieces of a galaxy told apart by their number and brightness."""

import numpy as np
import pytest

from galstep.core.population.membership import INSIDE_SNR, star_membership

SHAPE = (150, 150)
SED = np.array([1.0, 1.3, 0.9])
ERROR = np.array([0.8, 1.0, 1.2])
LOG_WAVELENGTHS = np.log([0.9, 1.5, 2.77])
LIMIT = 6.0  # S/N of the faintest source that is found


def galaxy_light():
    """Light under a star of an exponential galaxy, in the middle band."""
    yy, xx = np.indices(SHAPE)
    return 300 * np.exp(-np.hypot(xx - 75, yy - 75) / 12)


def light_of(x, y):
    return SED[:, None] / SED[1] * galaxy_light()[np.rint(y).astype(int), np.rint(x).astype(int)]


def colours_of_stars(rng, n):
    """Fluxes of black bodies, (nb, n): of one in the middle band."""
    temperature = rng.uniform(3000, 9000, n)
    wavelength = np.exp(LOG_WAVELENGTHS)[:, None]
    light = wavelength**-3 / np.expm1(14388 / wavelength / temperature)
    return light / light[1]


def stars(rng, n):
    """Sources spread evenly; many faint ones, few bright ones."""
    x, y = rng.uniform(0, SHAPE[1] - 1, n), rng.uniform(0, SHAPE[0] - 1, n)
    return x, y, LIMIT * ERROR[1] * rng.pareto(1.0, n).clip(0, 300) * colours_of_stars(rng, n)


def pieces(rng, n, share=0.12, width=0.4):
    """Sources that follow the galaxy's light, and have a share of it and its colours."""
    light = galaxy_light()
    light = np.where(light > 40, light, 0)
    place = rng.choice(light.size, n, p=(light / light.sum()).ravel())
    y, x = np.unravel_index(place, SHAPE)
    scatter = np.exp(rng.normal(0, 0.1, (3, n)))
    return x, y, light_of(x, y) * np.exp(rng.normal(np.log(share), width, n)) * scatter


def sources(*groups, rng):
    """Positions and noisy fluxes of those found, and of which group each is."""
    x, y, flux = (np.concatenate(parts, axis=-1) for parts in zip(*groups, strict=True))
    group = np.repeat(np.arange(len(groups)), [len(own[0]) for own in groups])
    flux = flux + rng.normal(size=flux.shape) * ERROR[:, None]
    snr = np.sqrt((np.maximum(flux / ERROR[:, None], 0) ** 2).sum(axis=0))
    seen = snr > LIMIT
    return x[seen], y[seen], flux[:, seen], group[seen]


def membership(x, y, flux, bands=slice(None), factor=1.0, error=ERROR, **options):
    light, scale = galaxy_light(), SED / SED[1]
    snr = np.sqrt(np.sum((scale[bands] / error[bands]) ** 2)) * light
    return star_membership(
        factor * flux[bands],
        factor * np.broadcast_to(error[:, None], flux.shape)[bands],
        factor * light_of(x, y)[bands],
        snr,
        np.ones(SHAPE, dtype=bool),
        factor * 1e3 * SED[bands],
        LOG_WAVELENGTHS[bands],
        **options,
    )


@pytest.fixture(name="mixed", scope="module")
def _mixed():
    rng = np.random.default_rng(4)
    return sources(stars(rng, 60), pieces(rng, 60), rng=rng)


@pytest.mark.parametrize("bands", [slice(None), slice(1, 2)], ids=["three bands", "one band"])
@pytest.mark.parametrize("seed", range(4))
def test_a_field_of_stars_only(seed, bands):
    rng = np.random.default_rng(seed)
    x, y, flux, _ = sources(stars(rng, 500), rng=rng)
    found = membership(x, y, flux, bands)
    n = np.count_nonzero(found.inside)
    assert n > 30
    assert np.count_nonzero(~found.is_star) <= max(1, 0.03 * n)
    assert found.n_expected == pytest.approx(n, abs=4 * np.sqrt(n))


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_counted(seed):
    # three times as many sources inside as the rest of the frame predicts
    rng = np.random.default_rng(seed)
    x, y, flux, group = sources(stars(rng, 60), pieces(rng, 60), rng=rng)
    found = membership(x, y, flux)
    n_pieces = np.count_nonzero(group)
    n_found = (1 - found.star_probability).sum()
    assert n_found == pytest.approx(n_pieces, abs=3 * np.sqrt(n_pieces))
    # and they are the ones
    assert found.is_star[group == 1].mean() < 0.15
    assert found.is_star[group == 0].mean() > 0.9


def test_pieces_in_a_dense_field():
    """Twice as many sources inside as outside: no crowd of stars does that."""
    recognised, kept = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x, y, flux, group = sources(stars(rng, 200), pieces(rng, 60), rng=rng)
        found = membership(x, y, flux)
        recognised.append((~found.is_star[group == 1]).mean())
        kept.append(found.is_star[group == 0].mean())
    assert np.mean(recognised) > 0.5
    assert np.mean(kept) > 0.95


class TestWhatMustNotMatter:
    @pytest.mark.parametrize("factor", [1e-9, 1e9])
    def test_the_unit(self, mixed, factor):
        one = membership(*mixed[:3]).star_probability
        other = membership(*mixed[:3], factor=factor).star_probability
        np.testing.assert_allclose(other, one, atol=1e-6)

    def test_the_order_of_the_sources(self, mixed):
        x, y, flux, _ = mixed
        order = np.random.default_rng(0).permutation(len(x))
        one = membership(x, y, flux).star_probability
        other = membership(x[order], y[order], flux[:, order]).star_probability
        np.testing.assert_allclose(other, one[order], atol=1e-6)

    def test_the_order_of_the_bands(self, mixed):
        x, y, flux, _ = mixed
        one = membership(x, y, flux).star_probability
        other = membership(x, y, flux, [2, 0, 1]).star_probability
        np.testing.assert_allclose(other, one, atol=1e-6)


class TestLittleIsKnown:
    def test_one_band_has_no_colours(self, mixed):
        x, y, flux, group = mixed
        found = membership(x, y, flux, slice(1, 2))
        assert np.isfinite(found.star_probability).all()
        assert found.is_star[group == 0].mean() > 0.85

    def test_too_few_stars_outside_for_colours(self, mixed):
        x, y, flux, group = mixed
        outside = ~membership(x, y, flux).inside
        few = ~outside
        few[np.flatnonzero(outside)[:2]] = True
        found = membership(x[few], y[few], flux[:, few])
        assert np.count_nonzero(~found.inside) == 2
        assert np.isfinite(found.star_probability).all()
        # with hardly a star expected most of what is inside are pieces
        assert found.is_star[group[few] == 1].mean() < 0.2

    def test_nothing_outside(self, mixed):
        x, y, flux, _ = mixed
        inside = membership(x, y, flux).inside
        found = membership(x[inside], y[inside], flux[:, inside])
        assert found.inside.all() and np.isfinite(found.star_probability).all()
        assert found.n_expected == 0

    def test_a_galaxy_that_fills_the_frame(self, mixed):
        x, y, flux, _ = mixed
        error = np.broadcast_to(ERROR[:, None], flux.shape)
        light = np.full(flux.shape, 200.0)
        covered = np.ones(SHAPE, dtype=bool)
        found = star_membership(
            flux, error, light, np.full(SHAPE, 200.0), covered, SED, LOG_WAVELENGTHS
        )
        assert found.inside.all() and np.isnan(found.n_expected)
        assert np.isfinite(found.star_probability).all()

    def test_no_sources(self):
        none = np.zeros(0)
        found = membership(none, none, np.zeros((3, 0)))
        assert len(found.star_probability) == 0 and found.n_expected == 0

    def test_nothing_inside_is_all_stars(self, mixed):
        x, y, flux, _ = mixed
        outside = ~membership(x, y, flux).inside
        found = membership(x[outside], y[outside], flux[:, outside])
        assert not found.inside.any() and (found.star_probability == 1).all()

    def test_a_source_without_data_in_a_band(self, mixed):
        x, y, flux, _ = mixed
        error = np.repeat(ERROR[:, None], len(x), axis=1)
        error[2, ::3] = np.inf
        light = light_of(x, y)
        fluxes = np.where(np.isfinite(error), flux, 0.0)
        snr = np.sqrt(np.sum((SED / SED[1] / ERROR) ** 2)) * galaxy_light()
        found = star_membership(
            fluxes, error, light, snr, np.ones(SHAPE, dtype=bool), SED, LOG_WAVELENGTHS
        )
        whole = membership(x, y, flux)
        assert np.isfinite(found.star_probability).all()
        assert np.mean(found.is_star == whole.is_star) > 0.97

    def test_sources_below_zero_are_no_pieces(self, mixed):
        x, y, flux, _ = mixed
        flux = flux.copy()
        flux[:, :5] = -10.0
        assert (membership(x, y, flux).star_probability[:5] == 1).all()


def test_inside_is_where_a_piece_could_be_found():
    x = np.linspace(75, 149, 60)
    y, flux = np.full(60, 75.0), np.full((3, 60), 30.0)
    found = membership(x, y, flux)
    snr = np.sqrt((light_of(x, y) ** 2 / ERROR[:, None] ** 2).sum(axis=0))
    np.testing.assert_array_equal(found.inside, snr > INSIDE_SNR)


def test_other_evidence_counts(mixed):
    x, y, flux, _ = mixed
    plain = membership(x, y, flux)
    seen = {}

    def evidence(outside, snr):
        seen.update(outside=outside, snr=snr)
        return np.full(len(x), -6.0)

    against = membership(x, y, flux, evidence=evidence)
    np.testing.assert_array_equal(seen["outside"], ~plain.inside)
    assert (against.star_probability <= plain.star_probability + 1e-9).all()
    assert against.is_star[plain.inside].sum() < plain.is_star[plain.inside].sum()
    assert (against.star_probability[~plain.inside] == 1).all()
