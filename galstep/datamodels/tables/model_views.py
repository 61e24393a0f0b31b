"""The tables of a model as a person asks for them: the galaxy, its companions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, QTable

from galstep.datamodels.tables.galaxy_tables import phot_table, sersic_table
from galstep.flags import decode

if TYPE_CHECKING:
    from galstep.datamodels.galaxy import GalaxyModel

__all__ = ["companion_view", "galaxy_view"]

_NUMBERING = ("filter", "galaxy_id", "component", "flags")
# of one component: the target's own are in the table ``phot``
_OF_COMPONENT = ("amplitude", "amplitude_err", "flux", "flux_err", "mag_ab", "mag_ab_err",
                 "mag_ab_limit")  # fmt: skip


def galaxy_view(model: GalaxyModel) -> QTable:
    """The target in one table, a row per filter: place and shape, then light.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    `astropy.table.QTable`
        Place, shape and ``chi2_reduced`` of the first Sersic component, as in the table
        ``sersic``; the columns of the table ``phot``; ``flag_names``, the flags in words.
        NaN where nothing was measured.
    """
    shape, light = _first_components(model), phot_table(model)
    table = QTable(meta=dict(light.meta))
    table["filter"] = light["filter"]
    for source, left_out in ((shape, (*_NUMBERING, *_OF_COMPONENT)), (light, ("filter",))):
        for name in source.colnames:
            if name not in left_out and name not in table.colnames:
                table[name] = source[name]
    words = [" ".join(decode(int(flags))) for flags in light["flags"]]
    table["flag_names"] = Column(np.array(words, dtype=str), description="the flags in words")
    return table


def companion_view(model: GalaxyModel) -> QTable:
    """The other galaxies that were fitted: the rows of the table ``sersic`` that are theirs.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    `astropy.table.QTable`
        A row per filter, galaxy and component; none without companions.
    """
    table = sersic_table(model)
    return table[table["galaxy_id"] > 0]


def _first_components(model):
    """One row per filter: the target's first component, NaN where it has none."""
    table = sersic_table(model)
    own = np.asarray((table["galaxy_id"] == 0) & (table["component"] == 0))
    rows, lacking = [], []
    for number, name in enumerate(model.bands):
        of_filter = np.flatnonzero(np.asarray(table["filter"]) == name)
        target = [row for row in of_filter if own[row]]
        rows.append(target[0] if target else of_filter[0])
        if not target:
            lacking.append(number)
    chosen = table[np.array(rows, dtype=int)]
    for name in chosen.colnames:
        if name not in _NUMBERING and lacking:
            chosen[name][lacking] = np.nan
    return chosen
