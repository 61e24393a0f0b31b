"""Synthetic galaxies: what they promise of noise, S/N, files and repeatability."""

import h5py
import numpy as np
import pytest
from astropy.table import Table

from galstep.exceptions import ParameterError
from galstep.records import SersicParams
from galstep.testing import make_scene

SMALL = {"shape": (61, 71), "filters": ("F150W", "F277W"), "n_stars": 12}


@pytest.fixture(scope="module")
def scene():
    return make_scene(seed=5, **SMALL)


def test_data_is_the_sum_of_its_parts_and_white_noise(scene):
    for name in scene.truth.filters:
        parts = scene.galaxy[name] + scene.stars[name] + scene.sky[name]
        pull = (scene.data[name] - parts) / scene.err[name]
        assert pull.shape == (61, 71)
        # 4331 pixels: the mean and the std are known to 0.015 and 0.011
        assert abs(pull.mean()) < 0.06
        assert pull.std() == pytest.approx(1, abs=0.045)
        assert abs(np.mean(pull[:, 1:] * pull[:, :-1])) < 0.06


def test_same_seed_same_arrays_other_seed_others(scene):
    again, other = make_scene(seed=5, **SMALL), make_scene(seed=6, **SMALL)
    for name in scene.truth.filters:
        np.testing.assert_array_equal(scene.data[name], again.data[name])
        assert not np.array_equal(scene.data[name], other.data[name])


def test_number_of_stars_leaves_galaxy_and_noise_alone(scene):
    fewer = make_scene(seed=5, **SMALL | {"n_stars": 3})
    assert fewer.truth.sersic == scene.truth.sersic
    for name in scene.truth.filters:
        np.testing.assert_allclose(
            fewer.data[name] - fewer.stars[name], scene.data[name] - scene.stars[name], atol=1e-12
        )


def test_snr_is_that_of_a_known_profile(scene):
    for name in scene.truth.filters:
        significance = np.sqrt(np.sum((scene.galaxy[name] / scene.err[name]) ** 2))
        assert significance == pytest.approx(100, rel=1e-9)


def test_star_snr_is_that_of_the_matched_filter():
    table = Table({"x": [30.2], "y": [29.7], "flux_F150W": [3.0]})
    scene = make_scene(filters=("F150W",), shape=(61, 61), stars=table)
    significance = np.sqrt(np.sum((scene.stars["F150W"] / scene.err["F150W"]) ** 2))
    assert scene.truth.stars["snr_F150W"][0] == pytest.approx(significance, rel=1e-3)


def test_drawn_stars_are_within_the_limits(scene):
    stars = scene.truth.stars
    assert len(stars) == 12
    assert np.all((stars["snr_F150W"] >= 8) & (stars["snr_F150W"] <= 300))
    assert np.all((stars["x"] > 0) & (stars["x"] < 70) & (stars["y"] > 0) & (stars["y"] < 60))


def test_separation_holds_between_stars_and_from_the_galaxy():
    truth = make_scene(seed=1, star_separation=6.0, **SMALL).truth
    places = np.c_[truth.stars["x"], truth.stars["y"]]
    places = np.vstack([places, [(truth.sersic.x_0, truth.sersic.y_0)]])
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert distance[~np.eye(len(places), dtype=bool)].min() >= 6


def test_correlated_noise_keeps_its_variance_and_correlates():
    scene = make_scene(seed=2, noise="correlated", noise_fwhm=2.5, **SMALL)
    parts = scene.galaxy["F150W"] + scene.stars["F150W"] + scene.sky["F150W"]
    pull = (scene.data["F150W"] - parts) / scene.err["F150W"]
    # the mean square has 61*71 / (8 pi sigma^2 / 2) ~ 300 independent samples
    assert pull.std() == pytest.approx(1, abs=0.15)
    sigma = 2.5 / np.sqrt(8 * np.log(2))
    neighbour = np.mean(pull[:, 1:] * pull[:, :-1]) / np.mean(pull**2)
    assert neighbour == pytest.approx(np.exp(-1 / (4 * sigma**2)), abs=0.08)


def test_noise_can_be_left_out():
    scene = make_scene(noise="none", **SMALL)
    parts = scene.galaxy["F150W"] + scene.stars["F150W"] + scene.sky["F150W"]
    np.testing.assert_array_equal(scene.data["F150W"], parts)


def test_blur_widens_the_true_psf_only():
    scene = make_scene(psf_blur={"F150W": 0.9}, **SMALL)
    truth = scene.truth
    assert truth.psfs["F150W"] == truth.library["F150W"].blurred(0.9)
    assert truth.psfs["F277W"] == truth.library["F277W"]
    np.testing.assert_array_equal(scene.psf_arrays["F150W"], truth.library["F150W"].sampled(4, 161))


