"""Input that cannot be used, from the command line: one line, an exit code, old products kept.

The messages of the readers are tested one by one in ``tests/datamodels``, those
of the parameters in ``test_parameter_errors``; here is what a user of the whole
pipeline sees.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.table import QTable
from often import first_often
from stpipe import Step

from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError
from galstep.flags import BandFlag
from galstep.testing import make_scene

FILTERS = ("F150W", "F277W")
EARLIER = ("small_gal.asdf", "small_sersic.ecsv", "small_phot.ecsv", "small_stars.ecsv")


@pytest.fixture(scope="module")
def scene():
    """A galaxy of S/N 200 among a few stars."""
    return make_scene(5, (71, 71), 8, FILTERS, snr=200.0, psf_size=81)


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory):
    """Its image and PSF files."""
    path = tmp_path_factory.mktemp("files")
    scene.write_hdf5(path / "small.h5")
    scene.write_psf(path / "psf.h5")
    return path


@pytest.fixture
def here(files, elsewhere):
    """A current folder with copies of them, and products of an earlier run."""
    for name in ("small.h5", "psf.h5"):
        shutil.copy(files / name, name)
    for name in EARLIER:
        Path(name).write_text(f"earlier {name}")
    return elsewhere


def change(file, name, array):
    """Replace a dataset; None removes it."""
    with h5py.File(file, "a") as opened:
        del opened[name]
        if array is not None:
            opened[name] = array


def change_psf(array):
    """A change of the PSF of F277W."""
    return lambda: change("psf.h5", "F277W", array)


def no_oversample():
    with h5py.File("psf.h5", "a") as file:
        del file.attrs["oversample"]


def negative_psf():
    with h5py.File("psf.h5") as file:
        array = -file["F277W"][()]
    change("psf.h5", "F277W", array)


def other_shape():
    change("small.h5", "error", None)
    change("small.h5", "F277W", np.ones((60, 71)))


def nothing():
    """Leave the files as they are."""


USUAL = ("small.h5", "--steps.loadcrop.psf_file=psf.h5")
# change of the files, arguments, what the message says, exit code
CASES = {
    "missing file": (nothing, ["none.h5"], r"input file 'none\.h5' does not exist$", 2),
    "not HDF5": (
        lambda: Path("small.h5").write_text("F150W F277W\n"),
        USUAL,
        r"input small\.h5: the kind of file is not known; what is read is HDF5",
        2,
    ),
    "damaged HDF5": (
        lambda: Path("small.h5").write_bytes(Path("small.h5").read_bytes()[:3000]),
        USUAL,
        r"input small\.h5: the HDF5 file is damaged",
        2,
    ),
    "PSF file not HDF5": (
        lambda: Path("psf.h5").write_text("no PSF"),
        USUAL,
        r"psf_file .*psf\.h5: an HDF5 file is needed",
        2,
    ),
    "missing PSF file": (
        nothing,
        ["small.h5", "--steps.loadcrop.psf_file=none.h5"],
        r"'steps/loadcrop/psf_file': Path '.*none\.h5' does not exist",
        1,
    ),
    "no PSF file": (
        nothing,
        ["small.h5"],
        r"input small\.h5: images need their PSFs: give psf_file",
        2,
    ),
    "filter": (
        nothing,
        [*USUAL, "--filters=F150W,F444W"],
        r"input small\.h5: filter 'F444W' is not there; it has F150W, F277W",
        2,
    ),
    "filter of a step": (
        nothing,
        [*USUAL, "--steps.scalefit.filters=F444W"],
        r"filters: F444W not in the model, which has F150W, F277W",
        1,
    ),
    "filter without PSF": (
        change_psf(None),
        USUAL,
        r"psf_file .*psf\.h5: filter 'F277W' is not there; it has F150W",
        2,
    ),
    "no oversample": (
        no_oversample,
        USUAL,
        r"psf_file .*psf\.h5: F150W: the oversampling is not told .* give psf_oversample",
        2,
    ),
    "PSF cube": (
        change_psf(np.ones((3, 9, 9))),
        USUAL,
        r"psf_file .*: F277W must be a 2-D image, got shape \(3, 9, 9\)",
        2,
    ),
    "negative PSF": (
        negative_psf,
        USUAL,
        r"psf_file .*: F277W must not be negative beyond 5% of its peak, got samples from -\S+ to",
        2,
    ),
    "PSF of zeros": (
        change_psf(np.zeros((9, 9))),
        USUAL,
        r"psf_file .*: F277W must hold light, got zeros only",
        2,
    ),
    "shapes": (
        other_shape,
        USUAL,
        r"input small\.h5: all images must have one shape, got .*F277W \(60, 71\)",
        2,
    ),
    "nothing usable": (
        lambda: [change("small.h5", name, np.full((71, 71), np.nan)) for name in FILTERS],
        USUAL,
        r"input small\.h5: no filter has a usable pixel",
        2,
    ),
    "type": (
        nothing,
        [*USUAL, "--steps.basefit.iter_basefit=few"],
        r"'steps/basefit/iter_basefit': the value \"few\" is of the wrong type "
        r"\(needed: integer\(min=1, max=100\)\)",
        1,
    ),
    "range": (
        nothing,
        [*USUAL, "--steps.basefit.iter_basefit=0"],
        r"'steps/basefit/iter_basefit': the value \"0\" is too small "
        r"\(needed: integer\(min=1, max=100\)\)",
        1,
    ),
    "choice": (
        nothing,
        [*USUAL, "--steps.jointfit.sky_order=3"],
        r"'steps/jointfit/sky_order': the value \"3\" is unacceptable "
        r"\(needed: option\('auto', '0', '1', '2'\)\)",
        1,
    ),
}


@pytest.mark.parametrize("case", first_often(CASES, 4))
def test_one_line_an_exit_code_and_the_old_products(case, here):
    prepare, arguments, message, exit_status = CASES[case]
    prepare()
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    with pytest.raises(GalstepError, match=message) as caught:
        Step.from_cmdline(["gal_pipeline", *arguments])
    assert caught.value.exit_status == exit_status
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def write_parameters(parameters):
    """A parameter file for this galaxy with these parameters of BaseFit."""
    Path("config.asdf").write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: galstep.pipeline.GalPipeline\nname: GalPipeline\n"
        "parameters: {input_file: small.h5, qa_figure: false}\nsteps:\n"
        "- class: galstep.steps.LoadCrop\n  name: loadcrop\n  parameters: {psf_file: psf.h5}\n"
        f"- class: galstep.steps.BaseFit\n  name: basefit\n  parameters: {parameters}\n...\n"
    )
    return "config.asdf"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "{iter_basfit: 3}",
            r"unknown parameter steps/basefit/iter_basfit \(did you mean 'iter_basefit'\?\)$",
        ),
        (
            "{th_mim: 4, sky_ordr: '1'}",
            r"basefit/th_mim \(did you mean 'th_min'\?\); .*sky_ordr \(did you mean 'sky_order'",
        ),
        (
            "{iter_jointfit: 3}",
            r"basefit/iter_jointfit \(did you mean '(iter_basefit|final_joint|steps)",
        ),
        ("{th_iter: 2.5}", r"'steps/basefit/th_iter': the value \"2.5\" is of the wrong type"),
        ("{star_density: 7}", r"'steps/basefit/star_density': the value \"7.0\" is too big"),
    ],
)
def test_a_parameter_file_with_a_mistake(here, parameters, message):
    with pytest.raises(GalstepError, match=message) as caught:
        Step.from_cmdline(["gal_pipeline", write_parameters(parameters)])
    assert caught.value.exit_status == 1
    assert "\n" not in str(caught.value)
    assert {name: Path(name).read_text() for name in EARLIER} == {
        name: f"earlier {name}" for name in EARLIER
    }


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        pytest.param(
            np.full((71, 71), np.nan), "every pixel is masked or not finite", marks=pytest.mark.slow
        ),
        pytest.param(np.zeros((71, 71)), "all pixels have the same value", marks=pytest.mark.slow),
        (np.full((71, 71), 3.5), "all pixels have the same value"),
    ],
    ids=["NaN", "zeros", "constant"],
)
def test_a_filter_with_nothing_in_it_is_flagged_and_the_other_measured(here, scene, array, reason):
    change("small.h5", "F277W", array)
    Step.from_cmdline(["gal_pipeline", *USUAL, "--output_dir=out", "--qa_figure=false"])
    rows = {row["filter"]: row for row in QTable.read("out/small_sersic.ecsv")}
    assert set(rows) == set(FILTERS)
    lost, good = rows["F277W"], rows["F150W"]
    assert lost["flags"] & BandFlag.NO_DATA
    assert np.isnan(lost["flux"]) and np.isnan(lost["flux_err"])
    assert not good["flags"] & BandFlag.NO_DATA
    assert good["flux"].value == pytest.approx(
        scene.truth.fluxes["F150W"], abs=4 * good["flux_err"].value
    )
    model = GalaxyModel.open("out/small_gal.asdf")
    assert model.bands["F277W"].reasons[0] == reason
    assert not model.bands["F277W"].fitted


class TestShell:
    """``strun`` in a process of its own: exit code, one line, no traceback."""

    def strun(self, *arguments):
        """Run the pipeline on the files in the current folder."""
        program = os.path.join(os.path.dirname(sys.executable), "strun")
        return subprocess.run(
            [program, "gal_pipeline", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ("PSF of zeros", "psf.h5: F277W must hold light, got zeros only"),
            ("range", 'the value "0" is too small (needed: integer(min=1, max=100))'),
        ],
    )
    def test_bad_input(self, here, case, words):
        prepare, arguments, _, exit_status = CASES[case]
        prepare()
        result = self.strun(*arguments)
        said = result.stdout + result.stderr
        assert result.returncode == exit_status
        assert "Traceback" not in said
        # the banner of stpipe wraps long lines
        assert words in " ".join(said.split())
        assert {name: Path(name).read_text() for name in EARLIER} == {
            name: f"earlier {name}" for name in EARLIER
        }
