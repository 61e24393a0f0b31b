"""ForcedScaleFit at positions of another filter, of the joint fit and of a catalogue."""

import logging

import numpy as np
import pytest
from astropy.table import Table
from galaxy_checks import galaxy
from often import first_often

from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import InputError, ParameterError, PrerequisiteError
from galstep.flags import StarFlag
from galstep.steps import ForcedScaleFit
from galstep.testing.models import fitted_model
from galstep.testing.star_frames import tan_wcs

NAME = "F277W"


@pytest.fixture(scope="module")
def true(scene):
    """A base fit that is the truth."""
    model = fitted_model(scene)
    model.meta.fit_step = "basefit"
    for band in model.bands.values():
        band.wcs = tan_wcs(band.shape)
    return model


@pytest.fixture(scope="module")
def catalog(scene, tmp_path_factory):
    """All true stars but two, a dark place, one far off the frame, and a star twice."""
    stars = scene.truth.stars
    known = stars[2:]
    x = [*known["x"], 20.0, 300.0, known["x"][0] + 0.05]
    y = [*known["y"], 70.0, 20.0, known["y"][0]]
    name = [*(f"s{i}" for i in known["star_id"]), "dark", "far", "again"]
    path = tmp_path_factory.mktemp("catalog") / "stars.ecsv"
    Table({"name": name, "x": x, "y": y}).write(path)
    return path


def run(model, **options):
    return ForcedScaleFit(filters=[NAME], **options).run(model)


@pytest.fixture(scope="module")
def both(true, catalog):
    """The base's stars and the catalogue's."""
    return run(true, catalog=str(catalog))


def fluxes(scene, forced, rows):
    """Pulls of rows of a catalogue of true stars named s<id>."""
    stars = scene.truth.stars
    truth = {f"s{row['star_id']}": row[f"flux_{NAME}"] for row in stars}
    return [(forced.flux[i] - truth[forced.name[i]]) / forced.flux_err[i] for i in rows]


class TestCatalog:
    def test_every_row_is_there_with_its_name(self, both, catalog, scene):
        forced, given = both.bands[NAME].forced, Table.read(catalog)
        assert forced.name[: len(given)] == tuple(given["name"])
        # after them the two stars that only the base has
        assert forced.name[len(given) :] == ("", "")
        assert set(forced.star_id[len(given) :]) == set(scene.truth.stars["star_id"][:2])
        np.testing.assert_allclose(
            forced.x_given[:-2], given["x"] + both.bands[NAME].fit.offset[0], atol=1e-9
        )

    def test_fluxes_are_true(self, both, scene):
        pulls = fluxes(scene, both.bands[NAME].forced, range(1, 12))
        assert np.std(pulls) < 1.8 and np.abs(pulls).max() < 4
        truth = scene.truth.fluxes[NAME]
        assert galaxy(both, NAME).flux == pytest.approx(truth, rel=0.03)

    def test_stars_that_the_base_knows_keep_their_number(self, both, scene):
        forced = both.bands[NAME].forced
        assert list(forced.star_id[:12]) == list(scene.truth.stars["star_id"][2:])
        dark = forced.name.index("dark")
        assert forced.star_id[dark] > scene.truth.stars["star_id"].max()
        # the model's stars are these, each once
        assert len(both.bands[NAME].fit.stars) == len(scene.truth.stars) + 1

    def test_odd_rows_are_flagged(self, both):
        forced = both.bands[NAME].forced
        row = {name: i for i, name in enumerate(forced.name)}
        dark, far, again = (row[name] for name in ("dark", "far", "again"))
        assert abs(forced.flux[dark]) < 4 * forced.flux_err[dark]
        assert np.isnan(forced.flux[far]) and forced.star_id[far] == -1
        assert forced.flags[far] == StarFlag.NO_DATA | StarFlag.OFF_FRAME
        assert forced.flags[again] & forced.flags[0] & StarFlag.DUPLICATE
        assert forced.flux[again] == forced.flux[0]

    def test_saved_and_read_again(self, both, tmp_path):
        again = GalaxyModel.open(both.save(tmp_path / "forced.asdf"))
        one, two = both.bands[NAME].forced, again.bands[NAME].forced
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        table = make_tables(again)["forced"]
        assert list(table["catalog_id"]) == list(one.name)
        assert "stars.ecsv (pixels x, y)" in table.meta["sources"][NAME]

    def test_alone(self, true, catalog, scene, both):
        model = run(true, catalog=str(catalog), positions_from="none")
        forced = model.bands[NAME].forced
        assert len(forced) == len(Table.read(catalog))
        assert len(model.bands[NAME].fit.stars) == 13
        np.testing.assert_array_equal(forced.star_id[:12], both.bands[NAME].forced.star_id[:12])

    def test_positions_on_the_sky(self, true, catalog, both, tmp_path):
        table = Table.read(catalog)
        ra, dec = true.bands["F150W"].sky_position(table["x"], table["y"])
        path = tmp_path / "sky.fits"
        Table({"ID": np.arange(len(ra)), "RA": ra, "DEC": dec}).write(path)
        forced = run(true, catalog=str(path)).bands[NAME].forced
        np.testing.assert_allclose(forced.x, both.bands[NAME].forced.x, atol=1e-6)
        assert forced.name[:3] == ("0", "1", "2") and "sky RA, DEC" in forced.source

    def test_counted_from_one_and_named_columns(self, true, catalog, both, tmp_path):
        table = Table.read(catalog)
        path = tmp_path / "one.csv"
        Table({"a": table["x"] + 1, "b": table["y"] + 1, "who": table["name"]}).write(path)
        columns = dict(catalog_x="a", catalog_y="b", catalog_id="who", catalog_origin=1)
        forced = run(true, catalog=str(path), **columns).bands[NAME].forced
        assert forced.name == both.bands[NAME].forced.name
        np.testing.assert_allclose(forced.flux, both.bands[NAME].forced.flux, rtol=1e-6)

    def test_columns_of_a_filter(self, true, catalog, tmp_path):
        path = tmp_path / "named.ecsv"
        table = Table.read(catalog)
        Table({"ra": [1.0], "dec": [2.0], "u": [20.0], "v": [70.0]}).write(path)
        own = {NAME: dict(catalog=str(path), catalog_x="u", catalog_y="v", n_sigma_limit=5.0)}
        model = ForcedScaleFit(
            filters=[NAME, "F090W"], catalog=str(catalog), per_filter=own
        ).run(true)  # fmt: skip
        assert len(model.bands["F090W"].forced) == len(table) + 2
        assert len(model.bands[NAME].forced) == 1 + 14
        assert model.bands[NAME].forced.n_sigma == 5.0
        assert model.bands["F090W"].forced.n_sigma == 3.0

    def test_in_the_base_filter_the_fit_stays(self, true, catalog, scene):
        model = ForcedScaleFit(filters=["F150W"], catalog=str(catalog)).run(true)
        band = model.bands["F150W"]
        assert band.fit.step == true.bands["F150W"].fit.step
        np.testing.assert_array_equal(band.stars, true.bands["F150W"].stars)
        assert band.forced.flux[3] == pytest.approx(
            scene.truth.stars["flux_F150W"][5], abs=5 * band.forced.flux_err[3]
        )

    def test_two_catalogs_do_not_share_numbers(self, true, tmp_path):
        for name, x in (("one", 20.0), ("two", 30.0)):
            Table({"x": [x], "y": [70.0]}).write(tmp_path / f"{name}.csv")
        own = {"F090W": {"catalog": str(tmp_path / "two.csv")}}
        one = str(tmp_path / "one.csv")
        model = ForcedScaleFit(filters=[NAME, "F090W"], catalog=one, per_filter=own).run(true)
        assert model.bands[NAME].forced.star_id[0] != model.bands["F090W"].forced.star_id[0]


