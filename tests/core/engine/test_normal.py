"""Model, gradient and normal matrix against finite differences and an independent renderer."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, dense, gaussian_psf, true_state

from galstep.core.engine.layout import Layout
from galstep.core.engine.normal import FLUX_RIDGE, evaluate, normal_equations, wing_half_sizes
from galstep.core.engine.priors import ShapePrior, prior_equations
from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing import make_scene

SHAPE = (27, 31)
SHEAR = np.array([[1.05, 0.15], [-0.1, 0.9]])
GALAXIES = [
    SersicParams(14.3, 12.8, 4.0, 1.3, 0.35, 0.6).to_vector(),
    SersicParams(22.1, 19.4, 2.5, 0.9, 0.2, 2.1).to_vector(),
    SersicParams(14.3, 12.8, 1.8, 0.8, 0.1, 1.6).to_vector(),
    SersicParams(22.1, 19.4, 4.5, 1.1, 0.3, 2.3).to_vector(),
]
# whose profile each is: every one a galaxy, the second profile of the target beside a
# companion, and two galaxies of two profiles that do not stand together
OWNERS = {
    "two galaxies": (0, 1),
    "one galaxy of two": (0, 0),
    "a companion before the second profile": (0, 1, 0),
    "two galaxies of two": (3, 1, 3, 1),
}
SOME = (True, False, True, True, False, False)
PRIORS = (
    ShapePrior("x_0", 14.0, 0.1),
    ShapePrior("r_eff", 5.0, 0.02),
    ShapePrior("n", 1.0, 0.01),
)


def small_scene(n_galaxies=2, n_bands=2, owners=None):
    """Two bands of random data, the second on another grid, with masked pixels.

    The stamps of the matrix are as wide as the PSF: nothing is truncated.
    """
    rng = np.random.default_rng(5)
    bands = []
    for i in range(n_bands):
        mask = rng.random(SHAPE) < 0.05
        mask[:, :2] = True
        sigma = rng.uniform(0.8, 1.2, SHAPE)
        psf = gaussian_psf(0.85 + 0.1 * i)
        matrix, origin = (np.eye(2), np.zeros(2)) if i == 0 else (SHEAR, np.array([0.7, 1.3]))
        data = rng.normal(2.0, 1.0, SHAPE)
        grid = dict(matrix=matrix, origin=origin, log_wavelength=0.7 * i)
        bands.append(make_band(f"b{i}", data, mask, psf, sigma, **grid))
        assert bands[-1].star_renderer.matrix_half_size == bands[-1].star_renderer.half_size == 5
    n_galaxies = n_galaxies if owners is None else len(owners)
    flux = rng.uniform(30, 80, (n_bands, n_galaxies))
    sky = [rng.normal(size=3) for _ in bands]
    shift = rng.normal(0, 0.3, (n_bands, 2))
    shapes = np.array(GALAXIES[:n_galaxies]).reshape(-1, 6)
    if owners is not None:
        shapes[:, :2] = shapes[[owners.index(own) for own in owners], :2]
    state = SceneState.start(bands, shapes, flux, sky, shift, owners)
    # a pair that overlaps, one in the galaxy, one at the edge, one just outside the frame
    x, y = [8.2, 10.1, 13.7, 26.0, 20.4], [7.7, 8.9, 14.2, 10.3, -0.4]
    state = state.with_stars(x, y, rng.uniform(-10, 40, (n_bands, 5)))
    rng_moved = state.x + rng.normal(0, 0.2, 5), state.y + rng.normal(0, 0.2, 5)
    gradients = rng.normal(0, 0.1, (2, n_galaxies, 6)) * (np.arange(6) > 1)
    gradients[:, ~state.target] = 0  # only the target's shape changes with wavelength
    return bands, replace(state, x_prior=rng_moved[0], y_prior=rng_moved[1], gradients=gradients)


def stepped(state, layout, place, step):
    """The state with one parameter changed, by its place in the matrix."""
    vector = np.zeros(layout.n_border + layout.n_stars * layout.block)
    vector[place] = step
    border, stars = vector[: layout.n_border], vector[layout.n_border :]
    shapes, gradients, shift = state.shapes.copy(), state.gradients.copy(), state.shift.copy()
    places = zip(layout.shape.galaxy, layout.shape.parameter, layout.shape.power, strict=True)
    for change, (g, k, power) in zip(border, places, strict=False):
        target = shapes if power == 0 else gradients[power - 1]
        target[g, k] += change
        if k < 2:  # the other profiles of the galaxy go along
            others = (state.galaxy_id == state.galaxy_id[g]) & (np.arange(len(shapes)) != g)
            target[others, k] += change
    for band, own in layout.registration.items():
        shift[band] += border[own]
    first = [own.start for own in layout.linear]
    flux = [
        f + border[p : p + layout.n_galaxies] for f, p in zip(state.galaxy_flux, first, strict=True)
    ]
    stars = stars.reshape(layout.n_stars, layout.block)
    moves = stars[:, layout.n_bands :] if layout.positions else np.zeros((layout.n_stars, 2))
    return replace(
        state,
        shapes=shapes,
        gradients=gradients,
        shift=shift,
        galaxy_flux=np.array(flux),
        sky=tuple(c + border[layout.sky(i)] for i, c in enumerate(state.sky)),
        star_flux=state.star_flux + stars[:, : layout.n_bands].T,
        x=state.x + moves[:, 0],
        y=state.y + moves[:, 1],
    )


def half_sizes_of(bands, state):
    return [wing_half_sizes(band, flux) for band, flux in zip(bands, state.star_flux, strict=True)]


def differences(bands, state, freedom, layout, step=1e-4):
    """Central differences by place: of -chi2 / 2, and of the model of each band."""
    half_sizes = half_sizes_of(bands, state)
    slope, columns = [], []
    for place in range(layout.n_border + layout.n_stars * layout.block):
        up, down = (
            evaluate(bands, stepped(state, layout, place, s), half_sizes, freedom)
            for s in (step, -step)
        )
        slope.append((down.chi2 - up.chi2) / (4 * step))
        pairs = zip(down.residuals, up.residuals, strict=True)
        columns.append([(d - u) / (2 * step) for d, u in pairs])
    return np.array(slope), [np.array([c[i] for c in columns]) for i in range(len(bands))]


FREEDOMS = {
    "all": Freedom(registration=(1,)),
    "all registered": Freedom(registration=(1, 0), position_prior=0.1, registration_prior=0.3),
    "some shape": Freedom(shape=SOME),
    "no positions": Freedom(positions=False, registration=(1,)),
    "no shape": Freedom(shape=(False,) * 6),
    "linear": PINNED,
    "gradients": Freedom(gradient=(0, 0, 2, 1, 1, 1)),
    "some gradients": Freedom(shape=SOME, gradient=(0, 0, 1, 0, 0, 0), registration=(1,)),
    "shape priors": Freedom(shape_priors=PRIORS),
    "priors on pinned": Freedom(shape=SOME, shape_priors=PRIORS),
}


@pytest.mark.parametrize("freedom", FREEDOMS.values(), ids=FREEDOMS)
def test_gradient_and_matrix(freedom):
    check_derivatives(*small_scene(), freedom)


@pytest.mark.parametrize("owners", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("name", ["all", "some gradients"])
def test_the_profiles_of_a_galaxy_share_its_centre(owners, name):
    bands, state = small_scene(owners=owners)
    equations = check_derivatives(bands, state, FREEDOMS[name])
    n_centres = np.count_nonzero(equations.layout.shape.parameter < 2)
    free = sum(FREEDOMS[name].shape[:2])
    assert n_centres == free * len(set(owners))


def test_a_prior_on_the_colours_of_stars():
    bands, state = small_scene()
    held = with_flux_precision(state)
    equations = check_derivatives(bands, held, Freedom(registration=(1,)))
    free = check_derivatives(bands, state, Freedom(registration=(1,)))
    # the star that is not held has the equations that it had
    own, coupled = equations.layout.star(3, 0), dense(equations.matrix) - dense(free.matrix)
    place = equations.layout.n_border + own
    np.testing.assert_array_equal(coupled[place : place + 2], 0)
    sizes = half_sizes_of(bands, state)
    for freedom in (PINNED, Freedom()):
        chi2 = [evaluate(bands, own, sizes, freedom).chi2 for own in (state, held)]
        pairs = zip(state.star_flux.T, held.flux_precision, strict=True)
        expected = sum(flux @ precision @ flux for flux, precision in pairs)
        assert chi2[1] - chi2[0] == pytest.approx(expected, rel=1e-9)


def with_flux_precision(state):
    """Priors on all stars but one that tie their bands together."""
    root = np.random.default_rng(8).normal(0, 0.3, (state.n_stars, 2, 2))
    precision = np.einsum("sab,scb->sac", root, root)
    precision[3] = 0.0
    return replace(state, flux_precision=precision)


def check_derivatives(bands, state, freedom):
    """Gradient and matrix against differences of chi2 and the model; the equations."""
    half_sizes = half_sizes_of(bands, state)
    evaluation = evaluate(bands, state, half_sizes, freedom)
    equations = normal_equations(bands, state, evaluation, half_sizes, freedom)
    layout = equations.layout
    slope, columns = differences(bands, state, freedom, layout)
    expected = sum(
        np.einsum("ipq,pq,jpq->ij", c, band.weight, c, optimize=True)
        for c, band in zip(columns, bands, strict=True)
    )
    expected += np.diag(prior_curvature(bands, freedom, layout))
    add_shape_priors(expected, state, freedom, layout)
    add_flux_priors(expected, state, layout)
    scale = np.sqrt(np.diag(expected))
    gradient = np.concatenate([equations.border_gradient, equations.star_gradient])
    np.testing.assert_allclose(gradient / scale, slope / scale, atol=2e-4)
    difference = (dense(equations.matrix) - expected) / np.outer(scale, scale)
    np.testing.assert_allclose(difference, 0, atol=1e-5)
    return equations


def prior_curvature(bands, freedom, layout):
    """What the priors, and the ridge of the star fluxes, add to the diagonal."""
    border = np.zeros(layout.n_border)
    width = np.array(freedom.gradient_prior)[layout.shape.parameter]
    border[: len(width)] = np.where(layout.shape.power > 0, width**-2.0, 0.0)
    for own in layout.registration.values():
        border[own] = freedom.registration_prior**-2
    stars = np.zeros((layout.n_stars, layout.block))
    stars[:, layout.n_bands :] = freedom.position_prior**-2
    for i, band in enumerate(bands):
        stars[:, i] = FLUX_RIDGE / (band.sigma**2 * band.star_renderer.psf.noise_area)
    return np.concatenate([border, stars.ravel()])


def add_shape_priors(matrix, state, freedom, layout):
    """What the priors on the first galaxy's shape add, parameter by parameter."""
    own, _ = prior_equations(freedom.shape_priors, state.shapes[0])
    places = {k: layout.shape_place(0, k) for k in range(6)}
    for j, row in places.items():
        for k, column in places.items():
            if row is not None and column is not None:
                matrix[row, column] += own[j, k]


