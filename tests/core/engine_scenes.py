"""Synthetic scenes as the engine sees them: bands, states, and the truth as a state."""

from dataclasses import replace

import numpy as np

from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.psf.effective import EffectivePSF
from galstep.testing.real_space import SersicImage

ALL_FREE = Freedom()
PINNED = Freedom(shape=(False,) * 6, positions=False)
PINNED_SHAPE = Freedom(shape=(False,) * 6)


def gaussian_psf(sigma=0.8, half=5, oversample=4):
    """A round Gaussian, ``half`` native pixels from centre to edge."""
    offset = np.arange(-half * oversample, half * oversample + 1) / oversample
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    return EffectivePSF.from_array(np.outer(profile, profile), oversample)


def effective_psf(synthetic, name):
    """The library PSF of a filter."""
    return EffectivePSF.from_array(synthetic.psf_arrays[name], synthetic.truth.oversample, name)


def bands_of(synthetic, names=None, error_known=True):
    """The `SceneBand` of each filter, with the true noise as its error plane."""
    bands = []
    for name in names or synthetic.truth.filters:
        data = synthetic.data[name]
        sigma = np.full(data.shape, synthetic.truth.noise_sigma[name])
        psf = effective_psf(synthetic, name)
        bands.append(make_band(name, data, ~np.isfinite(data), psf, sigma, error_known=error_known))
    return bands


def truth_without_stars(synthetic, bands):
    """Galaxy, sky and registration as they were made."""
    truth = synthetic.truth
    return SceneState.start(
        bands,
        [truth.sersic.to_vector()],
        [[truth.fluxes[band.name]] for band in bands],
        [truth.sky[band.name].coefficients for band in bands],
        [truth.offsets[band.name] for band in bands],
    )


def with_galaxy(synthetic, components):
    """The observation with another galaxy in the place of its own.

    ``components`` has per filter the (flux, SersicParams) of each component.
    """
    data = {}
    for name in synthetic.truth.filters:
        psf = synthetic.truth.psfs[name]
        offset = synthetic.truth.offsets[name]
        data[name] = synthetic.data[name] - synthetic.galaxy[name]
        for flux, params in components[name]:
            profile = SersicImage(params, synthetic.truth.shape, psf.reach() + 2)
            data[name] = data[name] + flux * profile.seen_through(psf, offset)
    return replace(synthetic, data=data)


def star_fluxes(synthetic, bands):
    """(nb, ns) true fluxes of the stars."""
    table = synthetic.truth.stars
    return np.array([table[f"flux_{band.name}"] for band in bands])


def true_state(synthetic, bands):
    """The scene as it was made."""
    table = synthetic.truth.stars
    return truth_without_stars(synthetic, bands).with_stars(
        table["x"], table["y"], star_fluxes(synthetic, bands), table["star_id"]
    )


def dense(matrix):
    """A `BorderedMatrix` as one array."""
    return np.block([[matrix.border, matrix.coupling], [matrix.coupling.T, matrix.stars.toarray()]])
