"""What a chosen number does: each constant of core twice and half as large, on one known scene.

    python benchmarks/constants.py [--only engine/solve:MAX_TRIES ...] [--file OUT.csv]

Without ``--only``: the constants that `tests/core/test_constants.py` still lists without a word,
and those whose comment says "chosen". The scene: 91 x 91 pixels, three filters, an n = 2 galaxy of
S/N 200, thirty stars, a library PSF that is too sharp, run through `GalPipeline`. Printed is the
largest change of flux, radius, index and place in any filter, in units of the quoted error, and
that of the number of stars. What changes nothing on this scene may matter on others: the figure
says that the value is not finely tuned here, no more.
"""

import argparse
import importlib
import re
import sys
import warnings
from pathlib import Path

import numpy as np

from galstep.pipeline import GalPipeline
from galstep.records import SersicParams
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model

TOP = Path(__file__).parents[1]
FILTERS = ("F090W", "F150W", "F277W")


def listed():
    """Names as ``room/file:NAME``."""
    text = (TOP / "tests/core/test_constants.py").read_text()
    bare = [f"{a}:{b}" for a, b in re.findall(r'"([\w/]+):(\w+)"', text)]
    chosen = []
    for path in sorted((TOP / "galstep/core").rglob("*.py")):
        for comment, name in re.findall(
            r"((?:^#.*\n)+)^(\w+)(?:, \w+)* = ", path.read_text(), re.M
        ):
            if "chosen" in comment.lower():
                where = path.relative_to(TOP / "galstep/core").with_suffix("")
                chosen.append(f"{where}:{name}")
    return bare + [name for name in chosen if name not in bare]


def scaled(value, factor):
    """Numbers times a factor, whole ones rounded and at least 1; None where that means nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | tuple):
        return None
    if isinstance(value, tuple):
        parts = tuple(scaled(own, factor) for own in value)
        return None if None in parts else parts
    if isinstance(value, int):
        return max(1, round(value * factor))
    return value * factor


class Changed:
    """A constant with another value wherever a module of core has it by that name."""

    def __init__(self, name, factor):
        where, self.name = name.split(":")
        self.old = getattr(importlib.import_module(f"galstep.core.{where.replace('/', '.')}"),
                           self.name)  # fmt: skip
        self.new = scaled(self.old, factor)
        self.modules = [
            module
            for key, module in list(sys.modules.items())
            if key.startswith("galstep.core") and getattr(module, self.name, None) is self.old
        ]

    def __enter__(self):
        for module in self.modules:
            setattr(module, self.name, self.new)

    def __exit__(self, *exc_info):
        for module in self.modules:
            setattr(module, self.name, self.old)


def results(model):
    """Numbers and their errors, and how many stars."""
    values, errors, stars = [], [], 0
    for band in model.bands.values():
        component = band.fit.sersic[0]
        values += [component.flux, *component.params.to_vector()[[0, 1, 2, 5]]]
        errors += [component.flux_err, *np.sqrt(np.diag(component.covariance)[[0, 1, 2, 5]])]
        stars += len(band.fit.stars)
    return np.array(values), np.array(errors), stars


def main():
    """Try them one by one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--file", type=Path, default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    scene = make_scene(
        7, (91, 91), 30, FILTERS, snr=200.0, sersic=SersicParams(45.3, 44.8, 5.0, 2.0, 0.3, 0.7),
        star_separation=7, star_snr=(8, 300), psf_size=81,
    )  # fmt: skip
    model = unfitted_model(scene)

    def run():
        return results(GalPipeline(qa_figure=False).run(model.copy()))

    values, errors, stars = run()
    lines = []
    for name in options.only if options.only is not None else listed():
        said = [name]
        for factor in (2.0, 0.5):
            change = Changed(name, factor)
            if change.new is None:
                said += ["", ""]
                continue
            try:
                with change:
                    other, _, n = run()
                said += [f"{np.max(np.abs(other - values) / errors):.3f}", f"{n - stars:+d}"]
            except Exception as error:  # a value may make no sense at all
                said += [type(error).__name__, ""]
        lines.append(",".join(said))
        print(lines[-1], flush=True)
    if options.file is not None:
        head = "constant,twice: errors,stars,half: errors,stars"
        options.file.write_text("\n".join([head, *lines]) + "\n")


if __name__ == "__main__":
    main()