def add_flux_priors(matrix, state, layout):
    """What the priors on the stars' colours add, star by star."""
    if state.flux_precision is None:
        return
    for star, precision in enumerate(state.flux_precision):
        own = layout.n_border + layout.star(star, 0) + np.arange(layout.n_bands)
        matrix[np.ix_(own, own)] += precision


@pytest.mark.parametrize("n_galaxies", [0, 1])
def test_gradient_with_fewer_galaxies(n_galaxies):
    bands, state = small_scene(n_galaxies, n_bands=1)
    freedom, half_sizes = Freedom(), half_sizes_of(bands, state)
    evaluation = evaluate(bands, state, half_sizes, freedom)
    equations = normal_equations(bands, state, evaluation, half_sizes, freedom)
    slope, _ = differences(bands, state, freedom, equations.layout)
    gradient = np.concatenate([equations.border_gradient, equations.star_gradient])
    np.testing.assert_allclose(gradient, slope, atol=1e-4 * np.abs(slope).max())


def test_the_matrix_with_short_stamps_is_a_gram_matrix():
    # truncated stamps: every block of the same vectors, so never indefinite
    synthetic = make_scene(3, (61, 61), 40, ("F277W",))
    bands = bands_of(synthetic)
    state = true_state(synthetic, bands)
    freedom, half_sizes = Freedom(position_prior=1e6), half_sizes_of(bands, state)
    evaluation = evaluate(bands, state, half_sizes, freedom)
    equations = normal_equations(bands, state, evaluation, half_sizes, freedom, half_size=3)
    matrix = dense(equations.matrix)
    scale = np.sqrt(np.diag(matrix))
    lowest = np.linalg.eigvalsh(matrix / np.outer(scale, scale)).min()
    assert lowest > -1e-12


