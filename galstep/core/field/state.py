"""What is known of a field's sources between two rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.couplings import Links
from galstep.core.field.frames import LightRows
from galstep.core.field.records import SourceType
from galstep.core.field.scene_sources import shape_vectors

if TYPE_CHECKING:
    from galstep.core.field.block_task import BlockResult
    from galstep.core.field.options import FieldOptions
    from galstep.core.field.records import FieldSources

__all__ = ["FieldState"]

_DEFAULT = {
    "star": SourceType.STAR, "exp": SourceType.EXP, "dev": SourceType.DEV,
    "sersic": SourceType.SERSIC,
}  # fmt: skip


class FieldState:
    """Arrays of all sources, in the order of the rows; those found later stand behind.

    Parameters
    ----------
    sources : FieldSources
    options : FieldOptions

    Attributes
    ----------
    sources : FieldSources
        What the fit started from.
    start, z : (N, 6) arrays
        Vectors to start from, and now.
    flux : (N, n_bands) array
    kind : (N,) int array
        `SourceType`; AUTO until a type is chosen.
    measured : (N,) bool array
        Whose shape comes from the image.
    chosen : (N,) bool array
        Whose type is the fit's choice.
    moved : (N,) array
        By how much the last fit moved a source, sigma; infinite before the first.
    reach : (N, 2) array
        Of the fit and the model stamps, reference pixels.
    type_chi2 : (N, 4) array
        Of the types that were tried, when they were.
    results : dict
        row -> (BlockResult, place in it).
    failed : dict
        row -> reason.
    links : Links
    """

    def __init__(self, sources: FieldSources, options: FieldOptions) -> None:
        kind = np.array(sources.kind)
        if options.default_type != "auto":
            kind[kind == SourceType.AUTO] = _DEFAULT[options.default_type]
        self.sources = sources.with_columns(kind=kind)
        self.options = options
        self.kind = kind.copy()
        self.start = shape_vectors(self.sources, options)
        self.z = self.start.copy()
        self.flux = np.zeros_like(sources.flux)
        self.chosen = kind == SourceType.AUTO
        profile = kind != SourceType.STAR
        self.measured = profile & ~(sources.r_eff > 0) & sources.fit
        n = len(sources)
        self.point = kind == SourceType.STAR
        self.moved = np.where(sources.fit, np.inf, 0.0)
        self.reach = np.full((n, 2), 20.0)
        self.n_iterations = np.zeros(n, dtype=int)
        self.type_chi2 = np.full((n, 4), np.nan)
        self.results, self.failed = {}, {}
        self.links = Links.sorted(np.zeros(0, int), np.zeros(0, int), np.zeros(0))

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def active(self) -> np.ndarray:
        """Rows that have a part in the model."""
        return np.flatnonzero(self.sources.fit)

    def extended(self, new: FieldSources) -> FieldState:
        """The state with further sources behind, of which nothing is known yet."""
        both = FieldState(self.sources.followed_by(new), self.options)
        n = len(self)
        for name in ("start", "z", "flux", "kind", "chosen", "measured", "point", "moved", "reach",
                     "n_iterations", "type_chi2"):  # fmt: skip
            getattr(both, name)[:n] = getattr(self, name)
        both.results, both.failed, both.links = self.results, self.failed, self.links
        return both

    def light(self, rows: np.ndarray) -> LightRows:
        """Some sources as light that is not fitted."""
        return LightRows(self.z[rows], self.flux[rows], self.point[rows])

    def absorb(self, rows: np.ndarray, result: BlockResult) -> None:
        """Take over what a block found for its own rows."""
        for k, row in enumerate(rows):
            variances = np.diag(result.covariance[k])
            # no information but rounding: nothing can be said to have moved
            errors = np.sqrt(np.where(variances > 0, variances, np.inf))
            free = result.free[k]
            change = np.concatenate(
                [(result.z[k] - self.z[row])[free], result.flux[k] - self.flux[row]]
            )
            same = result.kind[k] == self.kind[row] and row in self.results
            seen = np.concatenate([np.ones(np.count_nonzero(free), bool), result.seen[k]])
            share = np.abs(change / errors)[seen]
            self.moved[row] = float(share.max(initial=0.0)) if same else np.inf
            self.results[row] = result, k
            self.failed.pop(row, None)
            if np.isfinite(result.type_chi2[k]).any():
                self.type_chi2[row] = result.type_chi2[k]
        self.z[rows], self.flux[rows] = result.z, result.flux
        self.kind[rows] = result.kind
        self.point[rows] = result.kind == SourceType.STAR
        self.reach[rows] = result.reach
        self.n_iterations[rows] += result.n_iterations

    def fail(self, rows: np.ndarray, reason: str) -> None:
        """A block of which nothing came back: its rows stay as they were."""
        for row in rows:
            self.failed[row] = reason
        self.moved[rows] = 0.0
