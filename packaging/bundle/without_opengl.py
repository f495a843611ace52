"""Runs before everything else in the frozen program.

pyqtgraph asks for QtOpenGL when it is loaded and uses it where meshes are drawn with OpenGL, which gradsim never does.
An empty module answers, and 10 MB stay out.
"""

import sys
import types

sys.modules["PySide6.QtOpenGL"] = types.ModuleType("PySide6.QtOpenGL")