def test_a_star_without_data_in_a_band_is_held_there():
    bands, state = small_scene()
    mask = bands[1].mask.copy()
    x, y = bands[1].to_pixels(state.x[0], state.y[0], state.shift[1])
    yy, xx = np.indices(SHAPE)
    mask |= np.hypot(xx - x, yy - y) < 4
    bands[1] = make_band("b1", np.ones(SHAPE), mask, gaussian_psf(), 1.0, matrix=SHEAR,
                         origin=bands[1].origin)  # fmt: skip
    half_sizes = half_sizes_of(bands, state)
    evaluation = evaluate(bands, state, half_sizes, PINNED)
    equations = normal_equations(bands, state, evaluation, half_sizes, PINNED)
    right = equations.border_gradient, equations.star_gradient
    _, step = equations.matrix.factor().solve(*right)
    step = step.reshape(5, 2)
    assert abs(step[0, 1]) < 1e-6 * abs(step[2, 1])
    assert abs(step[0, 0]) > 1e-3


@pytest.fixture(name="scene", scope="module")
def _scene():
    synthetic = make_scene(
        2, (61, 67), 12, ("F150W", "F277W"), noise="none", nan_edge=("F277W",),
        offsets={"F277W": (0.4, -0.3)},
    )  # fmt: skip
    bands = bands_of(synthetic)
    return synthetic, bands, true_state(synthetic, bands)


