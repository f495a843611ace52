"""What the system tells the application, in a process of its own: there is one application in each."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QFileOpenEvent
from gradsim.app.application import Application

application = Application(["gradsim"])
application.file_wanted.connect(print)
QCoreApplication.sendEvent(application, QFileOpenEvent("/somewhere/one.gradsim"))
QCoreApplication.sendEvent(application, QEvent(QEvent.Type.User))
"""


def test_that_a_file_that_a_running_program_is_to_open_is_told_of() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert (done.stdout, done.stderr) == ("/somewhere/one.gradsim\n", "")
