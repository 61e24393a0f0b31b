"""Sets of structured galaxies, and scores of products whose errors are known."""

import dataclasses

import h5py
import numpy as np
import pytest
from astropy.table import Table

from galstep.datamodels.products.galaxy_products import write_products
from galstep.exceptions import InputError
from galstep.testing import make_structured
from galstep.testing.models import true_model
from galstep.testing.structured_report import format_scores
from galstep.testing.structured_score import known, missing_products, read_set, score_galaxy
from galstep.testing.structured_set import deal, write_set

FILTERS = ("F090W", "F150W")


@pytest.fixture(scope="module")
def pair():
    """Two galaxies and stars, one of them a bright one inside the target."""
    for seed in range(20):
        synthetic = make_structured(
            "pair", seed, shape=(101, 101), n_stars=30, filters=FILTERS, snr=200.0, r_eff=7.0
        )
        if len(_inside(synthetic)):
            return synthetic
    raise AssertionError("no scene with a bright star in the galaxy")


def _inside(synthetic):
    """Rows of the stars of S/N > 12 inside the target."""
    truth, table = synthetic.truth, synthetic.truth.stars
    near = truth.ellipse.radius(table["x"], table["y"]) < 1.5 * truth.r_half
    return np.flatnonzero(near & (table["snr_F150W"] > 12) & (table["snr_F090W"] > 12))


def products(synthetic, folder, stars=None, **changes):
    """Products that hold the truth, but for the stars given and the flux."""
    model = true_model(synthetic, "galaxy", stars=stars, **changes)
    write_products(model, folder, "galaxy")
    model.save(folder / "galaxy_gal.asdf")
    return folder


def test_true_products_score_zero(pair, tmp_path):
    rows = score_galaxy(known(pair, "galaxy"), products(pair, tmp_path))
    for row in rows.values():
        assert row["dF"] == pytest.approx(0, abs=1e-9)
        # noise is all that is left in the ellipses
        assert abs(row["e2"]) < 4 * row["noise2"]
        assert row["s2"] == pytest.approx(0, abs=1e-9)
        assert (row["false"], row["missed"], row["verdict"]) == (0, 0, "right")
        assert row["true_inside"] >= 1
        assert row["excess"] == pytest.approx(0, abs=1e-9)
        assert row["n_components"] == 1
    assert rows["F090W"]["dcol"] == pytest.approx(0, abs=1e-6)


def test_light_taken_for_a_star_is_lost_and_the_star_is_false(pair, tmp_path):
    truth = pair.truth
    flux = 0.1 * truth.fluxes["F150W"]
    x, y = truth.ellipse.place(np.full(40, 0.5 * truth.r_half), np.linspace(0, 6.1, 40))
    apart = np.hypot(
        x - np.asarray(truth.stars["x"])[:, np.newaxis],
        y - np.asarray(truth.stars["y"])[:, np.newaxis],
    )
    far = np.argmax(apart.min(axis=0))
    assert apart.min(axis=0)[far] > 2
    stars = truth.stars[["x", "y", "flux_F090W", "flux_F150W"]]
    stars.add_row([x[far], y[far], flux, flux])
    folder = products(pair, tmp_path, stars)
    rows = score_galaxy(known(pair, "galaxy"), folder)
    row = rows["F150W"]
    within = row["e2"] * np.sum(truth.ellipse.weights(2 * truth.r_half, truth.shape)
                                * pair.galaxy["F150W"])  # fmt: skip
    assert within == pytest.approx(-flux, rel=0.15)
    assert row["false"] == 1
    assert row["false_flux"] == pytest.approx(0.1)
    assert row["excess"] == pytest.approx(0.1)
    assert row["verdict_aper"] == "silent"
    assert row["verdict"] == "right"


def test_a_star_left_out_is_missed(pair, tmp_path):
    stars = pair.truth.stars.copy()
    stars.remove_row(_inside(pair)[0])
    rows = score_galaxy(known(pair, "galaxy"), products(pair, tmp_path, stars))
    assert [row["missed"] for row in rows.values()] == [1, 1]


