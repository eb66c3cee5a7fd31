"""The plots of the report, each as SVG text: the same data give the same text."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
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
        for name, threshold, marker in (("review", policy.review, "o"), ("decline", policy.decline, "s")):
            stopped = events.scores >= threshold
            if stopped.any():
                share, caught = events.risky[stopped].mean(), stopped[events.risky].mean()
                axes.plot([caught], [share], marker, color=RISKY, label=f"from {name} on")
        axes.set(xlabel="recall: share of fraud found", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend()

    return _svg("precision_recall", _one(draw))


def roc(events: Judged) -> str:
    false, true, _ = roc_curve(events.risky, events.scores)
    kept = _thin(len(false))

    def draw(axes: Axes) -> None:
        axes.plot(false[kept], true[kept], color=LINE)
        chance = np.geomspace(LEAST_RATE, 1, 50)
        axes.plot(chance, chance, color=FAINT, linestyle=":", label="by chance")
        axes.set(xscale="log", xlim=(LEAST_RATE, 1), ylim=(0, 1.02))
        axes.set(xlabel="false-positive rate: share of honest payments", ylabel="recall")
        axes.legend()

    return _svg("roc", _one(draw))


def calibration(events: Judged) -> str:
    """Mean score against share of fraud, with 95 % binomial ends, in the bins of the calibration error."""
    parts = bins(events.scores)
    mean = np.array([events.scores[rows].mean() for rows in parts])
    share = np.array([events.risky[rows].mean() for rows in parts])
    error = 1.96 * np.sqrt(share * (1 - share) / np.array([len(rows) for rows in parts]))

    def draw(axes: Axes) -> None:
        low = max(SMALLEST, float(min(mean.min(), share[share > 0].min(initial=1.0)) / 2))
        axes.plot([low, 1], [low, 1], color=FAINT, linestyle=":", label="as it should be")
        axes.errorbar(np.maximum(mean, low), np.maximum(share, low), error, fmt="o-", color=LINE, capsize=2)
        axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1.2))
        axes.set(xlabel="mean score", ylabel="share of fraud")
        axes.legend()

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

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True)
        above.plot(scores[kept], (found / stopped)[kept], color=LINE, label="precision")
        above.plot(scores[kept], (found / max(found[-1], 1))[kept], color=RISKY, label="recall")
        above.set(xscale="log", xlim=(max(SMALLEST, float(scores[-1])), 1), ylim=(0, 1.02))
        alerts = above.twinx()
        alerts.plot(scores[kept], (stopped / events.days)[kept], color=FAINT, label="alerts a day")
        alerts.set(yscale="log")
        alerts.set_ylabel("alerts a day", color=FAINT)
        alerts.grid(visible=False)
        above.legend(loc="center left")
        below.plot(scores[kept], ((lost + spent) / 100 / events.days)[kept], color=INK)
        below.set(yscale="log", xlabel="threshold to review", ylabel="cost a day, major units")
        for axes in (above, below):
            _thresholds(axes, policy)

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


def _thresholds(axes: Axes, policy: Policy) -> None:
    for name, threshold in (("review", policy.review), ("decline", policy.decline)):
        axes.axvline(max(threshold, SMALLEST), color=RISKY, linewidth=0.8, linestyle="--")
        place = axes.get_xaxis_transform()
        style: Any = {"fontsize": 8, "color": RISKY, "rotation": 90, "ha": "right", "va": "top"}
        axes.text(max(threshold, SMALLEST), 0.98, name, transform=place, **style)


def _thin(count: int) -> NDArray[np.int64]:
    """At most POINTS positions, dense at both ends, where curves of rare events bend."""
    ends = np.unique(np.geomspace(1, count, POINTS // 2).astype(np.int64)) - 1
    return np.unique(np.concatenate([ends, count - 1 - ends]))
