"""Does the table know what nobody knew then? Labels, parts, and features that predict too well to be true."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from riskstream.models.dataset.checks.finding import SHOWN, Finding, Subject

TOO_GOOD, GOOD = 0.97, 0.92  # of a single feature's AUC
ENOUGH = 20  # positives
DAY = 86_400_000


def labels_in_time(subject: Subject) -> Finding:
    """No part uses a label that was not known at its cut, or an event too young to have one."""
    frame, cuts = subject.frame, subject.manifest.cuts
    split = frame["split"].cast(pl.String).to_numpy()
    has_label = np.any([frame[name].to_numpy() >= 0 for name in subject.manifest.labels.columns], axis=0)
    since = frame["label_time"].fill_null(np.iinfo(np.int64).max).to_numpy()
    cut = np.select([split == part for part in ("calibration", "test")], [cuts.calibration, cuts.test], cuts.train)
    inside = np.isin(split, ("train", "calibration", "test"))
    young = frame["event_time"].to_numpy() + cuts.gap_ms > cut
    rows = []
    for part in ("warm", "train", "gap", "calibration", "test"):
        at = split == part
        early = at & has_label & ((since > cut) | (part == "gap"))
        rows.append((part, int((at & has_label).sum()), int(early.sum()), int((at & inside & young).sum())))
    headers = ("part", "labels", "not known yet", "events too young")
    early, too_young = sum(row[2] for row in rows), sum(row[3] for row in rows)
    if early or too_young:
        advice = (
            f"a label counts from the moment it is known: at the part's cut, {cuts.gap_ms / DAY:.1f} days after its end"
        )
        said = f"{early:,} labels are used before they were known, {too_young:,} events are too young for one"
        return Finding("fail", said, headers, rows, advice)
    return Finding("pass", f"{sum(row[1] for row in rows):,} labels, each known at its part's cut", headers, rows)


def parts_apart(subject: Subject) -> Finding:
    """No event in two parts, no part reaching into the time of another; split by user, no user in two."""
    cuts, parts = subject.manifest.cuts, ("train", "calibration", "test")
    frame = subject.frame.with_columns(pl.col("split").cast(pl.String)).filter(pl.col("split").is_in(parts))
    shared = {"events": _in_two(frame, "event_id")}
    if cuts.by == "user":
        shared["users"] = _in_two(frame, "user")
    else:
        begin = {"train": cuts.warm_until, "calibration": cuts.train, "test": cuts.calibration}
        end = {"train": cuts.train, "calibration": cuts.calibration, "test": cuts.test + 1}
        time, part = pl.col("event_time"), pl.col("split")
        outside = (time < part.replace_strict(begin)) | (time >= part.replace_strict(end))
        shared["events outside their part's time"] = frame.filter(outside).height
    rows = list(shared.items())
    if any(shared.values()):
        said = ", ".join(f"{count:,} {name}" for name, count in rows if count)
        advice = "a model is then tested on what it learnt: make the data set again, without touching its rows"
        return Finding("fail", f"on both sides of a split: {said}", ("what", "how many"), rows, advice)
    return Finding("pass", f"train, calibration and test are apart, split by {cuts.by}", ("what", "how many"), rows)


def _in_two(frame: pl.DataFrame, column: str) -> int:
    return frame.group_by(column).agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height


def too_good(subject: Subject) -> Finding:
    """A feature that alone tells the classes apart is mostly the label in disguise."""
    known = subject.labelled()
    rows = []
    for name in subject.features:
        values = subject.feature(name)[known]
        best = max(_auc_of_class(values, positive[known]) for positive in subject.positives().values())
        rows.append((name, *best))
    return _judged(rows, "alone predicts", "look how it is made: it may be derived from the label")


def known_afterwards(subject: Subject) -> Finding:
    """A feature that is there, or missing, as the label will be, was filled in when the label came."""
    known = subject.labelled()
    rows = []
    for name in subject.features:
        gone = np.isnan(subject.feature(name)[known]).astype(np.float32)
        best = max(_auc_of_class(gone, positive[known]) for positive in subject.positives().values())
        rows.append((name, *best))
    return _judged(rows, "is missing as the label says", "take its value as of the event, not as of the label")


def _judged(rows: list[tuple[str, float, float]], what: str, advice: str) -> Finding:
    """By the AUC less three standard errors, so that a few examples condemn nothing."""
    rows = sorted(rows, key=lambda row: -row[1])
    shown = [(name, f"{area:.4f}", f"{error:.4f}") for name, area, error in rows[:SHOWN]]
    headers = ("feature", "AUC", "standard error")
    for limit, verdict in ((TOO_GOOD, "fail"), (GOOD, "warn")):
        found = [name for name, area, error in rows if area - 3 * error > limit]
        if found:
            return Finding(verdict, f"{', '.join(found[:3])} {what} (AUC above {limit})", headers, shown, advice)  # type: ignore[arg-type]
    return Finding("pass", f"no feature {what}: the best has an AUC of {rows[0][1]:.3f}", headers, shown)


def _auc_of_class(values: NDArray[np.float32], positive: NDArray[np.bool_]) -> tuple[float, float]:
    """The AUC of a column, whichever way it points and whichever end the missing are put to, and its error."""
    count, others = int(positive.sum()), int((~positive).sum())
    if min(count, others) < ENOUGH:
        return 0.5, 0.0
    gone = np.isnan(values)
    found = []
    for end in (-np.inf, np.inf) if gone.any() else (0.0,):
        area = _auc(np.where(gone, end, values), positive)
        found.append(max(area, 1 - area))
    best = max(found)
    return best, _error(best, count, others)


def _auc(values: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """The share of pairs in the right order, ties as halves (Mann and Whitney 1947)."""
    count = int(positive.sum())
    ranks = rankdata(values)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(values) - count)))


def _error(area: float, count: int, others: int) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (count - 1) * (q1 - area**2) + (others - 1) * (q2 - area**2)
    return float(np.sqrt(max(variance, 0.0) / (count * others)))
