"""In which numbers a training multiplies."""

from __future__ import annotations

import pytest
import torch

from vitripick.errors import UsageError
from vitripick.training import precision
from vitripick.training.precision import autocast, training_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("has_amx", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bfloat16_only_on_a_cpu_that_has_it_in_hardware(monkeypatch, has_amx, expected):
    monkeypatch.setattr(precision, "_cpu_has_amx", lambda: has_amx)
    assert training_precision("auto", CPU, "heatmap") == expected


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
@pytest.mark.parametrize("has_amx", [True, False])
def test_who_names_one_gets_it_on_any_hardware(monkeypatch, wanted, has_amx):
    monkeypatch.setattr(precision, "_cpu_has_amx", lambda: has_amx)
    assert training_precision(wanted, CPU, "yolo") == wanted


def test_inception_resnet_trains_in_float32_on_a_cpu_and_as_the_others_on_cuda(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_has_amx", lambda: True)
    assert training_precision("auto", CPU, "inception_resnet") == "fp32"
    assert training_precision("auto", torch.device("cuda"), "inception_resnet") == "bf16"
    with pytest.raises(UsageError, match="precision='fp32'"):
        training_precision("bf16", CPU, "inception_resnet")


@pytest.mark.parametrize(("chosen", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_network_computes_in_the_numbers_chosen(chosen, expected):
    convolution = torch.nn.Conv2d(1, 4, 3)
    with autocast(chosen, CPU):
        assert convolution(torch.zeros(1, 1, 8, 8)).dtype == expected
    assert convolution.weight.dtype == torch.float32
