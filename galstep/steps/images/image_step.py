"""`ImageStep`: what the steps share that work on whole images as well as on galaxies."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

from galstep import __version__
from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError
from galstep.steps.framework.base import GalStep

__all__ = ["ImageStep", "needs_package"]


def needs_package(name: str, extra: str, what: str) -> None:
    """Raise a `GalstepError` that says what to install if a package is missing.

    Parameters
    ----------
    name : str
        The package as it is imported.
    extra : str
        The optional extra of galstep that brings it.
    what : str
        Who needs it.
    """
    if importlib.util.find_spec(name) is None:
        raise GalstepError(
            f"{what} needs the package {name!r}, which is not installed: "
            f"pip install galstep[{extra}]"
        )


class ImageStep(GalStep):
    """A step whose result may be something else than a `GalaxyModel`.

    ``result_class`` is what it returns for images: a model with ``meta`` and
    ``save``. Given a `GalaxyModel` it returns one, as every step does.
    """

    spec = ""
    result_class: type | None = None

    def finalize_result(self, result: Any, reference_files_used: Any) -> None:
        """Note time and version; called by stpipe before saving."""
        if isinstance(result, GalaxyModel) or self.skip or not self._is_result(result):
            super().finalize_result(result, reference_files_used)
            return
        result.meta.timings[self.key] = time.perf_counter() - self._started
        result.meta.version = __version__
        result.meta.history.append(f"{self.key}: {self._status} (galstep {__version__})")

    def product_paths(self) -> list[Path]:
        """Where the result is saved: the model of a galaxy, or a table."""
        (model,) = super().product_paths()
        return [model, model.with_suffix(".ecsv"), model.with_suffix(".fits")]

    def _is_result(self, result):
        return self.result_class is not None and isinstance(result, self.result_class)

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save a result; tables of images are ECSV. See ``stpipe.Step``."""
        if self._is_result(model):
            kwargs["ext"] = ".ecsv"
        return super().save_model(model, *args, **kwargs)
