"""Does a test notice when the code is wrong? Each break changes one line of a copy of the package.

Usage: ``python benchmarks/deliberate_breaks.py [--only WORD ...] [--list]``

A break is what a slip of the hand would be: a sum that keeps its last term, a threshold ten times
too large, a forgotten square. The tests nearest to the line are run on the copy; the break is
"noticed" if one of them fails. The exit code is 1 if one is not noticed, or if a line is not there
any more: then the list below is to be mended, not the code.

The first eight were not noticed by the tests of early 2026.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[1]


@dataclass(frozen=True)
class Break:
    """One line that is changed, and the tests that should notice."""

    what: str
    file: str
    line: str
    broken: str
    tests: tuple[str, ...]


def core(what, file, line, broken, *tests):
    """A break in ``galstep/core``."""
    paths = tuple(f"tests/core/{test}" for test in tests)
    return Break(what, f"galstep/core/{file}", line, broken, paths)


BREAKS = (
    core("PSF errors: the last direction only", "noise/psf_error.py",
         "matrix += np.outer(moves, moves)", "matrix = np.outer(moves, moves)",
         "noise/test_psf_error.py"),
    core("matched flux: the ellipse does not move with the shape", "fitting/pinned.py",
         "matched += flux[:, None] * np.array(", "matched += 0 * flux[:, None] * np.array(",
         "fitting/test_pinned.py"),
    core("masked share within twice the radius", "measurement/measure.py",
         "< 2 * np.exp(vector[2])", "< 4 * np.exp(vector[2])", "measurement/test_measure.py"),
    core("a star costs a tenth", "detection/core_star.py",
         "PER_STAR = 33.0", "PER_STAR = 3.0",
         "detection/test_core_star.py", "fitting/test_core_star_decision.py"),
    core("another start must gain a hundred times more", "fitting/fits.py",
         "BETTER_BASIN = 10.0", "BETTER_BASIN = 1000.0", "fitting/test_better_basin.py"),
    core("centres change in pixels, not radii", "detection/ladder.py",
         "change[:, :2] /= np.exp(new[:, 2:3])", "change[:, :2] /= 1.0",
         "detection/test_shape_change.py"),
    core("a PSF correction at a tenth of the significance", "calibration/psf_correction.py",
         "SIGNIFICANT = 3.0", "SIGNIFICANT = 0.3", "calibration/test_psf_correction.py"),
    core("Kron: the first ring is half as wide", "photometry/kron.py",
         "edges = np.array([0.0, *edges])", "edges = np.array([0.0, *edges]) / 2",
         "photometry/test_kron.py"),
    core("a prior's angle is not wrapped", "engine/priors.py",
         "difference = (difference + np.pi / 2) % np.pi - np.pi / 2", "difference *= 1.0",
         "engine/test_priors.py"),
    core("Student's weights a little small", "engine/robust.py",
         "return (k + 1) / (k + scaled**2)", "return k / (k + scaled**2)",
         "engine/test_robust.py"),
    core("wings know the noise too well", "measurement/wing_error.py",
         "max(noise_corr[i], 1.0) ** 2", "max(noise_corr[i], 1.0)",
         "measurement/test_wing_error.py"),
    core("doubt of a star without its complement", "photometry/division_error.py",
         "np.sqrt(p * (1 - p))", "np.sqrt(p)", "photometry/test_division_error.py"),
    core("a star's PSF error is a mean, not a sum", "noise/psf_error.py",
         "return float(np.sqrt(squared))",
         "return float(np.sqrt(squared / len(band.displaced_psfs)))", "noise/test_psf_error.py"),
    core("zero points without their own scatter", "field/zero_points.py",
         "weight = 1 / (e**2 + intrinsic**2)", "weight = 1 / e**2", "field/test_zero_points.py"),
    core("a flux prior pulls nowhere", "scene/equations.py",
         "gradient[n:] -= prior.flux_precision * (flux - prior.flux_mean)",
         "gradient[n:] -= 0 * prior.flux_precision * (flux - prior.flux_mean)",
         "scene/test_fit.py"),
    core("neighbours couple by one flux only", "scene/equations.py",
         "+= f * g * product[one.rows][:, two.rows]", "+= f * f * product[one.rows][:, two.rows]",
         "scene/test_fit.py"),
    core("pieces of any share of the light", "population/membership.py",
         "log_piece - 0.5 * ((log_share - median) / width) ** 2", "log_piece",
         "population/test_membership.py"),
    core("noise from differences without the root of two", "field/sky_noise.py",
         "(values[:, 2:] - values[:, :-2]) / np.sqrt(2)", "(values[:, 2:] - values[:, :-2]) / 2",
         "field/test_sky_noise.py"),
    core("pairs need not be mutual", "align/match.py",
         "keep = (distance < radius) & (back[nearest] == own)", "keep = distance < radius",
         "align/test_match.py"),
    core("registrations: the least likely width", "fitting/registration_prior.py",
         "return float(widths[np.argmax(likelihood)])",
         "return float(widths[np.argmin(likelihood)])", "fitting/test_fits.py"),
    core("a matching kernel that loses light", "photometry/psf_matching.py",
         "return kernel / kernel.sum()", "return 0.98 * kernel / kernel.sum()",
         "photometry/test_psf_matching.py"),
    core("groups link at twice the distance", "imaging/neighbours.py",
         "one, two = pairs_within(x, y, separation).T",
         "one, two = pairs_within(x, y, 2 * separation).T", "imaging/test_neighbours.py"),
    core("blocks forget weak links", "field/couplings.py",
         "LEAST = 1e-3", "LEAST = 0.3", "field/test_couplings.py"),
    Break("weights are taken for errors", "galstep/datamodels/images/weights.py",
          "return np.where(good, 1.0 / np.sqrt(weight), np.nan)",
          "return np.where(good, np.sqrt(weight), np.nan)",
          ("tests/datamodels/test_fits_input.py",)),
    Break("counts are not made a rate", "galstep/datamodels/images/calibration.py",
          "return float(unit.to(count)) / exposure_time", "return float(unit.to(count))",
          ("tests/datamodels/test_calibration.py",)),
    Break("files are not flushed", "galstep/datamodels/files/atomic.py",
          "_flush(temporary)", "str(temporary)", ("tests/datamodels/test_atomic.py",)),
    Break("a colour's error forgets that filters share", "galstep/units.py",
          "gradient = np.array([1 / flux, -1 / reference])",
          "gradient = np.array([1 / flux, 1 / reference])",
          ("tests/test_units.py",)),
    Break("a map's inverse moves the wrong way", "galstep/pixel_map.py",
          "return PixelMap(matrix, -matrix @ np.array(self.origin))",
          "return PixelMap(matrix, matrix @ np.array(self.origin))", ("tests/test_pixel_map.py",)),
    Break("covariances come back without their other half",
          "galstep/datamodels/field/field_io.py",
          "covariances.append(matrix + np.tril(matrix, -1).T)", "covariances.append(matrix)",
          ("tests/datamodels/test_field_model.py",)),
    Break("the companions' rows are the target's", "galstep/datamodels/tables/model_views.py",
          'return table[table["galaxy_id"] > 0]', 'return table[table["galaxy_id"] >= 0]',
          ("tests/datamodels/test_structured_products.py",)),
    Break("a galaxy's name may lead out of the folder", "galstep/datamodels/files/safe_name.py",
          "kept = \"\".join(c if c.isprintable() and c not in \"/\\\\\" else \"_\" for c in text)",
          "kept = \"\".join(c if c.isprintable() else \"_\" for c in text)",
          ("tests/datamodels/test_safe_name.py",)),
    Break("an infinite parameter is finite", "galstep/steps/framework/validation.py",
          "elif any(math.isinf(number) for number in numbers)",
          "elif any(math.isnan(number) for number in numbers)",
          ("tests/faults/test_numbers_without_a_value.py",)),
)  # fmt: skip


def main():
    """Try the breaks; 1 if one is not noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="words of the breaks to try")
    parser.add_argument("--list", action="store_true", help="show them, try none")
    options = parser.parse_args()
    chosen = [b for b in BREAKS if all(word in b.what for word in options.only)]
    lost = [b.what for b in chosen if (TOP / b.file).read_text().count(b.line) != 1]
    for what in lost:
        print(f"not there, or not once: {what}")
    if options.list:
        for one in chosen:
            print(f"{one.what:55s} {one.file}")
        return bool(lost)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("galstep", "tests", "pyproject.toml", "README.md"):
            (shutil.copytree if (TOP / name).is_dir() else shutil.copy)(TOP / name, copy / name)
        outcomes = [tried(one, copy) for one in chosen if one.what not in lost]
    print(f"{sum(outcomes)} of {len(outcomes)} noticed")
    return bool(lost) or not all(outcomes)


def tried(one, copy):
    """Whether the tests notice one break; the copy is whole again after it."""
    file, start = copy / one.file, time.perf_counter()
    text = file.read_text()
    file.write_text(text.replace(one.line, one.broken))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *one.tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        found = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        file.write_text(text)
    failed = [line for line in found.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    noticed = found.returncode == 1 and bool(failed)
    by = failed[0].split(" - ")[0] if noticed else f"NOT NOTICED (pytest: {found.returncode})"
    print(f"{one.what:55s} {time.perf_counter() - start:4.0f} s  {by}", flush=True)
    return noticed


if __name__ == "__main__":
    sys.exit(main())
