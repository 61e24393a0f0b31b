"""A battery that every Step passes: galstep's own, and those that take their place.

Each check is a function of a Step class, a model that the step can work on and
parameters; it raises ``AssertionError`` with what is wrong. `check_step` runs
all:

>>> from galstep.testing.step_checks import check_step
>>> check_step(MyStep, model, tmp_path, width=2.0)  # doctest: +SKIP
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.configuration.parameters import section_comment
from galstep.datamodels import GalaxyModel
from galstep.datamodels.products.asdf_io import model_tree
from galstep.exceptions import InputError
from galstep.pipeline import GalPipelineBase
from galstep.testing.differences import differences

if TYPE_CHECKING:
    from galstep.hints import PathLike
    from galstep.steps import GalStep

__all__ = [
    "CHECKS",
    "check_alone_as_in_pipeline",
    "check_input_untouched",
    "check_parameters_described",
    "check_parameters_round_trip",
    "check_product",
    "check_repeatable",
    "check_skip",
    "check_step",
    "check_wrong_input",
]

# what a number may be counted in, a plain number included
_UNIT = re.compile(
    r"pixel|arcsec|sigma|FWHM|r_eff|fraction|ratio|relative|share|number|times|degree|factor|pix\b"
    r"|semi-ax|same unit|image unit|samples|seconds|limit|mag\b|per noise area|exponent|index"
    r"|MJy/sr|S/N|count|electron|gain|probability|chi2|scale|sharpness|roundness|hours|half-side|half-ax",
    re.IGNORECASE,
)
# of stpipe, for every step
_COMMON = {
    "pre_hooks", "post_hooks", "output_use_model", "output_use_index", "skip", "suffix",
    "search_output_file", "input_dir",
}  # fmt: skip
# what tells how a result came about, not what it is
_CIRCUMSTANCES = ("timings", "history", "cal_step", "parameters")


def check_parameters_described(
    step_class: type[GalStep],
    model: GalaxyModel | None = None,
    folder: PathLike | None = None,
    **parameters: Any,
) -> None:
    """Every parameter has a default and a comment; a number says in what it is counted."""
    for path, check, comment in _entries(step_class.load_spec_file()):
        name = path.rpartition(".")[2]
        assert re.search(r"\(.*default=", check), f"{path}: no default in {check!r}"
        if path in _COMMON:
            continue
        text = comment.strip("# ")
        if path.endswith(".__many__"):
            # values by name are described with their section
            text = f"{section_comment(step_class, path.partition('.')[0])} {text}"
        assert len(text) > 5, f"{path}: no comment"
        assert "%" not in text.replace("%%", ""), f"{path}: a single percent sign breaks --help"
        if check.startswith("float"):
            assert _UNIT.search(f"{text} {name}"), f"{path}: no unit in {text!r}"


def _entries(section, where=""):
    for key, check in section.items():
        if isinstance(check, dict):
            yield from _entries(check, f"{where}{key}.")
        else:
            yield f"{where}{key}", check, section.inline_comments.get(key) or ""


def check_parameters_round_trip(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike, **parameters: Any
) -> None:
    """Parameters written to a file and read again are the same."""
    step = step_class(**parameters)
    path = Path(folder) / "parameters.asdf"
    step.export_config(str(path))
    again = step_class.from_config_file(path)
    found = list(differences(step.get_pars(), again.get_pars()))
    assert not found, f"parameters changed by a file: {'; '.join(found)}"


def check_input_untouched(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike | None = None, **parameters: Any
) -> None:
    """The caller's model is what it was before the run."""
    before = model.copy()
    _run(step_class, model, parameters)
    _assert_same(before, model, "the step changed the model it was given")


def check_repeatable(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike | None = None, **parameters: Any
) -> None:
    """Two runs give the same bits, whatever numpy's global random state."""
    np.random.seed(1)
    first = _run(step_class, model, parameters)
    np.random.seed(2)
    second = _run(step_class, model, parameters)
    _assert_same(first, second, "two runs differ", without=("timings",))


def check_alone_as_in_pipeline(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike | None = None, **parameters: Any
) -> None:
    """The step gives the same alone and in a pipeline."""
    alone = _run(step_class, model, parameters)
    within = _run_in_pipeline(step_class, model, {**parameters, "skip": False})
    _assert_same(alone, within, "alone and in a pipeline differ", without=_CIRCUMSTANCES)


def check_skip(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike | None = None, **parameters: Any
) -> None:
    """Skipped in a pipeline, the step hands on what it got and says so."""
    result = _run_in_pipeline(step_class, model, {**parameters, "skip": True})
    _assert_same(model, result, "the skipped step changed the model", without=_CIRCUMSTANCES)
    status = getattr(result.meta.cal_step, step_class.class_alias, None)
    assert status == "SKIPPED", f"cal_step says {status!r}, not 'SKIPPED'"


def check_product(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike, **parameters: Any
) -> None:
    """The result can be written, is sound, and is the same when read again."""
    result = _run(step_class, model, parameters)
    assert isinstance(result, GalaxyModel), f"the result is a {type(result).__name__}"
    status = getattr(result.meta.cal_step, step_class.class_alias, None)
    assert status in ("COMPLETE", "SKIPPED"), f"cal_step says {status!r}"
    again = GalaxyModel.open(result.save(Path(folder) / "product.asdf"))
    _assert_same(result, again, "the saved model differs from the result")


def check_wrong_input(
    step_class: type[GalStep],
    model: GalaxyModel | None = None,
    folder: PathLike | None = None,
    **parameters: Any,
) -> None:
    """What is no galaxy is refused with an `InputError`."""
    for thing in (3, {"data": 1}, "no such file.h5"):
        try:
            step_class(**parameters).run(thing)
        except InputError:
            continue
        raise AssertionError(f"{thing!r} was taken as input")


#: All checks, in the order in which `check_step` runs them.
CHECKS = (
    check_parameters_described,
    check_parameters_round_trip,
    check_wrong_input,
    check_skip,
    check_input_untouched,
    check_product,
    check_alone_as_in_pipeline,
    check_repeatable,
)


def check_step(
    step_class: type[GalStep], model: GalaxyModel, folder: PathLike, **parameters: Any
) -> None:
    """Run all checks.

    Parameters
    ----------
    step_class : type
        A `galstep.steps.GalStep`.
    model : `galstep.datamodels.GalaxyModel`
        What the step can work on.
    folder : path-like
        For files; must exist.
    **parameters
        Of the step.

    Raises
    ------
    AssertionError
        With what is wrong.
    """
    for check in CHECKS:
        check(step_class, model, folder, **parameters)


def _run(step_class, model, parameters):
    """Run the step alone; a warning counts as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return step_class(**parameters).run(model)


def _run_in_pipeline(step_class, model, parameters):
    key = step_class.__name__.lower()

    def process(self, input):
        return self.run_step(key, self.prepare_output(input))

    body = {"__doc__": "One step.", "spec": "", "step_defs": {key: step_class}, "process": process}
    pipeline = type("OneStep", (GalPipelineBase,), body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pipeline(steps={key: parameters}).run(model)


def _assert_same(first, second, what, without=()):
    trees = [model_tree(model) for model in (first, second)]
    for tree in trees:
        for key in without:
            tree["meta"].pop(key, None)
    found = list(differences(*trees))
    assert not found, f"{what}: {'; '.join(found[:5])}"
