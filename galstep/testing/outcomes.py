"""What came of a run on odd input: a product that can be trusted, or one clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import GalstepError
from galstep.flags import BandFlag
from galstep.pipeline import GalPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from galstep.testing.hostile_inputs import HostileGalaxy
    from galstep.testing.odd_inputs import OddGalaxy

__all__ = ["CLEAN", "ERROR", "FLAGGED", "NOT_FITTED", "measure_odd", "unsound"]

#: All filters fitted without a flag or with some; a filter not fitted; one error.
CLEAN, FLAGGED, NOT_FITTED, ERROR = "clean", "flagged", "not fitted", "error"

# what a clear error begins with: the file, or what it lacks
_NAMED = ("input ", "psf_file ", "base filter")

#: No frame of the size of an `galstep.testing.odd_inputs.OddGalaxy` needs many passes.
QUICK = {
    "basefit": {"iter_basefit": 3, "th_iter": 3},
    "scalefit": {"iter_scalefit": 1},
    "psfcalibrate": {"max_loops": 2},
}


def measure_odd(
    odd: OddGalaxy | HostileGalaxy, folder: Path, steps: dict | None = None
) -> tuple[str, str]:
    """Run the pipeline on odd input, products included.

    Parameters
    ----------
    odd : galstep.testing.odd_inputs.OddGalaxy or galstep.testing.hostile_inputs.HostileGalaxy
    folder : `pathlib.Path`
        For input and products; must exist.
    steps : dict, optional
        Parameters by step; by default `QUICK`.

    Returns
    -------
    kind, text : str
        `CLEAN`, `FLAGGED`, `NOT_FITTED` or `ERROR`; for an error the message.

    Raises
    ------
    AssertionError
        If the product is not sound (see `unsound`), an error does not say in one
        line which input is at fault, what must be refused is not, or a file is written
        anywhere but in the folder of products.
    Exception
        Anything that is no `GalstepError` is a defect and passes through.
    """
    images, psfs = odd.write(folder)
    name = safe_name(getattr(odd, "name", "odd"))
    products = folder / "products"
    before = set(folder.rglob("*"))
    steps = QUICK if steps is None else steps
    try:
        model = GalPipeline.call(
            str(images),
            output_dir=str(products),
            save_results=True,
            qa_figure=False,
            configure_log=False,
            steps=steps | {"loadcrop": {"psf_file": str(psfs)}},
        )
    except GalstepError as error:
        text = str(error)
        assert text.startswith(_NAMED), f"{odd}: the error names no input: {text}"
        assert "\n" not in text, f"{odd}: the error has several lines: {text}"
        return ERROR, text
    finally:
        astray = [p for p in set(folder.rglob("*")) - before if products not in (p, *p.parents)]
        assert not astray, f"{odd}: written astray: {astray}"
    assert not getattr(odd, "must_fail", False), f"{odd}: not refused"
    problems = list(unsound(GalaxyModel.open(products / f"{name}_gal.asdf")))
    assert not problems, f"{odd}: {'; '.join(problems)}"
    bands = model.bands.values()
    if not all(band.fitted for band in bands):
        return NOT_FITTED, ""
    return (FLAGGED if any(band.all_flags for band in bands) else CLEAN), ""


def unsound(model: GalaxyModel) -> Iterator[str]:
    """What is wrong with a result and not said to be wrong.

    A filter has finite fluxes with positive errors, or a flag and a reason. No
    number of a table is infinite.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Yields
    ------
    str
    """
    for name, band in model.bands.items():
        flags = BandFlag(band.all_flags)
        said = [*band.reasons, *(part.reason for part in (band.psf_kernel, band.fit) if part)]
        if not band.fitted:
            if not flags & (BandFlag.NO_DATA | BandFlag.NOT_FITTED):
                yield f"{name}: not fitted, flags {flags!r}"
            elif not any(said):
                yield f"{name}: not fitted, without a reason"
            continue
        for component in band.fit.sersic:
            values = (component.flux, *component.params.to_vector())
            if not np.isfinite(values).all():
                yield f"{name}: the fit has {values}"
            if not component.flux_err > 0 and not flags:
                yield f"{name}: flux_err {component.flux_err} without a flag"
    for kind, table in make_tables(model).items():
        for column in table.colnames:
            column_values = np.asarray(getattr(table[column], "value", table[column]))
            if column_values.dtype.kind == "f" and np.isinf(column_values).any():
                yield f"table {kind}: {column} is infinite"
