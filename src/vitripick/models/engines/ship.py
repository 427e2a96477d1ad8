"""Make the graphs that ship beside a released model: `python -m vitripick.models.engines.ship general`.

Needs the extra `[train]`. `benchmarks/speed/engines.py` then judges them on real micrographs.
"""

from __future__ import annotations

import sys

from vitripick.models.engines.export import make_graph
from vitripick.models.engines.graph import GRAPH_PRECISIONS
from vitripick.models.model import open_model
from vitripick.models.released import released_path
from vitripick.models.weights import weights_of


def main(names: list[str]) -> None:
    """Write `NAME.fp32.onnx`, `NAME.int8.onnx` and their descriptions beside each released model."""
    for name in names:
        model = weights_of(open_model(name))
        for precision in GRAPH_PRECISIONS:
            graph = make_graph(model, precision, place=released_path(name).with_suffix(f".{precision}.json"))
            print(f"{graph.path}: {graph.path.stat().st_size / 1e6:.1f} MB, {graph.info.agreement}")


if __name__ == "__main__":
    main(sys.argv[1:])
