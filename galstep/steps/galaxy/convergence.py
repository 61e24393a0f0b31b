"""How the main loop of a fit went, kept for the picture of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galstep.records import SersicParams

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["note_passes"]

_COUNTS = ("threshold", "n_found", "n_stars", "chi2")
_SHAPE = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


def note_passes(model: GalaxyModel, key: str, history: list[dict]) -> None:
    """Write the passes of a fit into ``model.meta.convergence``.

    Parameters
    ----------
    model : GalaxyModel
        Changed in place.
    key : str
        Key of the step.
    history : list of dict
        One per pass, see `galstep.core.detection.ladder.LadderResult`.
    """
    passes = {name: [float(entry[name]) for entry in history] for name in _COUNTS}
    shapes = [SersicParams.from_vector(entry["shape"][:6]) for entry in history]
    passes |= {name: [float(getattr(shape, name)) for shape in shapes] for name in _SHAPE}
    model.meta.convergence[key] = passes
