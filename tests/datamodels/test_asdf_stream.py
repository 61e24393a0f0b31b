"""ASDF files at paths that asdf takes for URIs, and texts that are refused."""

import os
import struct

import asdf
import numpy as np
import pytest
from often import first_often

from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.asdf_stream import asdf_file, load_tree, opened_asdf, save_asdf
from galstep.datamodels.files.yaml_bounds import check_yaml
from galstep.exceptions import InputError
from galstep.testing import make_scene
from galstep.testing.models import fitted_model

ODD = [
    "run#2", "run?2", "run%41", "..%2F..%2Fx", "#", "%", "file:x", "http:x", "a b", "銀 河", "~",
    "$HOME",
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """A fitted galaxy."""
    return fitted_model(make_scene(1, (25, 25), 1, ("F150W",), snr=100.0, psf_size=25))


@pytest.mark.parametrize("odd", first_often(ODD, 2))
def test_path_is_a_path(model, odd, tmp_path):
    folder = tmp_path / odd
    folder.mkdir()
    (tmp_path / "run").write_text("a neighbour's")
    for path in (folder / "x_gal.asdf", tmp_path / f"{odd}_gal.asdf"):
        model.save(path)
        assert path.is_file()
        again = GalaxyModel.open(path)
        np.testing.assert_array_equal(again.bands["F150W"].data, model.bands["F150W"].data)
        assert load_tree(path, "input")["galstep_product"] == 1
    assert (tmp_path / "run").read_text() == "a neighbour's"
    names = {folder / "x_gal.asdf", tmp_path / f"{odd}_gal.asdf", tmp_path / "run"}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == names


HEAD = (
    "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n"
    "--- !core/asdf-1.1.0\n"
)
ARRAY = "a: !core/ndarray-1.0.0 "


def pairs(n_levels):
    """Mappings that hold the one before twice."""
    lines = ["b0: &b0 {x: 1, y: 2}"]
    for i in range(1, n_levels):
        lines.append(f"b{i}: &b{i} {{p: *b{i - 1}, q: *b{i - 1}}}")
    return "\n".join(lines)


def aliases(n_levels, width):
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    for i in range(1, n_levels):
        lines.append(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * width)}]")
    return "\n".join(lines)


BOMBS = {
    "aliases": (aliases(10, 10), "aliases that repeat more than"),
    "two to a level": (aliases(40, 2), "aliases that repeat more than"),
    "in a mapping": (pairs(40), "aliases that repeat"),
    "merge": ("a: &a {x: 1}\nb: &b [*a,*a]\n" + aliases(20, 4), "aliases that repeat"),
    "of itself": ("a: &a [1, *a]", "an alias that holds itself"),
    "depth": ("a: " + "[" * 100 + "]" * 100, "nested more than 60 deep"),
    "depth of blocks": ("\n".join(" " * i + f"k{i}:" for i in range(100)) + " 1", "nested more"),
    "many values": ("a: [" + "1," * 2_100_000 + "]", "more than 2000000 values"),
    "another file": (
        ARRAY + "{source: other.asdf, shape: [3], datatype: float64}", "refers to another file"
    ),
    "a server": (
        ARRAY + "{datatype: float64, source: 'http://x/y.asdf', shape: [3]}", "refers to another"
    ),
    "reference": ("a: {$ref: 'file:///etc/passwd#/x'}", "refers to another file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.parametrize("key", ["galstep_product: 1\nbands: {}\n", "roman: {}\n", ""])
def test_texts_that_are_refused(case, key, tmp_path):
    text, message = BOMBS[case]
    if case == "many values" and key:
        pytest.skip("long")
    (tmp_path / "x_gal.asdf").write_text(f"{HEAD}{key}{text}\n...\n")
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(tmp_path / "x_gal.asdf")


def test_text_without_an_end(tmp_path):
    (tmp_path / "x.asdf").write_bytes(HEAD.encode() + b"x" * (70 * 2**20))
    with pytest.raises(InputError, match="its YAML text has no end within 64 MB"):
        GalaxyModel.open(tmp_path / "x.asdf")


def test_what_is_shared_now_and_then_is_read(tmp_path):
    check_yaml(b"a: &a [1, 2, 3]\nb: *a\nc: [*a, *a]\n", "x")
    check_yaml(b"not: [yaml", "x")  # whoever reads it tells
    array = np.arange(6.0)
    save_asdf(asdf.AsdfFile({"a": array, "b": array, "c": [{"d": array}]}), tmp_path / "x.asdf")
    with asdf_file(tmp_path / "x.asdf", "input") as file:
        np.testing.assert_array_equal(file["c"][0]["d"], array)


def test_blocks_that_unpack_to_more_than_memory(tmp_path):
    path = tmp_path / "x.asdf"
    file = asdf.AsdfFile({"a": np.zeros(1000)})
    file.set_array_compression(file["a"], "zlib")
    save_asdf(file, path)
    with opened_asdf(path, "input"):
        pass
    content = bytearray(path.read_bytes())
    # magic, header size, flags, compression, allocated, used: then the size when unpacked
    where = content.index(b"\xd3BLK") + 6 + 4 + 4 + 8 + 8
    content[where : where + 8] = struct.pack(">Q", 2**60)
    path.write_bytes(content)
    with (
        pytest.raises(InputError, match="compressed blocks must unpack to 4 GB at most"),
        opened_asdf(path, "input"),
    ):
        pass


def test_an_array_of_one_number_that_stands_for_many(model, tmp_path):
    path = tmp_path / "x_gal.asdf"
    model.save(path)
    content = path.read_bytes()
    start = content.index(b"datatype: float64")
    line = content.index(b"shape: [25, 25]", start)
    wide = b"shape: [250000, 250000], strides: [0, 0]"
    path.write_bytes(content[:line] + wide + content[line + len(b"shape: [25, 25]") :])
    with pytest.raises(InputError, match=r"at most 1e\+08 pixels|damaged|not a sound product"):
        GalaxyModel.open(path)


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    class Unwritable:
        pass

    with pytest.raises(Exception, match="Unwritable"):
        save_asdf(asdf.AsdfFile({"a": Unwritable()}), tmp_path / "x.asdf")
    assert os.listdir(tmp_path) == []
