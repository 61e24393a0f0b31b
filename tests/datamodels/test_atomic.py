"""Files that appear whole or not at all, flushed before they are renamed, without litter."""

import errno
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from galstep.datamodels.files.atomic import check_writable, remove_unfinished, replacing
from galstep.datamodels.files.folder_lock import alone_in, nobody_has_open, writing_to
from galstep.exceptions import GalstepError, InputError

NAMES = [
    "x.asdf",
    "run#2.asdf",
    "a?b.h5",
    "%41.fits",
    "%2F..%2F..%2Fx.ecsv",
    "银河 1.png",
    "n" * 250,
]


@pytest.mark.parametrize("name", NAMES)
def test_written_under_its_own_name(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == Path(name).suffix or temporary.suffix == ".part"
        temporary.write_text("new")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), ValueError("a"), KeyboardInterrupt()]
)
def test_a_failure_leaves_the_earlier_file(tmp_path, error):
    (tmp_path / "x").write_text("old")
    kind = GalstepError if isinstance(error, OSError) else type(error)
    with pytest.raises(kind), replacing(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.write_text("ne")
        raise error
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_flushed_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        calls.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def noted_replace(source, target):
        calls.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert calls == [("fsync", temporary.name), ("rename", "x"), ("fsync", tmp_path.name)]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disc_that_fails_at_the_end(tmp_path, monkeypatch, call):
    (tmp_path / "x").write_text("old")

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with (
        pytest.raises(GalstepError, match=r"x: cannot be written .*Input/output error"),
        replacing(tmp_path / "x") as temporary,
    ):
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="the folder .* is not there"), replacing(tmp_path / "a/x"):
        pass


LITTER = [
    f".galstep-{uuid.uuid4().hex}.part.asdf",
    f".galstep-{uuid.uuid4().hex}.part",
    f".g260_gal.{uuid.uuid4().hex}.part.asdf",  # of earlier versions
    f".a b#%.{uuid.uuid4().hex}.part.ecsv",
    ".asdf_tmpabc_12",
]
NO_LITTER = [".part", ".x.part.asdf", "x.part", ".galstep-1.part", "asdf_tmpabc", ".batch.lock"]


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    for name in (*LITTER, *NO_LITTER):
        (tmp_path / name).touch()
    with replacing(tmp_path / "x") as temporary:
        temporary.touch()
    assert sorted(os.listdir(tmp_path)) == sorted([*NO_LITTER, "x"])


HOLD = """
import sys
from galstep.datamodels.files.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    stream = open(temporary, "wb")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """Another process that is writing to the folder, and its unfinished file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "other")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_what_another_process_is_writing_is_not_removed(tmp_path, writer):
    process, name = writer
    with replacing(tmp_path / "x") as temporary:
        temporary.touch()
    assert (tmp_path / name).exists()
    process.kill()
    process.wait()
    remove_unfinished(tmp_path)
    assert os.listdir(tmp_path) == ["x"]


def test_what_another_program_writes_with_asdf_is_not_removed(tmp_path):
    path = tmp_path / ".asdf_tmp1234"
    with open(path, "wb"):
        assert not nobody_has_open(path)
        remove_unfinished(tmp_path)
        assert path.exists()
    assert nobody_has_open(path)
    remove_unfinished(tmp_path)
    assert not path.exists()


def test_lock_of_a_folder(tmp_path):
    with writing_to(tmp_path), writing_to(tmp_path), alone_in(tmp_path) as is_alone:
        assert not is_alone
    with alone_in(tmp_path) as is_alone:
        assert is_alone
    with writing_to(tmp_path / "none"), alone_in(tmp_path / "none") as is_alone:
        assert not is_alone


def test_one_file_within_another(tmp_path):
    with replacing(tmp_path / "a") as outer:
        outer.touch()
        with replacing(tmp_path / "b") as inner:
            inner.touch()
        assert outer.exists()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_folder_is_tried(tmp_path, monkeypatch):
    check_writable(tmp_path)
    assert os.listdir(tmp_path) == []
    with pytest.raises(GalstepError, match=r"nothing can be written there \(No such file"):
        check_writable(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(GalstepError, match=r"nothing can be written there \(Not a directory"):
        check_writable(tmp_path / "file")
    for number in (errno.EROFS, errno.EACCES, errno.ENOSPC):

        def fail(*args, number=number, **kwargs):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("builtins.open", fail)
        with pytest.raises(GalstepError, match=os.strerror(number)):
            check_writable(tmp_path)
        monkeypatch.undo()
