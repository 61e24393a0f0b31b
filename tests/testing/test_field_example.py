"""The packaged field is what its generator makes; its command prints answers beside the truth."""

import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table

from galstep.data import example_path
from galstep.testing import make_field_example, run_field_example
from galstep.testing.compare_field import field_pulls
from galstep.testing.fields import make_field


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_field_example.main([str(folder)])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("band", ["g", "r", "i"])
def test_packaged_images_are_what_the_generator_makes(made, band):
    name = f"field_{band}.fits"
    packaged, header = fits.getdata(example_path(name), header=True)
    fresh, own = fits.getdata(made / name, header=True)
    np.testing.assert_allclose(packaged, fresh, rtol=3e-7, atol=1e-4)
    assert header == own


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in make_field_example.FIELD_FILES if n[-3:] in "csvecsv"])
def test_packaged_tables_are_what_the_generator_makes(made, name):
    packaged, fresh = Table.read(example_path(name)), Table.read(made / name)
    assert packaged.colnames == fresh.colnames
    for column in packaged.colnames:
        if packaged[column].dtype.kind == "f":
            np.testing.assert_allclose(packaged[column], fresh[column], rtol=1e-9)
        else:
            assert list(packaged[column]) == list(fresh[column])


def test_packaged_files_are_small():
    names = (*make_field_example.FIELD_FILES, "field.asdf")
    assert sum(example_path(name).stat().st_size for name in names) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--no-catalog"]])
def test_one_command_prints_answers_beside_the_truth(tmp_path, capsys, arguments):
    run_field_example.main([str(tmp_path), *arguments])
    said = capsys.readouterr().out
    assert re.search(r"stars +g +\d+", said) and re.search(r"galaxies +i +\d+", said)
    table, truth = (
        QTable.read(tmp_path / "field_field.ecsv"),
        Table.read(example_path("field_truth.ecsv")),
    )
    found = field_pulls(table, truth, ["g", "r", "i"])
    assert len(set(found["true"])) >= 0.9 * len(truth)
    for band in "gri":
        stars = found["is_star"]
        assert abs(np.median(found[f"relative_{band}"][stars])) < 0.015
        assert np.std(found[f"pull_{band}"]) < 2.0


def test_a_field_is_made_from_its_seed_alone():
    one, other = (make_field(3, (80, 80), 4, 1, subsample=1) for _ in range(2))
    np.testing.assert_array_equal(one.images["r"], other.images["r"])
    assert list(one.catalog["RA"]) == list(other.catalog["RA"])


def test_light_is_where_the_truth_says():
    """Noise-free sums: all of the light is in the frame, but for the wings."""
    field = make_field(
        5, (120, 120), 1, 1, ("g",), sky_sigma=1e-3, gain=1e12, subsample=5,
        star_flux=(1e4, 1.01e4), galaxy_flux=(2e4, 2.01e4), saturate=1e9,
    )  # fmt: skip
    scale = 10 ** (-0.4 * (field.headers["g"]["ZP_AUTO"] - 25))
    total = field.images["g"].sum() * scale
    assert total == pytest.approx(field.truth["flux_g"].sum(), rel=0.05)
    star = field.truth[0]
    y, x = np.mgrid[:120, :120]
    near = np.hypot(x - star["x"], y - star["y"]) < 6
    light = field.images["g"][near]
    assert (light * x[near]).sum() / light.sum() == pytest.approx(star["x"], abs=0.1)
