"""FieldPipeline as a user sees it; how well it measures is in tests/core/field."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table, vstack
from stpipe import Step

from galstep.core.field import rounds, tasks
from galstep.datamodels.field.field_model import FieldModel
from galstep.exceptions import GalstepError, PrerequisiteError
from galstep.flags import FieldFlag
from galstep.pipeline import FieldPipeline
from galstep.steps import FieldFit, FieldPSF, LoadField, MaskField, ZeroPoint
from galstep.testing.fields import make_field

# several blocks in a small field; nothing is looked for beside the catalogue
SMALL = {"block_size": 7, "detect": False}
STARS = {"reference_mag": [-10.0, 30.0]}


@pytest.fixture(scope="module")
def field():
    return make_field(seed=9, shape=(120, 120), n_stars=16, n_galaxies=4, subsample=3)


@pytest.fixture(scope="module")
def psfs(field):
    return {band: (field.psf_array(band), 2) for band in field.bands}


@pytest.fixture(scope="module")
def folder(field, tmp_path_factory):
    path = tmp_path_factory.mktemp("field")
    field.write(path)
    return path


def run(folder, psfs, **parameters):
    """The pipeline in Python; nothing is saved."""
    steps = {"fieldfit": SMALL, "maskfield": STARS} | parameters.pop("steps", {})
    options = {
        "catalog": str(folder / "field_catalog.csv"),
        "reference": str(folder / "field_reference.csv"),
        "psf_file": psfs,
    }
    return FieldPipeline.call(
        str(folder / "field.txt"), **(options | parameters), steps=steps, configure_log=False
    )


@pytest.fixture(scope="module")
def measured(folder, psfs):
    """The field measured once; tests must not change it."""
    return run(folder, psfs)


def equal(one, other, tolerance=0.0):
    """Whether two catalogues are equal, numbers to a tolerance."""
    assert one.colnames == other.colnames
    for name in one.colnames:
        a, b = np.asarray(one[name]), np.asarray(other[name])
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)


def fluxes(table, band):
    return table[f"flux_{band}"].value, table[f"flux_{band}_err"].value


# ----------------------------------------------------------------- the numbers


def test_truth(field, measured):
    """Not the accuracy (tests/core/field): that nothing is mixed up on the way."""
    table = measured.catalog
    pulls = []
    for band in field.bands:
        flux, err = fluxes(table, band)
        pulls.append((flux - field.truth[f"flux_{band}"]) / err)
    for name, own in (("x", "pix"), ("y", "pix")):
        assert table[name].unit == u.Unit(own)
        pulls.append((table[name].value - field.truth[name]) / table[f"{name}_err"].value)
    pulls = np.array(pulls)
    assert np.abs(pulls).max() < 5 and 0.7 < pulls.std() < 1.3
    galaxies = np.asarray(field.truth["type"]) == "SERSIC"
    for name in ("r_eff", "n", "ellip"):
        value, err = table[name].value[galaxies], table[f"{name}_err"].value[galaxies]
        assert np.all(np.abs(value - field.truth[name][galaxies]) < 5 * err), name
    turn = table["theta"].value[galaxies] - field.truth["theta"][galaxies]
    assert np.all(np.abs((turn + 90) % 180 - 90) < 5 * table["theta_err"].value[galaxies])
    assert list(table["type"]) == list(field.truth["type"])
    assert table["reliable"].all() and table["converged"].all()
    ra, dec = field.wcs.all_pix2world(field.truth["x"], field.truth["y"], 0)
    off = np.abs(table["ra"].value - ra) * np.cos(np.radians(2)) / table["ra_err"].value
    assert off.max() < 5
    assert np.all(np.abs(table["dec"].value - dec) < 5 * table["dec_err"].value)
    # an error of 0.01 pixels of 0.5 arcsec
    ratio = table["dec_err"].to_value(u.arcsec) / table["y_err"].value
    np.testing.assert_allclose(ratio, 0.5, rtol=1e-3)
    r_sky = table["r_eff_sky"].to_value(u.arcsec)[galaxies]
    np.testing.assert_allclose(r_sky, 0.5 * table["r_eff"].value[galaxies], rtol=1e-3)


def test_zero_points(field, measured):
    for name, band in measured.bands.items():
        assert abs(band.zp - field.zero_points[name]) < 5 * band.zp_err
        assert band.zp_err < 0.01 and band.zp_n_stars >= 12
        flux, err = fluxes(measured.catalog, name)
        magnitude = measured.catalog[f"mag_{name}"].value
        np.testing.assert_allclose(magnitude, band.zp - 2.5 * np.log10(flux))
        np.testing.assert_allclose(
            measured.catalog[f"mag_{name}_err"].value, 2.5 / np.log(10) * err / flux
        )


def test_covariance_of_every_source(measured):
    table = measured.catalog
    for row, matrix, names in zip(
        table, measured.covariance, measured.covariance_names, strict=True
    ):
        assert matrix.shape == (len(names),) * 2
        errors = np.sqrt(np.diag(matrix))
        own = dict(zip(names, errors, strict=True))
        for name in ("x", "y"):
            assert own[name] == pytest.approx(row[f"{name}_err"].value, rel=1e-6)
        for band in measured.bands:
            assert own[f"flux_{band}"] == pytest.approx(row[f"flux_{band}_err"].value, rel=1e-6)


# --------------------------------------------------- steps alone and together


def test_step_by_step_is_the_whole(folder, psfs, measured, tmp_path):
    """Each step on the file that the step before has saved."""
    LoadField.call(
        str(folder / "field.txt"), catalog=str(folder / "field_catalog.csv"), save_results=True,
        output_dir=str(tmp_path), configure_log=False,
    )  # fmt: skip
    steps = (
        (MaskField, "loadfield", {"reference": str(folder / "field_reference.csv"), **STARS}),
        (FieldPSF, "maskfield", {"psf_file": str(folder / "field_psf")}),
        (FieldFit, "fieldpsf", SMALL),
        (ZeroPoint, "fieldfit", {}),
    )
    for step, before, parameters in steps:
        step.call(
            str(tmp_path / f"field_{before}.asdf"), save_results=True, output_dir=str(tmp_path),
            configure_log=False, **parameters,
        )  # fmt: skip
    alone = FieldModel.open(tmp_path / "field_zeropoint.asdf")
    equal(alone.catalog, run(folder, str(folder / "field_psf")).catalog)


def test_steps_can_be_skipped(folder, psfs, measured):
    model = run(folder, psfs, steps={"zeropoint": {"skip": True}})
    assert np.isnan(model.bands["g"].zp)
    assert model.meta.cal_step.gal_zeropoint == "SKIPPED"
    flux, _ = fluxes(model.catalog, "g")
    np.testing.assert_allclose(model.catalog["mag_g"].value, 25 - 2.5 * np.log10(flux))


class Doubled(ZeroPoint):
    """A step of a user's own in the place of ZeroPoint."""

    def process(self, input):
        """Everything twice as bright."""
        model = super().process(input)
        model.catalog["flux_g"] *= 2
        return model


