"""Other engines than torch to run a network on the CPU, and what they need: graphs, made once."""

from vitripick.models.engines.choose import (
    ENGINES,
    PRECISIONS,
    EngineModel,
    EngineName,
    Precision,
    available_cores,
    load_on_engine,
)

__all__ = ["ENGINES", "PRECISIONS", "EngineModel", "EngineName", "Precision", "available_cores", "load_on_engine"]
