"""Records as plain trees and back."""

from enum import IntFlag
from pathlib import Path

import numpy as np
import pytest
from sample_models import make_fit

from galstep.datamodels.files.serialise import plain, record_from_tree
from galstep.flags import BandFlag
from galstep.records import BandFit, PsfKernel, StarList


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (np.float64(0.1), 0.1),
        (np.str_("a"), "a"),
        (BandFlag.FAINT, 32),
        (Path("a/b"), "a/b"),
        ((1, (2.0, None)), [1, [2.0, None]]),
        ({"a": {1: np.float32(0.5)}}, {"a": {"1": 0.5}}),
        ({3}, [3]),
        (PsfKernel, repr(PsfKernel)),
    ],
)
def test_plain(value, expected):
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)
    assert not isinstance(result, IntFlag)


def test_view_of_a_large_array_is_cut_loose():
    # asdf writes the array behind a view, all of it
    whole = np.zeros((100, 100))
    assert plain(whole[:2, :2]).base is None
    assert plain(whole) is whole


def test_record_comes_back():
    fit = make_fit("F150W")
    again = record_from_tree(BandFit, plain(fit))
    assert again.sersic[0].params == fit.sersic[0].params
    assert again.sky == fit.sky
    assert again.offset == fit.offset
    np.testing.assert_array_equal(again.sersic[0].covariance, fit.sersic[0].covariance)
    np.testing.assert_array_equal(again.stars.flux, fit.stars.flux)
    assert plain(again).keys() == plain(fit).keys()


def test_empty_star_list_comes_back():
    assert len(record_from_tree(StarList, plain(StarList.empty()))) == 0


def test_none_stays_none():
    assert record_from_tree(PsfKernel, None) is None


def test_missing_field_is_an_error():
    with pytest.raises(KeyError, match="family"):
        record_from_tree(PsfKernel, {"parameters": []})


def test_fields_of_later_versions_take_their_defaults():
    kernel = PsfKernel("gaussian", (1.5,), (0.1,), 3.0, 12)
    tree = plain(kernel)
    del tree["covariance"], tree["correction"]
    assert record_from_tree(PsfKernel, tree) == kernel
