"""Imports run one way: records <- core | datamodels <- steps <- pipeline."""

import ast
from pathlib import Path

import pytest

import galstep

ROOT = Path(galstep.__file__).parent
COMMON = {
    "exceptions", "filters", "flags", "hints", "mapped_records", "options", "pixel_map",
    "psf_array", "records", "sky_frame", "unit_bounds", "unit_names", "units",
}  # fmt: skip
# what the modules of a part of the package may import of galstep, themselves aside
ALLOWED = {
    **dict.fromkeys(COMMON, COMMON),
    "core": COMMON,
    "schemas": set(),
    "datamodels": COMMON | {"schemas"},
    "execution": COMMON,
    "steps": COMMON | {"core", "datamodels", "execution", "plotting"},
    "pipeline": COMMON | {"core", "datamodels", "execution", "steps", "integration", "plotting"},
    "hooks": COMMON | {"datamodels", "pipeline"},
    "batch": COMMON | {"datamodels", "execution", "steps", "pipeline", "report"},
    "configuration": COMMON | {"datamodels", "steps", "pipeline"},
    "notebook": COMMON | {"datamodels", "steps", "pipeline", "batch", "plotting"},
    "report": COMMON | {"datamodels", "plotting"},
    "cli": COMMON | {"batch", "configuration", "report"},
    "plotting": COMMON | {"core", "datamodels"},
    "integration": {"schemas"},
}
# libraries that parts of the package do not know
FORBIDDEN = {
    "core": {"stpipe", "asdf", "h5py", "matplotlib"},
    "datamodels": {"stpipe", "matplotlib"},
    "plotting": {"stpipe", "asdf", "h5py"},
    "steps": {"matplotlib", "h5py"},
    "notebook": {"stpipe", "asdf", "h5py"},
    "report": {"stpipe", "asdf", "h5py", "matplotlib"},
    "integration": {"stpipe", "asdf", "numpy"},
}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports(path):
    """Dotted names that a module imports, also inside functions."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_keeps_to_its_layer(path):
    part = path.parts[0].removesuffix(".py")
    names = [name.split(".") for name in imports(path)]
    used = {name[1] for name in names if name[0] == "galstep" and len(name) > 1}
    used = {name for name in used if (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()}
    if part in ALLOWED:
        assert used - {part} <= ALLOWED[part]
    assert not {name[0] for name in names} & FORBIDDEN.get(part, set())


def test_every_part_has_its_rule():
    parts = {path.parts[0].removesuffix(".py") for path in MODULES}
    assert parts - {"__init__", "testing", "data"} == set(ALLOWED)


# the parts of core, each with those that it may know
CORE = {
    "imaging": set(),
    "psf": {"imaging"},
    "engine": {"imaging", "psf"},
    "noise": {"imaging", "psf", "engine"},
    "population": {"imaging", "engine"},
    "measurement": {"imaging", "psf", "engine", "noise"},
    "detection": {"imaging", "psf", "engine", "noise", "measurement", "population"},
    "fitting": {"imaging", "psf", "engine", "noise", "measurement", "population", "detection"},
    "calibration": {"imaging", "psf", "engine", "noise", "measurement", "detection", "fitting"},
    "photometry": {"imaging", "psf"},
    "injection": {"imaging", "psf"},
    "align": {"imaging"},
    "star_field": {"imaging", "psf", "calibration"},
    "scene": {"imaging", "psf", "engine"},
    "field": {"imaging", "psf", "engine", "noise", "scene"},
}
IN_CORE = [path for path in MODULES if path.parts[0] == "core" and len(path.parts) == 3]


@pytest.mark.parametrize("path", IN_CORE, ids=str)
def test_parts_of_core_know_only_those_below(path):
    names = [name.split(".") for name in imports(path)]
    used = {name[2] for name in names if name[:2] == ["galstep", "core"] and len(name) > 2}
    assert used - {path.parts[1]} <= CORE[path.parts[1]]


def test_core_has_no_other_parts():
    assert {path.parts[1] for path in IN_CORE} == set(CORE)
    assert [
        path.name for path in MODULES if path.parts[:1] == ("core",) and len(path.parts) == 2
    ] == ["__init__.py"]


def graph():
    """Which modules each module imports, for types and inside functions too."""
    names = {}
    for path in MODULES:
        dotted = ".".join(("galstep", *path.with_suffix("").parts)).removesuffix(".__init__")
        names[dotted] = path
    return {name: set(modules_in(path, names)) - {name} for name, path in names.items()}


def modules_in(path, known):
    """The modules that a module imports: a package only where a name is taken from it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from {whole if whole in known else node.module} & set(known)


def circles(edges):
    """Groups of nodes each of which leads to the others (strongly connected, Tarjan 1972)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in edges:
        if node not in order:
            visit(node)
    return sorted(found)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


# the model and the image save and open themselves, with readers and writers that know them
KNOWN_CIRCLES = {
    "galstep.datamodels.galaxy",
    "galstep.datamodels.sky.sky_image",
    "galstep.datamodels.field.field_model",
}


def test_no_module_imports_itself_in_a_circle():
    found = [group for group in circles(graph()) if not KNOWN_CIRCLES & set(group)]
    assert found == []
