"""Model, residuals and normal equations of a scene.

Stars are rendered with the full wings of the PSF in the model and in the
gradient. Every block of the matrix is made from the same truncated stamps: a
Gram matrix of one set of vectors cannot become indefinite, which one that
mixes full and truncated wings can. The matrix only steers the steps; where
they end is decided by the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_matrix, diags

from galstep.core.engine.border import border_images
from galstep.core.engine.bordered import BorderedMatrix
from galstep.core.engine.evaluation import Evaluation
from galstep.core.engine.galaxy_stack import galaxy_stack
from galstep.core.engine.layout import Layout
from galstep.core.engine.priors import prior_chi2, prior_equations
from galstep.core.engine.scene import N_SHAPE
from galstep.core.imaging.stars import gram_stamps, project_stamps, stamp_pairs, weighted_stamps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = [
    "NormalEquations",
    "add_priors",
    "evaluate",
    "normal_equations",
    "star_stamps",
    "wing_half_sizes",
]

# In units of the information that a star has on a frame without masked pixels:
# a prior on the step of star fluxes, which keeps the matrix regular; and the
# least share of its PSF a star must show in a band to be given a flux there. With less, only
# wings reach the data, and their fit would follow the noise without end.
FLUX_RIDGE = 3e-3
MIN_INFORMATION = 1e-2
# Below this share of the information of a star on a quiet frame it is looked at why.
FEW = 0.1
HOLD = 1e8


def wing_half_sizes(band: SceneBand, flux: np.ndarray) -> np.ndarray:
    """Stamp half-sizes (pixels) in which stars of these fluxes are rendered.

    A star is carried as far as it can matter: to the edge of the PSF above
    S/N 100, less below. A pixel outside then holds far less than the noise.
    """
    renderer = band.star_renderer
    noise = band.sigma * np.sqrt(renderer.psf.noise_area)
    snr = np.abs(flux) / noise
    small = max(10, renderer.matrix_half_size)
    tiers = [snr < 3, snr < 10, snr < 30, snr < 100]
    sizes = np.select(tiers, [small, 16, 25, 40], renderer.half_size)
    return np.minimum(sizes, renderer.half_size).astype(np.int64)


def _prior_chi2(state, freedom):
    chi2 = 0.0
    if freedom.positions and state.n_stars:
        moved = (state.x - state.x_prior) ** 2 + (state.y - state.y_prior) ** 2
        chi2 += np.sum(moved / np.square(freedom.position_prior))
    for band in freedom.registration:
        chi2 += (state.shift[band] ** 2).sum() / freedom.registration_prior**2
    chi2 += float(np.square(state.gradients / freedom.gradient_prior).sum())
    if freedom.shape_priors:
        chi2 += prior_chi2(freedom.shape_priors, state.shapes[0])
    if state.flux_precision is not None:
        flux = state.star_flux
        chi2 += float(np.einsum("as,sab,bs->", flux, state.flux_precision, flux))
    return chi2


def evaluate(
    bands: Sequence[SceneBand],
    state: SceneState,
    half_sizes: Sequence[np.ndarray],
    freedom: Freedom,
    reuse: tuple[SceneState, Evaluation] | None = None,
) -> Evaluation:
    """Model images, residuals and chi2 of a state.

    Parameters
    ----------
    bands : sequence of `SceneBand`
    state : `SceneState`
    half_sizes : list of int arrays
        Per band, the half-size in which each star is rendered.
    freedom : `Freedom`
        Decides which derivatives are needed and which priors count.
    reuse : (SceneState, Evaluation), optional
        A neighbouring state: the images of each galaxy are taken from it where its shape
        and the registration are the same, the derivatives also where they are close
        (`galstep.core.engine.galaxy_stack`).

    Returns
    -------
    Evaluation
    """
    chi2 = _prior_chi2(state, freedom)
    residuals, stacks, stars = [], [], []
    for i, band in enumerate(bands):
        derivatives = any(freedom.shape) or i in freedom.registration
        known = None if reuse is None else reuse[1].stacks[i]
        stack = galaxy_stack(band, state.shapes_in(band), state.shift[i], derivatives, known)
        x, y = band.to_pixels(state.x, state.y, state.shift[i])
        star_image = band.star_renderer.render(
            band.shape, x, y, state.star_flux[i], half_sizes=half_sizes[i]
        )
        residual = np.tensordot(state.sky[i], band.basis, axes=1)
        residual += star_image
        residual += np.tensordot(state.galaxy_flux[i], stack.images, axes=1)
        np.subtract(band.data, residual, out=residual)
        residual[band.mask] = 0.0
        chi2 += float(np.vdot(band.weight, residual * residual))
        residuals.append(residual)
        stacks.append(stack)
        stars.append(star_image)
    return Evaluation(chi2, tuple(residuals), tuple(stacks), tuple(stars))


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """matrix . step = gradient, with the places of the parameters."""

    layout: Layout
    matrix: BorderedMatrix
    border_gradient: np.ndarray
    star_gradient: np.ndarray


def _star_pairs(ix, iy, half_size):
    """Indices of overlapping stamps, each star with itself first."""
    own, pairs = np.arange(len(ix)), stamp_pairs(ix, iy, 2 * half_size)
    return np.concatenate([own, pairs[:, 0]]), np.concatenate([own, pairs[:, 1]])


def star_stamps(
    band: SceneBand, index: int, state: SceneState, half_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps of a band's stars: unit-flux value, flux-weighted derivatives.

    The derivatives are with respect to x and y in the scene's frame.

    Returns
    -------
    stamps, ix, iy
        As from `galstep.core.imaging.stars.StarRenderer.stamps`.
    """
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    stamps, ix, iy = band.star_renderer.stamps(x, y, half_size)
    if not band.on_scene_grid:
        stamps[:, 1:] = np.einsum("ba,nbij->naij", band.matrix, stamps[:, 1:])
    stamps[:, 1:] *= state.star_flux[index][:, None, None, None]
    return stamps, ix, iy


