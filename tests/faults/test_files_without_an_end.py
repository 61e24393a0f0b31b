"""What is no plain file, or a file that no reader would end with: one line from every step."""

import os
import time

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table

from galstep.batch import BatchOptions, run_batch
from galstep.configuration import convert_config
from galstep.datamodels.catalogs.catalog_table import open_table
from galstep.exceptions import GalstepError, InputError
from galstep.steps import BaseFit, LoadCrop, StarPhot, TweakReg
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import tan_wcs

SHAPE = (61, 61)
PSF = (GaussianMixturePSF.gaussian(1.3).sampled(4, 61), 4)
IMAGE = CCDData(
    np.random.default_rng(1).normal(0, 1, SHAPE), unit="MJy/sr", wcs=tan_wcs(SHAPE),
    meta={"FILTER": "F150W"},
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return unfitted_model(make_scene(3, (61, 61), 2, ("F150W",), psf_size=41))


def given_stars(path, model):
    StarPhot(finder="none", init_params=path).run(IMAGE, PSF)


READERS = {
    "image of StarPhot": lambda path, model: StarPhot().run(path, PSF),
    "PSF of StarPhot": lambda path, model: StarPhot().run(IMAGE, path),
    "positions of StarPhot": given_stars,
    "images of TweakReg": lambda path, model: TweakReg().run(path, path),
    "catalogue of TweakReg": lambda path, model: TweakReg(abs_refcat=path).run(IMAGE, IMAGE),
    "list of TweakReg": lambda path, model: TweakReg(use_custom_catalogs=True, catfile=path).run(
        IMAGE, IMAGE
    ),
    "mask of LoadCrop": lambda path, model: LoadCrop(mask_regions=path).run(model),
    "companions": lambda path, model: BaseFit(companions=[path]).run(model),
    "configuration": lambda path, model: convert_config(path, path + ".asdf"),
}
NAMES = {
    "image of StarPhot": ("x.fits", "x.h5", "x.asdf"),
    "PSF of StarPhot": ("x.fits", "x.h5", "x.psf"),
    "positions of StarPhot": ("x.csv", "x.ecsv", "x.reg", "x.vot"),
    "images of TweakReg": ("x.fits", "x.json"),
    "catalogue of TweakReg": ("x.ecsv", "x.fits"),
    "list of TweakReg": ("x.txt",),
    "mask of LoadCrop": ("x.reg",),
    "companions": ("x.reg",),
    "configuration": ("x.toml",),
}


@pytest.mark.parametrize(
    ("reader", "name"), [(reader, name) for reader, names in NAMES.items() for name in names]
)
def test_a_pipe_is_refused(tmp_path, model, reader, name):
    path = str(tmp_path / name)
    os.mkfifo(path)
    with pytest.raises(GalstepError, match="a file is needed, this is a named pipe"):
        READERS[reader](path, model)


@pytest.mark.parametrize("reader", ["mask of LoadCrop", "companions", "positions of StarPhot"])
@pytest.mark.parametrize("text", ["image\ncircle(" + "1" * 200_000, "image\ncircle(1\n", ""])
def test_regions_that_are_none(tmp_path, model, reader, text):
    path = tmp_path / "x.reg"
    path.write_text(text)
    with pytest.raises(InputError, match="x.reg: "):
        READERS[reader](str(path), model)


DEEP = "[" * 100_000
BOMB = "".join(f"# a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
COLUMNS = "# datatype:\n# - {name: x, datatype: float64}\n# - {name: y, datatype: float64}\n"
ALIASES = f"# %ECSV 1.0\n# ---\n# a0: &a0 [x, x]\n{BOMB}{COLUMNS}x y\n1 2\n"
TEXTS = {
    "nested TOML": ("configuration", "x.toml", f"a = {DEEP}{']' * 100_000}\n"),
    "number of TOML": ("configuration", "x.toml", f"[psf]\nth_min = {'9' * 6000}\n"),
    "TOML that is binary": ("configuration", "x.toml", "\0\0\0"),
    "nested JSON": ("images of TweakReg", "x.json", DEEP),
    "aliases in a header": (
        "positions of StarPhot", "x.ecsv", ALIASES,
    ),
    "aliases of a catalogue": (
        "catalogue of TweakReg", "x.ecsv", ALIASES,
    ),
    "entities of a VOTable": (
        "positions of StarPhot", "x.vot",
        '<?xml version="1.0"?>\n<!DOCTYPE v [<!ENTITY a0 "lol">'
        + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
        + ']>\n<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="x" datatype="double"/>'
        "<DATA><TABLEDATA><TR><TD>&a9;</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_texts_that_are_refused(tmp_path, model, case):
    reader, name, text = TEXTS[case]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=name):
        READERS[reader](str(path), model)


def test_a_header_runs_no_code(tmp_path, model):
    path = tmp_path / "x.ecsv"
    trap = f"# meta: !!python/object/apply:os.mkdir ['{tmp_path}/was_run']\n"
    path.write_text(f"# %ECSV 1.0\n# ---\n{trap}{COLUMNS}x y\n30.0 30.0\n")
    given_stars(str(path), model)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("link", ["external", "virtual", "storage"])
@pytest.mark.parametrize("reader", ["image of StarPhot", "PSF of StarPhot"])
def test_hdf5_leads_to_no_other_file(tmp_path, model, link, reader):
    """Neither the image of a star field nor its PSF is read out of another file."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["F150W"] = PSF[0]
    (tmp_path / "raw").write_bytes(PSF[0].tobytes())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["oversample"] = 4
        if link == "external":
            file["F150W"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/F150W")
        elif link == "virtual":
            layout = h5py.VirtualLayout(PSF[0].shape, dtype=float)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "F150W", PSF[0].shape)
            file.create_virtual_dataset("F150W", layout)
        else:
            pieces = [(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("F150W", PSF[0].shape, dtype="f8", external=pieces)
    with pytest.raises(InputError, match="x.h5"):
        READERS[reader](str(tmp_path / "x.h5"), model)


def test_a_name_that_no_file_can_have_fails_alone(tmp_path):
    """The other galaxies of the list are not lost with it."""
    scene = make_scene(3, (41, 41), 0, ("F150W",), psf_size=21)
    scene.write_hdf5(tmp_path / "a.h5")
    (tmp_path / "list.csv").write_text("input,name\nb\0.h5,bad\nnone.h5,missing\n")
    rows = run_batch([tmp_path / "list.csv"], tmp_path / "out", BatchOptions(workers=0))
    assert [row["status"] for row in rows.values()] == ["failed", "failed"]
    assert "no file can have this name" in rows["bad"]["reason"]


def test_an_image_of_declared_size_only(tmp_path, model):
    header = fits.PrimaryHDU(np.zeros((2, 2), np.uint8)).header
    header["NAXIS1"] = header["NAXIS2"] = 2_000_000
    (tmp_path / "x.fits").write_bytes(header.tostring().encode() + bytes(2880))
    for reader in ("image of StarPhot", "PSF of StarPhot", "images of TweakReg"):
        with pytest.raises(InputError, match="x.fits"):
            READERS[reader](str(tmp_path / "x.fits"), model)


def nested(sign, end, count, lines=False):
    text = sign * count + end * count
    return text.replace(sign, f"{sign}\n#   ") if lines else text


@pytest.mark.parametrize("start", ["# %ECSV 1.0", "\n# %ECSV 1.0", "#%ECSV 1.0"])
@pytest.mark.parametrize("text", [
    nested("[", "]", 50_000), nested("{", "}", 50_000), nested("[", "", 60_000),
    nested("[", "]", 1000), nested("[", "]", 20_000, lines=True), "'a' " + nested("[", "]", 5000),
], ids=["lists", "mappings", "open", "few", "in lines", "after a text"])  # fmt: skip
def test_brackets_of_a_header_are_counted_first(tmp_path, text, start):
    """Each reader that tries them takes the square of their number."""
    path = tmp_path / "a.ecsv"
    path.write_text(f"{start}\n# ---\n# meta: {text}\n# datatype:\n# - {{name: x}}\nx\n1\n")
    begun = time.perf_counter()
    with pytest.raises(InputError, match="its YAML text is nested more than [56]00? deep"):
        open_table(path, "catalog")
    assert time.perf_counter() - begun < 2


def test_brackets_in_texts_are_none(tmp_path):
    """1000 columns of half-open intervals, in quotes."""
    table = Table({f"c{i}": [1.0] for i in range(1000)})
    for name in table.colnames:
        table[name].description = "in [0, 1), [[2, 3)"
    table.write(tmp_path / "a.ecsv")
    assert len(open_table(tmp_path / "a.ecsv", "catalog").colnames) == 1000
