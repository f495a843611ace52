"""A window on a recording: the same pictures and the same diagnosis as of a run, and nothing to train with."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence
from PySide6.QtWidgets import QFileDialog, QLabel, QMainWindow, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build.panel import Panel
from gradsim.app.diagnosis.findings_page import FindingCard, arrange
from gradsim.app.diagnosis.watching import Seen, Watching
from gradsim.app.inout.following import Viewed
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.app.see.stage import Stage
from gradsim.i18n import mark, tr, tr_n

SOURCES = {
    "gradsim": mark("a run of gradsim"),
    "pytorch": mark("a training in PyTorch"),
    "keras": mark("a training in Keras"),
}


class Found(Panel):
    """What is wrong with the recorded training: one card each."""

    def __init__(self, viewed: Viewed, watching: Watching, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewed, self.watching = viewed, watching
        self.cards: dict[str, FindingCard] = {}
        self.setAccessibleName(tr("Findings"))
        watching.changed.connect(self.refresh)
        watching.selected_changed.connect(self._mark)
        self.renew()

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        self.cards = {}
        self.headline = QLabel(inside)
        self.headline.setFont(theme.font("large", bold=True))
        self.headline.setWordWrap(True)
        self.headline.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.headline)
        self._list = QVBoxLayout()
        self._list.setSpacing(theme.px(6))
        layout.addLayout(self._list)

    def refresh(self) -> None:
        """Shows what has been found by now."""
        names = tuple(layer.name for layer in self.viewed.rows())
        findings = self.watching.findings
        for seen in arrange(self.cards, self._list, findings, names, self._made):
            self.cards[seen.key].show()
        if self.viewed.recorder is None or self.watching.looked is None:
            text = tr("Nothing to look at yet")
        elif findings:
            text = tr_n("{n} finding", "{n} findings", len(findings))
        else:
            text = tr("Nothing is wrong in this record")
        self.headline.setText(text)

    def _made(self, seen: Seen) -> FindingCard:
        card = FindingCard(seen.key, self.scroll_area.widget())
        card.chosen.connect(self.choose)
        return card

    def choose(self, key: str) -> None:
        """Shows a finding where it happened."""
        seen = next((one for one in self.watching.findings if one.key == key), None)
        if seen is not None:
            self.watching.show(seen)

    def _mark(self) -> None:
        for key, card in self.cards.items():
            selected = self.watching.selected
            card.set_selected(selected is not None and selected.key == key)


class ViewWindow(QMainWindow):
    """The window; closing it ends the thread that follows the file.

    Args:
        path: A recording, or a folder whose latest one is followed.
    """

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("gradsim-view")
        self.others: list[ViewWindow] = []
        self.viewed = Viewed(path, self)
        space = RowSpace(self)
        space.set_layout(RowLayout((), 0.0, upwards=True))
        space.set_even(True)
        self.stage = Stage(self.viewed, space)  # type: ignore[arg-type]
        self.watching = Watching(self.viewed, self.stage.axis, self)  # type: ignore[arg-type]
        self.found = Found(self.viewed, self.watching)
        self.empty = QLabel(self)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.empty.setTextFormat(Qt.TextFormat.PlainText)
        self.empty.setAccessibleName(tr("Why nothing is shown"))
        self.across = QSplitter(Qt.Orientation.Horizontal)
        self.across.addWidget(self.stage)
        self.across.addWidget(self.found)
        self.across.setStretchFactor(0, 1)
        self.across.setCollapsible(0, False)
        self.pages = QStackedWidget(self)
        self.pages.addWidget(self.empty)
        self.pages.addWidget(self.across)
        self.setCentralWidget(self.pages)
        self.state_label, self.step_label = QLabel(self), QLabel(self)
        self.state_label.setAccessibleName(tr("What is shown"))
        self.step_label.setAccessibleName(tr("Recorded steps"))
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        bar.addWidget(self.state_label, 1)
        bar.addPermanentWidget(self.step_label)
        self._make_menus()
        self.viewed.changed.connect(self.renew)
        theme.changed.connect(self._dress)
        self.resize(theme.px(1280), theme.px(800))
        self._dress()
        self.renew()

    def _make_menus(self) -> None:
        files, view = self.menuBar().addMenu(tr("&File")), self.menuBar().addMenu(tr("&View"))
        for menu, text, key, tip, function in (
            (files, tr("&Open a recording…"), "Ctrl+O", tr("Look at another recording"), self.ask_open),
            (files, tr("&Close"), "Ctrl+W", tr("Close this window"), self.close),
            (view, tr("&Larger"), "Ctrl++", tr("Make everything larger."), lambda: theme.zoom_by(1)),
            (view, tr("S&maller"), "Ctrl+-", tr("Make everything smaller."), lambda: theme.zoom_by(-1)),
            (view, tr("&Normal size"), "Ctrl+0", tr("Show everything at 100 %."), lambda: theme.set_zoom(100)),
            (view, tr("&Full screen"), "F11", tr("Use the whole screen, or not."), self.toggle_full_screen),
        ):
            action = QAction(text, self)
            action.setShortcut(QKeySequence(key))
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, f=function: f())
            menu.addAction(action)

    def _dress(self) -> None:
        self.empty.setFont(theme.font("large"))
        self.state_label.setContentsMargins(theme.px(8), 0, 0, 0)
        self.step_label.setFont(theme.font(fixed=True))
        self.step_label.setContentsMargins(theme.px(10), 0, theme.px(8), 0)
        QTimer.singleShot(0, self, self._divide)

    def _divide(self) -> None:
        right = theme.px(330 * theme.current().font_scale)
        self.across.setSizes([max(1, self.width() - right), right])

    def renew(self) -> None:
        """Title, words and which page is shown."""
        viewed = self.viewed
        name = (viewed.shown or viewed.path).name
        self.setWindowTitle(f"{name} \u2013 gradsim")
        self.pages.setCurrentWidget(self.empty if viewed.recorder is None else self.across)
        self.empty.setText(viewed.trouble or tr("Reading {name}\u2026", name=name))
        source = tr(SOURCES[viewed.source]) if viewed.source in SOURCES else viewed.source
        recorder = viewed.recorder
        if recorder is None:
            text = viewed.trouble
        elif viewed.trouble:
            text = f"{name}: {viewed.trouble}"
        elif recorder.every > 1:
            text = tr("{name}: {source}, every {n} steps", name=name, source=source, n=recorder.every)
        else:
            text = f"{name}: {source}"
        self.state_label.setText(text)
        steps = 0 if recorder is None else recorder.stop
        self.step_label.setText(tr_n("{n} step", "{n} steps", steps))

    def ask_open(self) -> None:
        """Asks for another recording and opens it in a window of its own."""
        folder = str(self.viewed.path.parent)
        title = tr("Open a recording")
        name, _ = QFileDialog.getOpenFileName(self, title, folder, f"{tr('Recordings')} (*.npz)")
        if name:
            other = ViewWindow(Path(name))
            other.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            other.show()
            self.others.append(other)
            other.destroyed.connect(lambda: self.others.remove(other))

    def toggle_full_screen(self) -> None:
        """Uses the whole screen, or not."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.hide()
        self.watching.close()
        self.viewed.close()
        event.accept()
