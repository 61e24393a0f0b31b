"""A small field in two bands with known truth, drawn in real space."""

from functools import lru_cache

import numpy as np
from scene_cases import galaxy, psf_map, star, vector

from galstep.core.field.records import ArrayPixels, FieldBand, FieldSources, SourceType

SHAPE = (150, 170)
SIGMA, UNIT = 2.0, 0.3
STAR, SERSIC = int(SourceType.STAR), int(SourceType.SERSIC)


@lru_cache(maxsize=1)
def truth():
    """Vectors, kinds and fluxes (N, 2): eight stars and four galaxies, two of them blends."""
    z = [
        vector(40.2, 35.7, 3.0, 1.0, 0.3, 0.4),
        vector(120.4, 40.1, 4.0, 2.5, 0.2, 1.9),
        vector(44.8, 110.3, 2.5, 1.5, 0.5, 2.6),
        vector(118.7, 108.2, 3.5, 1.2, 0.1, 0.0),
    ]
    places = [
        (20.1, 20.6), (45.3, 39.2), (80.7, 30.4), (150.2, 20.8), (25.5, 80.1), (85.4, 75.3),
        (125.9, 112.1), (148.3, 75.6),
    ]  # fmt: skip
    z += [np.array([x, y, 0, 0, 0, 0]) for x, y in places]
    kind = np.array([SERSIC] * 4 + [STAR] * 8)
    first = np.array([9000, 20000, 7000, 12000, 3000, 4000, 1500, 6000, 900, 12000, 3500, 2200.0])
    flux = np.column_stack([first, first * np.linspace(0.6, 1.4, 12)])
    return np.array(z), kind, flux


@lru_cache(maxsize=1)
def _light():
    z, kind, flux = truth()
    images = [
        star(*k[:2], SHAPE) if c == STAR else galaxy(k, SHAPE) for k, c in zip(z, kind, strict=True)
    ]
    return [np.tensordot(flux[:, b], images, 1) for b in range(2)]


@lru_cache(maxsize=4)
def bands(seed=1, mask=None, names=("g", "r")):
    """The two bands, with noise; ``mask`` (x0, x1, y0, y1) has no pixels in the second."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    made = []
    for b, light in enumerate(_light()):
        sky = 1.0 + 0.004 * x - 0.003 * y
        data = sky + rng.normal(light, np.sqrt(SIGMA**2 + UNIT * light))
        bad = np.zeros(SHAPE, dtype=bool)
        if mask is not None and b == 1:
            x0, x1, y0, y1 = mask
            bad[y0:y1, x0:x1] = True
        made.append(FieldBand(names[b], ArrayPixels(data, bad), SIGMA, UNIT, psf_map()))
    return made


def catalogue(rows=None, seed=2, **columns):
    """The truth scattered, as a catalogue has it."""
    z, kind, _ = truth()
    rng = np.random.default_rng(seed)
    scatter = rng.normal(0, 0.2, (len(z), 2))
    shape = kind != STAR
    e = np.hypot(z[:, 3], z[:, 4])
    known = {
        "kind": kind,
        "r_eff": np.where(shape, np.exp(z[:, 2]) * 1.15, np.nan),
        "ellip": np.where(shape, 0.8 * 2 * e / (1 + e), np.nan),
        "theta": np.where(shape, 0.5 * np.arctan2(z[:, 4], z[:, 3]), np.nan),
    }
    made = FieldSources.make(*(z[:, :2] + scatter).T, 2, **(known | columns))
    return made if rows is None else made.rows(np.asarray(rows))