class _Sparse:
    """Entries of the stars' matrix, gathered band by band."""

    def __init__(self):
        self.rows, self.columns, self.values = [], [], []

    def add(self, rows, columns, values):
        self.rows.append(rows)
        self.columns.append(columns)
        self.values.append(values)

    def matrix(self, size):
        if not self.rows:
            return coo_matrix((size, size)).tocsc()
        entries = (np.concatenate(self.rows), np.concatenate(self.columns))
        return coo_matrix((np.concatenate(self.values), entries), shape=(size, size)).tocsc()


def _add_pairs(sparse, layout, index, i, j, gram):
    """The 3 x 3 blocks of star pairs, in both orders."""
    parameters = [index] + [layout.n_bands, layout.n_bands + 1] * layout.positions
    other = i != j
    for p, row in enumerate(parameters):
        for q, column in enumerate(parameters):
            rows, columns = layout.star(i, row), layout.star(j, column)
            values = gram[:, p, q]
            sparse.add(rows, columns, values)
            sparse.add(columns[other], rows[other], values[other])


class _StarPart:
    """The stars' matrix, coupling and gradient, gathered band by band."""

    def __init__(self, layout):
        self.layout = layout
        self.size = layout.block * layout.n_stars
        self.coupling = np.zeros((layout.n_border, self.size))
        self.gradient = np.zeros(self.size)
        self.sparse = _Sparse()

    def add(self, band, index, stamps, images, weighted_residual, wings):
        """One band's share.

        ``stamps`` are those of `star_stamps`, ``images`` its `BorderImages`,
        ``wings`` the (x, y, half_sizes) that the stars are rendered with.
        """
        layout = self.layout
        own = np.arange(layout.n_stars)
        flux = layout.star(own, index)
        self.gradient[flux] += band.star_renderer.project(weighted_residual[None], *wings)[:, 0]
        cross = images.projected(weighted_stamps(band.weight, *stamps), *stamps[1:])
        self.coupling[:, flux] += cross[0]
        if layout.positions:
            moved = project_stamps(weighted_residual[None], *stamps)[:, 0]
            for axis in (0, 1):
                place = layout.star(own, layout.n_bands + axis)
                self.gradient[place] += moved[:, 1 + axis]
                self.coupling[:, place] += cross[1 + axis]
        self._add_blocks(band, index, stamps, flux)

    def _add_blocks(self, band, index, stamps, flux):
        i, j = _star_pairs(*stamps[1:], stamps[0].shape[-1] // 2)
        gram = gram_stamps(band.weight, *stamps, i, j)
        _add_pairs(self.sparse, self.layout, index, i, j, gram)
        nominal = 1 / (band.sigma**2 * band.star_renderer.psf.noise_area)
        information = gram[: self.layout.n_stars, 0, 0]
        share = _share_seen(band, stamps, information, nominal)
        unseen = share < MIN_INFORMATION
        self.gradient[flux[unseen]] = 0.0
        # beside a star's own noise that of a quiet frame would hold its flux for ever
        noisy = ~unseen & (information < FEW * nominal)
        quiet = np.where(noisy, information / np.where(unseen, 1.0, share), nominal)
        self.sparse.add(flux, flux, np.where(unseen, HOLD, FLUX_RIDGE) * quiet)

    def matrix(self):
        """The stars' matrix, without priors."""
        return self.sparse.matrix(self.size)


def _share_seen(band, stamps, information, nominal):
    """Share of each star's P^2 on good pixels of a band, where it may be small; else 1.

    A weight that is low for another reason (the core of a bright star, where
    its own noise or the PSF's error dominates) is no lack of data, so it is the
    mask that counts.
    """
    share = np.ones(len(information))
    own = np.flatnonzero(information < FEW * nominal)
    if len(own):
        good = (~band.mask).astype(float)
        area = band.star_renderer.psf.noise_area
        share[own] = gram_stamps(good, *stamps, own, own)[:, 0, 0] * area
    return share


def normal_equations(
    bands: Sequence[SceneBand],
    state: SceneState,
    evaluation: Evaluation,
    half_sizes: Sequence[np.ndarray],
    freedom: Freedom,
    half_size: int | None = None,
) -> NormalEquations:
    """The Gauss-Newton equations of all free parameters.

    Parameters
    ----------
    bands, state, evaluation, half_sizes
        As given to and returned by `evaluate`.
    freedom : `galstep.core.engine.scene.Freedom`
    half_size : int, optional
        Half-size of the stamps in the matrix; by default each PSF's own
        ``matrix_half_size``. A covariance wants it larger than a step does.

    Returns
    -------
    NormalEquations
        The matrix includes the priors.
    """
    layout = Layout.of(bands, state, freedom)
    border, border_gradient = np.zeros((layout.n_border,) * 2), np.zeros(layout.n_border)
    part = _StarPart(layout)
    for i, band in enumerate(bands):
        stamps = None
        if layout.n_stars:
            stamps = star_stamps(band, i, state, half_size or band.star_renderer.matrix_half_size)
        images = border_images(band, i, state, evaluation, layout, stamps)
        own, own_gradient = images.normal_equations(band.weight, evaluation.residuals[i])
        border += own
        border_gradient += own_gradient
        if layout.n_stars:
            wings = (*band.to_pixels(state.x, state.y, state.shift[i]), half_sizes[i])
            part.add(band, i, stamps, images, band.weight * evaluation.residuals[i], wings)
    stars, coupling, star_gradient = part.matrix(), part.coupling, part.gradient
    stars = add_priors(border, border_gradient, stars, star_gradient, state, freedom, layout)
    matrix = BorderedMatrix(border, coupling, stars)
    return NormalEquations(layout, matrix, border_gradient, star_gradient)


def _add_shape_priors(border, gradient, state, freedom, layout):
    places = np.flatnonzero(layout.shape.power > 0)
    precision = 1 / np.square(np.asarray(freedom.gradient_prior)[layout.shape.parameter[places]])
    border[places, places] += precision
    gradient[places] -= precision * layout.shape.of_state(state)[places]
    if not freedom.shape_priors:
        return
    own = [(k, layout.shape_place(0, k)) for k in range(N_SHAPE)]
    free, places = np.array([(k, place) for k, place in own if place is not None]).reshape(-1, 2).T
    matrix, right = prior_equations(freedom.shape_priors, state.shapes[0])
    border[np.ix_(places, places)] += matrix[np.ix_(free, free)]
    gradient[places] += right[free]


def _flux_priors(star_gradient, state, layout):
    """The priors on star fluxes as a sparse matrix; the gradient gets its share in place."""
    held = np.flatnonzero(state.flux_precision.any(axis=(1, 2)))
    precision = state.flux_precision[held]
    flux = state.star_flux[:, held]
    places = layout.star(held[:, None], 0) + np.arange(layout.n_bands)
    star_gradient[places] -= np.einsum("sab,bs->sa", precision, flux)
    rows = np.repeat(places, layout.n_bands, axis=1)
    columns = np.tile(places, (1, layout.n_bands))
    size = len(star_gradient)
    entries = rows.ravel(), columns.ravel()
    return coo_matrix((precision.ravel(), entries), shape=(size, size)).tocsc()


def add_priors(
    border: np.ndarray,
    border_gradient: np.ndarray,
    stars: Any,
    star_gradient: np.ndarray,
    state: SceneState,
    freedom: Freedom,
    layout: Layout,
) -> Any:
    """Add the priors to normal equations: dense parts in place, the stars' returned.

    Parameters
    ----------
    border, border_gradient, star_gradient : arrays
    stars : sparse array
    state, freedom, layout
        As in `NormalEquations`.

    Returns
    -------
    sparse array
    """
    _add_shape_priors(border, border_gradient, state, freedom, layout)
    for band, places in layout.registration.items():
        own = np.arange(places.start, places.stop)
        border[own, own] += 1 / freedom.registration_prior**2
        border_gradient[own] -= state.shift[band] / freedom.registration_prior**2
    if state.flux_precision is not None and layout.n_stars:
        stars = stars + _flux_priors(star_gradient, state, layout)
    if not (layout.positions and layout.n_stars):
        return stars
    precision = np.zeros(len(star_gradient))
    moved = (state.x - state.x_prior, state.y - state.y_prior)
    for axis in (0, 1):
        place = layout.star(np.arange(layout.n_stars), layout.n_bands + axis)
        precision[place] = 1 / np.square(freedom.position_prior)
        star_gradient[place] -= moved[axis] / np.square(freedom.position_prior)
    return stars + diags(precision, format="csc")
