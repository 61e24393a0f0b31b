"""A large field through the pipeline: serial and processes, memory, kill and resume, one change.

    python benchmarks/field_scale.py FOLDER OUT [--tiles 1] [--workers 2] [--only NAME ...]

FOLDER: see ``field_files.py``. The field is laid out TILES x TILES times, its catalogue with it: 2
of a field of 2048 x 2048 make 4096 x 4096. The true PSF is given, nothing is looked for beside the
catalogue. ``serial``, ``processes``: time, memory, largest difference of the two catalogues.
``resume``: a run of processes is killed (SIGKILL, all of it) when a third of the first round's
blocks are done, and started again. ``change``: the place of one row is moved by 0.2 pixels and the
run repeated over the kept blocks.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import ascii as text
from astropy.io import fits
from astropy.table import QTable, vstack
from field_files import NAMES

RUN = """
import json, resource, sys, time
from galstep.pipeline import FieldPipeline
given = json.loads(sys.argv[1])
if __name__ == "__main__":
    started = time.perf_counter()
    model = FieldPipeline.call(given["list"], catalog=given["catalog"], psf_file=given["psf"],
        save_results=True, output_dir=given["out"], qa_figure=False, table_fits=False,
        keep_blocks=True, configure_log=False, executor=given["executor"], workers=given["workers"],
        steps={"fieldfit": {"detect": False, "block_size": given["block_size"]}})
    own, others = (resource.getrusage(who) for who in
                   (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({
        "sources": len(model), "blocks": len(model.blocks), "rounds": len(model.meta.rounds),
        "wall": time.perf_counter() - started,
        "cpu": own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        "main_mb": own.ru_maxrss / 1e3, "worker_mb": others.ru_maxrss / 1e3,
        "reliable": int(model.catalog["reliable"].sum())}))
"""


def laid_out(folder, out, tiles):
    """The field repeated; what the runs need."""
    out.mkdir(parents=True, exist_ok=True)
    for band in NAMES:
        data, header = fits.getdata(folder / f"{band}.fits", header=True)
        fits.writeto(out / f"{band}.fits", np.tile(data, (tiles, tiles)), header, overwrite=True)
        side = data.shape[0]
        sampled = folder / f"psfos_{band}.npy"
        psf = fits.PrimaryHDU(np.load(sampled if sampled.exists() else folder / f"psf_{band}.npy"))
        psf.header.update(FILTER=band, OVERSAMP=4 if sampled.exists() else 1)
        (out / "psf").mkdir(exist_ok=True)
        psf.writeto(out / "psf" / f"psf_{band}.fits", overwrite=True)
    from astropy.wcs import WCS

    wcs, rows = WCS(header), text.read(folder / "cat.csv", converters={"ID": str})
    x, y = wcs.all_world2pix(rows["RA"], rows["DEC"], 0)
    parts = []
    for k in range(tiles**2):
        part = rows.copy()
        part["ID"] = [f"{name}_{k}" for name in rows["ID"]]
        part["RA"], part["DEC"] = wcs.all_pix2world(
            x + side * (k % tiles), y + side * (k // tiles), 0
        )
        parts.append(part)
    catalog = vstack(parts)
    catalog.write(out / "catalog.csv", overwrite=True)
    (out / "field.txt").write_text("".join(f"{band}.fits\n" for band in NAMES))
    return catalog, f"{side * tiles} x {side * tiles}"


SIZE = [100]  # sources of a block


def started(out, name, executor, workers, catalog="catalog.csv"):
    """A run in a process group of its own."""
    given = {
        "list": str(out / "field.txt"), "catalog": str(out / catalog), "psf": str(out / "psf"),
        "out": str(out / name), "executor": executor, "workers": workers,
        "block_size": SIZE[0],
    }  # fmt: skip
    (out / name).mkdir(exist_ok=True)
    script = out / "run.py"
    script.write_text(RUN)
    command = [sys.executable, "-W", "ignore", str(script), json.dumps(given)]
    with open(out / name / "log", "w") as log:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )


def finished(process):
    """What a run says of itself."""
    said = process.communicate()[0]
    return json.loads(said.splitlines()[-1])


def catalogue(out, name):
    """The product of a run."""
    return QTable.read(out / name / "field_field.ecsv")


def difference(one, other):
    """Largest relative difference of any number of two catalogues."""
    largest = 0.0
    for name in one.colnames:
        a, b = (np.asarray(getattr(t[name], "value", t[name])) for t in (one, other))
        if a.dtype.kind != "f":
            continue
        assert np.array_equal(np.isnan(a), np.isnan(b)), name
        change = np.abs(a - b) / np.maximum(np.abs(a), 1e-300)
        largest = max(largest, float(np.nanmax(change, initial=0.0)))
    return largest


def say(name, side, own):
    """One line of the table."""
    print(
        f"{name:10s} {side}: {own['sources']} sources, {own['reliable']} reliable, {own['blocks']} "
        f"blocks, {own['rounds']} rounds; {own['cpu']:.0f} CPU s, "
        f"{own['cpu'] / own['sources']:.4f} per source, {own['wall']:.0f} s; main process "
        f"{own['main_mb']:.0f} MB, a worker {own['worker_mb']:.0f} MB",
        flush=True,
    )


def kept(out, name):
    """The blocks that are done."""
    folder = out / name / "field_field_blocks"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def resume(out, side, workers, n_blocks):
    """Kill a run and start it again."""
    process = started(out, "resumed", "processes", workers)
    while len(kept(out, "resumed")) < n_blocks and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = kept(out, "resumed")
    own = finished(started(out, "resumed", "processes", workers))
    say("resumed", side, own)
    again = kept(out, "resumed")
    same = difference(catalogue(out, "processes"), catalogue(out, "resumed"))
    print(f"killed with {len(before)} tasks done, {len(again)} in all; of those before "
          f"{len(before & again)} kept; differs from the whole run by {same:.1e}")  # fmt: skip


def change(out, side, workers, catalog):
    """Move one row and run over the kept blocks."""
    before = kept(out, "processes")
    catalog["DEC"][0] += 0.1 / 3600
    catalog.write(out / "moved.csv", overwrite=True)
    own = finished(started(out, "processes", "processes", workers, "moved.csv"))
    say("changed", side, own)
    after = kept(out, "processes")
    print(f"one row moved: {len(after - before)} tasks of {len(before)} carried out again")


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--block_size", type=int, default=SIZE[0])
    names = ("serial", "processes", "resume", "change")
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    given = parser.parse_args()
    SIZE[0] = given.block_size
    catalog, side = laid_out(given.folder, given.out, given.tiles)
    for name in ("serial", "processes"):
        if name in given.only:
            workers = 1 if name == "serial" else given.workers
            own = finished(started(given.out, name, name, workers))
            say(name, side, own)
    if {"serial", "processes"} <= set(given.only):
        own = difference(catalogue(given.out, "serial"), catalogue(given.out, "processes"))
        print(f"largest relative difference of any number: {own:.1e}")
    if "resume" in given.only:
        resume(given.out, side, given.workers, max(len(catalog) // (3 * SIZE[0]), 2))
    if "change" in given.only:
        change(given.out, side, given.workers, catalog)


if __name__ == "__main__":
    main()
