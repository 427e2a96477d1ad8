"""Trace lines: from maps of centre line, direction and width to the paths of filaments. Arrays only, no network."""

from vitripick.tracing.evidence import is_edge
from vitripick.tracing.maps import LineMaps, LinePoints, line_points
from vitripick.tracing.paths import Tracing, trace

__all__ = ["LineMaps", "LinePoints", "Tracing", "is_edge", "line_points", "trace"]
