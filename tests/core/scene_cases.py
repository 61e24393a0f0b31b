"""Small scenes with known truth, drawn in real space by nothing that is fitted with."""

import numpy as np

from galstep.core.scene.frame import SceneFrame, SkyTerms
from galstep.core.scene.psf_map import PsfMap
from galstep.core.scene.scene import Evaluation, Scene
from galstep.core.scene.solve import FitOptions, fit_scene, linear_fit
from galstep.core.scene.source import SceneSource, SourceBounds
from galstep.records import SersicParams
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.real_space import SersicImage, star_image

PSF = GaussianMixturePSF.gaussian(1.5)
ALL = np.ones(6, dtype=bool)


def psf_map(psf=PSF):
    """The library PSF of a true one, as a field has it."""
    return PsfMap.single(psf.sampled(4, 161), 4)


def galaxy(z, shape, psf=PSF):
    """A unit galaxy on a frame, from its vector."""
    return SersicImage(SersicParams.from_vector(z), shape, psf.reach(1e-8)).seen_through(psf)


def star(x, y, shape, psf=PSF):
    """A unit star on a frame."""
    return star_image(shape, psf, [x], [y], [1.0])


def vector(x, y, r_eff=3.0, n=1.0, ellip=0.3, theta=0.5):
    """The vector of a galaxy."""
    return SersicParams(x, y, r_eff, n, ellip, theta).to_vector()


def frame(data, sigma=1.0, unit=0.0, sky=True, mask=None, psf=None, name="r", **kwargs):
    """A frame with a constant sky, or none."""
    basis = np.ones((int(sky), *data.shape))
    mask = np.zeros(data.shape, dtype=bool) if mask is None else mask
    psf = psf_map() if psf is None else psf
    return SceneFrame(name, data, mask, sigma**2, unit, psf, SkyTerms.free(basis), **kwargs)


def source(z=None, point=False, free=ALL, shift=5.0, **kwargs):
    """A source that is free in a box about where it starts."""
    box = (
        {} if z is None else {"x": (z[0] - shift, z[0] + shift), "y": (z[1] - shift, z[1] + shift)}
    )
    return SceneSource(point, free, SourceBounds(**box), **kwargs)


def fitted(frames, sources, z, flux=None, options=None):
    """Fit from a linear start, the weights renewed once."""
    scene = Scene(frames, sources)
    guess = np.full((len(sources), len(frames)), 100.0) if flux is None else flux
    start = linear_fit(scene, scene.start(np.asarray(z, dtype=float), guess)).renewed()
    options = options or FitOptions(40, 1e-6)
    first = fit_scene(start, options)
    return fit_scene(first.evaluation.renewed(), options)


def evaluation(frames, sources, z, flux):
    """A state as it stands."""
    scene = Scene(frames, sources)
    state = scene.start(np.asarray(z, dtype=float), np.asarray(flux, dtype=float))
    return Evaluation(scene, state, scene.render(state), scene.weights())