def test_offsets_move_galaxy_and_stars_alike():
    plain = make_scene(seed=3, **SMALL)
    moved = make_scene(seed=3, offsets={"F277W": (2.0, -1.0)}, **SMALL)
    # compared off the edge, and with what the other grid resolves
    for part in ("galaxy", "stars"):
        before, after = getattr(plain, part)["F277W"], getattr(moved, part)["F277W"]
        scale = before.max()
        np.testing.assert_allclose(after[5:-6, 7:-5] / scale, before[6:-5, 5:-7] / scale, atol=1e-5)
    np.testing.assert_allclose(plain.galaxy["F150W"], moved.galaxy["F150W"], atol=1e-14)


def test_nan_edge_in_the_filters_named():
    scene = make_scene(nan_edge=("F277W",), **SMALL)
    lost = np.isnan(scene.data["F277W"])
    assert 0.05 < lost.mean() < 0.15
    np.testing.assert_array_equal(lost, np.isnan(scene.err["F277W"]))
    assert np.isfinite(scene.data["F150W"]).all()


def test_sky_plane_is_its_coefficients():
    coefficients = {"F150W": (0.3, 0.1, -0.2), "F277W": (0.0, 0.0, 0.0)}
    scene = make_scene(sky=coefficients, **SMALL)
    y, x = np.indices((61, 71))
    expected = 0.3 + 0.1 * (x - 35) / 35.5 - 0.2 * (y - 30) / 35.5
    np.testing.assert_allclose(scene.sky["F150W"], expected, atol=1e-14)
    assert not scene.sky["F277W"].any()
    galaxy = scene.truth.sersic
    level = 0.3 + 0.1 * (galaxy.x_0 - 35) / 35.5 - 0.2 * (galaxy.y_0 - 30) / 35.5
    assert scene.truth.sky["F150W"].level == pytest.approx(level, abs=1e-14)


def test_given_galaxy_and_fluxes_are_used():
    sersic = SersicParams(30.0, 31.0, 5.0, 1.0, 0.2, 0.1)
    scene = make_scene(sersic=sersic, fluxes={"F150W": 12.0, "F277W": 20.0}, **SMALL)
    assert scene.truth.sersic == sersic
    assert scene.galaxy["F150W"].sum() == pytest.approx(12, rel=1e-2)
    pixel_area = (0.03 / 3600 * np.pi / 180) ** 2
    assert scene.truth.mag_ab("F277W") == pytest.approx(-6.10 - 2.5 * np.log10(20 * pixel_area))


def test_files_hold_what_the_scene_holds(scene, tmp_path):
    scene.write_hdf5(tmp_path / "galaxy.h5")
    scene.write_psf(tmp_path / "psf.h5")
    with h5py.File(tmp_path / "galaxy.h5") as images, h5py.File(tmp_path / "psf.h5") as psfs:
        assert psfs.attrs["oversample"] == 4
        for name in scene.truth.filters:
            np.testing.assert_allclose(images[name][()], scene.data[name], rtol=1e-6)
            np.testing.assert_allclose(images[f"error/{name}"][()], scene.err[name], rtol=1e-6)
            np.testing.assert_allclose(
                psfs[name][()], scene.psf_arrays[name], rtol=1e-6, atol=1e-30
            )


def test_truth_tables_are_read_back(scene, tmp_path):
    galaxy = Table.read(scene.write_truth(tmp_path / "truth.ecsv"))
    stars = Table.read(scene.write_stars(tmp_path / "stars.ecsv"))
    assert list(galaxy["filter"]) == ["F150W", "F277W"]
    assert galaxy["flux"][0] == pytest.approx(scene.truth.fluxes["F150W"])
    assert galaxy["mag_ab"][1] == pytest.approx(scene.truth.mag_ab("F277W"))
    assert galaxy["theta"].unit == "rad"
    assert galaxy.meta["seed"] == 5
    np.testing.assert_allclose(stars["x"], scene.truth.stars["x"])
    np.testing.assert_allclose(stars["flux_F277W"], scene.truth.stars["flux_F277W"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, "filters must be one or more different names"),
        ({"filters": ("F150W", "F150W")}, "filters must be one or more different names"),
        ({"shape": (8, 8)}, r"shape must be \(ny, nx\) of 16 pixels or more, got \(8, 8\)"),
        ({"n_stars": -1}, "n_stars must be 0 or more, got -1"),
        ({"noise": "pink"}, "noise must be one of white, correlated, none; got 'pink'"),
        ({"sky": "cubic"}, "sky must be 'plane', 'none' or a dict by filter, got 'cubic'"),
        ({"snr": 0}, "snr must be positive, got 0"),
        ({"snr": {"F444W": 3}}, "snr names filters that are not in the scene: F444W"),
        ({"fluxes": {"F150W": 3.0}}, "fluxes must be positive in every filter, F277W is not"),
        ({"star_separation": 60}, "star_separation=60 leaves no room for n_stars=12"),
        ({"stars": Table({"x": [1.0]})}, "stars lacks the columns flux_F150W, flux_F277W, y"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ParameterError, match=message):
        make_scene(**SMALL | arguments)
