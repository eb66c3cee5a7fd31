"""The score stage: feature rows in, calibrated probabilities of risk out. The only module that knows ONNX Runtime.

Trees are walked by `tree_walk` when it has proven to give the runtime's bits; everything else is run by the runtime.
"""

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from riskstream.models.bundle import MODEL, SMOKE, Bundle, BundleError
from riskstream.models.outputs import Answer, answer_of, checked, line_of, risk_on_line
from riskstream.models.tree_walk import NotCovered, Trees, TreeWalk

# Between processors and runtime releases, sums of hundreds of float32 leaves differ by some 1e-7. A wrong model,
# a swapped column or another treatment of missing values differs by far more than this.
SMOKE_TOLERANCE = 1e-6


class NonFiniteScore(Exception):
    """The model gave something that is no score (NaN, infinite, outside its range) for these rows of the batch."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        super().__init__(f"the model gave no score for {len(rows)} row(s), first {rows[0]}")
        self.rows = rows


class Scorer:
    """Scores batches with one bundle; cannot be made (BundleError) unless the bundle's smoke cases come out right.

    A row's score has the same bits in every batch and with either engine: one thread, and nothing that looks across
    rows. `engine` says who runs the model, and `engine_reason` why it is not the walk. `trees`, for compiled code, are
    all that a risk comes from; None where there is more to it.
    """

    def __init__(self, bundle: Bundle, own_walk: bool = True) -> None:
        self.label = bundle.label
        self._width = len(bundle.manifest.features)
        self._input = bundle.manifest.input
        self._output = bundle.manifest.output
        self._calibration = bundle.manifest.calibration
        self._line = line_of(self._output, self._calibration)
        several = self._output.task != "binary"
        self._nothing = Answer(np.empty(0), np.empty((0, len(self._output.classes))) if several else None)
        self._session = _session(bundle)
        self._check_signature()
        rows = np.array(bundle.smoke.rows, dtype=np.float64)  # None becomes NaN
        self._raw: Callable[[NDArray[np.float32]], NDArray[np.float32]] = self._run
        self._verify_smoke(rows.astype(np.float32), np.array(bundle.smoke.expected))
        self.engine, self.engine_reason = "onnxruntime", "the walk is switched off"
        self.trees: Trees | None = None
        if own_walk:
            self._take_walk(bundle.model, rows.astype(np.float32))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """A probability of risk per row; NaN is missing. Raises NonFiniteScore naming the rows that have none."""
        return self.answer(features).risk

    def answer(self, features: NDArray[np.float32]) -> Answer:
        """The risk as above, and with it a probability per class or label of a model that knows several."""
        if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] != self._width:
            raise ValueError(f"want float32 [n, {self._width}], not {features.dtype} {features.shape}")
        if not len(features):
            return self._nothing
        if self._line:
            risk, invalid = risk_on_line(self._raw(features), *self._line)
            answer = Answer(risk, None)
        else:
            said, invalid = checked(self._output, self._raw(features))
            answer = answer_of(self._output, self._calibration, said)
        if len(invalid):
            raise NonFiniteScore(invalid)
        return answer

    def _run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        raw: NDArray[np.float32] = self._session.run([self._output.tensor], {self._input: features})[0]
        table = raw.reshape(len(features), -1)
        if self._output.task == "binary":
            return table[:, self._output.column]
        if table.shape[1] != len(self._output.classes):
            raise ValueError(f"{table.shape[1]} columns for {len(self._output.classes)} classes")
        return table

    def _take_walk(self, model: bytes, smoke: NDArray[np.float32]) -> None:
        try:
            if self._output.task != "binary":
                raise NotCovered(f"a {self._output.task} output")
            walk = TreeWalk(model, self._width, self._output.tensor, self._output.column)
            walk.prove(self._run, smoke)
        except NotCovered as why:
            self.engine_reason = str(why)
        else:
            self._raw, self.engine, self.engine_reason = walk, "tree_walk", ""
            self.trees = walk.on_line(*self._line) if self._line else None

    def _check_signature(self) -> None:
        seen = [(one.name, one.type, one.shape[-1]) for one in self._session.get_inputs()]
        if seen != [(self._input, "tensor(float)", self._width)]:
            self._refuse(MODEL, f"want one float32 input {self._input} [n, {self._width}], not {seen}")
        outputs = [output.name for output in self._session.get_outputs()]
        if self._output.tensor not in outputs:
            self._refuse(MODEL, f"no output {self._output.tensor}, only {outputs}")

    def _verify_smoke(self, rows: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
        try:
            seen = self(rows)
            alone = np.concatenate([self(row[np.newaxis]) for row in rows])
        except NonFiniteScore as error:
            self._refuse(SMOKE, f"case {error.rows[0]}: {error}")
        except Exception as error:  # no such column, or the runtime's own
            self._refuse(MODEL, f"cannot run: {error}")
        wrong = np.flatnonzero(~(np.abs(seen - expected) <= SMOKE_TOLERANCE))
        if len(wrong):
            case = wrong[0]
            what = f"expected {expected[case]:.9f}, seen {seen[case]:.9f} ({len(wrong)} of {len(rows)} cases differ)"
            self._refuse(SMOKE, f"case {case}: {what}; model and manifest do not belong together: train a new bundle")
        if (differs := np.flatnonzero(seen != alone)).size:
            self._refuse(MODEL, f"smoke case {differs[0]} scores differently alone than in a batch: use another model")

    def _refuse(self, file: str, why: str) -> NoReturn:
        raise BundleError(f"bundle {self.label}: {file}: {why}")


def _session(bundle: Bundle) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # with more, small batches differ in the last bits
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle worker must idle
    options.log_severity_level = 3  # errors only; ours are raised
    try:
        return ort.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base class
        raise BundleError(f"bundle {bundle.label}: {MODEL}: ONNX Runtime cannot load it: {error}") from error
