"""Synthetic scenes on several pixel grids, as the engine sees them."""

import numpy as np
from engine_scenes import effective_psf

from galstep.core.engine.scene import SceneState, make_band
from galstep.records import SersicParams
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid

SHAPE = (101, 101)
TURN = np.radians(20)
COARSE = PixelGrid((64, 64), 0.063, TURN, (0.04, -0.03))
GALAXY = SersicParams(49.3, 51.2, 6.0, 1.2, 0.3, 0.7)
FILTERS = ("F150W", "F277W")


def two_grids(seed=1, n_stars=12, coarse=COARSE, **options):
    """F150W on the scene's grid, F277W on pixels of 0.063 arcsec turned by 20 degrees."""
    options = dict(snr=200, star_separation=7, star_snr=(20, 200), psf_size=101) | options
    psfs = {"F150W": default_psf("F150W"), "F277W": default_psf("F277W", 2.0)}
    grids = {"F277W": coarse} if coarse else None
    return make_scene(
        seed, SHAPE, n_stars, FILTERS, sersic=GALAXY, psfs=psfs, grids=grids, **options
    )


def grid_bands(synthetic, data=None, error_known=True):
    """The `SceneBand` of each filter, with its map from the scene."""
    truth, bands = synthetic.truth, []
    for name in truth.filters:
        image = synthetic.data[name] if data is None else data[name]
        pixel_map = truth.pixel_map(name)
        bands.append(
            make_band(
                name,
                image,
                ~np.isfinite(image),
                effective_psf(synthetic, name),
                np.full(image.shape, truth.noise_sigma[name]),
                error_known=error_known,
                matrix=pixel_map.matrix,
                origin=pixel_map.origin,
                scene_shape=truth.shape,
            )
        )
    return bands


def grid_state(synthetic, bands, stars=True):
    """The scene as it was made."""
    truth = synthetic.truth
    state = SceneState.start(
        bands,
        [truth.sersic.to_vector()],
        [[truth.fluxes[band.name]] for band in bands],
        [truth.sky[band.name].coefficients for band in bands],
        [truth.offsets[band.name] for band in bands],
    )
    if not stars:
        return state
    flux = np.array([truth.stars[f"flux_{band.name}"] for band in bands])
    return state.with_stars(truth.stars["x"], truth.stars["y"], flux, truth.stars["star_id"])
