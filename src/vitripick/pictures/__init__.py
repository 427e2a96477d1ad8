"""Draw overlays, montages, curves and the report: arrays in, PNG or HTML out."""

from vitripick.pictures.curves import histogram_png, precision_recall_png, training_curves_png
from vitripick.pictures.filament_report import ReportFilaments, ReportTraced
from vitripick.pictures.montage import montage_png
from vitripick.pictures.overlay import draw_overlay, overlay_png
from vitripick.pictures.report import ReportMicrograph, ReportRun, render_report, write_report
from vitripick.pictures.thumbnail import thumbnail_jpeg

__all__ = [
    "ReportFilaments",
    "ReportMicrograph",
    "ReportRun",
    "ReportTraced",
    "draw_overlay",
    "histogram_png",
    "montage_png",
    "overlay_png",
    "precision_recall_png",
    "render_report",
    "thumbnail_jpeg",
    "training_curves_png",
    "write_report",
]
