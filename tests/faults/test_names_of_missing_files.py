"""A product of an earlier name, or a slip of the hand: the line names what is there."""

import pytest

from galstep.datamodels.files.regular_file import check_regular
from galstep.exceptions import InputError
from galstep.steps import StarPhot, TweakReg


@pytest.fixture
def folder(tmp_path):
    for name in ("a_exp_cal_tweakreg.fits", "b_exp_cal_tweakreg.fits", "exp_cal_tweakreg.ecsv"):
        (tmp_path / name).touch()
    return tmp_path


def test_products_of_inputs_of_one_name(folder):
    told = r"did you mean 'a_exp_cal_tweakreg.fits' or 'b_exp_cal_tweakreg.fits'\?"
    for read in (
        lambda path: check_regular(path, "input"),
        lambda path: StarPhot().run(path),
        lambda path: TweakReg(abs_refcat=path).run(path),
    ):
        with pytest.raises(InputError, match=told):
            read(str(folder / "exp_cal_tweakreg.fits"))


@pytest.mark.parametrize(("name", "told"), [
    ("exp_cal_tweakreg.ecs", " (did you mean 'exp_cal_tweakreg.ecsv'?)"), ("quite else", ""),
    ("no folder/x.fits", ""),
])  # fmt: skip
def test_other_names(folder, name, told):
    with pytest.raises(InputError) as refused:
        check_regular(folder / name, "input")
    assert str(refused.value) == f"input {folder / name}: there is no such file{told}"
