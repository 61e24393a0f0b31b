"""Small steps and a pipeline of them, for the tests of what all steps share."""

import logging

import numpy as np
from stpipe import Step

from galstep.datamodels import BandData, GalaxyModel, Meta
from galstep.pipeline.base import GalPipelineBase
from galstep.steps import GalStep

log = logging.getLogger("stpipe.galstep.toy")


def toy_model(name="toy", value=1.0, filters=("F150W", "F277W")):
    """A galaxy whose images are constant."""
    psf = np.zeros((9, 9))
    psf[4, 4] = 1.0
    bands = {f: BandData(f, np.full((20, 20), value), psf) for f in filters}
    return GalaxyModel(Meta(name, f"{name}.asdf", input_shape=(20, 20)), bands)


class Add(GalStep):
    """Add a constant to every image."""

    class_alias = "toy_add"

    spec = """
    amount = float(min=0, max=100, default=1.0)          # What is added (MJy/sr)
    times = integer(min=1, max=9, default=1)             # How often
    method = option('plain', 'fancy', default='plain')   # Way of adding
    table = input_file(default=None)                     # A file, not read
    names = force_list(default=None)                     # Some names
    [finder]
    fwhm = float(min=0, default=2.0)                     # Width (pixels)
    label = string(default='x')                          # A word
    """

    def process(self, input):
        """Add; return the model."""
        model = self.prepare_output(input)
        for band in model.bands.values():
            band.data = band.data + self.amount * self.times
        self.complete(model, amount=self.amount)
        return model


class Double(GalStep):
    """Double every image; refuse negative ones."""

    class_alias = "toy_double"

    spec = """
    factor = float(default=2.0)   # Factor
    """

    def process(self, input):
        """Multiply; return the model."""
        model = self.prepare_output(input)
        if any(np.nanmin(band.data) < 0 for band in model.bands.values()):
            self.skipped(model, "an image is negative")
            return model
        for band in model.bands.values():
            band.data = band.data * self.factor
        return model


class ToyPipeline(GalPipelineBase):
    """Add, then double."""

    class_alias = "toy_pipeline"

    spec = """
    filters = force_list(default=None)   # Filters to keep
    suffix = string(default='gal')       # Suffix of the saved model
    """

    step_defs = {"add": Add, "double": Double}

    def process(self, input):
        """Run both steps."""
        model = self.prepare_output(input)
        for key in self.step_defs:
            model = self.run_step(key, model)
        return model


class AddTen(GalStep):
    """In place of Add: its parameters are its own."""

    class_alias = "toy_add_ten"

    spec = """
    tens = integer(default=1)   # How many tens
    """

    def process(self, input):
        """Add tens; return the model."""
        model = self.prepare_output(input)
        for band in model.bands.values():
            band.data = band.data + 10 * self.tens
        return model


class GivesNothing(GalStep):
    """Forgets to return the model."""

    spec = ""

    def process(self, input):
        """Return nothing."""


class Foreign(Step):
    """A Step of another package, for another kind of data."""

    spec = """
    output_ext = string(default='.fits')   # Format
    """

    def process(self, input):
        """Return the input."""
        return input


class Declared(Step):
    """A Step of another package that says what it works on."""

    works_on_galaxy_model = True
    class_alias = "other_step"

    spec = """
    output_ext = string(default='.asdf')   # Format
    by = float(default=100.0)              # What is added
    """

    def process(self, input):
        """Add; return the model, or a word if ``by`` is 0."""
        if self.by == 0:
            return "nothing"
        for band in input.bands.values():
            band.data = band.data + self.by
        return input


class Host(Step):
    """A host of another package, whose products are FITS files."""

    spec = """
    output_ext = string(default='.fits')   # Format
    """

    def process(self, input):
        """Return the input."""
        return input


def times_hundred(model):
    """A hook: a function of the model."""
    for band in model.bands.values():
        band.data = band.data * 100
    return model


def in_words(model):
    """A hook that gives something else."""
    return "a galaxy"


def fail(model):
    """A hook with a defect."""
    return 1 / 0


class DerivedPipeline(ToyPipeline):
    """The same under another name."""

    spec = ""
