"""Long work says how far it is, short work does not."""

import logging

from toy_steps import Add

from galstep.steps.galaxy.passes import LONG, Passes


def test_one_line_where_nothing_was_said_for_long(caplog):
    caplog.set_level(logging.DEBUG, logger="stpipe")
    now = [0.0]
    passes = Passes(Add(), lambda: now[0])
    for now[0] in (0.5 * LONG, 1.5 * LONG, 2.0 * LONG, 2.6 * LONG):
        passes.tell("F150W")
    records = [r for r in caplog.records if r.name == "stpipe.galstep.add"]
    assert [r.levelno for r in records] == [10, 20, 10, 20]
    assert records[1].getMessage() == "add: F150W, after 15 s"
