"""Damaged parameter files and products: read as they stand, or one clear error."""

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from galstep.configuration.writer import parameter_text
from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError, InputError
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene
from galstep.testing.models import fitted_model

TEXT = parameter_text()
PIECES = (
    *("", "null", "[]", "{}", "-1", "1e999", ".nan", "'", "&a", "*a", "<<: *a", "!x", "\t", ": :"),
    *("!!python/object/apply:os.abort []", "%", "0x", "- -", "\x00", "é", "...", "---"),
)


def damaged_text(damages):
    """The parameter file with lines dropped, doubled, moved, cut, or replaced in part."""
    lines = TEXT.splitlines()
    for kind, where, what, piece in damages:
        i = where % len(lines)
        line = lines[i]
        if kind == "drop":
            del lines[i]
        elif kind == "double":
            lines.insert(i, line)
        elif kind == "move":
            lines.insert(what % len(lines), lines.pop(i))
        elif kind == "indent":
            lines[i] = " " * (what % 5) + line.lstrip()
        elif kind == "value":
            lines[i] = f"{line.partition(':')[0]}: {piece}"
        elif kind == "key":
            lines[i] = line.replace("_", piece, 1)
        elif kind == "cut":
            lines = lines[: i + 1]
        elif kind == "insert":
            lines.insert(i, piece)
        if not lines:
            lines = [""]
    return "\n".join(lines)


DAMAGE = st.tuples(
    st.sampled_from(("drop", "double", "move", "indent", "value", "value", "key", "cut", "insert")),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.sampled_from(PIECES),
)


def read_parameters(path):
    """``"read"`` or ``"error"``; anything but a `GalstepError` passes through."""
    try:
        GalPipeline.from_config_file(path)
    except GalstepError as error:
        assert str(error)
        assert "\n" not in str(error)
        return "error"
    return "read"


@settings(max_examples=60)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=4))
def test_parameter_file(damages, tmp_path):
    path = tmp_path / "config.asdf"
    path.write_text(damaged_text(damages), encoding="utf-8")
    event(read_parameters(path))


@pytest.mark.slow
@settings(max_examples=2000)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=6))
def test_parameter_file_long_run(damages, tmp_path):
    path = tmp_path / "config.asdf"
    path.write_text(damaged_text(damages), encoding="utf-8")
    event(read_parameters(path))


@settings(max_examples=60)
@given(content=st.binary(max_size=300))
@example(content=b"#ASDF 1.0.0\n")
@example(content=b"#ASDF 1.0.0\n%YAML 1.1\n---\n- a\n...\n")
@example(content=b"\xff\xfe\x00#ASDF")
def test_parameter_file_of_any_bytes(content, tmp_path):
    path = tmp_path / "config.asdf"
    path.write_bytes(content)
    assert read_parameters(path) == "error"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small product and input files, undamaged."""
    folder = tmp_path_factory.mktemp("files")
    scene = make_scene(1, (25, 25), 2, ("F150W", "F277W"), snr=100.0, psf_size=25)
    fitted_model(scene).save(folder / "x_gal.asdf")
    scene.write_hdf5(folder / "x.h5")
    scene.write_psf(folder / "psf.h5")
    return folder


def open_damaged(source, target, psf_file, flips, length):
    """Open a copy with bytes changed and the end cut off."""
    content = bytearray(source.read_bytes())
    for where, value in flips:
        content[where % len(content)] ^= value
    target.write_bytes(content[: int(len(content) * length)])
    try:
        model = GalaxyModel.open(target, psf_file=psf_file)
    except GalstepError as error:
        assert str(error)
        return "error"
    assert model.bands
    return "read"


FLIPS = st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 255)), max_size=20)
LENGTH = st.sampled_from((1.0, 1.0, 1.0, 0.999, 0.7, 0.1, 0.001))


@settings(max_examples=25)
@given(flips=FLIPS, length=LENGTH)
def test_product(files, flips, length, tmp_path):
    event(open_damaged(files / "x_gal.asdf", tmp_path / "x_gal.asdf", None, flips, length))


@settings(max_examples=25)
@given(flips=FLIPS, length=LENGTH)
def test_images(files, flips, length, tmp_path):
    event(open_damaged(files / "x.h5", tmp_path / "x.h5", files / "psf.h5", flips, length))


class Trap:
    """What betrays itself when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize("name", ["x.h5", "x.asdf", "x.pkl", "x.npy", "x.fits"])
def test_no_pickle_is_read(name, files, elsewhere):
    with open(name, "wb") as stream:
        if name.endswith(".npy"):
            np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
        else:
            pickle.dump(Trap(), stream)
    for options in ({}, {"psf_file": str(files / "psf.h5")}):
        with pytest.raises(InputError):
            GalaxyModel.open(name, **options)
    with pytest.raises(InputError):
        GalaxyModel.open(files / "x.h5", psf_file=name)
    assert not os.path.exists("unpickled")


def test_parameter_file_runs_no_code(elsewhere):
    tags = ("!!python/object/apply:os.mkdir [unpickled]", "!!python/name:os.mkdir",
            "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [unpickled]")  # fmt: skip
    for tag in tags:
        with open("config.asdf", "w") as stream:
            stream.write(TEXT.replace("output_dir: null", f"output_dir: {tag}"))
        assert read_parameters("config.asdf") == "error"
    assert not os.path.exists("unpickled")


@pytest.mark.parametrize(
    "name",
    [
        "{}/escaped",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("../escaped", "..", "con\nline")),
    ],
)
def test_names_in_a_product_do_not_lead_out(name, files, tmp_path):
    model = GalaxyModel.open(files / "x_gal.asdf")
    name = name.format(tmp_path)
    model.meta.name = name
    model.meta.filename = f"{name}.h5"
    folder, out = tmp_path / "deep" / "in", tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    out.mkdir()
    model.save(folder / "x_gal.asdf")
    skipped = {key: {"skip": True} for key in GalPipeline.step_defs}
    before = set(tmp_path.rglob("*"))
    for source in (str(folder / "x_gal.asdf"), model):
        try:
            GalPipeline.call(
                source,
                output_dir=str(out),
                save_results=True,
                qa_figure=False,
                configure_log=False,
                steps=skipped,
            )
        except GalstepError:
            continue
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert all(path.parent == out for path in new), new


def test_links_in_hdf5_are_not_followed_silently(files, tmp_path):
    shutil.copy(files / "x.h5", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["F277W"]
        file["F277W"] = h5py.ExternalLink("nowhere.h5", "/F277W")
    with pytest.raises(InputError, match="F277W|damaged"):
        GalaxyModel.open(tmp_path / "x.h5", psf_file=files / "psf.h5", filters=["F277W"])
