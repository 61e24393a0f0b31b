"""Small galaxies, and a step that misbehaves when a galaxy's name asks for it."""

import sys

import pytest

from galstep.testing import make_scene

MISBEHAVE = '''
"""A step in place of BaseFit: does what the name of the galaxy says."""

import os
import signal
import time
from pathlib import Path

from galstep.exceptions import GalstepError
from galstep.steps import GalStep


class Misbehave(GalStep):
    """Die, hang, fail, break, or hand the model on."""

    spec = """
    word = string(default='')   # Anything
    """

    def process(self, input):
        """Look at the name."""
        model = self.prepare_output(input)
        name = model.meta.name
        if name.startswith("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("leaves"):
            os._exit(3)
        if name.startswith("hangs"):
            Path(__file__).with_name("hanging.pid").write_text(str(os.getpid()))
            time.sleep(600)
        if name.startswith("fails"):
            raise GalstepError("this galaxy\\nis refused")
        if name.startswith("breaks"):
            raise ZeroDivisionError("a defect")
        if name.startswith("exits"):
            raise SystemExit("no more")
        if name.startswith("interrupts"):
            raise KeyboardInterrupt
        if name.startswith("recurses"):
            return self.process(input)
        if name.startswith("says"):
            raise ValueError("no text: \\udce9")
        if name.startswith("prints"):
            print("{}", flush=True)
        self.complete(model)
        return model
'''

SKIPPED = ("psfcalibrate", "scalefit", "forcedscalefit", "jointfit", "aperphot")


@pytest.fixture(scope="session")
def scene():
    """One filter, few pixels."""
    return make_scene(1, (41, 41), 0, ("F150W",), snr=100.0, psf_size=41)


@pytest.fixture
def galaxies(scene, tmp_path):
    """Write galaxies of these names to ``data``, the later the larger, and return the folder."""

    def write(*names):
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        if not (folder / "psf.h5").exists():
            # written once: some versions of HDF5 put the time into the file
            scene.write_psf(folder / "psf.h5")
        for number, name in enumerate(names):
            path = scene.write_hdf5(folder / f"{name}.h5")
            with open(path, "ab") as stream:
                stream.write(bytes(1000 * number))
        return folder

    return write


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A parameter file: LoadCrop, then `Misbehave`, and nothing else."""
    # each test has a module of its own under this name
    monkeypatch.delitem(sys.modules, "misbehaving_steps", raising=False)
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "misbehaving_steps.py").write_text(MISBEHAVE)
    skipped = "".join(
        f"- {{class: '', name: {key}, parameters: {{skip: true}}}}\n" for key in SKIPPED
    )
    path = folder / "config.asdf"
    path.write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\n"
        "class: galstep.pipeline.GalPipeline\nname: GalPipeline\n"
        "parameters: {qa_figure: false}\nsteps:\n"
        "- {class: galstep.steps.LoadCrop, name: loadcrop, parameters: {psf_file: psf.h5}}\n"
        "- {class: misbehaving_steps.Misbehave, name: basefit, parameters: {}}\n"
        f"{skipped}...\n"
    )
    return str(path)
