"""Figures: one function per figure, each returns a ``matplotlib.figure.Figure``.

Importing this package needs matplotlib (the extra ``[plot]``); nothing touches
``matplotlib.pyplot`` or other global state.
"""

from galstep.plotting.qa import qa_figure

__all__ = ["qa_figure"]
