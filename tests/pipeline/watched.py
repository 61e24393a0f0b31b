"""A pipeline with a long step, run on its own: ``python watched.py``; see test_progress.py."""

import time

from toy_steps import Add, toy_model

from galstep.pipeline.base import GalPipelineBase
from galstep.steps import GalStep


class Long(GalStep):
    """Works for a second, and tells."""

    class_alias = "toy_long"
    spec = ""

    def process(self, input):
        """Wait."""
        model = self.prepare_output(input)
        for part in range(1, 5):
            time.sleep(0.25)
            self.tell_share(part / 4)
        self.complete(model)
        return model


class Watched(GalPipelineBase):
    """A long step and a short one."""

    class_alias = "toy_watched"
    spec = """
    suffix = string(default='gal')   # Suffix
    """
    step_defs = {"long": Long, "add": Add}

    def process(self, input):
        """Run both."""
        model = self.prepare_output(input)
        with self._progress(list(self.step_defs)) as done:
            for key in self.step_defs:
                model = self.run_step(key, model)
                done(key, 1.0, len(model.bands))
        return model


if __name__ == "__main__":
    Watched.call(toy_model(), configure_log=False)
