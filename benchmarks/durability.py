"""What is left of the products when saving them is ended from outside, at every write.

``python benchmarks/durability.py [--quick]``

Products of one galaxy lie in a folder; another galaxy is saved over them, and at
its first, second, ... opening, renaming or removing of a file the process is killed
(``kill -9``), interrupted (SIGINT), or the disc says that it is full or read-only.
Then the folder is on a real full disc (a small tmpfs, or where that cannot be mounted
the limit of the file size), and is read-only for a real user without rights. After
each: every product is wholly the old or wholly the new one, the error is one line, and
the next run leaves nothing but products. Last, ``strace`` shows the order of the
system's calls. The exit code is 1 if anything was lost or left.
"""

import argparse
import contextlib
import errno
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene
from galstep.testing.models import fitted_model

SKIPPED = {key: {"skip": True} for key in GalPipeline.step_defs}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def save(source, folder, ext=".asdf"):
    """Save a model with all products; the error in words, "" if there was none."""
    try:
        GalPipeline.call(
            str(source),
            output_dir=str(folder),
            output_ext=ext,
            save_results=True,
            save_fits=True,
            figures=["profiles"],
            configure_log=False,
            steps=SKIPPED,
        )
    except GalstepError as error:
        return str(error)
    return ""


def at_event(number, folder, action):
    """Do something at the so many-th time that a file in a folder is touched."""
    count = 0

    def hook(event, arguments):
        nonlocal count
        path = arguments[0] if arguments and isinstance(arguments[0], str | os.PathLike) else ""
        if not str(os.fspath(path)).startswith(str(folder)):
            return
        writes = event == "open" and (arguments[2] or 0) & WRITES
        if writes or event in ("os.rename", "os.remove"):
            count += 1
            if count == number:
                action()

    sys.addaudithook(hook)
    return lambda: count


def fail(number):
    """The disc says no."""

    def action():
        raise OSError(number, os.strerror(number))

    return action


ACTIONS = {
    "kill -9": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "full disc": fail(errno.ENOSPC),
    "read-only": fail(errno.EROFS),
    "broken disc": fail(errno.EIO),
}


