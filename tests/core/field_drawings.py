"""Fields of any sources in two bands, drawn in real space; galaxies each in a box of its own."""

import numpy as np
from scene_cases import galaxy, psf_map, star

from galstep.core.field.records import ArrayPixels, FieldBand, FieldSources, SourceType

SIGMA, UNIT, FWHM = 2.0, 0.3, 3.53
# a galaxy's light is drawn so far; what is beyond is below the noise by far (pixels)
_HALF = 48
STAR, SERSIC = int(SourceType.STAR), int(SourceType.SERSIC)


def light(z, kind, shape):
    """Unit images in their places, cut at the borders: (slices, image) of each source."""
    side = 2 * _HALF + 1
    for own, what in zip(z, kind, strict=True):
        x, y = (int(np.rint(v)) for v in own[:2])
        local = np.array([own[0] - x + _HALF, own[1] - y + _HALF, *own[2:]])
        unit = star(*local[:2], (side, side)) if what == STAR else galaxy(local, (side, side))
        y0, x0 = max(y - _HALF, 0), max(x - _HALF, 0)
        y1, x1 = min(y + _HALF + 1, shape[0]), min(x + _HALF + 1, shape[1])
        cut = unit[y0 - y + _HALF : y1 - y + _HALF, x0 - x + _HALF : x1 - x + _HALF]
        yield np.s_[y0:y1, x0:x1], cut


def drawn(z, kind, flux, shape, seed, full=np.inf):
    """Bands with noise; pixels above ``full`` are masked."""
    rng, parts = np.random.default_rng(seed), list(light(z, kind, shape))
    y, x = np.indices(shape)
    bands = []
    for b, name in enumerate("gr"[: flux.shape[1]]):
        image = np.zeros(shape)
        for (part, unit), own in zip(parts, flux[:, b], strict=True):
            image[part] += own * unit
        data = 1.0 + 0.004 * x - 0.003 * y + rng.normal(image, np.sqrt(SIGMA**2 + UNIT * image))
        bands.append(FieldBand(name, ArrayPixels(data, image > full), SIGMA, UNIT, psf_map()))
    return bands


def scattered(z, kind, seed, n_bands=2):
    """A catalogue of them: places off by 0.3 pixels, shapes by some tens of percent."""
    rng, shape = np.random.default_rng(seed), kind != STAR
    e = np.hypot(z[:, 3], z[:, 4])
    n = len(z)
    return FieldSources.make(
        z[:, 0] + rng.normal(0, 0.3, n), z[:, 1] + rng.normal(0, 0.3, n), n_bands, kind=kind,
        r_eff=np.where(shape, np.exp(z[:, 2] + rng.normal(0, 0.2, n)), np.nan),
        ellip=np.where(shape, np.clip(2 * e / (1 + e) * rng.uniform(0.7, 1.3, n), 0, 0.8), np.nan),
        theta=np.where(shape, 0.5 * np.arctan2(z[:, 4], z[:, 3]) + rng.normal(0, 0.2, n), np.nan),
    )  # fmt: skip


def random_sources(rng, places, n_stars):
    """Vectors, kinds and fluxes (n, 2); the first ones are stars."""
    from scene_cases import vector

    z, flux = [], []
    for k, (x, y) in enumerate(places):
        if k < n_stars:
            z.append([x, y, 0, 0, 0, 0])
            flux.append(np.exp(rng.uniform(np.log(800), np.log(20000))))
        else:
            z.append(vector(x, y, np.exp(rng.uniform(np.log(2), np.log(5))), rng.uniform(0.7, 3.0),
                            rng.uniform(0.1, 0.6), rng.uniform(0, np.pi)))  # fmt: skip
            flux.append(np.exp(rng.uniform(np.log(3000), np.log(30000))))
    kind = np.where(np.arange(len(z)) < n_stars, STAR, SERSIC)
    flux = np.array(flux)
    return np.array(z), kind, np.column_stack([flux, flux * rng.uniform(0.5, 1.5, len(flux))])
