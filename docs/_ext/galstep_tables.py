"""Directives that write tables from the code, so that the pages cannot fall behind it.

``step-parameters:: CLASS``    the parameters of a step, from its ``spec``
``product-columns:: TABLE``    the columns of a product table
``flag-table:: REGISTRY``      the bits of `galstep.flags.BandFlag`, ``StarFlag``, ``FieldFlag``
``flag-remedies:: REGISTRY``   what the flags say and what to do
``sphot-keys:: SECTION``       what became of the keys of a sphot configuration
``tract7dt-keys::``            what became of the keys of a tract7dt configuration
``summary-columns::``          the first columns of the summary of a batch
"""

import importlib
import re

from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from galstep import flags
from galstep.datamodels.tables.columns import column_table

_ENTRY = re.compile(r"^\s*(\w+)\s*=\s*(\w+)\((.*)\)\s*#\s*(.*)$")
_SECTION = re.compile(r"^\s*(\[+)(\w+)\]+")


class _Table(Directive):
    """Parses the reStructuredText that ``lines`` makes of the argument."""

    required_arguments = 1

    def run(self):
        from docutils import nodes

        node = nodes.container()
        text = StringList(self.lines(self.arguments[0]), source=self.name)
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


class StepParameters(_Table):
    """The parameters that a step adds to those of every step."""

    def lines(self, name):
        module, _, class_name = name.rpartition(".")
        spec = getattr(importlib.import_module(module), class_name).__dict__["spec"]
        rows = [("parameter", "type", "default", "meaning"), *spec_rows(spec)]
        return list_table(rows)


class ProductColumns(_Table):
    """The columns of ``sersic``, ``phot`` or ``stars``."""

    def lines(self, name):
        return column_table(name).splitlines()


class FlagTable(_Table):
    """The bits of a flag registry."""

    def lines(self, name):
        members = getattr(flags, name)
        rows = [(str(int(f)), f"``{f.name.lower()}``", f.text) for f in members]
        return list_table([("bit", "name", "meaning"), *rows])


class FlagRemedies(_Table):
    """What each flag means and what can be done about it."""

    def lines(self, name):
        rows = [(f"``{f.name.lower()}``", f.text, _code(f.remedy)) for f in getattr(flags, name)]
        return list_table([("flag", "what it says", "what to do"), *rows])


class SphotKeys(_Table):
    """The keys of one section of a sphot configuration."""

    def lines(self, name):
        from galstep.configuration.sphot_keys import key_table

        header = ("key", "default", "parameter", "default here", "what is different")
        rows = [row for section, *row in key_table() if section == name]
        return list_table([header, *rows])


class Tract7dtKeys(_Table):
    """The keys of a tract7dt configuration."""

    required_arguments = 0

    def run(self):
        self.arguments = [""]
        return super().run()

    def lines(self, name):
        from galstep.configuration.tract7dt_keys import tract7dt_table

        header = ("key", "default", "parameter", "what is different, or why")
        return list_table([header, *tract7dt_table()])


class SummaryColumns(_Table):
    """What the summary of a batch says of every galaxy."""

    required_arguments = 0

    def run(self):
        self.arguments = [""]
        return super().run()

    def lines(self, name):
        from galstep.batch.summary import HEAD_COLUMNS

        rows = [(f"``{column}``", text) for column, text in HEAD_COLUMNS.items()]
        return list_table([("column", "meaning"), *rows])


def _code(text):
    """Names of parameters and columns in a sentence as code."""
    return re.sub(r"(?<![`\w])(\w+\.\w+|\w*_\w+)(?![`\w])", r"``\1``", text)


def spec_rows(spec):
    """(name, type, default, comment) of every entry of a ``spec``."""
    rows, sections = [], []
    for line in spec.splitlines():
        if (found := _SECTION.match(line)) is not None:
            sections = [*sections[: len(found[1]) - 1], found[2]]
        elif (found := _ENTRY.match(line)) is not None:
            name, kind, arguments, comment = found.groups()
            name = ".".join([*sections, name]).replace("__many__", "<filter>")
            default = re.search(r"default=(.*)$", arguments)
            shown = default[1].strip("'") or "''" if default else None
            rows.append(
                (
                    f"``{name}``",
                    kind,
                    f"``{shown}``" if shown else "",
                    # cuts_... is no link
                    re.sub(r"(?<=\w)_(?=\W)", r"\\_", comment.replace("%%", "%")),
                )
            )
    return rows


def list_table(rows):
    """reStructuredText lines of a list-table whose first row is the header."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {' ' if i else '*'} - {cell}".rstrip() for i, cell in enumerate(row)]
    return lines


def setup(app):
    """Register the directives with Sphinx."""
    app.add_directive("step-parameters", StepParameters)
    app.add_directive("product-columns", ProductColumns)
    app.add_directive("flag-table", FlagTable)
    app.add_directive("flag-remedies", FlagRemedies)
    app.add_directive("sphot-keys", SphotKeys)
    app.add_directive("tract7dt-keys", Tract7dtKeys)
    app.add_directive("summary-columns", SummaryColumns)
    return {"parallel_read_safe": True}