def in_child(function):
    """Run a function in a forked process: (exit status, what it says, CPU seconds)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        try:
            os.write(writing, function().encode())
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException as error:
            os.write(writing, f"TRACEBACK {type(error).__name__}: {error}".encode())
            os._exit(70)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


class Trial:
    """A folder with the products of one galaxy, into which another is saved."""

    def __init__(self, folder, ext):
        self.folder, self.ext = folder, ext
        first = fitted_model(make_scene(1, (25, 25), 1, ("F150W",), snr=100.0, psf_size=25))
        other = fitted_model(make_scene(2, (25, 25), 2, ("F150W",), snr=100.0, psf_size=25))
        (folder / "in").mkdir()
        self.sources = []
        for name, model in (("old", first), ("new", other)):
            model.meta.name = "x"
            self.sources.append(folder / "in" / name / "x_gal.asdf")
            self.sources[-1].parent.mkdir()
            model.save(self.sources[-1])
        self.old = folder / "products"
        self.old.mkdir()
        assert save(self.sources[0], self.old, ext) == ""
        self.hashes = {path.name: digest(path) for path in self.old.iterdir()}

    def fresh(self, name="out", into=None):
        """A folder with the old products."""
        out = (into or self.folder) / name
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.old, out)
        return out

    def problems(self, out):
        """What is lost or damaged."""
        for name, old in self.hashes.items():
            path = out / name
            if not path.exists():
                yield f"{name} is lost"
            elif digest(path) != old and not is_whole(path):
                yield f"{name} is damaged"

    def after(self, out, again=True):
        """What is wrong after the end, and after another run."""
        found = list(self.problems(out))
        if again:
            status, said = in_child(lambda: save(self.sources[1], out, self.ext))
            if status or said:
                found.append(f"the next run fails: {said}")
            left = {path.name for path in out.iterdir()} - set(self.hashes)
            found += [f"{name} is left behind" for name in left]
            found += self.problems(out)
        return found


def digest(path):
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_whole(path):
    """Whether a product can be read to its end."""
    from astropy.io import fits
    from astropy.table import Table

    try:
        if path.suffix == ".asdf":
            return bool(GalaxyModel.open(path).bands)
        if path.suffix == ".h5":
            import h5py

            with h5py.File(path) as file:
                return "filters" in file
        if path.suffix == ".ecsv":
            return bool(Table.read(path).colnames)
        if path.suffix == ".fits":
            with fits.open(path) as hdus:
                return hdus[-1].name == "PSF" and hdus[-1].data is not None
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as image:
                image.load()
            return True
        return path.read_text().endswith("\n")
    except (OSError, ValueError, GalstepError):
        return False


def at_every_write(trial, step):
    """Each action at each event; yield a line and whether all was well."""
    out = trial.fresh()

    def counted():
        count = at_event(0, out, None)
        save(trial.sources[1], out, trial.ext)
        return str(count())

    total = int(in_child(counted)[1])
    for name, action in ACTIONS.items():
        bad, ends, tracebacks = [], {}, 0
        for number in range(1, total + 1, step):
            out = trial.fresh()

            def ended(number=number, out=out, action=action):
                at_event(number, out, action)
                return save(trial.sources[1], out, trial.ext)

            status, said = in_child(ended)
            ends[status] = ends.get(status, 0) + 1
            tracebacks += said.startswith("TRACEBACK") or "\n" in said
            bad += [f"event {number}: {text}" for text in trial.after(out)]
        tried = len(range(1, total + 1, step))
        yield (
            f"{trial.ext} {name}: at {tried} of {total} writes; exit codes {ends}; "
            f"{tracebacks} tracebacks; {len(bad)} problems",
            not bad and not tracebacks,
        )
        yield from ((f"  {text}", False) for text in bad[:5])


@contextlib.contextmanager
def small_disc(folder, size):
    """A disc of so many bytes, None where none can be mounted."""
    folder.mkdir(exist_ok=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(options, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disc(trial):
    """A disc with room for part of the new products."""
    used = sum(path.stat().st_size for path in trial.old.iterdir())
    largest = max(path.stat().st_size for path in trial.old.iterdir())
    for share in (0.05, 0.3, 0.6, 0.95):
        size = int(used * 1.1 + largest * share) + 65536
        with small_disc(trial.folder / "disc", size) as disc:
            if disc is None:
                limit = int(largest * share)

                def limited(out, limit=limit):
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                    return save(trial.sources[1], out, trial.ext)

                out = trial.fresh()
                status, said = in_child(lambda out=out: limited(out))
                bad = trial.after(out)
                what = f"no tmpfs can be mounted; files limited to {limit} bytes"
            else:
                out = trial.fresh("x", disc)
                status, said = in_child(lambda out=out: save(trial.sources[1], out, trial.ext))
                bad = list(trial.problems(out))
                bad += [f"{p.name} is left" for p in out.iterdir() if p.name not in trial.hashes]
                what = f"tmpfs of {size} bytes"
        well = not bad and not said.startswith("TRACEBACK") and "\n" not in said
        yield f"{trial.ext} {what}: exit {status}, {said[-90:]!r}; {len(bad)} problems", well
        yield from ((f"  {text}", False) for text in bad[:5])


def without_rights(trial):
    """A folder that another user may not write to."""
    out = trial.fresh()
    for path in (trial.folder, *trial.folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    out.chmod(0o555)

    def other_user():
        if os.geteuid() == 0:
            os.setuid(65534)
        started = time.perf_counter()
        said = save(trial.sources[1], out, trial.ext)
        return f"{said} ({time.perf_counter() - started:.1f} s)"

    status, said = in_child(other_user)
    out.chmod(0o755)
    bad = list(trial.problems(out))
    well = "nothing can be written there" in said and not bad
    yield f"{trial.ext} read-only folder: exit {status}, {said!r}; {len(bad)} problems", well


def order_of_calls(trial):
    """What strace sees: the file is flushed before each rename, the folder after it."""
    if shutil.which("strace") is None:
        yield "strace is not installed", True
        return
    out, log = trial.fresh(), trial.folder / "strace.log"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from durability import save; "
        "print(save(*sys.argv[2:]))"
    )
    here = str(Path(__file__).parent)
    command = [
        "strace", "-f", "-y", "-s", "300", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2",
        "-o", str(log), sys.executable, "-c", code, here, str(trial.sources[1]), str(out),
        trial.ext,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    flushed, n_good, bad = None, 0, []
    lines = [line for line in log.read_text().splitlines() if str(out) in line]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if "fsync(" in line:
            flushed = re.search(r"<([^>]*)>", line)[1]
        elif "rename" in line:
            source, target = re.findall(r'"([^"]*)"', line)[:2]
            if flushed == source and "fsync(" in following and f"<{out}>" in following:
                n_good += 1
            else:
                bad.append(f"{target} is renamed without")
    n_products = len(trial.hashes)
    yield (
        f"{trial.ext} strace: {n_good} renames of {n_products} products, each with fsync of the "
        f"file before and of the folder after; {len(bad)} without",
        not bad and n_good >= n_products,
    )


def main(arguments=None):
    """Try all and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every fourth write")
    parser.add_argument("--ext", nargs="*", default=[".asdf", ".h5"], help="of the model")
    options = parser.parse_args(arguments)
    # in the background of a shell an interrupt is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    good = True
    for ext in options.ext:
        with tempfile.TemporaryDirectory() as temporary:
            trial = Trial(Path(temporary), ext)
            tests = (
                order_of_calls(trial),
                without_rights(trial),
                full_disc(trial),
                at_every_write(trial, 4 if options.quick else 1),
            )
            for test in tests:
                for line, well in test:
                    print(f"{'' if well else 'BAD '}{line}", flush=True)
                    good &= well
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
