"""Whether a change of the code changes any value of any product.

    python benchmarks/gate.py run SHARED --output DIR [--only t05 g144 ...] [--set STEP.NAME=VALUE]
    python benchmarks/gate.py compare BEFORE AFTER [--only ...] [--tolerance 1e-12] [--all]

SHARED is a folder that holds the sets: ``truth`` (t01 to t12) and ``structured`` (s01 to
s12), each with data, PSFs and truth/manifest.json, and ``data`` (g004 ...: real cutouts and
psf_library.h5). ``run`` fits the galaxies, each in a process of its own, with all their
products; a galaxy whose product is in DIR already is not fitted again. It is run once with the
code as it was and once as it is (the code is the galstep that python imports: PYTHONPATH).
Where numba has not compiled that code yet, the first galaxy is fitted twice: what has just been
compiled differs from what comes from numba's cache in the last bits (1e-11 of some values).

``compare`` opens the products of both (the model with its images and tables, the ECSV
tables, the region file) and prints, kind of value by kind of value, the largest relative
difference; it fails (exit code 1) if one is above the tolerance, or if a value is only in one.
Versions, dates, times and folders are no values.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import asdf
import numpy as np
from astropy.table import Table
from truth_set import fit_image, parameters

from galstep.core import imaging
from galstep.testing.differences import relative_differences

# What is another one in every run: places in the tree of a product, as regular expressions.
NO_VALUE = re.compile(
    r"/(asdf_library|history|timings?|version|galstep_version|date|created|output_dir|output_file"
    r"|input_file|input_dir|psf_file|log|galaxy_path)(/|$)"
)
# The filter and the number of an entry are no kind of value.
ENTRY = re.compile(r"/(F\d{3}\w+|\d+)(?=/|$)")


def sources(shared):
    """Image and PSF of every galaxy of the sets.

    Parameters
    ----------
    shared : pathlib.Path

    Returns
    -------
    dict of str to (pathlib.Path, pathlib.Path)
    """
    found = {}
    for folder in (shared / "truth", shared / "structured"):
        manifest = folder / "truth" / "manifest.json"
        if manifest.exists():
            for name, known in sorted(json.loads(manifest.read_text())["galaxies"].items()):
                found[name] = folder / "data" / f"{name}.h5", folder / known["given_psf"]
    library = shared / "data" / "psf_library.h5"
    for path in sorted((shared / "data").glob("g*.h5")):
        found[path.stem] = path, library
    return found


def chosen(known, only):
    """The names that are wanted, all without ``only``; an unknown one ends the program."""
    if unknown := sorted(set(only) - set(known)):
        sys.exit(f"not there: {' '.join(unknown)}; known are {' '.join(known)}")
    return [name for name in known if not only or name in only]


def run(options):
    """Fit what is not there yet, each galaxy in a process of its own."""
    known = sources(options.shared)
    options.output.mkdir(parents=True, exist_ok=True)
    failed, names = [], chosen(known, options.only)
    waiting = [name for name in names if not (options.output / f"{name}_gal.asdf").exists()]
    if waiting and not compiled():
        with tempfile.TemporaryDirectory() as folder:
            fit_apart(options, waiting[0], Path(folder))
    for name in waiting:
        if fit_apart(options, name, options.output):
            failed.append(name)
        last = (options.output / f"{name}.log").read_text().splitlines()[-1:]
        print(*last or [f"{name}: no output"], flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}, see the logs in {options.output}")


def fit_apart(options, name, output):
    """Fit a galaxy in a process of its own; its exit code."""
    command = [sys.executable, __file__, "one", str(options.shared), "--only", name]
    command += ["--output", str(output)]
    for item in options.set:
        command += ["--set", item]
    with open(output / f"{name}.log", "w") as log:
        return subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)


def compiled():
    """Whether numba has compiled the kernels before."""
    return any(Path(imaging.__file__).parent.glob("__pycache__/*.nbi"))


def one(options):
    """Fit a single galaxy in this process."""
    (name,) = options.only
    fit_image(*sources(options.shared)[name], options.output, parameters(options.set))


def values(folder, name):
    """All values of all products of a galaxy, by product.

    Parameters
    ----------
    folder : pathlib.Path
    name : str

    Returns
    -------
    dict
        Product to its tree of numbers, arrays and text.
    """
    found = {}
    with asdf.open(folder / f"{name}_gal.asdf", lazy_load=False, memmap=False) as product:
        found["gal"] = _plain(product.tree)
    for path in sorted(folder.glob(f"{name}_*.ecsv")):
        table = Table.read(path)
        found[path.stem.removeprefix(f"{name}_")] = {
            column: np.asarray(table[column]) for column in table.colnames
        }
    for path in sorted(folder.glob(f"{name}_*.reg")):
        found[path.stem.removeprefix(f"{name}_")] = path.read_text().splitlines()
    return found


def _plain(tree):
    """A tree in memory, arrays as those of numpy."""
    if isinstance(tree, dict):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    if hasattr(tree, "__array__") and not np.isscalar(tree):
        return np.array(tree)
    return tree


def compare(options):
    """Print the largest differences; exit code 1 if one is above the tolerance."""
    names = sorted(
        {path.name.removesuffix("_gal.asdf") for folder in (options.before, options.after)
         for path in folder.glob("*_gal.asdf")}
    )  # fmt: skip
    above = 0
    for name in chosen(names, options.only):
        missing = [
            folder for folder in (options.before, options.after)
            if not (folder / f"{name}_gal.asdf").exists()
        ]  # fmt: skip
        if missing:
            print(f"{name}: no product in {missing[0]}")
            above += 1
            continue
        above += compare_galaxy(name, options)
    sys.exit(1 if above else 0)


def compare_galaxy(name, options):
    """Print the kinds of values of a galaxy that differ; how many of them by too much."""
    first, second = (values(folder, name) for folder in (options.before, options.after))
    worst, count = {}, 0
    for place, size, text in relative_differences(first, second):
        if NO_VALUE.search(place):
            continue
        count += 1
        kind = ENTRY.sub("/*", place)
        if size >= worst.get(kind, (-1.0, "", ""))[0]:
            worst[kind] = size, place, text
    above = [kind for kind, (size, _, _) in worst.items() if size > options.tolerance]
    largest = max(size for size, _, _ in worst.values())
    print(f"{name}: {count} values of {len(worst)} kinds, largest relative difference "
          f"{largest:.3g}, {len(above)} kinds above {options.tolerance:g}")  # fmt: skip
    for kind, (size, place, text) in sorted(worst.items(), key=lambda item: -item[1][0]):
        if size > options.tolerance or (options.all and size > 0):
            print(f"  {size:9.3g}  {kind}  ({place}: {text})")
    return len(above)


def main(arguments=None):
    """Read the command line, and run or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="{run,compare}")
    for command, function in (("run", run), ("one", one)):
        own = commands.add_parser(command)
        own.add_argument("shared", type=Path, metavar="SHARED")
        own.add_argument("--output", type=Path, required=True)
        own.add_argument("--set", action="append", default=[], metavar="STEP.NAME=VALUE")
        own.add_argument("--only", nargs="*", default=[], metavar="GALAXY")
        own.set_defaults(function=function)
    own = commands.add_parser("compare")
    own.add_argument("before", type=Path)
    own.add_argument("after", type=Path)
    own.add_argument("--only", nargs="*", default=[], metavar="GALAXY")
    own.add_argument("--tolerance", type=float, default=1e-12)
    own.add_argument("--all", action="store_true", help="list what differs within the tolerance")
    own.set_defaults(function=compare)
    options = parser.parse_args(arguments)
    options.function(options)


if __name__ == "__main__":
    main()
