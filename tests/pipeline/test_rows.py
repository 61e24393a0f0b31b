"""Every documented way to run `GalPipeline`, and every error, on FITS mosaics.

The steps that fit are skipped: here it counts which parameters are used, which data,
and what is saved. The size of the crop shows the parameters: 31 pixels in the
parameter file, more with options. No socket is opened.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from mosaics import make_image, make_mosaic_wcs, plain_hdu
from often import first_often
from sample_models import make_psf
from stpipe import Step

from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError
from galstep.pipeline import GalPipeline

SHAPE = (81, 81)
FITS_OF = {"F150W": "m51_f150w.fits", "F277W": "m51_f277w.fits"}
SKIPPED = ("psfcalibrate", "basefit", "scalefit", "forcedscalefit", "jointfit", "aperphot")
HEADER = "#ASDF 1.0.0\n%YAML 1.1\n---\n"


def parameter_file(loadcrop="", top="input_file: m51", class_name="galstep.pipeline.GalPipeline"):
    """A parameter file for the mosaics in the folder ``m51`` beside it."""
    settings = f"psf_file: psf, min_crop_size: 31, auto_crop_factor: 0.5, {loadcrop}"
    steps = [f"- {{class: galstep.steps.LoadCrop, name: loadcrop, parameters: {{{settings}}}}}\n"]
    steps += [f"- {{class: gal_{k}, name: {k}, parameters: {{skip: true}}}}\n" for k in SKIPPED]
    return (
        f"{HEADER}class: {class_name}\nname: GalPipeline\n"
        f"parameters: {{qa_figure: false, {top}}}\nsteps:\n{''.join(steps)}...\n"
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two galaxies, a file per filter in a folder each, PSFs in another."""
    folder = tmp_path_factory.mktemp("data")
    wcs = make_mosaic_wcs(SHAPE)
    for galaxy in ("m51", "other"):
        (folder / galaxy).mkdir()
        for name in FITS_OF:
            image = make_image(SHAPE, wcs, noise=0.01)
            path = folder / galaxy / f"{galaxy}_{name.lower()}.fits"
            plain_hdu(image, wcs, name, BUNIT="MJy/sr").writeto(path)
    (folder / "psf").mkdir()
    for name in FITS_OF:
        plain_hdu(make_psf(), None, name, OVERSAMP=4).writeto(folder / "psf" / f"{name}.fits")
    (folder / "config.asdf").write_text(parameter_file())
    (folder / "alias.asdf").write_text(parameter_file(class_name="gal_pipeline"))
    (folder / "loadcrop.asdf").write_text(
        f"{HEADER}class: galstep.steps.LoadCrop\nname: loadcrop\n"
        "parameters: {min_crop_size: 35, sigma_guess: 4.0}\n...\n"
    )
    return folder


@pytest.fixture(autouse=True)
def _no_socket(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"a socket was asked for: {args}")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def strun(text, data):
    """``strun`` in this process; names of files are those in the folder ``data``."""
    Step.from_cmdline([w.replace("DATA", str(data)) for w in text.split()])


def saved_size(path):
    """Side of the crop in a product."""
    (size,) = {band.shape for band in GalaxyModel.open(path).bands.values()}
    assert size[0] == size[1]
    return size[0]


CLASS = "galstep.pipeline.GalPipeline"
# what is typed, the product, and the size of its crop
INVOCATIONS = (
    (f"{CLASS} DATA/config.asdf", "m51_gal.asdf", 31),
    (f"{CLASS} DATA/config.asdf --steps.loadcrop.min_crop_size=41", "m51_gal.asdf", 41),
    (f"{CLASS} DATA/config.asdf DATA/other", "other_gal.asdf", 31),
    ("DATA/config.asdf", "m51_gal.asdf", 31),
    ("DATA/config.asdf --save_results=true", "m51_gal.asdf", 31),
    ("DATA/config.asdf DATA/other", "other_gal.asdf", 31),
    ("gal_pipeline DATA/config.asdf", "m51_gal.asdf", 31),
    ("DATA/alias.asdf", "m51_gal.asdf", 31),
    ("DATA/config.asdf --steps.loadcrop.config_file=DATA/loadcrop.asdf", "m51_gal.asdf", 31),
    (
        "DATA/config.asdf DATA/other/other_f150w.fits DATA/other/other_f277w.fits",
        "other_gal.asdf",
        31,
    ),
    (
        "DATA/config.asdf DATA/other/other_f150w.fits --steps.loadcrop.min_crop_size=51",
        "other_f150w_gal.asdf",
        51,
    ),
)


