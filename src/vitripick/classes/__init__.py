"""Sort particle images into two-dimensional classes, to judge picks by: arrays in, averages and members out."""

from vitripick.classes.classify import Assigned, Classes, OneClass, classify

__all__ = ["Assigned", "Classes", "OneClass", "classify"]
