"""`FieldStep`: what the steps of a field share. They take and return a `FieldModel`."""

from __future__ import annotations

import os
from typing import Any

from galstep.datamodels.field.field_images import name_of_field
from galstep.datamodels.field.field_io import is_field_product
from galstep.datamodels.field.field_model import FieldModel
from galstep.exceptions import InputError
from galstep.steps.framework.base import GalStep

__all__ = ["FieldStep"]


class _Objects(dict):
    """What parameters of a path were given from Python; stpipe's `call` hands on no keywords."""


class FieldStep(GalStep):
    """Base class of the steps that take and return a `FieldModel`.

    Attributes
    ----------
    works_on_field_model : bool
        Says that ``process`` takes and returns a `FieldModel`, so that the class may replace a
        step of `galstep.pipeline.FieldPipeline`.
    takes_objects : tuple of str
        Parameters that are paths in a file, and from Python also tables, models or mappings.
    """

    spec = ""
    works_on_galaxy_model = False
    model_class = FieldModel
    works_on_field_model = True
    takes_objects: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kws: Any) -> None:
        self._objects = self._taken(kws)
        super().__init__(*args, **kws)

    @classmethod
    def _taken(cls, kws):
        """Objects among keywords, which lose them; paths become text."""
        objects = _Objects()
        for name in cls.takes_objects:
            value = kws.get(name)
            if isinstance(value, os.PathLike):
                kws[name] = os.fspath(value)
            elif value is not None and not isinstance(value, str):
                objects[name] = kws.pop(name)
        return objects

    @classmethod
    def call(cls, *args: Any, **kws: Any) -> FieldModel:
        """Run the step with these parameters; see ``stpipe.Step.call``.

        Parameters
        ----------
        *args
            As for `run`.
        **kws
            Parameters, and ``config_file``. Those of ``takes_objects`` may be objects.

        Returns
        -------
        FieldModel
        """
        objects = cls._taken(kws)
        return super().call(*args, *([objects] if objects else []), **kws)

    def run(self, *args: Any) -> FieldModel:
        """Run the step; see `galstep.steps.framework.base.GalStep.run`."""
        before = self._objects
        if args and isinstance(args[-1], _Objects):
            *args, given = args  # type: ignore[assignment]
            self._objects = _Objects(before | given)
        try:
            return super().run(*args)
        finally:
            self._objects = before

    def given(self, name: str) -> Any:
        """What a parameter of ``takes_objects`` has: an object, a path, or None."""
        return self._objects.get(name, getattr(self, name))

    @classmethod
    def _datamodels_open(cls, init, **kwargs):
        return FieldModel.open(init)

    def prepare_output(self, input: Any, **options: Any) -> Any:
        """The model to work on, which may be changed freely.

        Parameters
        ----------
        input : path-like or FieldModel
            A saved field, or a model: copied if the step runs on its own, taken as it is in a
            pipeline.
        **options
            None.

        Returns
        -------
        FieldModel

        Raises
        ------
        InputError
            If it is neither.
        """
        if isinstance(input, FieldModel):
            return input.copy() if self.parent is None else input
        if not isinstance(input, str | os.PathLike):
            raise InputError(
                f"{self.name} works on a field, as LoadField makes it: a path of a saved one or a "
                f"FieldModel, got {type(input).__name__}"
            )
        path = self._input_path(input)
        if not is_field_product(path):
            raise InputError(
                f"input {path}: no field of galstep (<name>_field.asdf): {self.name} works on what "
                "LoadField or FieldPipeline has saved"
            )
        return FieldModel.open(path)

    def _name_of_products(self, source):
        """What stpipe is to call products after; it takes a suffix of ours off."""
        if isinstance(source, FieldModel):
            name, file_name = source.meta.name, source.meta.filename
        else:
            name, file_name = name_of_field(source)
            path = self.make_input_path(source) if isinstance(source, str) else None
            if path is not None and os.path.isfile(path) and is_field_product(path):
                name = self.remove_suffix(name)[0]
        return f"{name}_field{os.path.splitext(file_name)[1] or '.asdf'}"

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save a field as ASDF, whatever extension a host asks for. See ``stpipe.Step``."""
        if isinstance(model, FieldModel):
            kwargs["ext"] = ".asdf"
        return super().save_model(model, *args, **kwargs)
