"""`Entry`: one galaxy of a list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from galstep.batch.nested import merged, without
from galstep.batch.words import join_words
from galstep.datamodels.files.regular_file import printable

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """One galaxy of the list.

    Parameters
    ----------
    name : str
        A plain file name; unique in the list.
    input : str or list of str
        Absolute path of the data, or of the images of one galaxy.
    parameters : dict, optional
        Its own parameters in the list, nested.
    of_file : dict, optional
        Those of the parameter file that the list names in place of data.
    problem : str, optional
        Why it cannot be measured.
    """

    name: str
    input: str | list[str]
    parameters: dict = field(default_factory=dict)
    of_file: dict = field(default_factory=dict)
    problem: str = ""

    def parameters_with(self, common: dict, config: dict) -> dict:
        """What it is measured with, beside the file for all.

        As with ``strun``, which reads parameters that come with the data first, then the
        file that it is given, then the command line.

        Parameters
        ----------
        common : dict
            Nested parameters for all: win over those of its file.
        config : dict
            What the file for all says: in this its own file has no say.

        Returns
        -------
        dict
        """
        return merged(merged(without(self.of_file, config), common), self.parameters)

    @property
    def paths(self) -> list[str]:
        """The data, one path or several."""
        return [self.input] if isinstance(self.input, str) else list(self.input)

    @property
    def source(self) -> str:
        """The data in words."""
        paths = [printable(path) for path in self.paths]
        return paths[0] if len(paths) == 1 else join_words(paths)

    def renamed(self, name: str) -> Entry:
        """The same with another name."""
        return replace(self, name=name)

    def with_problem(self, problem: str) -> Entry:
        """The same, which cannot be measured."""
        return replace(self, problem=problem)
