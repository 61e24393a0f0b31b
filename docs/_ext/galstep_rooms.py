"""Every module and public name, each with its first sentence, and references that find them.

``rooms:: PACKAGE``    the modules of a package, and what each offers (its ``__all__``)

A reference by a short name (`EffectivePSF`) finds the one object of that name; names of other
packages are not looked up.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

# what the pages document in full: names, modules with all that is in them, and modules alone
_PAGES = "\n".join(page.read_text() for page in sorted(Path(__file__).parents[1].rglob("*.rst")))
NAMES = set(re.findall(r"^\.\. auto(?:class|function):: ([\w.]+)$", _PAGES, re.MULTILINE))
MODULES = dict(re.findall(r"^\.\. automodule:: ([\w.]+)\n *(:[\w-]+:|$)", _PAGES, re.MULTILINE))


class Rooms(Directive):
    """Index entries for all modules of a package."""

    required_arguments = 1

    def run(self):
        node = nodes.container()
        text = StringList(list(room_lines(self.arguments[0])), source="rooms")
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


def room_lines(package):
    """reStructuredText of the modules of a package, of the packages in it too."""
    for name in modules_of(package):
        module = importlib.import_module(name)
        yield from (f"``{name}``", "")
        if name in MODULES or name in NAMES:  # a page or a function has this name already
            yield from (f".. py:currentmodule:: {name}", "", first_line(module), "")
        else:
            yield from (f".. py:module:: {name}", "", first_line(module), "")
        for member in getattr(module, "__all__", ()):
            thing = getattr(module, member)
            own = getattr(thing, "__module__", name) == name
            if own and f"{name}.{member}" not in NAMES:
                yield from (f".. py:{kind_of(thing)}:: {member}", "", f"   {first_line(thing)}", "")


def modules_of(package):
    """Names of the modules with something public, in order."""
    top = importlib.import_module(package)
    names = [package]
    if hasattr(top, "__path__"):
        walked = pkgutil.walk_packages(top.__path__, f"{package}.", onerror=lambda name: None)
        names += sorted(name for _, name, _ in walked)
    # (numba is an extra, and the same functions are in the other file)
    full = {name for name, option in MODULES.items() if option != ":no-members:"}
    return [n for n in names if n not in full and not n.endswith("_kernels_numba")]


def kind_of(thing):
    """The directive of the Python domain for an object."""
    if inspect.isclass(thing):
        return "class"
    return "function" if inspect.isroutine(thing) else "data"


def first_line(thing):
    """The first sentence of a docstring; of a plain value nothing."""
    if not (inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isroutine(thing)):
        return ""
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")


def find_short(app, env, node, contnode):
    """Resolve a name that is given without its module, if there is one of that name only."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target:
        return None
    domain = env.domains["py"]
    found = [name for name in domain.objects if name.endswith(f".{target}")]
    if not found:
        return None
    # the shortest: an object may be offered by its module and by the package that this is in
    entry = domain.objects[min(found, key=len)]
    reference = nodes.reference("", "", internal=True)
    reference["refuri"] = app.builder.get_relative_uri(env.docname, entry.docname)
    reference["refuri"] += f"#{entry.node_id}"
    reference += contnode
    return reference


def setup(app):
    """Register directive and resolver with Sphinx."""
    app.add_directive("rooms", Rooms)
    app.connect("missing-reference", find_short)
    return {"parallel_read_safe": True}
