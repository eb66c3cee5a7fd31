"""Labels that do not exclude each other: a model for each, served as one graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from riskstream.models.training.learners import LOGITS, OPSETS, Exported, Learned


@dataclass(frozen=True)
class PerLabelModels:
    """Column k of the answer is that of model k."""

    models: Sequence[Learned]

    @property
    def trees(self) -> int:
        return max(model.trees for model in self.models)

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.column_stack([model.raw(features) for model in self.models])

    def export(self, name: str) -> Exported:
        """The models' graphs side by side, on one input, and the risk's column of each put together."""
        parts = [model.export(name) for model in self.models]
        first = onnx.load_model_from_string(parts[0].model)
        joined = onnx.ModelProto(ir_version=first.ir_version, opset_import=first.opset_import)
        joined.graph.name = name
        joined.graph.input.append(first.graph.input[0])
        for index, part in enumerate(parts):
            graph = onnx.load_model_from_string(part.model).graph
            own = compose.add_prefix_graph(graph, f"label{index}_", rename_inputs=False)
            column = numpy_helper.from_array(np.array([part.column], np.int64), f"label{index}_column")
            joined.graph.node.extend(own.node)
            joined.graph.node.append(
                helper.make_node("Gather", [f"label{index}_{part.tensor}", column.name], [f"answer{index}"], axis=1)
            )
            joined.graph.initializer.extend([*own.initializer, column])
        answers = [f"answer{index}" for index in range(len(parts))]
        joined.graph.node.append(helper.make_node("Concat", answers, [LOGITS], axis=1))
        kind = next(out for out in first.graph.output if out.name == parts[0].tensor).type.tensor_type.elem_type
        joined.graph.output.append(helper.make_tensor_value_info(LOGITS, kind, [None, len(parts)]))
        if all(entry.domain for entry in joined.opset_import):  # nothing but trees so far
            joined.opset_import.append(helper.make_opsetid("", OPSETS[""]))
        return Exported(bytes(joined.SerializeToString()), parts[0].kind, LOGITS)
