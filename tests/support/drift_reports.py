"""Reports to look at: a calm day, then a feature goes missing."""

import numpy as np

from riskstream.models.payment import DOMAIN
from riskstream.schemas.drift import Alert, Bins, Distance, DriftReport, FeatureDrift, Prediction

MODEL = "payment-risk@1.0.0"
START, LENGTH_MS = 1_800_000_000_000, 300_000
BROKEN_FROM = 30
FEATURE = DOMAIN.features.names[-1]


def shares(rng: np.random.Generator, bins: int) -> tuple[float, ...]:
    drawn = rng.gamma(1.0, 1.0, bins)
    return tuple((drawn / drawn.sum()).round(6).tolist())


def feature(name: str, window: int) -> FeatureDrift:
    rng = np.random.default_rng([window, *name.encode()])
    reference = shares(np.random.default_rng(list(name.encode())), 20)
    broken = name == FEATURE and window >= BROKEN_FROM
    seen = np.array(reference) * rng.normal(1.0, 0.05, 20).clip(0.1)
    return FeatureDrift(
        name=name,
        missing=0.28 if broken else 0.001,
        reference_missing=0.001,
        new_values=0.0,
        distance=Distance(psi=0.01 + 0.4 * broken, ks=0.02, js=0.001, z=0.3, mean=4.2, reference_mean=4.1),
        p_value=0.0 if broken else 0.4,
        verdict="drifted" if broken else "calm",
        bins=Bins(
            edges=tuple(float(edge) for edge in range(1, 20)),
            reference=reference,
            seen=tuple((seen / seen.sum()).round(6).tolist()),
        ),
    )


def alert() -> Alert:
    since = START + BROKEN_FROM * LENGTH_MS
    return Alert(
        id="missing-1",
        kind="missing",
        severity="critical",
        model=MODEL,
        feature=FEATURE,
        features=(FEATURE,),
        segment="channel=web",
        since=since,
        raised_at=since + LENGTH_MS,
        measure="missing share",
        before=0.001,
        after=0.28,
        p_value=0.0,
        sentence=f"{FEATURE} missing 0.1 % -> 28 % since 14:05, all from channel=web <b>",
    )


def report(window: int, segment: str | None = None) -> DriftReport:
    rng = np.random.default_rng([window, 7])
    reference = shares(np.random.default_rng(7), 50)
    return DriftReport(
        model=MODEL,
        segment=segment,
        window_start=START + window * LENGTH_MS,
        window_end=START + (window + 1) * LENGTH_MS,
        coverage=1.0,
        events=int(rng.integers(9_000, 11_000)),
        degraded=0.001,
        unseen=0,
        new_values=0.0,
        dead_letters={"range": 3},
        dead_letter_share=0.0003,
        prediction=Prediction(
            mean_score=float(rng.normal(0.012, 0.0004)),
            reference_mean_score=0.012,
            decisions={"approve": 0.975, "review": 0.02, "decline": 0.005},
            reference_decisions={"approve": 0.976, "review": 0.02, "decline": 0.004},
            distance=Distance(psi=0.004, ks=0.01, js=0.001),
            p_value=0.5,
            verdict="calm",
            bins=Bins(edges=tuple(k / 50 for k in range(1, 50)), reference=reference, seen=shares(rng, 50)),
        ),
        features=tuple(feature(name, window) for name in DOMAIN.features.names),
        alerts=(alert(),) if window > BROKEN_FROM and segment is None else (),
        windows_learned=window,
    )
