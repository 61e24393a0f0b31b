"""Data are data, columns set parameters only, names never meet, everything read counts."""

import json
import os

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galstep.batch import BatchOptions, run_batch
from galstep.batch.entry import Entry
from galstep.batch.inputs import read_list
from galstep.batch.job import Job
from galstep.batch.measure import measure
from galstep.batch.parameters import make_pipeline
from galstep.batch.plan import make_plan
from galstep.batch.words import join_words, split_words
from galstep.datamodels.input.hashing import FileHashes
from galstep.exceptions import GalstepError, InputError, ParameterError

TRAP = '''
"""Betrays itself when it is imported."""
from pathlib import Path
from galstep.steps import GalStep
Path(__file__).with_name("was_run").touch()
class Evil(GalStep):
    spec = ""
    def process(self, input):
        return input
'''


def parameter_file(path, top="galstep.pipeline.GalPipeline", parameters="{}", steps=""):
    """Write a parameter file."""
    path.write_text(
        f"#ASDF 1.0.0\n%YAML 1.1\n---\nclass: {top}\nname: x\nparameters: {parameters}\n"
        + (f"steps:\n{steps}" if steps else "")
        + "...\n"
    )
    return path


EVIL = {
    "class": {"top": "trap.Evil"},
    "class of a step": {"steps": "- {class: trap.Evil, name: basefit, parameters: {}}\n"},
    "hook": {"parameters": "{input_file: a.h5, pre_hooks: ['touch was_run']}"},
    "hook after": {"parameters": "{input_file: a.h5, post_hooks: ['trap.Evil']}"},
    "hook of a step": {
        "parameters": "{input_file: a.h5}",
        "steps": "- {class: '', name: basefit, parameters: {pre_hooks: ['touch was_run']}}\n",
    },
    "file of a step": {
        "parameters": "{input_file: a.h5}",
        "steps": "- {class: '', name: basefit, parameters: {config_file: evil.asdf}}\n",
    },
}


@pytest.mark.parametrize("case", EVIL)
@pytest.mark.parametrize("extension", [".asdf", ".fits"])
def test_data_are_not_run(galaxies, config, tmp_path, case, extension, monkeypatch):
    folder = galaxies("a")
    monkeypatch.chdir(folder)
    (folder / "trap.py").write_text(TRAP)
    parameter_file(folder / "evil.asdf", "trap.Evil")
    bad = parameter_file(folder / f"bad{extension}", **EVIL[case])
    (entry,) = read_list([bad])
    assert "is data" in entry.problem
    (row,) = make_plan([entry], tmp_path / "out", config).rows.values()
    assert (row["status"], row["reason"]) == ("failed", entry.problem)
    # also where a list is passed by
    assert "is a parameter file" in measure(Job("x", str(bad), str(tmp_path / "x"), config)).reason
    assert not (folder / "was_run").exists()


def test_parameter_file_as_a_galaxy(galaxies, config, tmp_path):
    folder = galaxies("a", "b")
    own = parameter_file(
        folder / "own.asdf",
        "gal_pipeline",
        "{input_file: a.h5, output_dir: /nowhere, save_results: false}",
        "- {class: galstep.steps.LoadCrop, name: loadcrop, parameters: {sigma_guess: 7.0}}\n",
    )
    (entry,) = read_list([own])
    said = {"steps": {"loadcrop": {"sigma_guess": 7.0}}}
    assert entry == Entry("own", str(folder / "a.h5"), of_file=said)
    rows = run_batch([own], tmp_path / "out", BatchOptions(config, workers=0))
    assert rows["own"]["status"] == "ok"
    assert (tmp_path / "out" / "own" / "own_gal.asdf").exists()
    plan = make_plan([entry], tmp_path / "out", config, earlier=rows)
    assert plan.jobs == []
    with open(folder / "a.h5", "ab") as stream:
        stream.write(b"x")
    assert len(make_plan([entry], tmp_path / "out", config, earlier=rows).jobs) == 1


ORDER = ("its own file", "--config", "--set", "the table")


