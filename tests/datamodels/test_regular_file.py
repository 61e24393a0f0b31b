"""Pipes, sockets and devices are refused at once, by every reader."""

import os
import socket

import pytest

from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.magnitude_table import read_magnitudes
from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.datamodels.catalogs.reference_catalog import read_sky_catalog
from galstep.datamodels.files.regular_file import check_regular, what_it_is
from galstep.datamodels.psf.psf_input import find_psfs
from galstep.exceptions import GalstepError, InputError
from galstep.steps.framework.parameter_files import is_parameter_file, load_parameters

READERS = {
    "galaxy": GalaxyModel.open,
    "psf": lambda path: find_psfs(path, ["F150W"]),
    "catalog": read_position_catalog,
    "magnitudes": read_magnitudes,
    "reference": read_sky_catalog,
    "parameters": load_parameters,
}


@pytest.fixture(params=["pipe", "socket", "device", "link to a pipe"])
def special(request, tmp_path):
    """What is no plain file, and a reader would wait for."""
    path = str(tmp_path / "x.asdf")
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
    elif request.param == "device":
        return "/dev/zero"
    else:
        os.mkfifo(tmp_path / "pipe")
        os.symlink(tmp_path / "pipe", path)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_is_refused_by_every_reader(special, reader):
    with pytest.raises(GalstepError, match=r"this is (a named pipe|a socket|a device)"):
        READERS[reader](special)
    assert not is_parameter_file(special)


def test_plain_files_and_links_to_them(tmp_path):
    (tmp_path / "x").touch()
    os.symlink(tmp_path / "x", tmp_path / "link")
    check_regular(tmp_path / "link", "input")
    assert what_it_is(tmp_path) == "a folder"
    with pytest.raises(InputError, match="input .*: a file is needed, this is a folder"):
        check_regular(tmp_path, "input")
    with pytest.raises(InputError, match="input .*none: there is no such file"):
        check_regular(tmp_path / "none", "input")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    with pytest.raises(InputError, match=r"input .*loop: Too many levels"):
        check_regular(tmp_path / "loop", "input")
    with pytest.raises(InputError, match="no file can have this name"):
        check_regular("a\0b", "input")


def test_a_name_that_is_no_text_is_told(tmp_path):
    with pytest.raises(InputError, match=r"input .*\\xff.h5: there is no such file"):
        check_regular(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.h5"), "input")
