"""The power of noise on scales that a frame is too small to show.

A wave longer than a third of the frame is seen by it once or twice. What the sky and
the galaxy leave of it says little, and often too little: in real
star fields the power rises towards large scales, where the structure of the
host galaxy adds to its unresolved stars. So the slope is taken from scales that
the frame does show, and the power on the larger ones is held to be no lower than
its continuation. White noise has no slope, and is left as it is.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from galstep.core.noise.noise_power import NoisePower
from galstep.core.noise.scene_noise import SceneNoise

__all__ = ["continued_power"]

# Rings of frequency, in units of 1 / side of the transform: those below the
# first are continued, from those up to the last.
FIRST_RING, LAST_RING = 3, 9
STEEPEST = -3.0


def _rings(shape):
    fy = np.fft.fftfreq(shape[0])[:, None] * max(shape)
    fx = np.fft.rfftfreq(shape[1])[None, :] * max(shape)
    return np.rint(np.hypot(fy, fx)).astype(int)


def _gain(power, ring):
    """Factor on the amplitudes at each frequency, from a band's own power."""
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    gain = np.ones(len(mean))
    shown = np.arange(FIRST_RING, min(LAST_RING + 1, len(mean)))
    if len(shown) < 3 or not (mean[shown] > 0).all():
        return gain[ring]
    # a ring has as many waves as its radius: its logarithm has that weight
    ln_k, ln_power = np.log(shown), np.log(mean[shown])
    slope = np.polyfit(ln_k, ln_power, 1, w=np.sqrt(shown))[0]
    slope = np.clip(slope, STEEPEST, 0.0)
    level = np.average(ln_power - slope * ln_k, weights=shown)
    hidden = np.arange(FIRST_RING)
    continued = np.exp(level + slope * np.log(np.maximum(hidden, 0.5)))
    floor = np.maximum(mean[hidden], np.finfo(float).tiny)
    gain[hidden] = np.sqrt(np.maximum(continued / floor, 1.0))
    return gain[ring]


def continued_power(noise: SceneNoise) -> SceneNoise:
    """Powers whose largest scales are not below the continuation of the others.

    Parameters
    ----------
    noise : `galstep.core.noise.scene_noise.SceneNoise`

    Returns
    -------
    SceneNoise
        With P(k) of each band at least c k^s on waves longer than a third of
        the transform's side, c and s (-3 <= s <= 0) fitted to ln P on shorter ones. Where it
        is raised, the cross powers of bands with the same pixels are what
        the shorter waves share of theirs.
    """
    return SceneNoise(
        tuple((members, _continued(own)) for members, own in noise.groups), noise.between
    )


def _continued(own):
    ring = _rings(own.shape)
    gains = [_gain(powers[i], ring) for i, powers in enumerate(own.power)]
    power = [list(others) for others in own.power]
    for i, gain in enumerate(gains):
        power[i][i] = power[i][i] * gain**2
    for a, b in combinations(range(len(gains)), 2):
        lifted = gains[a] * gains[b] > 1
        share = _coherence(own, a, b, ring)
        both = share * np.sqrt(power[a][a] * power[b][b])
        power[a][b] = power[b][a] = np.where(lifted, both, power[a][b])
    return NoisePower(power, own.shape)


def _coherence(own, a, b, ring):
    """What two bands share of their noise on the scales that are shown, -1 to 1."""
    shown = (ring >= FIRST_RING) & (ring <= LAST_RING)
    first, second = own.power[a][a][shown].sum(), own.power[b][b][shown].sum()
    if not (first > 0 and second > 0):
        return 0.0
    return float(np.clip(own.power[a][b][shown].sum() / np.sqrt(first * second), -1.0, 1.0))
