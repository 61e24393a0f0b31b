"""Every flag says what it is and what to do, in words that hold."""

import re

import pytest

from galstep.configuration.parameters import pipeline_parameters
from galstep.datamodels.tables.columns import COLUMNS
from galstep.flags import BandFlag, StarFlag
from galstep.pipeline import GalPipeline

VALUES = {"sersic_modelimg"}  # of options
FLAGS = [*BandFlag, *StarFlag]


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_a_flag_has_a_sentence_and_a_remedy(flag):
    assert len(flag.text) > 10
    assert len(flag.remedy) > 10
    assert not flag.remedy.endswith(".")
    assert (flag.text + flag.remedy).isascii()


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_a_remedy_names_parameters_that_there_are(flag):
    known = {parameter.name for parameter in pipeline_parameters()}
    steps = "|".join(GalPipeline.step_defs)
    for name in re.findall(rf"\b(?:{steps})\.\w+", flag.remedy):
        assert name in known


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_what_looks_like_a_column_is_one(flag):
    columns = {column.name for table in COLUMNS.values() for column in table}
    parameters = {part for p in pipeline_parameters() for part in p.path}
    tables = {f"_{name}" for name in COLUMNS}
    for word in re.findall(r"(?<![.\w])\w*_\w+", flag.remedy):
        assert word in columns | parameters | tables | VALUES
