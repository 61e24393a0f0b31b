"""The fit of a field, round by round.

Each round fits blocks beside the others as they stood when it began, so that the result knows
neither the order of the tasks nor who carries them out. After the second round only blocks are
fitted again in which, or beside which, something moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.field.blocks import block_task, field_area, make_blocks
from galstep.core.field.couplings import Links
from galstep.core.field.finish import field_result
from galstep.core.field.frames import LightRows, band_box
from galstep.core.field.large_objects import (
    CoarseImage,
    CoarseTask,
    coarse_tile,
    fit_large,
    may_be_large,
)
from galstep.core.field.noise_factors import (
    NoiseFactors,
    measure_noise,
    noise_tasks,
    summed_noise,
)
from galstep.core.field.records import SourceType
from galstep.core.field.residual_light import joined_light, residual_tasks, search_tile
from galstep.core.field.results import RoundRecord
from galstep.core.field.scene_sources import shape_vectors, typed
from galstep.core.field.sky_mesh import SkyKnowledge, SkyMesh
from galstep.core.field.start import HALO, TILE, StartTask, start_tile
from galstep.core.field.state import FieldState
from galstep.core.field.tasks import fit_block
from galstep.core.imaging.medians import median
from galstep.core.scene.box import Box
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.core.field.options import FieldOptions
    from galstep.core.field.records import FieldBand, FieldSources
    from galstep.core.field.results import FieldResult

__all__ = ["Runner", "fit_field", "run_here"]

Runner = Callable[[Callable, list], list]

# A coupling of 0.1 and more makes a neighbour's move a source's own.
_FULL_COUPLING = 0.1
# A block's sky may move by this many of its errors without the block being fitted again.
_SKY_STILL = 0.3
# Where more of a block than this has been disturbed, all of it is fitted again.
_MOST = 0.7
# Light that the model lacks is looked for after this round: the first model is a rough one.
_FIRST_SEARCH, _LAST_SEARCH = 1, 2
# More new sources than this share of those known: all blocks are made anew.
_MANY = 0.2
# Places on a side, and pixels on a side of each, on which the noise is looked at.
_SAMPLES, _SAMPLE_SIDE = 4, 96


def run_here(function: Callable, tasks: list) -> list:
    """Carry out tasks one after the other, in this process.

    Returns
    -------
    list
        Per task its result, or the exception that it raised: what a runner owes `fit_field`.
    """
    results = []
    for task in tasks:
        try:
            results.append(function(task))
        except Exception as error:  # noqa: BLE001 - one task's failure is its own
            results.append(error)
    return results


def fit_field(
    bands: list[FieldBand],
    sources: FieldSources,
    options: FieldOptions,
    run: Runner = run_here,
    report: Callable[[RoundRecord], Any] | None = None,
    known: FieldSources | None = None,
) -> FieldResult:
    """Fit all sources of a field in all bands together.

    Parameters
    ----------
    bands : list of FieldBand
    sources : FieldSources
    options : FieldOptions
    run : callable
        ``run(function, tasks) -> list``: results in the order of the tasks; an exception instance
        where a task raised one. Tasks have ``cost`` and ``key``.
    report : callable, optional
        Called with the `RoundRecord` of each round.
    known : FieldSources, optional
        The same rows as an earlier fit has found them, NaN where it has not: where the fit
        begins. Priors, boxes and types that are to be chosen stay those of ``sources``.

    Returns
    -------
    FieldResult
        Of every row, in order; sources that were found stand behind.

    Raises
    ------
    InputError
        If there is no band, or fluxes are for another number of them.
    """
    if not bands or sources.n_bands != len(bands):
        raise InputError(
            f"sources must have fluxes for each of at least one band, got {sources.n_bands} "
            f"for {len(bands)}"
        )
    field = _Field(list(bands), sources, options, run)
    field.begin(field.state.active)
    if known is not None:
        field.take_up(known)
    field.divide()
    first = 0 if known is None else 1
    for number in range(first, options.rounds + first):
        record = field.round(number)
        if report is not None:
            report(record)
        if number and not record.n_added and record.n_moving == 0:
            break
    field.measure_noise()
    return field_result(field)


class _Field:
    """A field that is being fitted."""

    def __init__(self, bands, sources, options, run):
        if options.noise == "measured":
            bands = [replace(band, noise_factor=1.0) for band in bands]
        self.bands, self.options, self.run = bands, options, run
        self.noise = NoiseFactors.white(len(bands))
        self.warm = False
        self.state = FieldState(sources, options)
        self.area = field_area(bands)
        scale = {"mesh": options.sky_scale, "constant": np.inf, "none": 0.0}[options.sky]
        self.skies = [
            SkyKnowledge(SkyMesh(tuple(b.pixels.shape), scale), _sky_level(b), b.sigma)
            for b in bands
        ]
        self.blocks, self.records, self.rounds = [], {}, []
        self.spent = {}
        self.large = np.zeros(0, dtype=int), LightRows.none(len(bands))

    def begin(self, rows):
        """Shapes, fluxes and couplings of rows of which nothing is known yet."""
        self._begin_large(rows)
        state, tasks = self.state, []
        for tile in _tiles(self.area):
            task = self._start_task(tile, rows)
            if task is not None:
                tasks.append(task)
        links = [state.links]
        wanted = np.zeros(len(state), dtype=bool)
        wanted[rows] = True
        for task, result in zip(tasks, self.run(start_tile, tasks), strict=True):
            own = task.index[task.own]
            if isinstance(result, Exception):
                state.fail(own[wanted[own]], _reason(result))
                continue
            links.append(result.links)
            for name in ("z", "flux", "point", "reach"):
                values = getattr(result, name)
                getattr(state, name)[own[wanted[own]]] = values[wanted[own]]
            state.start[own[wanted[own]]] = result.z[wanted[own]]
        state.links = Links.joined(links)

    def _begin_large(self, rows):
        """Fit what is much larger than the rest in a coarse image, before all else."""
        state = self.state
        may = may_be_large(state, rows)
        if not len(may):
            return
        tiles = list(_tiles(self.area))
        tasks = [CoarseTask(tuple(self.bands), tile) for tile in tiles]
        image = CoarseImage(self.bands, self.area, tiles, self.run(coarse_tile, tasks))
        active = state.active
        place = np.searchsorted(active, may)
        shift = self.options.pos_max_shift
        found, light = fit_large(image, state.z[active, 0], state.z[active, 1], place, shift)
        found = active[found]
        # a shape that the catalogue gives is where the fit begins, whatever is seen here
        own = state.measured[found]
        state.z[found[own], 2:] = light.z[own, 2:]
        self.large = np.append(self.large[0], found), self.large[1].followed_by(light)

    def take_up(self, known):
        """Begin where an earlier fit has ended."""
        state = self.state
        if len(known) != len(state):
            raise InputError(f"known must have {len(state)} rows, got {len(known)}")
        z = shape_vectors(known, self.options)
        own = state.sources.fit & np.isfinite(known.x) & np.isfinite(known.y)
        # what is held stays where it is held
        place = own & ~state.sources.fixed_position & (self.options.forced == "none")
        state.z[place, :2] = z[place, :2]
        profile = own & (known.kind != SourceType.STAR) & (known.r_eff > 0)
        profile &= ~state.sources.fixed_shape & (self.options.forced != "shape")
        for row in np.flatnonzero(profile):
            state.z[row, 2:] = typed(z[row], state.kind[row])[2:]
        choose = own & (state.kind == SourceType.AUTO)
        state.point[choose] = known.kind[choose] == SourceType.STAR
        lit = own[:, None] & np.isfinite(known.flux)
        state.flux[lit] = known.flux[lit]
        self.warm = True

    def measure_noise(self):
        """By how much the noise's correlation makes errors larger."""
        if self.options.noise != "measured":
            return
        tasks = noise_tasks(self.bands, self.area, self.state, self.skies)
        self.noise = summed_noise(self.run(measure_noise, tasks), len(self.bands))

    def _start_task(self, tile, rows):
        state = self.state
        box = tile.grown(HALO).common(self.area)
        active = state.active
        # a source off the image belongs to the tile that is nearest
        x = np.clip(state.z[active, 0], self.area.x0, self.area.x1 - 1)
        y = np.clip(state.z[active, 1], self.area.y0, self.area.y1 - 1)
        own, inside = tile.holds(x, y), box.holds(x, y)
        if not np.isin(active[own], rows).any():
            return None
        index = active[inside]
        fresh = np.isin(index, rows)
        known = np.where(fresh[:, None], state.sources.flux[index], state.flux[index])
        return StartTask(
            tuple(self.bands), box, index, own[inside], state.z[index], known,
            np.where(fresh | (state.kind[index] > 0), state.kind[index], SourceType.SERSIC),
            state.measured[index] & fresh,
            [s.prior(band_box(b, box)) for s, b in zip(self.skies, self.bands, strict=True)],
            *self.large,
        )  # fmt: skip

    def divide(self):
        """Make the blocks anew."""
        self.blocks = make_blocks(self.state, self.area)
        self.records = {}
        for sky in self.skies:
            sky.forget()

    def round(self, number):
        """One round over the blocks that need it."""
        state = self.state
        neighbours = state.links.neighbours(len(state))
        tasks, work = [], []
        for block in self.blocks:
            only = None if number <= 1 else self._disturbed(block, neighbours)
            if only is not None and not len(only):
                continue
            first = 0 if block.number not in self.records and not self.warm else number
            task = block_task(
                block, first, state, self.bands, self.skies, self.area, neighbours, only
            )
            tasks.append(task)
            work.append((block, block.rows if only is None else only, only is None))
        seconds = 0.0
        for task, own, result in zip(tasks, work, self.run(fit_block, tasks), strict=True):
            seconds += self._absorb(task, *own, result)
        added, not_searched = self._search(number)
        moving = state.moved[state.active]
        finite = moving[np.isfinite(moving)]
        record = RoundRecord(
            number, len(tasks), sum(t.n_own for t in tasks),
            int(np.count_nonzero(moving > self.options.still)),
            float(finite.max(initial=0.0)), added, seconds, not_searched,
        )  # fmt: skip
        self.rounds.append(record)
        return record

    def _absorb(self, task, block, rows, whole, result):
        """Take over what came of a task; its CPU time."""
        if isinstance(result, Exception):
            reason = _reason(result)
            self.state.fail(rows, reason)
            if whole or block.number not in self.records:
                self.records[block.number] = task, None, reason
            else:
                self.records[block.number] = (*self.records[block.number][:2], reason)
            return 0.0
        self.spent[block.number] = self.spent.get(block.number, 0.0) + result.seconds
        self.state.absorb(rows, result)
        if whole:
            self.records[block.number] = task, result, ""
        for sky, message in zip(self.skies, result.messages, strict=True):
            if message is not None:
                sky.tell(block.number, message)
        return result.seconds

    def _disturbed(self, block, neighbours):
        """Rows of a block that moved, or beside which something did; None: all, the sky has."""
        state, still = self.state, self.options.still
        if block.number not in self.records or self._sky_shift(block) > _SKY_STILL:
            return None
        own = []
        for row in block.rows:
            others, coupling = neighbours[row]
            beside = state.moved[others] * np.minimum(coupling / _FULL_COUPLING, 1.0)
            if max(state.moved[row], beside.max(initial=0.0)) > still and row not in state.failed:
                own.append(row)
        return None if len(own) > _MOST * len(block.rows) else np.array(own, dtype=int)

    def _sky_shift(self, block):
        """By how many of its errors a block's sky would move with what is known now."""
        known = self.records.get(block.number)
        if known is None or known[1] is None:
            return 0.0
        task, result, _ = known
        largest = 0.0
        for sky, band, old, message in zip(
            self.skies, self.bands, task.skies, result.messages, strict=True
        ):
            if message is None:
                continue
            new = sky.prior(band_box(band, task.box), block.number)
            own = message.precision / max(task.share, 1e-6)
            push = new.precision @ new.mean - old.precision @ old.mean
            push -= (new.precision - old.precision) @ result.sky[self.bands.index(band)]
            covariance = np.linalg.inv(own + new.precision)
            largest = max(largest, float(np.sqrt(max(push @ covariance @ push, 0.0))))
        return largest

    def _search(self, number):
        """Light that the model lacks: how many sources were added, and what could not be seen."""
        if not self.options.detect or not _FIRST_SEARCH <= number <= _LAST_SEARCH:
            return 0, ()
        if number + 1 >= self.options.rounds + self.warm:
            return 0, ()
        tasks = residual_tasks(self.bands, self.area, self.state, self.skies, _tiles(self.area))
        found = self.run(search_tile, tasks)
        failed = tuple(_reason(own) for own in found if isinstance(own, Exception))
        new = joined_light([own for own in found if not isinstance(own, Exception)], self.state)
        if new is None:
            return 0, failed
        first = len(self.state)
        self.state = self.state.extended(new)
        rows = np.arange(first, len(self.state))
        self.begin(rows)
        if len(new) > _MANY * first:
            self.divide()
            self.state.moved[self.state.active] = np.inf
        else:
            self._settle(rows)
        return len(new), failed

    def _settle(self, rows):
        """Give rows to the blocks whose part of the plane they are in."""
        x, y = np.clip(
            self.state.z[rows, :2].T, [[self.area.x0], [self.area.y0]],
            [[self.area.x1 - 1], [self.area.y1 - 1]],
        )  # fmt: skip
        for k, block in enumerate(self.blocks):
            own = rows[block.territory.holds(x, y)]
            if len(own):
                self.blocks[k] = replace(block, rows=np.concatenate([block.rows, own]))
                # what it said of the sky was said with this light in it: it begins anew
                self.records.pop(block.number, None)
                for sky in self.skies:
                    sky.forget(block.number)


def _reason(error):
    return f"{type(error).__name__}: {error}"


def _tiles(area):
    return [
        Box(x, y, min(x + TILE, area.x1), min(y + TILE, area.y1))
        for y in range(area.y0, area.y1, TILE)
        for x in range(area.x0, area.x1, TILE)
    ]


def _sky_level(band):
    """A first, rough level of a band's sky, from patches over the image."""
    ny, nx = band.pixels.shape
    values = []
    for y in np.linspace(0, max(ny - _SAMPLE_SIDE, 0), _SAMPLES).astype(int):
        for x in np.linspace(0, max(nx - _SAMPLE_SIDE, 0), _SAMPLES).astype(int):
            box = Box(int(x), int(y), int(x) + _SAMPLE_SIDE, int(y) + _SAMPLE_SIDE)
            part = band.pixels.read(box.inside(band.pixels.shape))
            values.append(part.data[~np.asarray(part.mask, dtype=bool)])
    values = np.concatenate(values)
    if not values.size:
        return 0.0
    return float(median(values[values <= median(values) + band.sigma]))
