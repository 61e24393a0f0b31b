"""Structured galaxies: what they promise of light, S/N, components and repeatability."""

import numpy as np
import pytest
from astropy.table import Table

from galstep.exceptions import ParameterError
from galstep.filters import filter_wavelength
from galstep.records import SersicParams
from galstep.testing import make_bulge_disk, make_structured
from galstep.testing.ellipse import Ellipse, ellipse_of
from galstep.testing.galaxies import KINDS, draw_galaxy
from galstep.testing.light import DustyBulge, SpiralDisk, TwistedSpheroid, total_light
from galstep.testing.parts import DiffusePart, KnotsPart, SersicPart
from galstep.testing.psfs import GaussianMixturePSF, default_psf

SHAPE = (121, 121)
PSFS = {"F150W": default_psf("F150W")}


def placed(r_eff=5.0, ellip=0.3):
    return {"x_0": 60.2, "y_0": 59.7, "r_eff": r_eff, "ellip": ellip, "theta": 0.6}


@pytest.mark.parametrize("kind", KINDS)
def test_light_in_a_wide_frame_is_the_total(kind):
    """The total comes from polar quadrature of each light, the image from cells and an FFT."""
    rng = np.random.default_rng(11)
    galaxy = draw_galaxy(kind, rng, ("F150W",), "F150W", (60.3, 59.6), 5.0)
    image = sum(part.images(SHAPE, PSFS)["F150W"] for part in galaxy.parts)
    assert galaxy.fluxes["F150W"] == pytest.approx(1, rel=1e-12)
    # the frame reaches 12 disk radii; de Vaucouleurs-like wings go on beyond
    beyond = 0.02 if kind == "elliptical" else 0.003
    assert 1 - beyond < image.sum() < 1 + 2e-4


def test_bulge_behind_no_dust_is_the_sersic_of_the_other_renderer():
    shape = DustyBulge(**placed(), length=8.0, tau=0.0, dust_height=1.0, dust_offset=0.5, n=2.5)
    drawn = DiffusePart("bulge", {"F150W": 3.0}, shape).images(SHAPE, PSFS)["F150W"]
    params = SersicParams(60.2, 59.7, 5.0, 2.5, 0.3, 0.6)
    exact = SersicPart("bulge", {"F150W": 3.0}, params).images(SHAPE, PSFS)["F150W"]
    np.testing.assert_allclose(drawn, exact, atol=2e-4 * exact.max())


@pytest.mark.parametrize("wavelength", [0.555, 1.5])
def test_arms_move_light_along_a_circle_only(wavelength):
    """So the total is that of the exponential disk, 2 pi q h^2."""
    disk = SpiralDisk(**placed(), arms=2, pitch=0.3, contrast=0.7, phase=1.0)
    expected = 2 * np.pi * 0.7 * (5.0 / 1.6783469900166608) ** 2
    assert total_light(disk, wavelength) == pytest.approx(expected, rel=1e-4)
    # and there are arms: on the ridge far more light than between
    r, phi = 8.0, disk.ridge(8.0) + np.array([0, np.pi / 2])
    u, v = r * np.cos(phi), 0.7 * r * np.sin(phi)
    x = 60.2 + u * np.cos(0.6) - v * np.sin(0.6)
    y = 59.7 + u * np.sin(0.6) + v * np.cos(0.6)
    ridge, gap = disk(x, y, wavelength)
    assert ridge > 4 * gap


def test_dust_takes_more_of_the_blue_light():
    shape = DustyBulge(**placed(), length=8.0, tau=1.5, dust_height=1.0, dust_offset=0.5, n=2.0)
    filters = ("F555W", "F150W", "F277W")
    part = DiffusePart.dimmed("bulge", dict.fromkeys(filters, 1.0), shape, "F150W")
    assert part.fluxes["F150W"] == 1
    assert part.fluxes["F555W"] < 0.8 < 1.05 < part.fluxes["F277W"]
    clear = total_light(DustyBulge(**placed(), length=8.0, tau=0.0, dust_height=1.0,
                                   dust_offset=0.5, n=2.0), 1.5)  # fmt: skip
    dimmed = {f: total_light(shape, filter_wavelength(f)) / clear for f in filters}
    assert part.fluxes["F555W"] == pytest.approx(dimmed["F555W"] / dimmed["F150W"])


