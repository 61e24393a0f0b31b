"""A package that uses stpipe for images, in the manner of jwst and romancal."""

import os
from types import SimpleNamespace

import numpy as np
from stpipe import Pipeline, Step

from galstep.hooks import Measure
from galstep.pipeline import GalPipeline


class HostModel:
    """One image, as stpipe wants data models to be."""

    crds_observatory = "host"

    def __init__(self, data, filename="host.fits"):
        self.data = data
        self.err = np.full(data.shape, 0.1, "f4")
        self.meta = SimpleNamespace(
            filename=filename,
            bunit_data="MJy/sr",
            photometry=SimpleNamespace(pixelarea_arcsecsq=0.0009),
            instrument=SimpleNamespace(filter="F150W", pupil="CLEAR"),
            cal_step=SimpleNamespace(),
        )

    def get_crds_parameters(self):
        """Nothing."""
        return {}

    def save(self, path, dir_path=None, *args, **kwargs):
        """Write the pixels."""
        path = os.fspath(path)
        with open(path, "wb") as stream:
            np.save(stream, self.data)
        return path


class HostStep(Step):
    """What steps of the host have in common."""

    spec = """
    output_ext = string(default='.fits')   # Format
    """

    @staticmethod
    def get_stpipe_loggers():
        """As jwst and romancal have it: their own and stpipe's."""
        return ("host", "stpipe")

    @classmethod
    def _get_crds_parameters(cls, dataset):
        return {}, "host"

    @classmethod
    def get_config_from_reference(cls, dataset, **kwargs):
        """There is no reference server."""
        return cls._empty_config()


class Resample(HostStep):
    """A step of the host."""

    class_alias = "host_resample"

    spec = ""

    def process(self, input):
        """Return the image."""
        if isinstance(input, str):
            return HostModel(np.load(input), os.path.basename(input))
        return input


class HostPipeline(HostStep, Pipeline):
    """A pipeline of the host with steps of galstep among its own."""

    class_alias = "host_pipeline"

    spec = ""

    step_defs = {
        "resample": Resample,
        "measure": Measure,
        "galaxy": GalPipeline,
    }

    def process(self, input):
        """Resample, measure twice."""
        image = self.measure.run(self.resample.run(input))
        self.found = self.galaxy.run(image)
        return image