@pytest.mark.parametrize("last", range(len(ORDER)), ids=ORDER)
def test_command_line_over_config_over_own_file(galaxies, tmp_path, last):
    """As with strun; each says another value, and the last that speaks has it."""
    folder = galaxies("a")
    loadcrop = "- {class: galstep.steps.LoadCrop, name: loadcrop, parameters: {sigma_guess: %s}}\n"
    own = parameter_file(folder / "own.asdf", "gal_pipeline", "{input_file: a.h5}", loadcrop % 1)
    all_of_them = parameter_file(folder / "all.asdf", "gal_pipeline", steps=loadcrop % 2)
    (folder / "list.csv").write_text("input,loadcrop.sigma_guess\nown.asdf,4\n")
    (entry,) = read_list([folder / "list.csv"] if last == 3 else [own])
    common = {"steps": {"loadcrop": {"sigma_guess": 3}}} if last >= 2 else {}
    (job,) = make_plan([entry], tmp_path, all_of_them if last >= 1 else None, common).jobs
    pipeline = make_pipeline(job.config_file, job.parameters)
    assert pipeline.loadcrop.sigma_guess == 1 + last


def test_own_file_fills_what_the_others_leave(galaxies, tmp_path):
    folder = galaxies("a")
    step = "- {class: galstep.steps.LoadCrop, name: loadcrop, parameters: {%s}}\n"
    own = parameter_file(
        folder / "own.asdf", "gal_pipeline", "{input_file: a.h5}",
        step % "sigma_guess: 1, auto_crop_factor: 5",
    )  # fmt: skip
    config = parameter_file(folder / "all.asdf", "gal_pipeline", steps=step % "sigma_guess: 2")
    (job,) = make_plan(read_list([own]), tmp_path, config).jobs
    loadcrop = make_pipeline(job.config_file, job.parameters).loadcrop
    assert (loadcrop.sigma_guess, loadcrop.auto_crop_factor) == (2, 5)


@pytest.mark.parametrize(
    "column",
    [
        "basefit.class", "basefit.pre_hooks", "basefit.post_hooks", "steps.basefit.class",
        "basefit.config_file", "basefit.name", "config_file", "pre_hooks", "post_hooks",
        "output_dir", "output_file", "input_file", "input_dir", "save_results",
        " basefit.pre_hooks", "basefit.output_dir", "basefit.save_results", "search_output_file",
    ],
)  # fmt: skip
def test_columns_set_parameters_only(galaxies, column, tmp_path):
    table = galaxies("a") / "list.csv"
    table.write_text(f"input,{column}\na.h5,trap.Evil\n")
    with pytest.raises(ParameterError, match="parameters of the measurement only, for"):
        read_list([table])


def test_morphology_is_no_step_class(galaxies):
    table = galaxies("a") / "list.csv"
    table.write_text("input,class\na.h5,E4\n")
    assert read_list([table])[0].parameters == {}


def test_same_names_are_two_galaxies(galaxies, config, tmp_path):
    folder = galaxies("x", "x_gal")
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "y.h5").write_bytes((folder / "x.h5").read_bytes())
    (folder / "x.hdf5").write_bytes((folder / "x.h5").read_bytes())
    sources = ["x.h5", "x_gal.h5", "x.hdf5", "one/y.h5", "two/y.h5"]
    rows = run_batch(
        [folder / s for s in sources], tmp_path / "out", BatchOptions(config, workers=0)
    )
    assert [row["status"] for row in rows.values()] == ["ok"] * 5
    assert {"x_gal", "one_y", "two_y"} < set(rows)
    models = sorted((tmp_path / "out").rglob("*_gal.asdf"))
    assert len({path.name for path in models}) == len(models) == 5
    assert tmp_path / "out/x_gal/x_gal_gal.asdf" in models


NAMES = [
    "a b",
    "a#b",
    "a?b",
    "a%41b",
    "a%2F..%2Fb",
    "银河",
    "a$HOME",
    "~",
    "a.b.c",
    "a  b",
    "[x]",
    "-x",
]


def test_names_in_any_script(galaxies, config, tmp_path):
    folder = galaxies(*NAMES)
    out = tmp_path / "out $HOME #1"
    options = BatchOptions(config, workers=0, resume=True)
    sources = [folder / f"{name}.h5" for name in NAMES]
    before = set(tmp_path.rglob("*"))
    rows = run_batch(sources, out, options)
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(NAMES, "ok")
    for name in NAMES:
        assert (out / name / f"{name}_gal.asdf").exists()
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert all(path.is_relative_to(out) for path in new)
    # nothing is measured again
    told = []
    run_batch(sources, out, options, told.append)
    assert told[0].startswith(f"{len(NAMES)} galaxies: 0 to measure, {len(NAMES)} done earlier")


def test_a_name_that_is_no_text_fails_alone(galaxies, config, tmp_path):
    folder = galaxies("good")
    bad = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.h5")
    with open(bad, "wb") as stream:
        stream.write((folder / "good.h5").read_bytes())
    rows = run_batch([folder / "good.h5", bad], tmp_path / "out", BatchOptions(config, workers=0))
    status = {row["status"] for row in rows.values()}
    assert (rows["good"]["status"], status) == ("ok", {"ok", "failed"})
    (reason,) = (row["reason"] for name, row in rows.items() if name != "good")
    assert "must be valid UTF-8" in reason
    run_batch(
        [folder / "good.h5", bad], tmp_path / "out", BatchOptions(config, resume=True, workers=0)
    )