@pytest.mark.parametrize(
    ("flux", "err", "flags", "verdict"),
    [
        (1.02, 0.001, 0, "right"),
        (1.2, 0.1, 0, "right"),
        (0.8, 0.01, 0, "silent"),
        (0.8, 0.01, 1, "flagged"),
        (0.8, np.nan, 0, "silent"),
    ],
)
def test_a_wrong_total_is_silent_unless_error_or_flag_say_so(
    pair, tmp_path, flux, err, flags, verdict
):
    rows = score_galaxy(
        known(pair, "galaxy"), products(pair, tmp_path, flux=flux, flux_err=err, flags=flags)
    )
    assert {row["verdict"] for row in rows.values()} == {verdict}
    assert rows["F150W"]["dF"] == pytest.approx(flux - 1)


def test_products_to_come_total_of_the_target_and_rows_of_companions(pair, tmp_path):
    """``total_flux`` goes before the components; rows of other galaxies do not count."""
    folder = products(pair, tmp_path, flux=0.5)
    sersic, phot = (Table.read(tmp_path / f"galaxy_{t}.ecsv") for t in ("sersic", "phot"))
    doubled = Table(np.repeat(np.asarray(sersic), 2), meta=sersic.meta)
    doubled["galaxy_id"] = [0, 1] * len(sersic)
    doubled.write(tmp_path / "galaxy_sersic.ecsv", overwrite=True)
    assert score_galaxy(known(pair, "galaxy"), folder)["F150W"]["dF"] == pytest.approx(-0.5)
    phot["total_flux"] = [pair.truth.fluxes[f] for f in phot["filter"]]
    phot["total_flux_err"] = 0.02 * phot["total_flux"]
    phot.write(tmp_path / "galaxy_phot.ecsv", overwrite=True)
    row = score_galaxy(known(pair, "galaxy"), folder)["F150W"]
    assert row["dF"] == pytest.approx(0, abs=1e-9)
    assert row["err"] == pytest.approx(0.02)


def test_a_filter_that_is_missing_is_an_error(pair, tmp_path):
    galaxy = dataclasses.replace(known(pair, "galaxy"), filters=("F090W", "F277W"))
    with pytest.raises(InputError, match="galaxy: products must have the filter F277W"):
        score_galaxy(galaxy, products(pair, tmp_path))


def test_deal_has_every_kind_once_and_spreads_the_snr():
    frames = deal(9, seed=3)
    assert len({frame["kind"] for frame in frames}) == 9
    snr = np.sort([frame["snr"] for frame in frames])
    edges = 100 * 10 ** (np.arange(10) / 9)
    assert np.all((edges[:-1] <= snr) & (snr <= edges[1:]))
    assert len({frame["seed"] for frame in deal(24, seed=3)}) == 24
    assert frames != deal(9, seed=4)


def test_a_set_is_read_back_and_scored(tmp_path):
    """The truth from the files is the truth of the galaxy that was made."""
    lines = []
    names = write_set(tmp_path, 2, 1, shape=(61, 61), filters=FILTERS, report=lines.append)
    galaxies = read_set(tmp_path)
    assert names == list(galaxies) == ["g01", "g02"]
    assert len(lines) == 2
    for frame, (name, galaxy) in zip(deal(2, 1), galaxies.items(), strict=True):
        assert galaxy.tags == tuple(frame["tags"])
        target, others = galaxy.light("F150W")
        with h5py.File(tmp_path / "data" / f"{name}.h5") as file:
            data = file["F150W"][()]
            assert ("error" in file) == frame["errors"]
        inside = galaxy.ellipse.weights(float(galaxy.row["r_half"]), target.shape)
        light = float(np.sum(inside * target))
        assert light == pytest.approx(galaxy.row["flux_F150W"] / 2, rel=1e-3)
        # what the files leave out of the data is stars and noise: never much less than nothing
        rest = data - target - others - galaxy.sky("F150W")
        assert np.nanmedian(rest) > -0.01
        assert galaxy.snr["F150W"] <= frame["snr"] * (1 + 1e-6)
    assert missing_products(tmp_path, ["g01"])[0] == "g01_sersic.ecsv"


def test_scores_are_written_out(pair, tmp_path):
    galaxy = known(pair, "galaxy")
    rows = score_galaxy(galaxy, products(pair, tmp_path, flux=0.8))
    text = format_scores({"galaxy": rows}, {"galaxy": galaxy})
    assert "right  0 flagged  0 silent  2" in text
    assert "flags (bands with it, of them right): (none) 2, 0" in text
