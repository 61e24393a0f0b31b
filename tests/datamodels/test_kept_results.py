"""Results that are kept, and found again only if nothing has changed."""

import hashlib
import os
import pickle
from enum import IntEnum

import numpy as np
import pytest

from galstep.datamodels.files.kept_results import KeptResults
from galstep.pixel_map import PixelMap


class Colour(IntEnum):
    """An enumeration of the caller's."""

    RED = 1


class Evil:
    """Would run a command if it were unpickled."""

    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.fixture
def kept(tmp_path):
    return KeptResults(tmp_path / "kept", ("galstep.pixel_map", __name__))


def test_what_is_kept_is_found(kept):
    result = (PixelMap(((2.0, 0.0), (0.0, 2.0)), (1.0, 3.0)), np.arange(6.0).reshape(2, 3).T)
    kept.write("a", (result, np.float64(3), Colour.RED, np.array(["x", "yy"]), None, {"k": [1]}))
    again = kept.read("a")
    assert again[0][0] == result[0]
    np.testing.assert_array_equal(again[0][1], result[1])
    assert again[1:3] == (3.0, Colour.RED) and list(again[3]) == ["x", "yy"]
    assert kept.read("b") is KeptResults.NONE


def test_a_damaged_file_is_no_result(kept):
    kept.write("a", np.zeros(5))
    path = kept.path("a")
    content = path.read_bytes()
    for damaged in (content[:-1], content[:40], b"", content[:50] + b"x" + content[51:]):
        path.write_bytes(damaged)
        assert kept.read("a") is KeptResults.NONE


def test_a_file_of_another_hand_runs_nothing(kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept.write("a", 1)
    for thing in (Evil(), os.getcwd, KeptResults, np.save):
        body = pickle.dumps(("a", thing))
        kept.path("a").write_bytes(hashlib.sha256(body).digest() + body)
        assert kept.read("a") is KeptResults.NONE
    assert not (tmp_path / "evil").exists()
    # the file of another key, renamed
    kept.write("b", 2)
    kept.path("b").rename(kept.path("a"))
    assert kept.read("a") is KeptResults.NONE


def test_what_is_not_wanted_any_more_goes(kept):
    kept.write("a", 1)
    kept.write("b", 2)
    kept.clear(but={"a"})
    assert kept.read("a") == 1 and kept.read("b") is KeptResults.NONE
    kept.clear()
    assert not kept.folder.exists()
