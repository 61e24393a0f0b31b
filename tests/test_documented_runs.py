"""Every ``strun`` and ``galstep`` command of README and pages, run in a folder with small files.

Of the pipeline the fits are skipped, which are tested elsewhere: what counts is that names,
parameters and files go together as the pages have it. Commands of single steps run as they are.
Left out: those of other packages, those of pages with tests of their own (`OWN_TESTS`), and a
scheduler that is not there.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from stpipe import Step

from galstep.cli.main import main
from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.testing import make_scene
from galstep.testing.models import fitted_model
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, tan_wcs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))]
OWN_TESTS = ("inputs.rst", "tutorial.rst")
FITS = ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "inject", "aperphot")
NOT_HERE = ("jwst.", "tcp://", "--help")
FILTERS = ("F160W", "F150W", "F277W")
SHAPE = (64, 60)


# what is typed: no sentence begins with "galstep" and goes on like this
_COMMAND = re.compile(r'\s*(strun (gal_|config)|galstep [a-z-]+($| -| ["\w]))')


def commands():
    """Page and command, each once."""
    found = {}
    for page in PAGES:
        if page.name in OWN_TESTS:
            continue
        for line in page.read_text().splitlines():
            indented = line.startswith(" ") or line.startswith("strun ")
            if indented and _COMMAND.match(line):
                command = " ".join(shlex.split(line, comments=True))
                if not any(word in command for word in NOT_HERE):
                    found.setdefault(command, (page.name, shlex.split(line, comments=True)))
    return list(found.values())


COMMANDS = commands()


@pytest.fixture(scope="session")
def scene():
    shape = SersicParams(29.3, 31.8, 5.0, 1.2, 0.3, 0.7)
    return make_scene(
        3, SHAPE, 6, FILTERS, snr=300.0, sersic=shape, star_snr=(30, 300), psf_size=61
    )


@pytest.fixture(scope="session")
def files(scene, tmp_path_factory):
    """All files that the pages name, small."""
    folder = tmp_path_factory.mktemp("documented")
    for name in ("galaxy", "other", "other_galaxy"):
        scene.write_hdf5(folder / f"{name}.h5")
    for name in ("psf", "psfs"):
        scene.write_psf(folder / f"{name}.h5")
    pipeline = GalPipeline(input_file=str(folder / "galaxy.h5"))
    pipeline.loadcrop.psf_file = str(folder / "psf.h5")
    for name in ("config", "galaxy"):
        pipeline.export_config(folder / f"{name}.asdf")
    model = fitted_model(scene, "galaxy")
    for suffix in ("psfcalibrate", "gal"):
        model.save(folder / f"galaxy_{suffix}.asdf")
    (folder / "results").mkdir()
    shutil.copy(folder / "galaxy_gal.asdf", folder / "results")
    (folder / "cutouts").mkdir()
    for name in ("g001", "g002"):
        shutil.copy(folder / "galaxy.h5", folder / "cutouts" / f"{name}.h5")
    (folder / "sphot_config.toml").write_text("[core]\niter_basefit = 4\n")
    _lists(folder, scene)
    _star_fields(folder)
    return folder


def _lists(folder, scene):
    """Catalogues of the stars, and galaxies on mosaics."""
    stars = scene.truth.stars
    first = stars[stars["filter"] == "F150W"] if "filter" in stars.colnames else stars
    Table({"x": first["x"], "y": first["y"]}).write(folder / "acs_stars.fits")
    mine = Table({"xc": first["x"] + 1.0, "yc": first["y"] + 1.0})
    mine.write(folder / "mine.csv", format="ascii.csv")
    header = tan_wcs(SHAPE).to_header()
    ra, dec = tan_wcs(SHAPE).all_pix2world(29.3, 31.8, 0)
    Table({"ra": [float(ra)], "dec": [float(dec)]}).write(folder / "positions.csv")
    for name in ("F150W", "F277W"):
        header["FILTER"], header["BUNIT"] = name, "MJy/sr"
        fits.ImageHDU(scene.data[name], header, name="SCI").writeto(
            folder / f"{name.lower()}_i2d.fits"
        )


def _star_fields(folder):
    """Frames of stars with a PSF, a reference catalogue and an association."""
    rng = np.random.default_rng(2)
    shape, wcs = (320, 360), tan_wcs((320, 360))
    x, y = rng.uniform(5, [355, 315], (90, 2)).T
    flux = 10 ** rng.uniform(2.5, 4, 90)
    psf = default_psf("F150W")
    header = wcs.to_header()
    header.update({"BUNIT": "MJy/sr", "FILTER": "F150W"})
    for name, shift in (("a", 0.0), ("b", 1.5), ("c", -1.0), ("field", 0.0)):
        image = star_frame(shape, psf, x + shift, y, flux) + rng.normal(0, 0.5, shape)
        fits.ImageHDU(image, header, name="SCI").writeto(folder / f"{name}_i2d.fits")
    (folder / "m51").mkdir()
    for name, shift in (("F150W", 0.0), ("F277W", 1.2), ("F160W", -0.7)):
        image = star_frame(shape, psf, x + shift, y, flux) + rng.normal(0, 0.5, shape)
        header["FILTER"] = name
        fits.ImageHDU(image, header, name="SCI").writeto(folder / "m51" / f"m51_{name}_i2d.fits")
    for name in ("psf.fits", "nircam_nrca1_f200w_fovp101_samp4_npsf16.fits"):
        fits.PrimaryHDU(psf.sampled(4, 61), fits.Header({"OVERSAMP": 4})).writeto(folder / name)
    ra, dec = wcs.all_pix2world(x, y, 0)
    Table({"ra": ra, "dec": dec}).write(folder / "gaia_part.ecsv")
    members = [{"expname": f"{name}_i2d.fits", "exptype": "science"} for name in "ab"]
    product = {"name": "field", "members": members}
    (folder / "field_asn.json").write_text(json.dumps({"products": [product]}))


def test_there_are_many():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(
    ("page", "words"),
    [
        # those of the first page always, the others take a minute
        pytest.param(page, words, marks=() if page == "README.md" else pytest.mark.slow)
        for page, words in COMMANDS
    ],
    ids=[f"{page}-{' '.join(words)}" for page, words in COMMANDS],
)
def test_command_runs(page, words, files, tmp_path, monkeypatch):
    if "tweakreg" in " ".join(words):
        pytest.importorskip("tweakwcs")
    shutil.copytree(files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    program, *arguments = words
    if program == "galstep":
        run_galstep(arguments)
        return
    before = set(Path().rglob("*"))
    Step.from_cmdline([*arguments, *shortened(arguments)])
    assert set(Path().rglob("*")) - before or "--output_dir" in " ".join(words)


def shortened(arguments):
    """Options that leave the fits out of a pipeline."""
    if arguments[0] not in ("gal_pipeline", "config.asdf"):
        return ["--n_galaxies=1", "--n_stars=0"] if arguments[0] == "gal_inject" else []
    named = " ".join(arguments)
    needed = [key for key in FITS if f"steps.{key}." in named]
    if {"forcedscalefit", "inject"} & set(needed):
        needed.append("basefit")  # they go on from its fit
    skipped = [f"--steps.{key}.skip=true" for key in FITS if key not in needed]
    if "inject" in needed:
        skipped += ["--steps.inject.n_galaxies=1", "--steps.inject.n_stars=0"]
    if "steps.tweakreg" in named:
        skipped.append("--steps.tweakreg.snr_threshold=5")
    return [*skipped, "--qa_figure=false"]


def run_galstep(arguments):
    if arguments[0] == "batch":
        arguments = [*arguments, "--set", "qa_figure=false"]
        for key in FITS:
            arguments += ["--set", f"{key}.skip=true"]
    if arguments[0] in ("make-config", "convert-config"):
        Path(arguments[-1]).unlink()  # the one of the other commands
    if "--resume" in arguments:
        assert main([word for word in arguments if word != "--resume"]) == 0
    assert main([*arguments]) == 0
