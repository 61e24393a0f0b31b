"""The picture of completeness and purity."""

import numpy as np

from galstep.plotting import completeness_figure
from galstep.records import Injections


def injections(**bins):
    fields = Injections.__dataclass_fields__
    empty = {name: np.zeros(0) for name in fields if name not in ("kind", "filter", "summary")}
    summary = {name: {"galaxies": {}, "stars": {"bins": own}} for name, own in bins.items()}
    return Injections(kind=(), filter=(), summary=summary, **empty)


def share(snr_min, snr_max, value):
    low, high = max(value - 0.2, 0), min(value + 0.1, 1)
    names = ("completeness", "isolated_completeness", "purity")
    shares = {
        f"{n}{end}": v for n in names for end, v in (("", value), ("_low", low), ("_high", high))
    }
    return {"snr_min": snr_min, "snr_max": snr_max, **shares}


def test_points_and_intervals(model):
    own = [share(5.0, 7.0, 0.5), share(7.0, 10.0, np.nan), share(10.0, np.inf, 1.0)]
    model.injections = injections(F150W=own)
    (axes,) = completeness_figure(model).axes
    assert axes.get_title() == "F150W"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["complete, all", "complete, isolated", "pure"]
    isolated = axes.containers[1]
    np.testing.assert_allclose(isolated[0].get_xdata(), [np.sqrt(35), np.sqrt(250)])
    np.testing.assert_allclose(isolated[0].get_ydata(), [0.5, 1.0])
    ends = isolated[2][0].get_segments()
    np.testing.assert_allclose([ends[0][0][1], ends[0][1][1]], [0.3, 0.6])


def test_without_injected_stars_it_says_so(model):
    for model.injections in (None, injections()):
        figure = completeness_figure(model)
        assert "no star was injected (Inject: n_stars)" in [t.get_text() for t in figure.texts]
