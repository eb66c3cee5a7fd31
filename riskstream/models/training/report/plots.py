"""The plots of the report, each as SVG text: the same data give the same text."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from riskstream.models.policy import Policy
from riskstream.models.training.config import Costs
from riskstream.models.training.metrics import bins
from riskstream.models.training.thresholds import Judged

INK, FAINT, HONEST, RISKY, LINE = "#1c2430", "#98a2b3", "#4878a8", "#c4473a", "#1d6f5c"
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, sharp, can be searched
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e8ee",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
MARKERS = {"review": "o", "decline": "s"}
POINTS = 300
LEAST_RATE = 0.0005
SMALLEST = 1e-5  # of a score, on axes that are logarithmic


def _svg(name: str, draw: Callable[[Figure], None], height: float = 3.4) -> str:
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _one(draw: Callable[[Axes], None]) -> Callable[[Figure], None]:
    return lambda figure: draw(figure.add_subplot())


def precision_recall(events: Judged, policy: Policy) -> str:
    precision, recall, _ = precision_recall_curve(events.risky, events.scores)
    kept = _thin(len(precision))

    def draw(axes: Axes) -> None:
        axes.plot(recall[kept], precision[kept], color=LINE)
        axes.axhline(events.risky.mean(), color=FAINT, linestyle=":", label="by chance")
        for name, stopped in _stopped(events, policy).items():
            share, caught = events.risky[stopped].mean(), stopped[events.risky].mean()
            axes.plot([caught], [share], MARKERS[name], color=RISKY, label=f"from {name} on")
        axes.set(xlabel="recall: share of fraud found", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend()

    return _svg("precision_recall", _one(draw))


def roc(events: Judged, policy: Policy) -> str:
    false, true, _ = roc_curve(events.risky, events.scores)
    kept = _thin(len(false))

    def draw(axes: Axes) -> None:
        axes.plot(false[kept], true[kept], color=LINE)
        chance = np.geomspace(LEAST_RATE, 1, 50)
        axes.plot(chance, chance, color=FAINT, linestyle=":", label="by chance")
        for name, stopped in _stopped(events, policy).items():
            rate, caught = stopped[~events.risky].mean(), stopped[events.risky].mean()
            axes.plot([max(rate, LEAST_RATE)], [caught], MARKERS[name], color=RISKY, label=f"from {name} on")
        axes.set(xscale="log", xlim=(LEAST_RATE, 1), ylim=(0, 1.02))
        axes.set(xlabel="false-positive rate: share of honest payments", ylabel="recall: share of fraud found")
        _plain(axes, "x")
        axes.legend()

    return _svg("roc", _one(draw))


def calibration(events: Judged) -> str:
    """Mean score against share of fraud, with 95 % ends by Wilson (1927), in the bins of the calibration error."""
    parts = bins(events.scores)
    mean = np.array([events.scores[rows].mean() for rows in parts])
    found = [binomtest(int(events.risky[rows].sum()), len(rows)) for rows in parts]
    share = np.array([one.statistic for one in found])
    ends = np.array([one.proportion_ci(method="wilson") for one in found]).T
    some = share > 0

    def draw(axes: Axes) -> None:
        low = max(SMALLEST, float(min(mean.min(), share[some].min(initial=1.0)) / 2))
        axes.plot([low, 1], [low, 1], color=FAINT, linestyle=":", label="as it should be")
        axes.vlines(np.maximum(mean, low), np.maximum(ends[0], low), ends[1], color=LINE, linewidth=1.2)
        axes.plot(np.maximum(mean, low)[some], share[some], "o", color=LINE, label="scores of about the same size")
        axes.plot(np.maximum(mean, low)[~some], ends[1][~some], "v", color=FAINT, label="no fraud: at most")
        axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1.2))
        axes.set(xlabel="mean score", ylabel="share of fraud")
        axes.legend()
        _plain(axes, "x", "y")

    return _svg("calibration", _one(draw))


def histogram(events: Judged, policy: Policy) -> str:
    edges = np.geomspace(max(SMALLEST, float(events.scores.min())), 1, 60).tolist()

    def draw(axes: Axes) -> None:
        clipped = np.maximum(events.scores, edges[0])
        axes.hist(clipped[~events.risky], edges, color=HONEST, alpha=0.7, label="honest")
        axes.hist(clipped[events.risky], edges, color=RISKY, alpha=0.8, label="fraud")
        _thresholds(axes, policy)
        axes.set(xscale="log", yscale="log", xlabel="score", ylabel="payments")
        axes.legend()
        _plain(axes, "x", "y")

    return _svg("histogram", _one(draw))


def thresholds(events: Judged, policy: Policy, costs: Costs) -> str:
    """Precision, recall, alerts a day and cost for every review threshold; the threshold to decline stays."""
    ranked = np.argsort(-events.scores, kind="stable")
    scores, risky = events.scores[ranked], events.risky[ranked]
    kept = _thin(len(scores))
    found, stopped = np.cumsum(risky), np.arange(1, len(scores) + 1)
    declined = scores >= policy.decline
    lost = events.amount[events.risky].sum() - np.cumsum(np.where(risky, events.amount[ranked], 0))
    spent = np.cumsum(np.where(declined, np.where(risky, 0, costs.insult), costs.review))
    cost = (lost + spent) / 100 / events.days
    cheapest = int(np.argmin(cost))

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True)
        above.plot(scores[kept], (found / stopped)[kept], color=LINE, label="precision")
        above.plot(scores[kept], (found / max(found[-1], 1))[kept], color=RISKY, label="recall")
        above.set(xscale="log", xlim=(max(SMALLEST, float(scores[-1])), 1), ylim=(0, 1.02))
        alerts = above.twinx()
        alerts.plot(scores[kept], (stopped / events.days)[kept], color=FAINT)
        alerts.set(yscale="log")
        alerts.set_ylabel("alerts a day", color=FAINT)
        alerts.grid(visible=False)
        above.legend(loc="center left")
        below.plot(scores[kept], cost[kept], color=INK)
        below.plot([scores[cheapest]], [cost[cheapest]], "o", color=LINE, label=f"cheapest: {scores[cheapest]:.4f}")
        below.set(xlabel="threshold to review", ylabel="cost a day, major units", ylim=(0, None))
        below.legend(loc="lower right")
        for axes in (above, below):
            _thresholds(axes, policy)
            _plain(axes, "x")
        _plain(alerts, "y")

    return _svg("thresholds", draw, height=5.0)


def bars(values: Mapping[str, float], label: str) -> str:
    """The first at the top."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(values))[::-1]
        axes.barh(places, list(values.values()), color=HONEST)
        axes.set_yticks(places, list(values))
        axes.set(xlabel=label)
        axes.grid(visible=False, axis="y")

    return _svg("bars", _one(draw), height=0.9 + 0.24 * len(values))