def test_a_step_can_be_replaced(folder, psfs, measured):
    model = Doubled().run(measured)
    ratio = model.catalog["flux_g"] / measured.catalog["flux_g"]
    np.testing.assert_allclose(ratio.value, 2.0)
    with pytest.raises(GalstepError, match="does not take and return a FieldModel"):
        FieldPipeline(steps={"zeropoint": {"class": "galstep.steps.AperPhot"}})


def test_what_is_missing_is_told(folder):
    model = LoadField(catalog=str(folder / "field_catalog.csv")).run(str(folder / "field.txt"))
    with pytest.raises(PrerequisiteError, match="band g has no PSF"):
        FieldFit().run(model)
    with pytest.raises(PrerequisiteError, match="run FieldFit first"):
        ZeroPoint().run(model)


# ------------------------------------------------------------------ rows


def test_every_row_its_name_and_its_columns(field, folder, psfs, tmp_path):
    """Rows that cannot be fitted among the others; columns of the user's own; files read back."""
    catalog = Table(field.catalog, copy=True)
    catalog["note"] = [f"note {i}" for i in range(len(catalog))]
    catalog.insert_row(3, ["0lost", np.nan, np.nan, "STAR", np.nan, np.nan, np.nan, "lost"])
    catalog.insert_row(7, ["00far", 151.0, 2.0, "EXP", np.nan, np.nan, np.nan, "far"])
    catalog.write(tmp_path / "c.csv")
    model = run(
        folder, psfs, catalog=str(tmp_path / "c.csv"), save_results=True, output_dir=str(tmp_path)
    )
    table = model.catalog
    assert list(table["id"]) == list(catalog["ID"])
    assert list(table["row"]) == list(range(len(catalog)))
    fitted = np.isfinite(table["flux_g"].value)
    assert list(np.flatnonzero(~fitted)) == [3, 7]
    assert not table["reliable"][3] and "no position" in table["issues"][3]
    assert "cropped" in table["issues"][7]
    for name in ("field_field.ecsv", "field_field.fits"):
        again = QTable.read(tmp_path / name)
        assert [str(v).strip() for v in again["id"]] == list(catalog["ID"])
        assert [str(v).strip() for v in again["input_note"]] == list(catalog["note"])
        for column in table.colnames:
            one, other = table[column], again[column]
            if np.asarray(one).dtype.kind == "f":
                assert one.unit == other.unit or not str(one.unit), column
                one, other = np.asarray(one.value), np.asarray(u.Quantity(other).value)
                np.testing.assert_allclose(np.ma.filled(other, np.nan), one, err_msg=column)
    saved = FieldModel.open(tmp_path / "field_field.asdf")
    equal(saved.catalog, model.catalog)


