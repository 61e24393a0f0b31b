"""HDF5 files that lead elsewhere or declare more than they hold."""

import h5py
import numpy as np
import pytest

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError
from galstep.testing import make_scene


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A galaxy and its PSF, undamaged."""
    folder = tmp_path_factory.mktemp("files")
    scene = make_scene(1, (25, 25), 0, ("F150W",), snr=100.0, psf_size=25)
    return scene.write_hdf5(folder / "x.h5"), scene.write_psf(folder / "psf.h5")


def external(file, folder):
    (folder / "raw").write_bytes(bytes(25 * 25 * 8))
    pieces = [(str(folder / "raw"), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("F277W", (25, 25), dtype="f8", external=pieces)


def virtual(file, folder):
    layout = h5py.VirtualLayout((25, 25), dtype=float)
    layout[:] = h5py.VirtualSource(folder / "x.h5", "F150W", (25, 25))
    file.create_virtual_dataset("F277W", layout)


def declared(shape, chunks, name="F277W"):
    def change(file, folder):
        file.create_dataset(
            name, shape, dtype="f4", chunks=chunks, maxshape=(None, None), compression="gzip"
        )

    return change


def link(name, target):
    def change(file, folder):
        if name in file:
            del file[name]
        file[name] = target

    return change


CASES = {
    "external link": (link("F277W", h5py.ExternalLink("x.h5", "/F150W")), "a link to another file"),
    "broken external": (link("F277W", h5py.ExternalLink("no.h5", "/F150W")), "to another file"),
    "absolute external": (link("F277W", h5py.ExternalLink("/etc/passwd", "/")), "to another file"),
    "error map": (
        link("error/F150W", h5py.ExternalLink("x.h5", "/F150W")),
        "error/F150W is a link",
    ),
    "error group": (link("error", h5py.ExternalLink("x.h5", "/")), "error is a link to another"),
    "mask": (link("mask/F150W", h5py.ExternalLink("x.h5", "/F150W")), "mask/F150W is a link"),
    "broken link": (link("F277W", h5py.SoftLink("/none")), "F277W is a link that leads nowhere"),
    "broken group": (link("mask/F150W", h5py.SoftLink("/no")), "mask/F150W is a link that leads"),
    "loop": (link("F277W", h5py.SoftLink("/F277W")), "F277W is a link that leads nowhere"),
    "virtual": (virtual, "made of the datasets of other files"),
    "external storage": (external, "has its pixels in another file"),
    "size": (declared((200_000, 200_000), (100, 100)), r"at most 1e\+08 pixels, got 200000 x 2000"),
    "side": (declared((1 << 40, 4), (100, 4)), r"at most 1e\+08 pixels, got 4 x 1099511627776"),
    "chunk": (declared((25, 25), (30_000, 30_000)), r"each chunk must have at most"),
    "mask size": (declared((200_000, 200_000), (9, 9), "mask/F150W"), "mask/F150W must have at"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", ["input", "psf_file"])
def test_is_refused(files, tmp_path, case, role):
    change, message = CASES[case]
    images, psfs = files
    damaged = tmp_path / "x.h5"
    damaged.write_bytes((images if role == "input" else psfs).read_bytes())
    with h5py.File(damaged, "a") as file:
        change(file, tmp_path)
    options = {"psf_file": psfs} if role == "input" else {"psf_file": damaged}
    source = damaged if role == "input" else images
    if role == "psf_file" and ("size" in case or case in ("side", "chunk")):
        pytest.skip("a PSF of a filter that is not asked for is not read")
    with pytest.raises(InputError, match=message) as caught:
        GalaxyModel.open(source, **options)
    assert "\n" not in str(caught.value)


def test_links_within_the_file_are_followed(files, tmp_path):
    images, psfs = files
    (tmp_path / "x.h5").write_bytes(images.read_bytes())
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["store/image"] = file["F150W"][()]
        del file["F150W"]
        file["F150W"] = h5py.SoftLink("/store/image")
        file["again"] = file["/"]
    model = GalaxyModel.open(tmp_path / "x.h5", psf_file=psfs)
    np.testing.assert_array_equal(
        model.bands["F150W"].data, GalaxyModel.open(images, psf_file=psfs).bands["F150W"].data
    )


def test_more_objects_than_any_galaxy_has(files, tmp_path):
    (tmp_path / "x.h5").write_bytes(files[0].read_bytes())
    with h5py.File(tmp_path / "x.h5", "a") as file:
        for number in range(10_001):
            file.create_group(f"g{number}")
    with pytest.raises(InputError, match="at most 10000 datasets and groups"):
        GalaxyModel.open(tmp_path / "x.h5", psf_file=files[1])
