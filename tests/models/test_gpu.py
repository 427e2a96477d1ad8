"""What only a CUDA device can show; skipped, with the reason, where there is none."""

import numpy as np
import pytest
import torch

from vitripick.models import build_detector
from vitripick.models.run import detect, for_inference


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cpu_and_gpu_find_the_same():
    torch.manual_seed(0)
    detector = build_detector("heatmap", {"width": 16}).eval()
    image = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    on_cpu = detect(for_inference(detector, "cpu"), image, floor=0.0)
    on_gpu = detect(for_inference(detector, "cuda"), image, floor=0.0)
    strongest = [np.argsort(-found.confidence)[:20] for found in (on_cpu, on_gpu)]
    np.testing.assert_allclose(on_gpu.confidence[strongest[1]], on_cpu.confidence[strongest[0]], atol=5e-3)
