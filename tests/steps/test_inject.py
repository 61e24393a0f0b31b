"""Inject: what is put in comes back, within its errors, and the same each time."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from galaxy_checks import assert_untouched

from galstep.datamodels import GalaxyModel
from galstep.datamodels.products.galaxy_products import write_products
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import BaseFit
from galstep.steps.inject import Inject
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

FILTERS = ["F090W", "F150W", "F277W"]
SMALL = dict(n_galaxies=5, n_stars=8, box=45)


@pytest.fixture(scope="module")
def injected(joint):
    return Inject(**SMALL).run(joint)


def rows_of(model, kind):
    table = make_tables(model)["injection"]
    return table[table["kind"] == kind]


class TestGalaxies:
    def test_all_come_back_within_their_errors(self, injected):
        rows = rows_of(injected, "galaxy")
        assert len(rows) == 15
        assert rows["found"].all() and not (rows["flags"] & int(BandFlag.AT_BOUND)).any()
        for key in ("flux", "r_eff", "n", "ellip"):
            assert np.abs(rows[f"pull_{key}"]).max() < 4.5, key
        for key in ("x", "y"):
            pull = (rows[key] - rows[f"{key}_true"]) / rows[f"{key}_err"]
            assert np.abs(pull).max() < 4.5

    def test_they_are_copies_of_the_fitted_galaxy(self, injected, joint):
        rows = rows_of(injected, "galaxy")
        for row in rows:
            fit = joint.bands[row["filter"]].fit.sersic[0]
            assert row["flux_true"].value == pytest.approx(fit.flux, rel=1e-7)
            assert row["r_eff_true"].value == pytest.approx(fit.params.r_eff, rel=1e-7)
            distance = np.hypot(
                row["x_true"].value - fit.params.x_0, row["y_true"].value - fit.params.y_0
            )
            assert distance > 0.45 * 45 - 1

    def test_offsets_between_filters_are_in_the_places(self, injected, joint):
        rows = rows_of(injected, "galaxy")
        place = {name: rows[rows["filter"] == name]["x_true"].value for name in FILTERS}
        offset = joint.bands["F090W"].fit.offset[0] - joint.bands["F150W"].fit.offset[0]
        np.testing.assert_allclose(place["F090W"] - place["F150W"], offset, atol=1e-6)

    def test_colours(self, injected):
        rows = rows_of(injected, "galaxy")
        base = rows["filter"] == "F150W"
        assert np.isnan(rows["color"][base]).all()
        other = rows[~base]
        assert np.abs(other["pull_color"]).max() < 4.5
        np.testing.assert_allclose(
            (other["color"] - other["color_true"]) / other["color_err"], other["pull_color"],
            rtol=1e-4,
        )  # fmt: skip

    def test_flux_factor(self, joint, injected):
        twice = Inject(**SMALL | dict(n_stars=0, flux_factor=2.0)).run(joint)
        true = [rows_of(m, "galaxy")["flux_true"].value for m in (injected, twice)]
        np.testing.assert_allclose(true[1], 2 * true[0], rtol=1e-7)

    def test_a_box_too_small_is_said(self, joint, caplog):
        with caplog.at_level(logging.WARNING):
            model = Inject(n_galaxies=3, n_stars=0, box=32, flux_factor=1).run(
                _larger_galaxy(joint)
            )
        assert "r_eff 7.2 needs boxes of 36 pixels, box is 32" in caplog.text
        assert len(model.injections) == 0

    @pytest.mark.parametrize("box", [91, 121])
    def test_room_for_fewer_is_said(self, joint, caplog, box):
        with caplog.at_level(logging.WARNING):
            model = Inject(n_galaxies=3, n_stars=0, box=box).run(joint)
        assert f"room for 0 of 3 copies in boxes of {box} pixels" in caplog.text
        assert len(model.injections) == 0


def _larger_galaxy(joint):
    model = joint.copy()
    band = model.bands["F150W"]
    fit = band.fit.sersic[0]
    larger = replace(fit, params=replace(fit.params, r_eff=7.2))
    band.fit = replace(band.fit, sersic=(larger,))
    return model


class TestStars:
    def test_those_above_the_threshold_come_back(self, injected):
        rows = rows_of(injected, "star")
        assert len(rows) == 24
        bright = rows[(rows["snr"] > 12) & (rows["isolated"] == 1)]
        assert len(bright) > 6
        assert bright["found"].mean() > 0.9
        found = rows[rows["found"] == 1]
        assert np.abs(found["pull_flux"]).max() < 5
        np.testing.assert_allclose(
            (found["flux"] - found["flux_true"]) / found["flux_err"], found["pull_flux"],
            atol=1e-5,
        )  # fmt: skip

    def test_white_noise_has_no_spurious_stars(self, injected, scene):
        for name in FILTERS:
            bins = injected.injections.summary[name]["stars"]["bins"]
            assert sum(share["spurious"] for share in bins) <= 1
            listed = sum(share["listed"] for share in bins)
            assert listed == pytest.approx(len(scene.truth.stars), abs=2)
            assert sum(share["injected"] for share in bins) == 8

    def test_completeness_and_purity_are_in_the_product(self, injected, tmp_path):
        again = GalaxyModel.open(injected.save(tmp_path / "with.asdf"))
        table = make_tables(again)["completeness"]
        assert set(table["filter"]) == set(FILTERS)
        for name in FILTERS:
            own = table[table["filter"] == name]
            bins = injected.injections.summary[name]["stars"]["bins"]
            assert list(own["snr_min"]) == [share["snr_min"] for share in bins]
            assert own["injected"].sum() == 8 and (own["found"] <= own["injected"]).all()
            known = own["injected"] > 0
            share = own["found"][known] / own["injected"][known]
            np.testing.assert_allclose(own["completeness"][known], share)
            assert np.isnan(own["completeness"][~known]).all()
            assert np.nanmin(own["purity"][own["listed"] > 2]) > 0.6

    def test_snr_is_the_range_asked_for(self, joint):
        model = Inject(n_galaxies=0, n_stars=5, star_snr=[20, 25]).run(joint)
        rows = rows_of(model, "star")
        assert rows["snr"].min() >= 20 and rows["snr"].max() <= 25
        assert rows["found"].all()


class TestStep:
    def test_summary_is_that_of_the_rows(self, injected):
        rows = rows_of(injected, "galaxy")
        own = rows[rows["filter"] == "F277W"]
        summary = injected.injections.summary["F277W"]["galaxies"]
        assert summary["count"] == 5 and summary["failed"] == 0
        assert summary["flux"]["bias"] == pytest.approx(np.median(own["pull_flux"]))
        assert summary["r_eff"]["std"] == pytest.approx(np.std(own["pull_r_eff"], ddof=1))

    def test_nothing_else_changes(self, injected, joint):
        before = joint.copy()
        Inject(n_galaxies=1, n_stars=1, box=45).run(joint)
        assert_untouched(joint, before)
        assert joint.injections is None
        assert injected.meta.fit_step == "jointfit"
        for name, band in injected.bands.items():
            assert band.fit.flux == joint.bands[name].fit.flux
            np.testing.assert_array_equal(band.data, joint.bands[name].data)

    def test_same_seed_same_bytes(self, joint, injected, tmp_path):
        texts = []
        for index, model in enumerate((injected, Inject(**SMALL).run(joint))):
            write_products(model, tmp_path, f"g{index}", regions=False)
            texts.append((tmp_path / f"g{index}_injection.ecsv").read_text())
        assert texts[0] == texts[1]

    def test_another_seed_another_place(self, joint, injected):
        other = Inject(**SMALL | dict(n_stars=0, seed=2)).run(joint)
        first, second = (rows_of(m, "galaxy")["x_true"].value for m in (injected, other))
        assert not np.isclose(first, second).any()

    def test_comes_back_from_a_file(self, injected, tmp_path):
        path = injected.save(tmp_path / "g_gal.asdf")
        again = GalaxyModel.open(path)
        np.testing.assert_array_equal(again.injections.flux, injected.injections.flux)
        assert again.injections.kind == injected.injections.kind
        assert make_tables(again)["injection"].meta["summary"].keys() == set(FILTERS)

    def test_one_filter(self, joint):
        model = Inject(n_galaxies=2, n_stars=2, box=45, filters=["F277W"]).run(joint)
        assert set(model.injections.filter) == {"F150W", "F277W"}

    def test_base_fit_alone(self, based):
        model = Inject(n_galaxies=2, n_stars=0, box=45).run(based)
        rows = rows_of(model, "galaxy")
        assert list(rows["filter"]) == ["F150W"] * 2
        assert np.abs(rows["pull_flux"]).max() < 4.5

    def test_one_line_of_numbers(self, joint, caplog):
        with caplog.at_level(logging.INFO, "stpipe.galstep"):
            Inject(n_galaxies=2, n_stars=0, box=45).run(joint)
        said = [r.getMessage() for r in caplog.records if r.name == "stpipe.galstep.inject"]
        assert len(said) == 1 and "galaxies 2, failed 0, filter F150W, flux_pull" in said[0]
        assert not [r for r in caplog.records if "basefit" in r.name or "jointfit" in r.name]

    def test_unknown_filter(self, joint):
        with pytest.raises(ParameterError, match="filters: F814W not among the fitted filters"):
            Inject(filters=["F814W"]).run(joint)

    def test_needs_a_base_fit(self, unfitted):
        with pytest.raises(PrerequisiteError, match="Inject needs the base fit"):
            Inject().run(unfitted)

    def test_bad_snr_range(self, joint):
        with pytest.raises(ParameterError, match="0 < low < high, got"):
            Inject(n_galaxies=0, n_stars=2, star_snr=[9, 3]).run(joint)


@pytest.mark.slow
def test_pulls_in_white_noise_are_true():
    galaxy = SersicParams(125.2, 124.7, 6.0, 1.4, 0.3, 0.7)
    scene = make_scene(5, (251, 251), 80, ("F150W",), snr=150.0, sersic=galaxy, psf_size=101)
    based = BaseFit().run(unfitted_model(scene))
    model = Inject(n_galaxies=40, n_stars=0, box=61).run(based)
    summary = model.injections.summary["F150W"]["galaxies"]
    assert summary["count"] == 40 and summary["failed"] == 0
    for key in ("flux", "r_eff", "n", "ellip"):
        # 40 boxes in a frame that holds 16 side by side
        assert 0.6 < summary[key]["std"] < 1.5, key
        assert abs(summary[key]["bias"]) < 0.6, key