def _stopped(events: Judged, policy: Policy) -> dict[str, NDArray[np.bool_]]:
    """What each threshold stops, if it stops anything."""
    found = {"review": events.scores >= policy.review, "decline": events.scores >= policy.decline}
    return {name: stopped for name, stopped in found.items() if stopped.any()}


def _plain(axes: Axes, *which: str) -> None:
    """A logarithmic axis with numbers as people write them, at powers of ten."""
    for one in which:
        axis = getattr(axes, f"{one}axis")
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _thresholds(axes: Axes, policy: Policy) -> None:
    for name, threshold in (("review", policy.review), ("decline", policy.decline)):
        axes.axvline(max(threshold, SMALLEST), color=RISKY, linewidth=0.8, linestyle="--")
        place = axes.get_xaxis_transform()
        style: Any = {"fontsize": 8, "color": RISKY, "rotation": 90, "ha": "right", "va": "top"}
        style |= {"bbox": {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}}
        axes.text(max(threshold, SMALLEST), 0.98, name, transform=place, **style)


def _thin(count: int) -> NDArray[np.int64]:
    """At most POINTS positions, dense at both ends, where curves of rare events bend."""
    ends = np.unique(np.geomspace(1, count, POINTS // 2).astype(np.int64)) - 1
    return np.unique(np.concatenate([ends, count - 1 - ends]))
