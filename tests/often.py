"""Cases of one kind, of which the first are run always and the others with the slow tests."""

import pytest

__all__ = ["first_often"]


def first_often(cases, count):
    """Cases for ``parametrize``: all after the first ``count`` are marked slow.

    Parameters
    ----------
    cases : iterable
        Values, tuples of them where there are several arguments, or `pytest.param`.
    count : int

    Returns
    -------
    list
    """
    cases = list(cases)
    return cases[:count] + [_slow(case) for case in cases[count:]]


def _slow(case):
    if hasattr(case, "marks"):
        return pytest.param(*case.values, marks=[*case.marks, pytest.mark.slow], id=case.id)
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
