"""The comparison of products with the truth."""

import numpy as np
import pytest
from astropy.table import Table

from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.testing import make_scene
from galstep.testing.compare import (
    Comparison,
    compare,
    format_comparison,
    matched_stars,
)
from galstep.testing.models import fitted_model


@pytest.fixture(scope="module")
def scene():
    return make_scene(seed=4, shape=(81, 91), n_stars=12, filters=("F150W", "F277W"), snr=200)


@pytest.fixture
def files(scene, tmp_path):
    """Products and truth, written and read back."""
    tables = {}
    for name, table in make_tables(fitted_model(scene)).items():
        table.write(tmp_path / f"{name}.ecsv")
        tables[name] = Table.read(tmp_path / f"{name}.ecsv")
    tables["truth"] = Table.read(scene.write_truth(tmp_path / "truth.ecsv"))
    tables["true_stars"] = Table.read(scene.write_stars(tmp_path / "true_stars.ecsv"))
    return tables


def test_truth_compared_with_itself_has_no_pull(files):
    comparisons = compare(files["sersic"], files["phot"], files["truth"])
    assert [c.group for c in comparisons] == ["flux"] * 2 + ["shape"] * 6 + ["color"]
    np.testing.assert_allclose([c.pull for c in comparisons], 0, atol=1e-8)
    assert comparisons[-1].truth == pytest.approx(-2.5 * np.log10(60 / 45))


def test_pull_counts_errors(files):
    files["phot"]["total_flux"][0] += 3 * files["phot"]["total_flux_err"][0]
    assert compare(files["sersic"], files["phot"], files["truth"])[0].pull == pytest.approx(3)


def test_an_angle_is_that_of_an_axis(files):
    files["sersic"]["theta"][0] -= np.pi
    by_name = {c.name: c for c in compare(files["sersic"], files["phot"], files["truth"])}
    assert by_name["theta"].pull == pytest.approx(0, abs=1e-6)


def test_pull_without_error_is_nan():
    assert np.isnan(Comparison("flux", "F150W", 1.0, 0.0, 2.0).pull)
    assert np.isnan(Comparison("flux", "F150W", 1.0, np.nan, 2.0).pull)


def test_stars_found_and_spurious(files):
    stars, true = files["stars"], files["true_stars"]
    number = int(np.sum(true["snr_F150W"] >= 5))
    assert matched_stars(stars, true, ["F150W"])["F150W"] == (number, number, 12, 0)
    stars["x"][0] += 1000  # out of the frame: neither found nor true
    assert matched_stars(stars, true, ["F150W"])["F150W"] == (number, number - 1, 12, 1)


def test_no_stars_at_all(files):
    empty = files["stars"][:0]
    assert matched_stars(empty, files["true_stars"], ["F150W"])["F150W"][1:] == (0, 0, 0)


def test_text_has_a_line_for_everything(files):
    comparisons = compare(files["sersic"], files["phot"], files["truth"])
    counts = matched_stars(files["stars"], files["true_stars"], ["F150W", "F277W"])
    text = format_comparison(comparisons, counts)
    for word in ("F150W", "r_eff", "theta", "F277W - F150W", "spurious", "pull"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) <= 80