class TestSources:
    def test_another_filter(self, scaled):
        model = run(scaled, positions_from="F090W")
        other = scaled.bands["F090W"].fit
        forced = model.bands[NAME].forced
        assert list(forced.star_id) == list(other.stars.star_id)
        dx, dy = model.bands[NAME].fit.offset
        np.testing.assert_allclose(
            forced.x - dx, other.stars.x - other.offset[0], atol=1e-9
        )  # fmt: skip
        np.testing.assert_allclose(forced.y - dy, other.stars.y - other.offset[1], atol=1e-9)

    def test_the_joint_fit(self, joint):
        model = run(joint, positions_from="joint")
        assert model.bands[NAME].forced.source == "stars of joint"
        listed = joint.bands["F150W"].fit.stars
        np.testing.assert_array_equal(model.bands[NAME].forced.star_id, listed.star_id)

    def test_the_base_by_default(self, forced, based):
        own = forced.bands[NAME]
        assert own.forced.source == "stars of F150W" and set(own.forced.name) == {""}
        np.testing.assert_array_equal(own.forced.flux, own.fit.stars.flux)
        np.testing.assert_array_equal(own.forced.star_id, based.bands["F150W"].fit.stars.star_id)


class TestModes:
    def dark(self, based, scene):
        model = based.copy()
        model.bands[NAME].data = model.bands[NAME].data - scene.stars[NAME]
        return model

    def test_nonnegative(self, based, scene):
        stars = run(self.dark(based, scene), mode="nonnegative").bands[NAME].forced
        assert (stars.flux >= 0).all() and (stars.flux == 0).sum() > 1
        assert (stars.flags & StarFlag.UPPER_LIMIT > 0).all()
        np.testing.assert_allclose(stars.flux_limit, stars.flux + 3 * stars.flux_err)

    def test_limits(self, based, scene):
        model = self.dark(based, scene)
        for n_sigma in (3.0, 6.0):
            forced = run(model, n_sigma_limit=n_sigma).bands[NAME].forced
            limit = np.maximum(forced.flux, 0) + n_sigma * forced.flux_err
            below = forced.flux < n_sigma * forced.flux_err
            np.testing.assert_allclose(forced.flux_limit[below], limit[below])

    def test_free_within_bounds(self, true, scene, tmp_path):
        stars = scene.truth.stars
        path = tmp_path / "off.csv"
        Table({"x": stars["x"] + 0.3, "y": stars["y"] - 0.1}).write(path)
        options = dict(catalog=str(path), positions_from="none", mode="free")
        model = run(true, registration=False, **options)
        dx, dy = scene.truth.offsets[NAME]
        np.testing.assert_allclose(model.bands[NAME].forced.x, stars["x"] + dx, atol=0.15)
        assert np.isfinite(model.bands[NAME].forced.x_err).all()
        tight = run(true, registration=False, xy_bounds=0.1, **options).bands[NAME].forced
        moved = np.hypot(tight.x - tight.x_given, tight.y - tight.y_given)
        assert moved.max() < 0.1001
        at_bound = tight.flags & StarFlag.AT_BOUND > 0
        np.testing.assert_array_equal(at_bound, moved > 0.099)
        assert at_bound.sum() > 8


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            (
                dict(positions_from="F999W"),
                ParameterError,
                "positions_from must be base, joint, no",
            ),
            (
                dict(positions_from="none"),
                ParameterError,
                "none needs a catalog, and none is given",
            ),
            (dict(positions_from="F090W"), PrerequisiteError, "filter F090W has no fit yet"),
            (dict(positions_from="joint"), PrerequisiteError, "joint needs the result of JointFit"),
            (dict(catalog="nowhere.csv"), InputError, "nowhere.csv: there is no such file"),
            (dict(mode="quick"), ParameterError, "mode"),
        ],
    )
    def test_options(self, based, options, error, message):
        with pytest.raises(error, match=message):
            run(based, **options)

    def test_the_sky_needs_a_wcs(self, based, tmp_path):
        Table({"ra": [1.0], "dec": [2.0]}).write(tmp_path / "sky.csv")
        with pytest.raises(InputError, match="positions on the sky need an image with a WCS"):
            run(based, catalog=str(tmp_path / "sky.csv"))