def test_isophotes_turn_outwards():
    light = TwistedSpheroid(**placed(8.0), n=2.0, core=0.5, twist=0.8, flatter=0.1, boxy=0.0)
    y, x = np.indices((161, 161))
    image = light(x - 20.0, y - 20.0, 1.5)
    inner, outer = (_angle(image, x - 80.2, y - 79.7, size) for size in (4, 40))
    assert 0.2 < outer - inner < 0.8


def _angle(image, dx, dy, size):
    """Position angle of the light in a ring, by moments weighted to equal radii."""
    ring = image * ((np.hypot(dx, dy) < 1.2 * size) & (np.hypot(dx, dy) > 0.8 * size))
    return 0.5 * np.arctan2(2 * np.sum(ring * dx * dy), np.sum(ring * (dx**2 - dy**2)))


def test_knots_are_gaussians_through_the_psf():
    psf = GaussianMixturePSF.gaussian(1.2)
    part = KnotsPart("knots", {"F150W": 4.0}, (30.0, 80.0), (60.0, 60.0), (0.9, 1.6), (0.25, 0.75))
    image = part.images(SHAPE, {"F150W": psf})["F150W"]
    assert image.sum() == pytest.approx(4, rel=1e-6)
    assert image[60, 30] == pytest.approx(1 / (2 * np.pi * (1.2**2 + 0.9**2)), rel=1e-6)
    assert image[60, 80] == pytest.approx(3 / (2 * np.pi * (1.2**2 + 1.6**2)), rel=1e-6)


def test_ellipse_of_a_gaussian_is_analytic():
    """Half of an elliptical Gaussian lies inside sigma sqrt(2 ln 2), any shape."""
    truth = Ellipse(60.3, 59.8, 0.4, 1.1)
    y, x = np.indices(SHAPE)
    image = np.exp(-0.5 * (truth.radius(x, y) / 8.0) ** 2)
    ellipse, r_half = ellipse_of(image, image.sum())
    # light even over each pixel: a box of variance 1/12 more
    assert r_half == pytest.approx(8.0 * np.sqrt(2 * np.log(2)), rel=3e-3)
    assert (ellipse.x, ellipse.y) == pytest.approx((60.3, 59.8), abs=1e-3)
    assert (ellipse.ellip, ellipse.theta) == pytest.approx((0.4, 1.1), abs=0.01)


@pytest.fixture(scope="module")
def spiral():
    return make_structured(
        "spiral", seed=5, shape=(91, 101), n_stars=12, filters=("F090W", "F150W"), snr=200.0
    )


def test_data_is_the_sum_of_its_parts_and_photon_noise(spiral):
    for name in spiral.truth.filters:
        parts = (spiral.galaxy, spiral.companions, spiral.stars, spiral.sky)
        model = sum(part[name] for part in parts)
        pull = (spiral.data[name] - model) / spiral.err[name]
        assert pull.std() == pytest.approx(1, abs=0.04)
        assert abs(pull.mean()) < 0.05
        # variance in proportion to the light, sigma where it is the sky's
        level = spiral.truth.sky[name].coefficients[0]
        expected = spiral.truth.noise_sigma[name] ** 2 * model / level
        np.testing.assert_allclose(spiral.err[name] ** 2, expected, rtol=1e-12)


def test_components_add_up_to_the_galaxy(spiral):
    assert set(spiral.components) == {"bulge", "arms", "knots"}
    total = sum(images["F150W"] for images in spiral.components.values())
    np.testing.assert_allclose(total, spiral.galaxy["F150W"], atol=1e-12)
    for part in spiral.truth.galaxy.parts:
        held = spiral.components[part.name]["F150W"].sum()
        assert held == pytest.approx(part.fluxes["F150W"], rel=0.02)
    assert len(spiral.truth.knots) >= 15


def test_snr_is_the_one_asked_for():
    synthetic = make_structured("bar", shape=(91, 91), n_stars=0, filters=("F150W",), snr=150.0)
    significance = np.sqrt(np.sum((synthetic.galaxy["F150W"] / synthetic.err["F150W"]) ** 2))
    assert significance == pytest.approx(150, rel=1e-6)
    assert not synthetic.stars["F150W"].any()


