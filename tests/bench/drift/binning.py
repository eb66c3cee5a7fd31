"""What binning hides: each statistic over the bins against the same over the values themselves."""

import numpy as np
from scipy import stats

from riskstream.models.drift.statistics import ks
from tests.bench.drift.traffic import Traffic

ROWS = 20_000


def binning_loss(traffic: Traffic) -> str:
    """The largest and the median difference over all features: means in standard deviations, KS as it is."""
    rng = np.random.default_rng(2)
    seen = traffic.pool[rng.choice(len(traffic.pool), ROWS, replace=False)]
    window = traffic.window(0, seen).whole
    earlier, shape = traffic.before, traffic.shape
    binned = ks(shape.reference_bins, window.bins, shape.starts)
    means = window.means()
    hidden, moved = [], []
    for k in range(shape.layout.features):
        now, then = (each.vectors[:, k][~np.isnan(each.vectors[:, k])] for each in (seen, earlier))
        if not len(now) or not len(then):
            continue
        hidden.append(abs(stats.ks_2samp(now, then, method="asymp").statistic - binned[k]))
        if deviation := float(now.std(dtype=np.float64)):
            moved.append(abs(float(now.mean(dtype=np.float64)) - means[k]) / deviation)
    return (
        f"Lost to binning, over {len(hidden)} features: KS at most {max(hidden):.4f}, {np.median(hidden):.4f} at the "
        f"median; means (clipped and rounded) at most {max(moved):.4f} standard deviations, "
        f"{np.median(moved):.1e} at the median"
    )