@pytest.mark.parametrize(
    ("typed", "product", "size"), first_often(INVOCATIONS, 5), ids=lambda v: str(v)
)
def test_strun(data, elsewhere, typed, product, size):
    strun(typed, data)
    assert saved_size(product) == size
    stem = product.removesuffix("_gal.asdf")
    assert sorted(os.listdir(".")) >= [f"{stem}_gal.asdf"]
    assert all(name.startswith(f"{stem}_") for name in os.listdir("."))


def test_strun_class_and_data_with_defaults(data, elsewhere):
    skipped = " ".join(f"--steps.{key}.skip=true" for key in SKIPPED)
    strun(f"{CLASS} DATA/m51 --steps.loadcrop.psf_file=DATA/psf --qa_figure=false {skipped}", data)
    assert saved_size("m51_gal.asdf") == 81


def test_strun_not_saved_if_asked_not_to(data, elsewhere):
    strun("DATA/config.asdf --save_results=false", data)
    assert os.listdir(".") == []


def test_file_of_a_step_gives_what_the_main_file_does_not(data, elsewhere):
    strun("DATA/config.asdf --steps.loadcrop.config_file=DATA/loadcrop.asdf", data)
    used = GalaxyModel.open("m51_gal.asdf").meta.parameters["loadcrop"]
    assert (used["min_crop_size"], used["sigma_guess"]) == (31, 4.0)


CALLS = {
    "call": (lambda c, d: GalPipeline.call(str(c)), 31),
    "call with steps": (
        lambda c, d: GalPipeline.call(str(c), steps={"loadcrop": {"min_crop_size": 41}}),
        41,
    ),
    "call with data": (
        lambda c, d: GalPipeline.call(
            str(d / "other"), config_file=str(c), steps={"loadcrop": {"min_crop_size": 43}}
        ),
        43,
    ),
    "from_config_file with data": (
        lambda c, d: GalPipeline.from_config_file(c).run(d / "other"),
        31,
    ),
    "with a list": (
        lambda c, d: GalPipeline.from_config_file(c).run(sorted((d / "other").iterdir())),
        31,
    ),
}


@pytest.mark.parametrize("call", first_often(CALLS, 3))
def test_python(data, elsewhere, call):
    function, size = CALLS[call]
    model = function(data / "config.asdf", data)
    assert {band.shape for band in model.bands.values()} == {(size, size)}
    assert model.filters == ("F150W", "F277W")


def test_python_instance(data, elsewhere):
    pipeline = GalPipeline(
        steps={
            "loadcrop": {
                "psf_file": str(data / "psf"),
                "min_crop_size": 33,
                "auto_crop_factor": 0.5,
            },
            **{key: {"skip": True} for key in SKIPPED[1:]},
        }
    )
    pipeline.psfcalibrate.skip = True
    model = pipeline.run(str(data / "m51"))
    assert model.bands["F150W"].shape == (33, 33)
    assert os.listdir(".") == []


LOADCROP = "--steps.loadcrop."
# what is wrong in the parameter file or typed, the message, the exit code
ERRORS = {
    "unknown key": (
        parameter_file("min_crop_sise: 3"),
        r"unknown parameter steps/loadcrop/min_crop_sise \(did you mean 'min_crop_size'\?\)",
        1,
    ),
    "wrong type": (
        parameter_file("sigma_guess: wide"),
        r"parameter 'steps/loadcrop/sigma_guess': the value \"wide\" is of the wrong type",
        1,
    ),
    "out of range": (
        parameter_file("bad_dq_bits: -2"),
        r"parameter 'steps/loadcrop/bad_dq_bits': the value \"-2\" is too small",
        1,
    ),
    "option": (
        parameter_file("weights: heavy"),
        r"parameter 'steps/loadcrop/weights': the value \"heavy\" is unacceptable",
        1,
    ),
    "input_file missing": (
        parameter_file(top="input_file: nope.fits"),
        r"parameter 'input_file': Path '/.*/nope.fits' does not exist",
        1,
    ),
    "no parameters": (f"{HEADER}class: gal_pipeline\nname: x\n...\n", "has no 'parameters'", 2),
    "no class": (f"{HEADER}name: x\nparameters: {{}}\n...\n", "the top level has no 'class'", 2),
    "plain YAML": ("class: gal_pipeline\n", "the first line must be '#ASDF 1.0.0'", 2),
    "YAML syntax": (f"{HEADER}class: [a\n...\n", "not valid YAML", 2),
    "size without position": (
        parameter_file("size: 2.0"),
        "size 2 arcsec needs ra and dec to be cut out about",
        1,
    ),
    "off the image": (
        parameter_file("ra: 3.0, dec: 4.0, size: 2.0"),
        r"the position \(ra, dec\) is off the image of every filter",
        2,
    ),
    "filter": (
        parameter_file("filters: [F115W]"),
        "m51: filter 'F115W' is not there; it has F150W, F277W",
        2,
    ),
    "psf": (
        parameter_file("psf_file: m51"),
        r"psf_file .*m51_f150w.fits\[PRIMARY\]: the oversampling is not told",
        2,
    ),
}


