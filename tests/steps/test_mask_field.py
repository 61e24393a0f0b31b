"""MaskField: saturation, reference stars matched one to one, rows added behind."""

import numpy as np
import pytest
from astropy.table import Table

from galstep.exceptions import InputError, ParameterError
from galstep.flags import FieldFlag
from galstep.steps import LoadField, MaskField
from galstep.testing.fields import make_field

SATURATED_STAR = {"id": "SAT", "type": "STAR", "x": 50.3, "y": 60.2, "flux": 2e6}


@pytest.fixture(scope="module")
def field():
    return make_field(
        seed=5, shape=(110, 110), n_stars=14, n_galaxies=2, subsample=1, extra=[SATURATED_STAR]
    )


@pytest.fixture
def loaded(field, tmp_path):
    return LoadField(catalog=field.catalog).run(str(field.write(tmp_path)))


def test_sources_beside_saturated_pixels_are_flagged(field, loaded):
    model = MaskField().run(loaded)
    distance = np.hypot(field.truth["x"] - 50.3, field.truth["y"] - 60.2)
    flagged = np.asarray(model.start["flags"]) & int(FieldFlag.SATURATED) != 0
    full = field.images["r"] >= 30000 / 1.3
    assert full.sum() > 20
    rows, columns = np.nonzero(full)
    x, y = np.array(model.start["x"]), np.array(model.start["y"])
    for row in range(len(model)):
        near = np.hypot(columns - x[row], rows - y[row]).min() <= 20
        assert flagged[row] == near, (row, distance[row])
    assert flagged[-1] and not flagged.all()
    assert not np.any(np.asarray(model.start["flags"]) & int(FieldFlag.EXCLUDED))
    assert not loaded.start["flags"].any(), "the caller's model stays"


def test_saturated_sources_can_be_left_out(loaded):
    model = MaskField(saturation_exclude=True, saturation_radius=5.0).run(loaded)
    flags = np.asarray(model.start["flags"])
    both = int(FieldFlag.SATURATED | FieldFlag.EXCLUDED)
    assert list(np.flatnonzero(flags & both == both)) == [len(model) - 1]


def test_all_bands_or_any(field, loaded):
    # full in one band only
    loaded.bands["g"].saturate = 1e9
    one = MaskField().run(loaded)
    every = MaskField(saturation_all_bands=True).run(loaded)
    bit = int(FieldFlag.SATURATED)
    assert np.any(np.asarray(one.start["flags"]) & bit)
    assert not np.any(np.asarray(every.start["flags"]) & bit)


def test_the_divisor_counts_once(loaded):
    step = MaskField(saturation_divisor=2.0)
    twice = step.run(MaskField().run(loaded))
    assert twice.bands["g"].saturation == pytest.approx(15000.0)


def test_reference_stars_are_matched_and_added(field, loaded, tmp_path):
    # four stars are not in the catalogue: the first ones
    loaded.start = loaded.start[4:]
    loaded.catalog = loaded.catalog[4:]
    model = MaskField(
        reference=str(tmp_path / "field_reference.csv"), reference_mag=[-10.0, 30.0]
    ).run(loaded)
    added = model.start[np.asarray(model.start["flags"]) & int(FieldFlag.ADDED) != 0]
    assert list(added["id"]) == [f"gaia_{name}" for name in field.reference["source_id"][:4]]
    assert list(added["row"]) == [-1] * 4 and list(added["type"]) == ["STAR"] * 4
    np.testing.assert_allclose(added["x"], field.truth["x"][:4], atol=1e-5)
    np.testing.assert_allclose(added["pos_err"], 0.1)
    # nominal fluxes of the stars at zero point 25
    expected = 10 ** (-0.4 * (field.reference["mag_g"][:4] - 25))
    np.testing.assert_allclose(added["flux_g"], expected)
    own = model.start[:-4]
    assert list(own["id"]) == list(field.catalog["ID"][4:]), "rows keep their order"
    is_star = np.asarray(field.truth["type"][4:]) == "STAR"
    np.testing.assert_array_equal(np.asarray(own["reference_id"]) != "", is_star)
    assert np.isfinite(own["reference_mag_r"][is_star]).all()
    assert len(model.catalog) == len(model)


def test_reference_stars_by_magnitude(field, loaded, tmp_path):
    magnitude = np.sort(field.reference["phot_g_mean_mag"])
    faintest = float(0.5 * (magnitude[4] + magnitude[5]))
    model = MaskField(
        reference=str(tmp_path / "field_reference.csv"), reference_mag=[-10.0, faintest]
    ).run(loaded)
    assert np.count_nonzero(np.asarray(model.start["reference_id"]) != "") == 5
    with pytest.raises(
        ParameterError, match="reference_mag must be the brightest and the faintest"
    ):
        MaskField(reference=str(tmp_path / "field_reference.csv"), reference_mag=[18.0, 8.0]).run(
            loaded
        )


def test_two_sources_are_not_one_star(field, loaded, tmp_path):
    """A neighbour within the radius is not tagged."""
    star = int(np.flatnonzero(np.asarray(field.truth["type"]) == "STAR")[0])
    loaded.start["x"][-2] = loaded.start["x"][star] + 2.0  # 1 arcsec
    loaded.start["y"][-2] = loaded.start["y"][star]
    model = MaskField(
        reference=str(tmp_path / "field_reference.csv"), reference_mag=[-10.0, 30.0]
    ).run(loaded)
    assert model.start["reference_id"][star] == field.reference["source_id"][star]
    assert model.start["reference_id"][-2] == ""


def test_reference_stars_that_move(field, loaded, tmp_path):
    reference = Table(field.reference, copy=True)
    # 10 years of 200 mas: 4 pixels of 0.5 arcsec
    reference["dec"] -= 2.0 / 3600
    reference["pmra"], reference["pmdec"], reference["ref_epoch"] = 0.0, 200.0, 2016.0
    path = str(tmp_path / "reference.csv")
    options = {"reference_mag": [-10.0, 30.0], "reference_match": 0.5, "reference_add": False}
    reference.write(path, overwrite=True)
    still = MaskField(reference=path, **options).run(loaded)
    moved = MaskField(reference=path, reference_epoch=2026.0, **options).run(loaded)
    assert np.all(np.asarray(still.start["reference_id"]) == "")
    assert np.count_nonzero(np.asarray(moved.start["reference_id"]) != "") >= 13


def test_references_need_a_wcs(loaded, tmp_path):
    loaded.bands["g"].wcs = None
    with pytest.raises(InputError, match="reference stars need a WCS"):
        MaskField(reference=str(tmp_path / "field_reference.csv")).run(loaded)


def test_it_works_on_fields_only(tmp_path):
    (tmp_path / "x.txt").write_text("a\n")
    with pytest.raises(InputError, match="no field of galstep"):
        MaskField().run(str(tmp_path / "x.txt"))