def test_words():
    names = ["a b", "a%20b", "x", "a\tb", "%"]
    assert split_words(join_words(names)) == names
    assert join_words(["x_gal.asdf", "y"]) == "x_gal.asdf y"


@pytest.fixture
def plain(scene, tmp_path):
    """A galaxy, and what it may be measured with besides."""
    scene.write_hdf5(tmp_path / "a.h5")
    scene.write_psf(tmp_path / "psf.h5")
    (tmp_path / "cat.csv").write_text("x,y\n1,2\n")
    (tmp_path / "list.txt").write_text("a.h5 cat.csv\n")
    (tmp_path / "mags.ecsv").write_text("# %ECSV 1.0\n")
    return tmp_path


def parameters(folder):
    """Parameters that name the files of `plain`."""
    return {
        "magnitudes": str(folder / "mags.ecsv"),
        "steps": {
            "loadcrop": {"psf_file": str(folder / "psf.h5")},
            "forcedscalefit": {"catalog": str(folder / "cat.csv")},
            "tweakreg": {
                "catfile": str(folder / "list.txt"),
                "abs_refcat": str(folder / "cat.csv"),
            },
        },
    }


@pytest.mark.parametrize("changed", ["a.h5", "psf.h5", "cat.csv", "list.txt", "mags.ecsv"])
def test_everything_that_is_read_counts(plain, changed):
    entry = Entry("a", str(plain / "a.h5"))

    def state():
        row = make_plan([entry], plain / "out", None, parameters(plain)).rows["a"]
        return row["input_hash"], row["parameters_hash"]

    before = state()
    assert state() == before
    status = os.stat(plain / changed)
    content = (plain / changed).read_bytes()
    (plain / changed).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    # a copy that keeps the time of what it is a copy of
    os.utime(plain / changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert state() != before


def test_a_list_of_catalogues_counts_by_them(plain):
    hashes = FileHashes()
    before = hashes.of_named(plain / "list.txt")
    assert len(before) == 3
    (plain / "cat.csv").write_text("x,y\n3,4\n")
    assert hashes.of_named(plain / "list.txt") != before


def test_folder_of_fits_is_a_galaxy(scene, tmp_path):
    folder = tmp_path / "m51"
    folder.mkdir()
    scene.write_psf(tmp_path / "psf.h5")
    with h5py.File(scene.write_hdf5(tmp_path / "a.h5")) as file:
        image = file["F150W"][()]
    header = fits.Header({"FILTER": "F150W", "BUNIT": "MJy/sr"})
    fits.PrimaryHDU(image, header).writeto(folder / "m51_f150w.fits")
    (folder / "notes.txt").write_text("no data")
    skipped = {
        key: {"skip": True}
        for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
    }
    own = {
        "qa_figure": False,
        "steps": {"loadcrop": {"psf_file": str(tmp_path / "psf.h5")}, **skipped},
    }
    options = BatchOptions(parameters=own, workers=0)
    rows = run_batch([folder], tmp_path / "out", options)
    assert (rows["m51"]["status"], rows["m51"]["reason"]) == ("ok", "")
    (entry,) = read_list([folder])
    assert make_plan([entry], tmp_path / "out", None, own, rows).jobs == []
    (folder / "notes.txt").write_text("still no data")
    assert make_plan([entry], tmp_path / "out", None, own, rows).jobs == []
    fits.PrimaryHDU(image + 1, header).writeto(folder / "m51_f150w.fits", overwrite=True)
    (job,) = make_plan([entry], tmp_path / "out", None, own, rows).jobs
    assert job.input == str(folder)


def mosaic(path, n_galaxies=3):
    """An image with a WCS, and where its galaxies are."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [101.0, 101.0]
    wcs.wcs.cdelt = [-0.03 / 3600, 0.03 / 3600]
    y, x = np.indices((201, 201))
    places = np.array([[50.0, 50.0], [150.0, 60.0], [100.0, 150.0]])[:n_galaxies]
    image = sum(np.exp(-np.hypot(x - px, y - py) / 4) for px, py in places)
    image += np.random.default_rng(1).normal(0, 0.01, image.shape)
    header = wcs.to_header()
    header.update(FILTER="F150W", BUNIT="MJy/sr")
    fits.PrimaryHDU(image.astype("f4"), header).writeto(path)
    return wcs.pixel_to_world(*places.T)


def test_list_of_positions_on_a_mosaic(scene, tmp_path):
    sky = mosaic(tmp_path / "mosaic.fits")
    psf_file = scene.write_psf(tmp_path / "psf.h5")
    Table({"RA": sky.ra.deg, "Dec": sky.dec.deg, "z": [1, 2, 3]}).write(tmp_path / "list.csv")
    entries = read_list([tmp_path / "list.csv"], [tmp_path / "mosaic.fits"])
    assert [entry.name[:7] for entry in entries] == ["J100000", "J095959", "J100000"]
    steps = {"loadcrop": {"psf_file": str(psf_file), "size": 1.5}}
    for key in ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot"):
        steps[key] = {"skip": True}
    options = BatchOptions(
        parameters={"qa_figure": False, "steps": steps},
        images=[tmp_path / "mosaic.fits"],
        workers=0,
    )
    rows = run_batch([tmp_path / "list.csv"], tmp_path / "out", options)
    assert [(row["status"], row["reason"]) for row in rows.values()] == [("ok", "")] * 3


@pytest.mark.parametrize(
    "columns",
    [
        {"ra": [150.0, 150.1], "dec": [2.0, 2.1]},
        {"RA": [150.0, 150.1], "DEC": [2.0, 2.1]},
        {"RAJ2000": [150.0, 150.1], "DEJ2000": [2.0, 2.1]},
        {"ALPHA_J2000": [150.0, 150.1], "DELTA_J2000": [2.0, 2.1]},
        {"ra": ["10:00:00", "10:00:24"], "dec": ["+02:00:00", "+02:06:00"]},
    ],
    ids=lambda columns: f"{next(iter(columns))} {next(iter(columns.values()))[0]}",
)
@pytest.mark.parametrize("extension", ["csv", "ecsv"])
def test_columns_of_positions(columns, extension, tmp_path):
    table = Table({"ID": ["NGC 1", "M/2"], **columns, "basefit.th_min": [4, 5]})
    table.write(tmp_path / f"l.{extension}")
    first, second = read_list([tmp_path / f"l.{extension}"], ["m.fits", "n.fits"])
    assert first.name == "NGC 1"
    assert second.name.startswith("M_2-")
    assert first.input == [os.path.abspath("m.fits"), os.path.abspath("n.fits")]
    place = second.parameters["steps"]["loadcrop"]
    assert [float(place["ra"]), float(place["dec"])] == pytest.approx([150.1, 2.1])
    assert second.parameters["steps"]["basefit"] == {"th_min": "5"}
    json.dumps(second.parameters)


def test_lists_that_do_not_tell_where(tmp_path):
    (tmp_path / "a.csv").write_text("ra,dec\n150,2\n,\n")
    with pytest.raises(InputError, match="row 2 has no position on the sky"):
        read_list([tmp_path / "a.csv"], ["m.fits"])
    with pytest.raises(InputError, match="a column 'input' is needed, or positions and --image"):
        read_list([tmp_path / "a.csv"])
    (tmp_path / "b.csv").write_text("x,y\n150,2\n")
    with pytest.raises(InputError, match="must be right ascension and declination"):
        read_list([tmp_path / "b.csv"], ["m.fits"])
    (tmp_path / "c.csv").write_text("input,ra\na.h5,2\n")
    with pytest.raises(ParameterError, match="'input' and --image exclude each other"):
        read_list([tmp_path / "c.csv"], ["m.fits"])
    (tmp_path / "d.csv").write_text("input\n" + "x" * 200_000 + "\n")
    with pytest.raises(InputError, match="a line or cell of at most 131072 characters"):
        read_list([tmp_path / "d.csv"])


def test_folder_that_cannot_be_written_is_told_before_the_work(
    galaxies, config, tmp_path, monkeypatch
):
    sources = [galaxies("a") / "a.h5"]
    (tmp_path / "file").touch()
    with pytest.raises(GalstepError, match="output folder .*file' cannot be made: File exists"):
        run_batch(sources, tmp_path / "file", BatchOptions(config, workers=0))
    with pytest.raises(GalstepError, match="output folder .*x' cannot be made: Not a directory"):
        run_batch(sources, tmp_path / "file" / "x", BatchOptions(config, workers=0))
    # a galaxy's own folder is in the way: the others are measured
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    (row,) = run_batch(sources, tmp_path / "out", BatchOptions(config, workers=0)).values()
    assert row["status"] == "failed"
    assert row["reason"].startswith("folder ")
