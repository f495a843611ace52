"""Runs before everything else in the frozen program.

pyqtgraph loads two modules of Qt for drawing with OpenGL, which gradsim never does. What it looks for in them when it
is loaded is here, and 10 MB stay out.
"""

import sys
import types


class QOpenGLWidget:
    """What nothing is an instance of."""


sys.modules["PySide6.QtOpenGL"] = types.ModuleType("PySide6.QtOpenGL")
sys.modules["PySide6.QtOpenGLWidgets"] = types.ModuleType("PySide6.QtOpenGLWidgets")
sys.modules["PySide6.QtOpenGLWidgets"].QOpenGLWidget = QOpenGLWidget
