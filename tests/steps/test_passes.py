"""Long work says how far it is, short work does not."""

import logging

from toy_steps import Add

from galstep.steps.galaxy.passes import LONG, Passes


class Heard(Add):
    """Keeps what it would tell a pipeline."""

    def tell_share(self, share):
        """Keep it."""
        self.__dict__.setdefault("heard", []).append(share)


def test_share_of_passes_that_are_known_or_mostly_are():
    known, guessed = Heard(), Heard()
    passes = Passes(known, of=4), Passes(guessed, about=10)
    for _ in range(4):
        passes[0].tell("x")
    for _ in range(40):
        passes[1].tell("x")
    assert known.heard == [0.25, 0.5, 0.75, 1.0]
    assert guessed.heard[:8] == [n / 10 for n in range(1, 9)]
    assert guessed.heard == sorted(guessed.heard) and 0.95 < guessed.heard[-1] < 1


def test_one_line_where_nothing_was_said_for_long(caplog):
    caplog.set_level(logging.DEBUG, logger="stpipe")
    now = [0.0]
    passes = Passes(Add(), lambda: now[0])
    for now[0] in (0.5 * LONG, 1.5 * LONG, 2.0 * LONG, 2.6 * LONG):
        passes.tell("F150W")
    records = [r for r in caplog.records if r.name == "stpipe.galstep.add"]
    assert [r.levelno for r in records] == [10, 20, 10, 20]
    assert records[1].getMessage() == "add: F150W, after 15 s"