# stpipe itself reads the file of `strun FILE`, and has its own words for one that is none
ALONE = ("unknown key", "wrong type", "off the image")


@pytest.mark.parametrize(
    ("case", "before"), [*((case, CLASS) for case in ERRORS), *((case, "") for case in ALONE)]
)
def test_error_in_the_parameter_file(data, elsewhere, case, before):
    text, message, status = ERRORS[case]
    path = data / f"{case.replace(' ', '_')}.asdf"
    path.write_text(text)
    with pytest.raises(GalstepError, match=message) as caught:
        strun(f"{before} {path}", data)
    assert caught.value.exit_status == status
    assert "\n" not in str(caught.value)
    assert os.listdir(".") == []


def test_unknown_option(data, elsewhere, capsys):
    with pytest.raises(SystemExit) as caught:
        strun(f"{CLASS} DATA/config.asdf {LOADCROP}nosuch=2", data)
    assert caught.value.code == 2
    assert "unrecognized arguments: --steps.loadcrop.nosuch=2" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.asdf", "missing.fits"])
def test_class_and_a_file_that_is_not_there(elsewhere, name):
    with pytest.raises(GalstepError, match=f"input file '{name}' does not exist") as caught:
        Step.from_cmdline([CLASS, name])
    assert caught.value.exit_status == 2


def test_file_that_is_not_there_alone(elsewhere):
    with pytest.raises(
        ValueError, match="'missing.asdf' is not a path to a config file or a Python"
    ):
        Step.from_cmdline(["missing.asdf"])


def test_input_is_left_as_it_was(data, elsewhere):
    files = sorted((data / "m51").iterdir())
    before = [path.read_bytes() for path in files]
    strun("DATA/config.asdf", data)
    assert [path.read_bytes() for path in files] == before
    with fits.open(files[0]) as hdus:
        assert hdus[0].header["FILTER"] == "F150W"


@pytest.mark.slow
def test_no_socket_in_a_process_of_its_own(data, elsewhere):
    """From the first import to the last product, with a reference server configured."""
    trap = elsewhere / "trap"
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def note(self, *args, **kwargs):\n"
        # urllib3, which crds imports, tries at import whether the machine has IPv6
        "    if sys._getframe(1).f_code.co_name == '_has_ipv6': raise OSError\n"
        "    open(__file__ + '.opened', 'a').write(f'{args}\\n')\n"
        "    raise OSError('no network')\n"
        "socket.socket.__init__ = note\n"
        "socket.getaddrinfo = note\n"
        "open(__file__ + '.armed', 'w').close()\n"
    )
    result = subprocess.run(
        [Path(sys.executable).parent / "strun", data / "config.asdf"],
        env={
            **os.environ,
            "PYTHONPATH": str(trap),
            "CRDS_SERVER_URL": "https://jwst-crds.stsci.edu",
            "CRDS_PATH": str(elsewhere / "crds_cache"),
            "CRDS_CONTEXT": "jwst_1234.pmap",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert saved_size("m51_gal.asdf") == 31
    assert sorted(path.name for path in trap.iterdir() if path.is_file()) == [
        "sitecustomize.py",
        "sitecustomize.py.armed",
    ]
    assert not (elsewhere / "crds_cache").exists()
