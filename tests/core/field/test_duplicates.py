"""Rows of a catalogue that are one object."""

import numpy as np
import pytest
from field_cases import bands, catalogue, truth

from galstep.core.field.duplicates import same_object, without_duplicates
from galstep.core.field.options import FieldOptions
from galstep.core.field.records import FieldSources, SourceType
from galstep.core.field.rounds import fit_field
from galstep.flags import FieldFlag

STAR, EXP, SERSIC = (int(SourceType[name]) for name in ("STAR", "EXP", "SERSIC"))


def rows(x, **columns):
    return FieldSources.make(x, np.full(len(x), 50.0), 1, **columns)


def test_rows_of_one_place_are_one_and_the_first_is_kept():
    np.testing.assert_array_equal(same_object(rows([20, 40.0, 40.4, 20.0]), 1.0), [-1, -1, 1, 0])
    np.testing.assert_array_equal(same_object(rows([20, 40.0, 40.4, 20.0]), 0.0), [-1] * 4)


def test_a_reference_star_is_kept_before_others():
    flags = np.array([0, int(FieldFlag.REFERENCE)])
    np.testing.assert_array_equal(same_object(rows([40.0, 40.4], flags=flags), 1.0), [1, -1])


@pytest.mark.parametrize(
    ("columns", "one"),
    [
        ({"kind": [STAR, SERSIC]}, False),  # an active nucleus
        ({"kind": [EXP, SERSIC], "r_eff": [9.0, 2.0]}, False),  # a disk and a bulge
        ({"kind": [SERSIC, SERSIC], "r_eff": [9.0, 2.0]}, False),
        ({"kind": [SERSIC, SERSIC], "r_eff": [4.0, 4.4]}, True),
        ({"kind": [SERSIC, SERSIC], "r_eff": [4.0, np.nan]}, True),
        ({"kind": [0, STAR]}, True),
        ({"kind": [0, SERSIC]}, True),
    ],
)
def test_what_the_catalogue_tells_apart_is_two(columns, one):
    assert (same_object(rows([40.0, 40.2], **columns), 1.0)[1] == 0) == one


def test_a_chain_ends_at_one_row_and_rows_not_fitted_are_nobodys():
    np.testing.assert_array_equal(same_object(rows([40.0, 40.8, 40.0]), 1.0), [-1, 0, 0])
    lost = rows([40.0, 40.2, np.nan], fit=[False, True, True])
    np.testing.assert_array_equal(same_object(lost, 1.0), [-1, -1, -1])


def test_the_object_has_its_flux_and_the_other_row_none():
    """Each source twice, the second rows off by some tenths of a pixel: half the fluxes else."""
    start = catalogue()
    both = start.followed_by(start.with_columns(x=start.x + 0.3, y=start.y - 0.2))
    sources, repeats = without_duplicates(both, 0.25 * 3.5)
    np.testing.assert_array_equal(repeats, [-1] * 12 + list(range(12)))
    result = fit_field(bands(), sources, FieldOptions(detect=False))
    _, _, flux = truth()
    assert np.abs((result.sources.flux[:12] - flux) / result.errors.flux[:12]).max() < 4
    assert np.isnan(result.errors.flux[12:]).all()
    flagged = result.sources.flags & int(FieldFlag.DUPLICATE) != 0
    np.testing.assert_array_equal(flagged, repeats >= 0)