def test_it_outlives_the_joint_fit_and_not_a_new_base(forced):
    from galstep.steps import BaseFit, JointFit

    joint = JointFit().run(forced)
    assert joint.bands[NAME].forced is not None
    assert BaseFit().run(joint).bands[NAME].forced is None


def test_what_is_read_is_said(true, catalog, caplog):
    with caplog.at_level(logging.INFO, logger="stpipe.galstep"):
        run(true, catalog=str(catalog))
    assert any("stars.ecsv (pixels x, y): 15 positions" in text for text in caplog.messages)


# ------------------------------------------------------ what is given from Python


FORMS = {
    "text": str,
    "path": lambda path: path,
    "table": Table.read,
    "columns": lambda path: dict(Table.read(path)),
    "array": lambda path: Table.read(path).as_array(),
}


@pytest.mark.parametrize("form", first_often(FORMS, 3))
@pytest.mark.parametrize("how", ["step", "call", "per filter", "attribute"])
def test_a_catalogue_in_any_form(true, catalog, form, how):
    """As a file, a path or a table, in each way in which a parameter is given."""
    given = FORMS[form](catalog)
    if how == "call":
        found = ForcedScaleFit.call(true, filters=[NAME], catalog=given, configure_log=False)
    elif how == "per filter":
        found = run(true, per_filter={NAME: {"catalog": given}})
    elif how == "attribute":
        step = ForcedScaleFit(filters=[NAME])
        step.catalog = given
        found = step.run(true)
    else:
        found = run(true, catalog=given)
    assert found.bands[NAME].forced.name[: len(Table.read(catalog))] == tuple(
        Table.read(catalog)["name"]
    )


def test_two_tables_of_one_length_are_two(true, scene):
    stars = scene.truth.stars
    here = {name: dict(x=stars["x"][i : i + 1], y=stars["y"][i : i + 1], id=[f"s{i}"])
            for i, name in enumerate(["F150W", NAME])}  # fmt: skip
    step = ForcedScaleFit(
        filters=list(here), positions_from="none",
        per_filter={name: {"catalog": Table(table)} for name, table in here.items()},
    )  # fmt: skip
    found = step.run(true)
    assert [found.bands[name].forced.name for name in here] == [("s0",), ("s1",)]


def test_what_is_no_table_is_refused(true):
    with pytest.raises(InputError, match="catalog must be a file, a table with named columns"):
        run(true, catalog=np.zeros((3, 2)))


@pytest.mark.parametrize("column", ["local_bkg", "group_id", "weight"])
def test_a_column_without_an_effect_is_told(true, catalog, column, caplog):
    table = Table.read(catalog)
    table[column] = np.ones(len(table), dtype=int)
    caplog.set_level(logging.WARNING)
    run(true, catalog=table)
    assert f"catalog: not used here: column {column}" in caplog.text
