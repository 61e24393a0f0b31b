"""Which pictures may be asked for; what is written is in tests/pipeline."""

import pytest

from galstep.exceptions import ParameterError
from galstep.steps.galaxy.products import PICTURES, chosen_pictures


def test_names_all_and_none():
    assert chosen_pictures(["sed", "stars"]) == ["sed", "stars"]
    assert chosen_pictures(["all"]) == list(PICTURES)
    assert chosen_pictures(["sed", "all"]) == list(PICTURES)
    assert chosen_pictures(None) == []


def test_an_unknown_picture():
    with pytest.raises(ParameterError, match="or all, got portrait, x"):
        chosen_pictures(["portrait", "sed", "x"])
