"""ONNX files of calibrated members: the library's converter for the trees, the calibrator appended.

The graph takes scaled float32 features `features` (n, k) and gives `calibrated_probabilities` (n, 3),
the same numbers as the calibrated pickle to within 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.arrays import N_CLASSES
from ml.ensemble.members import PROBABILITY_FLOOR, CalibratedMember, Calibrator
from novosky.errors import ModelCompatibilityError
from novosky.installation import extra_line, missing_exporters

INPUT = "features"
OUTPUT = "calibrated_probabilities"
# Opset 15 with operators of the first ml opset: read by every onnxruntime since 1.10.
OPSET = 15
ML_OPSET = 1
IR_VERSION = 8


def require_exporters(missing: Sequence[str] | None = None) -> None:
    """Raise `ModelCompatibilityError` when a package that writes ONNX is absent, before any work is done.

    Parameters
    ----------
    missing : sequence of str, optional
        What is not installed, instead of a look at this environment.
    """
    absent = missing_exporters() if missing is None else missing
    if absent:
        raise ModelCompatibilityError(
            f"the ONNX copies of the models need {', '.join(absent)}, not installed here; run "
            f"`{extra_line('train')}`, or train without them: --no-onnx"
        )


def export_onnx(member: CalibratedMember, n_features: int) -> bytes:
    """Return the serialised ONNX model of a calibrated member.

    Parameters
    ----------
    member : CalibratedMember
    n_features : int
        Width of the feature matrix.

    Raises
    ------
    ModelError
        When the converter cannot express the model.
    """
    from onnx import checker, helper

    trees = _convert_trees(member, n_features)
    source, probabilities = trees.graph.input[0].name, trees.graph.output[1].name
    graph = helper.make_graph(
        [*trees.graph.node, *_calibrator_nodes(probabilities)],
        f"ensemble_{member.name}",
        [_tensor(source, n_features)],
        [_tensor(OUTPUT, N_CLASSES)],
        [*trees.graph.initializer, *_constants(member.calibrator)],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="novosky")
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _convert_trees(member: CalibratedMember, n_features: int) -> Any:
    """Convert the uncalibrated trees; outputs are (label, probabilities) for every library."""
    if member.name == "rf":
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType as SklearnTensor

        types = [(INPUT, SklearnTensor([None, n_features]))]
        return convert_sklearn(
            member.base,
            initial_types=types,
            options={"zipmap": False},
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        )
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(INPUT, FloatTensorType([None, n_features]))]
    if member.name == "xgb":
        return onnxmltools.convert_xgboost(member.base, initial_types=types, target_opset=OPSET)
    return onnxmltools.convert_lightgbm(member.base, initial_types=types, target_opset=OPSET, zipmap=False)


def _tensor(name: str, width: int) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])


def _constants(calibrator: Calibrator) -> list[Any]:
    import numpy as np
    from onnx import numpy_helper

    values: dict[str, Any] = {name: [value] for name, value in calibrator.as_dict().items()}
    values |= {"one": [1.0], "probability_floor": [PROBABILITY_FLOOR]}
    # Columns pick HOLD, BUY and SELL out of a row, and the sum of the two sides.
    values |= {"pick_hold": [[1], [0], [0]], "sum_sides": [[0], [1], [1]], "buy_minus_sell": [[0], [1], [-1]]}
    return [numpy_helper.from_array(np.array(value, dtype=np.float32), f"cal_{name}") for name, value in values.items()]


def _calibrator_nodes(probabilities: str) -> list[Any]:
    """`Calibrator.apply`, operator by operator."""
    from onnx import helper

    steps = [
        ("Max", (probabilities, "cal_probability_floor"), "cal_p"),
        ("Log", ("cal_p",), "cal_log_p"),
        ("MatMul", ("cal_log_p", "cal_pick_hold"), "cal_log_hold"),
        ("MatMul", ("cal_p", "cal_sum_sides"), "cal_sides"),
        ("Log", ("cal_sides",), "cal_log_sides"),
        ("Sub", ("cal_log_hold", "cal_log_sides"), "cal_hold_odds"),
        ("Mul", ("cal_hold_odds", "cal_hold_slope"), "cal_hold_scaled"),
        ("Add", ("cal_hold_scaled", "cal_hold_offset"), "cal_hold_logit"),
        ("Sigmoid", ("cal_hold_logit",), "cal_hold"),
        ("MatMul", ("cal_log_p", "cal_buy_minus_sell"), "cal_side_odds"),
        ("Mul", ("cal_side_odds", "cal_side_slope"), "cal_side_scaled"),
        ("Add", ("cal_side_scaled", "cal_side_offset"), "cal_side_logit"),
        ("Sigmoid", ("cal_side_logit",), "cal_buy_share"),
        ("Sub", ("cal_one", "cal_hold"), "cal_trade"),
        ("Mul", ("cal_trade", "cal_buy_share"), "cal_buy"),
        ("Sub", ("cal_trade", "cal_buy"), "cal_sell"),
    ]
    nodes = [helper.make_node(operator, list(inputs), [output]) for operator, inputs, output in steps]
    return [*nodes, helper.make_node("Concat", ["cal_hold", "cal_buy", "cal_sell"], [OUTPUT], axis=1)]
