"""Draw the rooms of galstep and the ways between them: ``python docs/_ext/draw_architecture.py``.

Boxes are the parts of the package, arrows what they import, read from the code; an arrow that
follows from others is left out. What is used stands below what uses it.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "galstep"
PICTURE = Path(__file__).parents[1] / "_static" / "architecture.svg"
WIDTH, STEP, BOX, HIGH = 980, 74, 126, 34
# where a room stands on the way from left to right; the others in the middle
MIDDLE = 0.56
COLUMN = {
    "core/align": 0.08, "core/injection": 0.22, "core/photometry": 0.36, "core/imaging": 0.30,
    "core/noise": 0.50, "core/population": 0.66, "plotting": 0.88, "datamodels": 0.88,
    "batch": 0.40, "hooks": 0.72,
}  # fmt: skip
LEFT_OUT = {"testing", "data", "integration", "schemas", "__init__"}


def room_of(name):
    """The room of a dotted module name, None for what is not drawn."""
    parts = name.split(".")
    if parts[0] != "galstep" or len(parts) < 2 or parts[1] in LEFT_OUT:
        return None
    if parts[1] == "core":
        return (
            f"core/{parts[2]}" if len(parts) > 2 and (ROOT / "core" / parts[2]).is_dir() else None
        )
    return parts[1] if parts[1] == "hooks" or (ROOT / parts[1]).is_dir() else "ground"


def edges():
    """Room to the rooms that it imports."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        own = room_of(".".join(("galstep", *path.relative_to(ROOT).with_suffix("").parts)))
        if own is None:
            continue
        found.setdefault(own, set())
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found[own] |= {room for name in names if (room := room_of(name)) not in (None, own)}
    return found


def reduced(graph):
    """The graph without arrows that follow from others."""

    def reached(node):
        return set().union(*({other} | reached(other) for other in graph[node]))

    return {
        node: {o for o in others if not any(o in reached(p) for p in others - {o})}
        for node, others in graph.items()
    }


def levels(graph):
    """How high each room stands: 0 knows nobody."""
    found = {}

    def level(node):
        if node not in found:
            found[node] = 1 + max((level(other) for other in graph[node]), default=-1)
        return found[node]

    for node in graph:
        level(node)
    return found


def draw():
    """The picture as SVG text."""
    graph = edges()
    height = levels(graph)
    rows = [sorted(n for n in graph if height[n] == k) for k in range(max(height.values()) + 1)]
    total = STEP * len(rows) + 20
    place = {
        name: (WIDTH * COLUMN.get(name, MIDDLE), total - STEP * (k + 0.5) - 10)
        for k, row in enumerate(rows)
        for name in row
    }
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#666"/></marker></defs>',
    ]
    for name, others in sorted(reduced(graph).items()):
        x, y = place[name]
        for other in sorted(others):
            u, v = place[other]
            out.append(
                f'<path d="M{x:.0f} {y + HIGH / 2:.0f} C{x:.0f} {(y + v) / 2:.0f} {u:.0f} '
                f'{(y + v) / 2:.0f} {u:.0f} {v - HIGH / 2:.0f}" fill="none" stroke="#666" '
                'stroke-width="1.1" marker-end="url(#tip)"/>'
            )
    for name, (x, y) in sorted(place.items()):
        colour = "#dce9f7" if name.startswith("core/") else "#f6ead2"
        out.append(
            f'<rect x="{x - BOX / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{BOX}" height="{HIGH}" '
            f'rx="5" fill="{colour}" stroke="#444"/><text x="{x:.0f}" y="{y + 5:.0f}" '
            f'text-anchor="middle">{name}</text>'
        )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw())