def test_added_reference_stars_stand_behind(field, folder, psfs, tmp_path):
    Table(field.catalog[5:]).write(tmp_path / "c.csv")
    table = run(folder, psfs, catalog=str(tmp_path / "c.csv")).catalog
    assert list(table["id"][:-5]) == list(field.catalog["ID"][5:])
    assert all(str(name).startswith("gaia_") for name in table["id"][-5:])
    assert list(table["row"][-5:]) == [-1] * 5
    flux, err = fluxes(table, "r")
    pulls = (flux[-5:] - field.truth["flux_r"][:5]) / err[-5:]
    assert np.abs(pulls).max() < 5
    # fluxes that the reference stars bring are starts, not priors: they are off by 5 percent
    assert np.abs(pulls.mean()) < 3


def test_no_flux_and_no_data(field, folder, psfs, tmp_path):
    """A source that is not there has a flux, an error and a limit; one without pixels has none."""
    catalog = Table(field.catalog, copy=True)
    ra, dec = field.wcs.all_pix2world(7.0, 113.0, 0)
    catalog.add_row(["nothing", float(ra), float(dec), "STAR", np.nan, np.nan, np.nan])
    x, y = (round(float(field.truth[name][0])) for name in ("x", "y"))
    for path in folder.glob("field_?.fits"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with fits.open(tmp_path / "field_r.fits", mode="update") as hdus:
        hdus[0].data[max(0, y - 40) : y + 41, max(0, x - 40) : x + 41] = np.nan
    (tmp_path / "field.txt").write_text((folder / "field.txt").read_text())
    catalog.write(tmp_path / "field_catalog.csv")
    model = run(
        tmp_path, psfs, reference=str(folder / "field_reference.csv"),
        steps={"fieldfit": SMALL | {"forced": "position"}},
    )  # fmt: skip
    table = model.catalog
    nothing = table[-1]
    assert np.isfinite(nothing["flux_g"].value) and nothing["flux_g_err"].value > 0
    assert np.isfinite(nothing["mag_g_limit"].value)
    limit = max(nothing["flux_g"].value, 0) + 2 * nothing["flux_g_err"].value
    expected = model.bands["g"].zp - 2.5 * np.log10(limit)
    assert nothing["mag_g_limit"].value == pytest.approx(expected)
    hidden = table[0]
    assert np.isnan(hidden["flux_r"].value) and np.isfinite(hidden["flux_g"].value)
    assert int(hidden["flags"]) & int(FieldFlag.NO_DATA)


def test_priors_and_bounds_of_the_catalogue(field, folder, psfs, measured, tmp_path):
    """The width of the posterior is that of the product of likelihood and prior."""
    catalog = Table(field.catalog, copy=True)
    galaxy = int(np.flatnonzero(np.asarray(field.truth["type"]) == "SERSIC")[0])
    free = measured.catalog["r_eff_err"].value[galaxy]
    width = free / 3
    catalog["Re"] = np.where(np.arange(len(catalog)) == galaxy, field.truth["r_eff"], catalog["Re"])
    catalog["Re_ERR"] = np.where(np.arange(len(catalog)) == galaxy, width, np.nan)
    catalog.write(tmp_path / "c.csv")
    held = run(folder, psfs, catalog=str(tmp_path / "c.csv")).catalog["r_eff_err"].value[galaxy]
    assert held == pytest.approx(1 / np.hypot(1 / free, 1 / width), rel=0.1)
    without = run(
        folder, psfs, catalog=str(tmp_path / "c.csv"),
        steps={"fieldfit": SMALL | {"use_priors": False}},
    )  # fmt: skip
    assert without.catalog["r_eff_err"].value[galaxy] == pytest.approx(free, rel=0.05)
    # starts that are off by 0.3 pixels, and may not move so far
    tight = run(folder, psfs, steps={"fieldfit": SMALL | {"pos_max_shift": 0.05}}).catalog
    stalled = np.asarray(tight["flags"]) & int(FieldFlag.AT_BOUND) != 0
    assert stalled.sum() > 0.8 * len(tight)
    assert all("x@" in t or "y@" in t for t in tight["at_bound"][stalled])
    assert not tight["reliable"][stalled].any()


def test_forced_modes(field, folder, psfs):
    position = run(folder, psfs, steps={"fieldfit": SMALL | {"forced": "position"}}).catalog
    np.testing.assert_array_equal(position["x"].value, position["x_input"].value)
    assert np.isnan(position["x_err"].value).all()
    galaxies = position["type"] == "SERSIC"
    assert np.isfinite(position["r_eff_err"].value[galaxies]).all()


def test_each_band_alone(field, folder, psfs, measured):
    model = run(folder, psfs, steps={"fieldfit": SMALL | {"joint": False}})
    table = model.catalog
    for band in field.bands:
        flux, err = fluxes(table, band)
        assert np.all(np.abs(flux - field.truth[f"flux_{band}"]) < 6 * err)
        x = table[f"x_{band}"].value
        assert np.all(np.abs(x - field.truth["x"]) < 6 * table[f"x_{band}_err"].value)
        # one band knows less than three
        assert np.median(table[f"x_{band}_err"] / measured.catalog["x_err"]) > 1.2
    assert {block.band for block in model.blocks} == set(field.bands)
    assert not model.meta.joint and table["reliable"].all()


# ------------------------------------------------------------ where it is done


@pytest.mark.slow
def test_the_executor_does_not_matter(folder, psfs, measured):
    processes = run(folder, psfs, executor="processes", workers=2)
    equal(processes.catalog, measured.catalog, 1e-10)


@pytest.mark.slow
def test_a_dask_cluster_does_not_matter(folder, psfs, measured):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        on_dask = run(folder, psfs, scheduler=cluster.scheduler_address)
    equal(on_dask.catalog, measured.catalog, 1e-10)


def failing(number):
    """A fit of blocks in which one fails."""

    @functools.wraps(tasks.fit_block)
    def fit_block(task):
        if task.block == number:
            raise MemoryError("no memory for this block")
        return tasks.fit_block(task)

    return fit_block


def test_one_block_fails(field, folder, psfs, measured, monkeypatch, tmp_path):
    monkeypatch.setattr(rounds, "fit_block", failing(1))
    model = run(folder, psfs)
    failed = np.asarray(model.catalog["flags"]) & int(FieldFlag.FAILED) != 0
    assert 0 < failed.sum() < len(model) and model.n_failed == 1
    assert not model.catalog["reliable"][failed].any()
    assert all("no memory for this block" in text for text in model.catalog["issues"][failed])
    assert all(model.catalog["block"][failed] == 1)
    flux, err = fluxes(model.catalog, "g")
    good = ~failed & (np.asarray(model.catalog["blend"]) < 0.02)
    pulls = (flux - field.truth["flux_g"])[good] / err[good]
    assert good.any() and np.abs(pulls).max() < 6
    with pytest.raises(GalstepError, match="1 of .* blocks failed") as caught:
        run(folder, psfs, save_results=True, output_dir=str(tmp_path))
    assert caught.value.exit_status == 1
    saved = QTable.read(tmp_path / "field_field.ecsv")
    assert len(saved) == len(field.catalog)
    # what was done is kept for the next run
    assert list((tmp_path / "field_field_blocks").iterdir())


class Counted:
    """The fit of blocks, counted, and ended after some."""

    def __init__(self, most=10**9):
        self.count, self.most = 0, most
        functools.update_wrapper(self, tasks.fit_block)

    def __call__(self, task):
        if self.count == self.most:
            raise KeyboardInterrupt
        self.count += 1
        return tasks.fit_block(task)


def test_resume(folder, psfs, measured, monkeypatch, tmp_path):
    saved = {"save_results": True, "output_dir": str(tmp_path)}
    monkeypatch.setattr(rounds, "fit_block", Counted(2))
    with pytest.raises(KeyboardInterrupt):
        run(folder, psfs, **saved)
    assert len(list((tmp_path / "field_field_blocks").iterdir())) >= 2
    counted = Counted()
    monkeypatch.setattr(rounds, "fit_block", counted)
    equal(run(folder, psfs, keep_blocks=True, **saved).catalog, measured.catalog)
    total = counted.count + 2
    again = Counted()
    monkeypatch.setattr(rounds, "fit_block", again)
    # a parameter of another step: nothing is fitted again
    run(folder, psfs, keep_blocks=True, steps={"zeropoint": {"clip_sigma": 2.0}}, **saved)
    assert again.count == 0
    # one of the fit: everything is
    run(folder, psfs, keep_blocks=True, steps={"fieldfit": SMALL | {"tolerance": 0.04}}, **saved)
    assert again.count == total
    # and nothing is left behind when all is well
    run(folder, psfs, **saved)
    assert not (tmp_path / "field_field_blocks").exists()


def test_changed_images_are_fitted_again(folder, psfs, monkeypatch, tmp_path):
    for path in (*folder.glob("field_?.fits"), *folder.glob("field*.csv"), folder / "field.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    saved = {"save_results": True, "output_dir": str(tmp_path / "out"), "keep_blocks": True}
    counted = Counted()
    monkeypatch.setattr(rounds, "fit_block", counted)
    run(tmp_path, psfs, **saved)
    first = counted.count
    with fits.open(tmp_path / "field_i.fits", mode="update") as hdus:
        hdus[0].data[60, 60] += 3.0
    run(tmp_path, psfs, **saved)
    assert counted.count >= first + 2


@pytest.mark.slow
def test_killed_and_resumed(folder, measured, tmp_path):
    command = [str(Path(sys.executable).with_name("strun"))]
    command += [
        "gal_field", str(folder / "field.txt"), f"--catalog={folder / 'field_catalog.csv'}",
        f"--reference={folder / 'field_reference.csv'}", f"--psf_file={folder / 'field_psf'}",
        "--steps.maskfield.reference_mag=-10,30", "--steps.fieldfit.block_size=7",
        "--steps.fieldfit.detect=false", f"--output_dir={tmp_path}", "--qa_figure=false",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    blocks = tmp_path / "field_field_blocks"
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (blocks.is_dir() and any(blocks.glob("*.kept"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "field_field.asdf").exists()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    table = QTable.read(tmp_path / "field_field.ecsv")
    np.testing.assert_allclose(table["flux_g"].value, measured.catalog["flux_g"].value, rtol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "field_field.asdf", "field_field.ecsv", "field_field.fits", "field_field.reg",
        "field_field_parameters.asdf",
    ]  # fmt: skip


# ------------------------------------------------------------------ on a line


def test_on_the_command_line(folder, tmp_path):
    Step.from_cmdline(
        [
            "gal_field", str(folder / "field.txt"), f"--catalog={folder / 'field_catalog.csv'}",
            f"--psf_file={folder / 'field_psf'}", f"--output_dir={tmp_path}", "--save_fits=true",
            "--steps.fieldfit.detect=false", "--steps.loadfield.filters=r,i", "--qa_figure=false",
        ]
    )  # fmt: skip
    table = QTable.read(tmp_path / "field_field.ecsv")
    assert "flux_r" in table.colnames and "flux_g" not in table.colnames
    assert table.meta["bands"]["r"]["zero_point_header"] == 25.0
    # the very same run from its snapshot
    again = FieldPipeline.from_config_file(tmp_path / "field_field_parameters.asdf")
    assert again.loadfield.filters == ["r", "i"]
    assert again.catalog == str(folder / "field_catalog.csv")


def test_a_parameter_file_that_names_the_data(field, tmp_path):
    field.write(tmp_path / "data")
    (tmp_path / "run.asdf").write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: galstep.pipeline.FieldPipeline\nname: FieldPipeline\n"
        "parameters:\n  input_file: data/field.txt\n  catalog: data/field_catalog.csv\n"
        "  psf_file: data/field_psf\n  output_dir: out\n  qa_figure: false\n"
        "steps:\n- class: galstep.steps.FieldFit\n  name: fieldfit\n"
        "  parameters: {detect: false}\n...\n"
    )
    Step.from_cmdline([str(tmp_path / "run.asdf")])
    table = QTable.read(tmp_path / "out" / "field_field.ecsv")
    assert len(table) == len(field.catalog) and table["reliable"].all()


def test_two_rows_of_one_object(field, folder, psfs, measured, tmp_path):
    """A catalogue joined of two, as one makes it: each object has one row with a flux."""
    rows = Table.read(folder / "field_catalog.csv", converters={"ID": str})
    again = rows[:6]
    again["ID"] = [f"b{i}" for i in range(6)]
    again["RA"] += 0.15 / 3600  # 0.3 of a pixel
    joined = vstack([rows, again])
    joined.write(tmp_path / "joined.csv")
    table = run(folder, psfs, catalog=str(tmp_path / "joined.csv")).catalog
    first, second = table[:6], table[len(rows) : len(rows) + 6]
    # whichever the reference star is nearer to is kept
    kept = np.isfinite(first["flux_r"].value)
    assert np.all(kept != np.isfinite(second["flux_r"].value)) and 0 < kept.sum() < 6
    for one, other, is_first in zip(first, second, kept, strict=True):
        own, left = (one, other) if is_first else (other, one)
        assert left["flags"] & int(FieldFlag.DUPLICATE) and not left["reliable"]
        assert left["issues"].endswith(f"the same object as {own['id']}")
        assert not own["flags"] & int(FieldFlag.DUPLICATE)
    flux, err = (values[:6] for values in fluxes(measured.catalog, "r"))
    found = np.where(kept, first["flux_r"].value, second["flux_r"].value)
    assert np.abs((found - flux) / err).max() < 0.1
    off = {"fieldfit": SMALL | {"duplicate_radius": 0.0}}
    table = run(folder, psfs, catalog=str(tmp_path / "joined.csv"), steps=off).catalog
    assert np.isfinite(table["flux_r"].value).all()