def test_half_of_the_light_is_inside_the_half_light_ellipse(spiral):
    truth = spiral.truth
    weight = truth.ellipse.weights(truth.r_half, truth.shape)
    inside = np.sum(weight * spiral.galaxy[truth.base])
    assert inside == pytest.approx(truth.fluxes[truth.base] / 2, rel=1e-4)


def test_companions_are_not_the_target():
    pair = make_structured("pair", seed=3, shape=(121, 121), n_stars=0, filters=("F150W",), r_eff=7)
    first, second = (part.fluxes["F150W"] for part in pair.truth.galaxy.companions)
    assert first == pytest.approx(pair.truth.fluxes["F150W"] / 3)
    held = pair.companions["F150W"].sum()
    assert held == pytest.approx(first + second, rel=0.03)


def test_star_snr_is_that_of_the_matched_filter_in_the_noise_there():
    synthetic = make_structured(
        "bar", seed=2, shape=(91, 91), n_stars=1, filters=("F150W",), snr=100.0
    )
    star = synthetic.truth.stars[0]
    image, err = synthetic.stars["F150W"], synthetic.err["F150W"]
    # the star's own photons taken out of the noise
    photons = (synthetic.truth.noise_sigma["F150W"] ** 2) * image
    err = np.sqrt(err**2 - photons / synthetic.truth.sky["F150W"].coefficients[0])
    assert star["snr_F150W"] == pytest.approx(np.sqrt(np.sum((image / err) ** 2)), rel=0.05)


def test_same_seed_same_arrays_other_seed_others(spiral):
    arguments = {"shape": (91, 101), "n_stars": 12, "filters": ("F090W", "F150W"), "snr": 200.0}
    again = make_structured("spiral", seed=5, **arguments)
    other = make_structured("spiral", seed=6, **arguments | {"n_stars": 0})
    np.testing.assert_array_equal(again.data["F150W"], spiral.data["F150W"])
    assert not np.array_equal(other.data["F150W"], spiral.data["F150W"])


def test_bulge_disk_has_its_shares_and_no_star():
    synthetic = make_bulge_disk(0.4, snr=500.0, shape=(111, 111), disk=7.0)
    bulge, disk = synthetic.truth.galaxy.parts
    total = synthetic.truth.fluxes["F150W"]
    assert bulge.fluxes["F150W"] / total == pytest.approx(0.4)
    assert (bulge.params.n, disk.params.n) == (2.5, 1.0)
    assert not len(synthetic.truth.stars)
    assert synthetic.galaxy["F150W"].sum() == pytest.approx(total, rel=2e-3)
    alone = make_bulge_disk(0.0, shape=(61, 61), disk=4.0)
    assert [part.name for part in alone.truth.galaxy.parts] == ["disk"]


def test_truth_tables_are_read_back(spiral, tmp_path):
    galaxy = Table.read(spiral.write_truth(tmp_path / "truth.ecsv"))
    stars = Table.read(spiral.write_stars(tmp_path / "stars.ecsv"))
    assert galaxy.meta["kind"] == "spiral"
    parts = galaxy["flux_bulge"] + galaxy["flux_arms"] + galaxy["flux_knots"]
    np.testing.assert_allclose(parts, galaxy["flux"])
    base = galaxy[galaxy["filter"] == "F150W"][0]
    assert base["flux_1_r_half"] == pytest.approx(base["flux"] / 2, rel=1e-4)
    np.testing.assert_allclose(stars["x"], spiral.truth.stars["x"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "blob"}, "kind must be one of bulge_disk, .*got 'blob'"),
        ({"filters": ("clear",)}, "filters must have names that say a wavelength, got clear"),
        ({"snr": 0.0}, "snr must be positive, got 0.0"),
        ({"n_stars": -1}, "n_stars must be 0 or more, got -1"),
        ({"noise": "pink"}, "noise must be one of"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ParameterError, match=message):
        make_structured(**{"kind": "bar", "shape": (61, 61), "filters": ("F150W",)} | arguments)
    with pytest.raises(ParameterError, match=r"bulge_share must be 0 to 1, got 1\.5"):
        make_bulge_disk(1.5)