class TestEvaluation:
    def test_the_truth_leaves_nothing(self, scene):
        _, bands, state = scene
        evaluation = evaluate(bands, state, half_sizes_of(bands, state), PINNED)
        for band, residual in zip(bands, evaluation.residuals, strict=True):
            assert np.abs(residual).max() < 0.01 * band.sigma
            assert np.all(residual[band.mask] == 0)
        assert evaluation.chi2 < 0.01

    def test_images_are_those_of_the_parts(self, scene):
        synthetic, bands, state = scene
        evaluation = evaluate(bands, state, half_sizes_of(bands, state), PINNED)
        for i, band in enumerate(bands):
            stars, galaxy = synthetic.stars[band.name], synthetic.galaxy[band.name]
            np.testing.assert_allclose(evaluation.stars[i], stars, atol=1e-4 * stars.max())
            found = state.galaxy_flux[i, 0] * evaluation.images(i)[0]
            np.testing.assert_allclose(found, galaxy, atol=1e-4 * galaxy.max())

    def test_derivatives_come_where_they_are_needed(self, scene):
        _, bands, state = scene
        half_sizes = half_sizes_of(bands, state)
        for freedom, counts in [
            (PINNED, (1, 1)),
            (replace(PINNED, registration=(1,)), (1, 7)),
            (Freedom(), (7, 7)),
        ]:
            stacks = evaluate(bands, state, half_sizes, freedom).stacks
            assert tuple(1 + stack.derivatives.shape[1] for stack in stacks) == counts

    @pytest.mark.parametrize("freedom", [PINNED, Freedom(), replace(PINNED, registration=(1,))])
    def test_reuse_changes_nothing(self, scene, freedom):
        _, bands, state = scene
        half_sizes = half_sizes_of(bands, state)
        moved = replace(
            state, shift=state.shift + [[0, 0], [0.2, 0.1]], star_flux=state.star_flux * 2
        )
        other = replace(moved, shapes=moved.shapes + 0.1)
        for neighbour in (state, moved, other):
            known = (neighbour, evaluate(bands, neighbour, half_sizes, freedom))
            again = evaluate(bands, moved, half_sizes, freedom, reuse=known)
            fresh = evaluate(bands, moved, half_sizes, freedom)
            assert again.chi2 == fresh.chi2
            for a, b in zip(again.residuals, fresh.residuals, strict=True):
                np.testing.assert_array_equal(a, b)

    def test_reuse_does_not_do_without_derivatives(self, scene):
        _, bands, state = scene
        half_sizes = half_sizes_of(bands, state)
        bare = (state, evaluate(bands, state, half_sizes, PINNED))
        again = evaluate(bands, state, half_sizes, Freedom(), reuse=bare)
        assert again.stacks[0].has_derivatives

    def test_priors_count_when_their_parameters_are_free(self, scene):
        _, bands, state = scene
        half_sizes = half_sizes_of(bands, state)
        moved = replace(state, x_prior=state.x + 0.3, y_prior=state.y - 0.4)

        def chi2(freedom):
            return evaluate(bands, moved, half_sizes, freedom).chi2

        linear = chi2(PINNED)
        positions = chi2(replace(PINNED, positions=True, position_prior=0.5))
        assert positions - linear == pytest.approx(state.n_stars * 0.25 / 0.25)
        registered = chi2(replace(PINNED, registration=(0, 1), registration_prior=2.0))
        assert registered - linear == pytest.approx((0.4**2 + 0.3**2) / 4)


