"""Values of the command line that stpipe would cut."""

import pytest

from galstep.exceptions import ParameterError
from galstep.steps.framework.command_line import check_not_cut


class Given(str):
    """As stpipe marks what comes from the command line."""

    __slots__ = ()


@pytest.mark.parametrize("given", [["--output_dir=run#2"], ["x.h5", "--output_dir", "run#2"]])
def test_cut_at_a_hash(given):
    with pytest.raises(ParameterError, match=r"'run' is left of 'run#2': quote it twice"):
        check_not_cut({"output_dir": Given("run")}, given)


def test_what_is_whole():
    check_not_cut({"output_dir": Given("run#2")}, ['--output_dir="run#2"'])
    check_not_cut({"output_dir": "run"}, ["--output_dir=run#2"])
    check_not_cut({"steps": {}}, ["--steps.loadcrop.psf_file=a#b", "--save-parameters=run#2"])
    with pytest.raises(ParameterError, match="--steps.a.psf: from '#' on"):
        check_not_cut({"steps": {"a": {"psf": Given("a")}}}, ["--steps.a.psf=a#b"])


def test_a_script_without_arguments():
    check_not_cut({"output_dir": Given("run")}, [])
