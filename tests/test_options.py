"""Records of options: what a field says, and what is made of it."""

import pytest

from galstep.exceptions import ParameterError
from galstep.options import detail, from_parameters, option, options, parameters_of


def doubled(value):
    if value < 0:
        raise ParameterError(f"must not be negative, got {value}")
    return 2 * value


@options
class Inner:
    """What is inside."""

    pair: tuple[int, int] = option(default=(1, 2), help="Two numbers", least=2, most=2)


@options
class Outer:
    """What is outside.

    Raises
    ------
    ParameterError
        Never.
    """

    length: float = option(default=1.0, help="A length (pixels)", name="own_length", read=doubled)
    kind: str = option(default="a", help="Which", choices=("a", "b"))
    inner: Inner = detail(default=Inner(), help="What is inside.")
    unsaid: int = detail(default=3, help="Not for users.")


class TestFields:
    def test_a_default_is_read_as_a_parameter_is(self):
        assert Outer().length == 2.0

    def test_a_record_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            Outer().kind = "b"

    def test_the_docstring_has_every_field_before_what_is_raised(self):
        lines = Outer.__doc__.splitlines()
        for line in ("length : float", "    The parameter ``own_length``. A length (pixels)."):
            assert line in lines[: lines.index("Raises")]
        assert "    Not for users." in lines and "    Never." in "\n".join(lines)


class TestParameters:
    def test_those_of_inner_records_too(self):
        found = {own.name: own for own in parameters_of(Outer)}
        assert list(found) == ["own_length", "kind", "pair"]
        assert found["pair"].path == ("inner", "pair") and found["pair"].kind == "int_list"
        assert found["kind"].kind == "option" and found["own_length"].kind == "float"

    def test_a_record_of_what_a_user_gave(self):
        made = from_parameters(Outer(), {"own_length": 3.0, "pair": [4, 5], "other": 1})
        assert made == Outer(length=6.0, inner=Inner(pair=(4, 5)))

    def test_a_value_that_cannot_be_is_told_by_its_name(self):
        with pytest.raises(ParameterError, match="own_length must not be negative, got -1"):
            from_parameters(Outer(), {"own_length": -1})
