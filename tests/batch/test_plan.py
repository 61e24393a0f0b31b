"""What is measured again, and what is not."""

import pytest

from galstep import __version__
from galstep.batch.entry import Entry
from galstep.batch.nested import merged, nested, without
from galstep.batch.parameters import parameters_hash, read_value
from galstep.batch.plan import make_plan
from galstep.datamodels.input.hashing import FileHashes, text_hash
from galstep.exceptions import InputError, ParameterError


@pytest.fixture
def entry(galaxies):
    """A galaxy."""
    return Entry("a", str(galaxies("a") / "a.h5"))


@pytest.fixture
def measured(entry, config, tmp_path):
    """The row of a run in which all went well, and its product."""
    row = dict(make_plan([entry], tmp_path / "out", config).rows["a"])
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "a_gal.asdf").touch()
    return row | {"status": "ok", "version": __version__, "products": "a_gal.asdf"}


def jobs(entry, tmp_path, *args, **kwargs):
    """Names of what is to be measured."""
    return [job.name for job in make_plan([entry], tmp_path / "out", *args, **kwargs).jobs]


def test_good_result_is_kept(entry, config, tmp_path, measured):
    plan = make_plan([entry], tmp_path / "out", config, earlier={"a": measured})
    assert plan.jobs == []
    assert plan.rows == {"a": measured}


def test_without_earlier_run_all_is_measured(entry, config, tmp_path):
    plan = make_plan([entry], tmp_path / "out", config)
    assert [job.name for job in plan.jobs] == ["a"]
    assert plan.rows["a"]["status"] == "pending"


@pytest.mark.parametrize(
    "change",
    [{"status": "failed"}, {"status": "pending"}, {"version": "0.0.1"}, {"input_hash": "0"}],
    ids=str,
)
def test_what_does_not_hold_is_measured_again(entry, config, tmp_path, measured, change):
    assert jobs(entry, tmp_path, config, earlier={"a": measured | change}) == ["a"]


def test_missing_product(entry, config, tmp_path, measured):
    (tmp_path / "out" / "a" / "a_gal.asdf").unlink()
    assert jobs(entry, tmp_path, config, earlier={"a": measured}) == ["a"]


def test_changed_data(entry, config, tmp_path, measured):
    with open(entry.input, "ab") as stream:
        stream.write(b"x")
    assert jobs(entry, tmp_path, config, earlier={"a": measured}) == ["a"]


def test_changed_psf_file(entry, config, tmp_path, measured):
    with open(tmp_path / "data" / "psf.h5", "ab") as stream:
        stream.write(b"x")
    assert jobs(entry, tmp_path, config, earlier={"a": measured}) == ["a"]


def test_changed_parameter(entry, config, tmp_path, measured):
    other = {"steps": {"loadcrop": {"sigma_guess": 9}}}
    assert jobs(entry, tmp_path, config, other, {"a": measured}) == ["a"]


def test_parameter_set_to_its_default_is_no_change(entry, config, tmp_path, measured):
    same = {"steps": {"loadcrop": {"sigma_guess": "10"}}}
    assert jobs(entry, tmp_path, config, same, {"a": measured}) == []


def test_changed_source_of_a_replaced_step(entry, config, tmp_path, measured):
    with open(tmp_path / "data" / "misbehaving_steps.py", "a") as stream:
        stream.write("# changed\n")
    assert jobs(entry, tmp_path, config, earlier={"a": measured}) == ["a"]


def test_place_of_products_is_no_change(config, galaxies):
    galaxies("a")
    hashes = FileHashes()
    elsewhere = {"output_dir": "/tmp", "input_file": None, "save_results": True}
    assert parameters_hash(config, elsewhere, hashes) == parameters_hash(config, {}, hashes)


def test_largest_first(galaxies, config, tmp_path):
    folder = galaxies("small", "large", "largest")
    found = [Entry(name, str(folder / f"{name}.h5")) for name in ("small", "largest", "large")]
    plan = make_plan(found, tmp_path / "out", config)
    assert [job.name for job in plan.jobs] == ["largest", "large", "small"]
    assert list(plan.rows) == ["small", "largest", "large"]


def test_failures_known_beforehand(entry, config, tmp_path):
    missing = Entry("b", str(tmp_path / "none.h5"))
    refused = Entry("c", entry.input, {"steps": {"loadcrop": {"sigma_guess": "-1"}}})
    plan = make_plan([missing, refused], tmp_path / "out", config)
    assert plan.jobs == []
    assert plan.rows["b"]["reason"].endswith("none.h5' cannot be read: No such file or directory")
    assert "sigma_guess" in plan.rows["c"]["reason"]
    assert "too small" in plan.rows["c"]["reason"]


def test_own_parameters_win(entry, config, tmp_path):
    own = Entry("a", entry.input, {"steps": {"loadcrop": {"sigma_guess": "5"}}})
    common = {"filters": ["F150W"], "steps": {"loadcrop": {"sigma_guess": "7", "unit": "Jy"}}}
    (job,) = make_plan([own], tmp_path / "out", config, common).jobs
    assert job.parameters == {
        "filters": ["F150W"],
        "steps": {"loadcrop": {"sigma_guess": "5", "unit": "Jy"}},
    }


def test_hash_of_a_file_follows_its_content(tmp_path):
    hashes, path = FileHashes(), tmp_path / "file"
    path.write_text("one")
    first = hashes(path)
    assert hashes(path) == first
    path.write_text("four")
    assert hashes(path) != first
    with pytest.raises(InputError, match="cannot be read: No such file"):
        hashes(tmp_path / "none")


def test_hash_of_parameters_ignores_their_order():
    assert text_hash({"a": 1, "b": None}) == text_hash({"b": None, "a": 1})
    assert text_hash({"a": 1}) != text_hash({"a": 2})


def test_nested_and_merged():
    assert nested({("a", "b"): 1, ("a", "c"): 2}) == {"a": {"b": 1, "c": 2}}
    first = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(first, {"a": {"b": 5}}) == {"a": {"b": 5, "c": 2}, "d": 3}
    assert first == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("text", "value"), [("4", "4"), ("a, b", ["a", "b"]), ("a,", ["a"]), ("a%(b)s", "a%(b)s")]
)
def test_values_are_read_as_on_the_command_line(text, value):
    assert read_value("x", text) == value


def test_value_that_cannot_be_read():
    with pytest.raises(ParameterError, match="x: the value '\"a' cannot be read"):
        read_value("x", '"a')


def test_without():
    first = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}}
    assert without(first, {"a": 5, "b": {"c": 6}}) == {"b": {"d": 3}, "e": {"f": 4}}
    assert without(first, {}) == first