@pytest.fixture(name="band", scope="module")
def _band():
    # wings that fall as r^-3, to 60 px
    offset = np.arange(-120, 121) / 2
    radius = np.hypot(offset[:, None], offset)
    array = np.exp(-0.5 * radius**2) + 0.01 * (1 + radius**2 / 4) ** -1.5
    psf = EffectivePSF.from_array(array, 2)
    return make_band("a", np.zeros((9, 9)), np.zeros((9, 9), dtype=bool), psf, 0.1)


class TestWings:
    def test_brighter_stars_are_carried_further(self, band):
        noise = 0.1 * np.sqrt(band.star_renderer.psf.noise_area)
        flux = noise * np.array([0, 1, 5, 20, 70, 200, 1e6])
        sizes = wing_half_sizes(band, flux)
        assert np.all(np.diff(sizes) >= 0) and sizes[-1] == band.star_renderer.half_size
        assert sizes[0] >= band.star_renderer.matrix_half_size
        np.testing.assert_array_equal(wing_half_sizes(band, -flux), sizes)
        assert sizes.dtype == np.int64

    @pytest.mark.parametrize("snr", [2.9, 9.9, 29, 99])
    def test_what_is_left_out_is_below_the_noise(self, band, snr):
        flux = snr * 0.1 * np.sqrt(band.star_renderer.psf.noise_area)
        place = np.array([60.2]), np.array([59.9]), np.array([flux])
        whole = band.star_renderer.render((121, 121), *place)
        cut = band.star_renderer.render(
            (121, 121), *place, half_sizes=wing_half_sizes(band, place[2])
        )
        assert np.abs(whole - cut).max() < 0.05 * band.sigma

    def test_no_wider_than_the_psf(self):
        band = make_band("a", np.zeros((9, 9)), np.zeros((9, 9), dtype=bool), gaussian_psf(), 0.1)
        assert np.all(wing_half_sizes(band, np.array([0.0, 1.0, 1e9])) == 5)

    def test_a_band_without_data(self):
        band = make_band("a", np.zeros((9, 9)), np.ones((9, 9), dtype=bool), gaussian_psf(), 0.1)
        assert wing_half_sizes(band, np.array([0.0, 1e9])).tolist() == [5, 5]


def test_layout_belongs_to_the_equations():
    bands, state = small_scene()
    half_sizes = half_sizes_of(bands, state)
    freedom = Freedom(shape=SOME, registration=(1,))
    evaluation = evaluate(bands, state, half_sizes, freedom)
    found = normal_equations(bands, state, evaluation, half_sizes, freedom).layout
    expected = Layout.of(bands, state, freedom)
    assert found.n_border == expected.n_border and found.linear == expected.linear
