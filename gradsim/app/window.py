"""The main window: lays out what the rooms build and see, and connects it; decides nothing itself."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QFontMetrics,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.about import AboutDialog
from gradsim.app.actions import MENUS, Actions, plain
from gradsim.app.banner import Banner
from gradsim.app.build import verbs as building
from gradsim.app.build.cards import CardsColumn
from gradsim.app.build.inspector import Inspector
from gradsim.app.build.palette import Palette
from gradsim.app.build.run_panel import RunPanel
from gradsim.app.command_palette import Command, CommandPalette
from gradsim.app.compare.comparing import Comparing
from gradsim.app.diagnosis.room import Diagnosis
from gradsim.app.files import Files
from gradsim.app.guide.window import GuideWindow
from gradsim.app.inout.desk import Desk
from gradsim.app.lessons.room import LessonRoom
from gradsim.app.pages import Pages
from gradsim.app.player import Player
from gradsim.app.present.hints import Hints
from gradsim.app.present.presenter import Presenter
from gradsim.app.see.clipping import Clipping
from gradsim.app.see.data_view import DataView
from gradsim.app.see.directions import Directions
from gradsim.app.see.inside import Inside
from gradsim.app.see.rows import RowSpace
from gradsim.app.see.stage import Stage
from gradsim.app.see.timeline import Strip
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.app.shortcuts import ShortcutsDialog
from gradsim.app.slow import SlowMotion
from gradsim.app.transport import Transport, account
from gradsim.i18n import tr, tr_n
from gradsim.model import bundled
from gradsim.nn import layers as nn_layers
from gradsim.telemetry.quantities import definitions
from gradsim.telemetry.recording import FirstNonfinite

STATES = {
    "empty": "Can't be trained",
    "preparing": "Preparing",
    "paused": "Paused",
    "playing": "Training",
    "diverged": "Diverged, paused",
    "failed": "Failed",
}


class LeftColumn(QWidget):
    """Cards level with the rows of the heatmap, the palette below them."""

    def __init__(self, session: Session, stage: Stage, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.stage = session, stage
        self.title = QLabel(self)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.title.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.cards = CardsColumn(session, stage.space, self)
        self.palette_ = Palette(session, self)
        # What was found has become cards; the keys of a run are commands there, not letters.
        self.palette_.left.connect(self.cards.setFocus)
        self.setMinimumWidth(theme.px(200))
        stage.rows_moved.connect(self.align)
        session.document_changed.connect(lambda _: self.renew())
        theme.changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        self.setMinimumWidth(theme.px(200))
        self.renew()
        QTimer.singleShot(0, self, self.align)

    def renew(self) -> None:
        """The title of the experiment."""
        experiment = self.session.experiment
        self.title.setToolTip(f"{tr(experiment.name)}\n\n{tr(experiment.description)}".strip())
        self._fit_title()

    def _fit_title(self) -> None:
        """As large as there is room for; what does not fit at all ends in dots."""
        text = tr(self.session.experiment.name) or tr("Untitled experiment")
        area = self.title.contentsRect().adjusted(0, 0, -1, 0)
        for size in ("large", "normal", "small"):
            font = theme.font(size, bold=True)
            metrics = QFontMetrics(font)
            if metrics.boundingRect(area, int(Qt.TextFlag.TextWordWrap), text).height() <= area.height():
                break
        else:
            lines = max(1, area.height() // metrics.lineSpacing())
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, round(0.85 * lines * area.width()))
        self.title.setFont(font)
        _set(self.title, text)

    def align(self) -> None:
        """Puts the cards beside the rows of the heatmap."""
        rows = self.stage.rows_rect()
        top = self.mapFromGlobal(self.stage.mapToGlobal(rows.topLeft())).y()
        top, height = max(0, top), max(theme.px(60), rows.height())
        margin = theme.px(8)
        self.title.setGeometry(margin, 0, max(1, self.width() - 2 * margin), top)
        self._fit_title()
        self.cards.setGeometry(0, top, self.width(), height)
        below = top + height + theme.px(6)
        self.palette_.setGeometry(margin, below, max(1, self.width() - 2 * margin), max(1, self.height() - below - 4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.align()


class MainWindow(QMainWindow):
    """A window with one experiment.

    Signals:
        language_wanted: The user chose another language, one of ``language.CHOICES``: the window is to be built anew.

    Args:
        session: What is shown; the window closes it.
        settings: What is remembered.
        autosave: Folder for autosaved experiments.
    """

    language_wanted = Signal(str)

    def __init__(self, session: Session, settings: Settings, autosave: Path) -> None:
        super().__init__()
        self.session, self.settings = session, settings
        self._shown = False
        self._guide: GuideWindow | None = None
        self._unit = theme.zoom() * theme.current().font_scale
        session.setParent(self)
        self.setObjectName("gradsim")
        self.setAcceptDrops(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        for key, scale in settings.thresholds().items():
            session.state.set_thresholds(key, scale)

        self.files = Files(session, settings, autosave, self)
        self.files.others = self.desk = Desk(self)
        self.stage = Stage(session, RowSpace(self))
        self.left = LeftColumn(session, self.stage)
        self.cards, self.palette_panel = self.left.cards, self.left.palette_
        self.cards.set_upwards(bool(settings.get("view/upwards", True)))
        self.side = Pages()
        self.side.setAccessibleName(tr("Side panel"))
        self.inspector, self.run_panel = Inspector(session), RunPanel(session)
        self.diagnosis = Diagnosis(session, self.stage, self.cards, settings, self._show_tab, self)
        for page, text, tip in (
            *self.diagnosis.pages(),
            (self.inspector, tr("Inspector"), tr("All fields of the selected layers")),
            (self.run_panel, tr("Run"), tr("Data, loss, optimizer, learning rate, clipping, batches")),
            (Inside(session), tr("Inside"), tr("Weights, gradients and activations of the selected layer")),
            (DataView(session), tr("Data"), tr("What the network makes of the data")),
            (Clipping(session, self.stage.space), tr("Clipping"), tr("Gradients raw, clipped and applied, by layer")),
            (
                Directions(session, self.stage.space),
                tr("Both ways"),
                tr("Forward and backward signal side by side, by layer"),
            ),
        ):
            self.side.add(page, text, tip)
        self.presenter = Presenter(self)
        self.banner = Banner()
        self.centre = QStackedWidget()
        self.comparing = Comparing(session, self.centre, self.banner, lambda: self.cards.upwards, self)
        self.actions_ = Actions(self, settings)
        self.transport = Transport(session, self.actions_)
        self.slow_motion = SlowMotion(session, self.stage)

        self.across = QSplitter(Qt.Orientation.Horizontal)
        for widget in (self.left, self.stage, self.side):
            self.across.addWidget(widget)
        self.centre.addWidget(self.across)
        self.across.setStretchFactor(1, 1)
        self.across.setCollapsible(1, False)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.presenter.heading)
        column.addWidget(self.transport)
        column.addWidget(self.banner)
        column.addWidget(self.centre, 1)
        self.setCentralWidget(whole)
        self.lessons = LessonRoom(self)
        self.hints = Hints(self)
        self._make_menus()
        self._make_status_bar()
        self._connect()
        self._restore()
        self._renew_title()
        self._renew_status()
        self.actions_.refresh()

    # Menus and status bar

    def _make_menus(self) -> None:
        self.menus: dict[str, QMenu] = {}
        for key, text in MENUS.items():
            menu = self.menuBar().addMenu(tr(text))
            menu.setToolTipsVisible(True)
            self.actions_.fill_menu(menu, key)
            self.menus[key] = menu
        files = self.menus["file"]
        before = self.actions_["file.save"]
        self.recent_menu = QMenu(tr("Open &recent"), self)
        self.examples_menu = QMenu(tr("E&xamples"), self)
        files.insertMenu(before, self.recent_menu)
        files.insertMenu(before, self.examples_menu)
        files.insertSeparator(before)
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        self.examples_menu.aboutToShow.connect(self._fill_examples)
        before_steps = self.menus["present"].actions()[0]
        self.menus["present"].aboutToShow.connect(lambda: self.lessons.fill_menu(self.menus["present"], before_steps))
        self.menus["edit"].aboutToShow.connect(self.actions_.refresh)

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        paths = self.files.recent()
        for number, path in enumerate(paths):
            action = self.recent_menu.addAction(f"&{(number + 1) % 10} {path.name}".replace("_", "_"))
            action.setToolTip(str(path))
            action.triggered.connect(functools.partial(self._open, path))
        if not paths:
            self.recent_menu.addAction(tr("No recent files")).setEnabled(False)

    def _open(self, path: Path, *_: object) -> None:
        self.files.open(path)

    def _fill_examples(self) -> None:
        self.examples_menu.clear()
        self.examples_menu.setToolTipsVisible(True)
        topics: dict[str, QMenu] = {}
        for example in bundled.everything():
            topic = topics.get(example.topic)
            if topic is None:
                topic = self.examples_menu.addMenu(tr(example.topic).capitalize())
                topic.setToolTipsVisible(True)
                topics[example.topic] = topic
            action = topic.addAction(tr(example.title or example.name).replace("&", "&&"))
            action.setToolTip(tr(example.description))
            action.triggered.connect(functools.partial(self._open_example, example))

    def _open_example(self, example: bundled.Bundled, *_: object) -> None:
        self.files.open_example(example.experiment)

    def _make_status_bar(self) -> None:
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        self.state_label, self.step_label = QLabel(self), QLabel(self)
        self.speed_label, self.memory_label = QLabel(self), QLabel(self)
        for label, name, tip in (
            (self.state_label, tr("State of the run"), tr("What the run does")),
            (self.step_label, tr("Steps done"), tr("Steps and epochs trained so far")),
            (self.speed_label, tr("Speed"), tr("Steps per second over the last second")),
            (self.memory_label, tr("Memory of the run"), tr("Memory of weights, record and snapshots")),
        ):
            label.setAccessibleName(name)
            label.setToolTip(tip)
        bar.addWidget(self.state_label, 1)
        for label in (self.step_label, self.speed_label, self.memory_label):
            bar.addPermanentWidget(label)
        self._dress()

    def _dress(self) -> None:
        for label in (self.step_label, self.speed_label, self.memory_label):
            label.setFont(theme.font(fixed=True))
            label.setContentsMargins(theme.px(10), 0, theme.px(6), 0)
        self.state_label.setContentsMargins(theme.px(8), 0, 0, 0)
        self.state_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    # Connections

    def _connect(self) -> None:
        session, state = self.session, self.session.state
        session.run_changed.connect(self._on_run)
        session.slow_tick.connect(self._renew_status)
        session.recorder_changed.connect(self.actions_.refresh)
        session.document_changed.connect(lambda _: self.actions_.refresh())
        session.saved_changed.connect(self._renew_title)
        session.failed.connect(self.say)
        session.progress.connect(self._on_progress)
        session.diverged.connect(self._on_diverged)
        self.files.failed.connect(self.say)
        state.selection_changed.connect(lambda _: self.actions_.refresh())
        state.cursor_changed.connect(lambda _: self.actions_.refresh())
        state.thresholds_changed.connect(lambda _: settings_thresholds())
        self.presenter.changed.connect(self.actions_.refresh)
        self.hints.changed.connect(self.actions_.refresh)
        self.comparing.changed.connect(self._on_comparing)
        self.cards.panel_wanted.connect(self._show_run_panel)
        self.cards.inspector_wanted.connect(self.show_inspector)
        self.diagnosis.watching.changed.connect(self._renew_badge)
        self.diagnosis.compare_wanted.connect(self.comparing.with_cures)
        theme.changed.connect(self._on_theme)
        application = QApplication.instance()
        if application is not None:
            application.installEventFilter(self)

        def settings_thresholds() -> None:
            self.settings.set_thresholds(state.changed_thresholds())

    @property
    def player(self) -> Player:
        """What the controls act on: the run, or the comparison that is shown instead of it."""
        return self.comparing.player

    def _on_comparing(self) -> None:
        player = self.player
        if player is not self.session:
            player.run_changed.connect(self.actions_.refresh)
            player.run_changed.connect(self._renew_status)
            player.slow_tick.connect(self._renew_status)
            player.state.cursor_changed.connect(lambda _: self.actions_.refresh())
            self.banner.clear("diverged")
        elif self.session.first_nonfinite is not None and self.banner.topic == "":
            self._on_diverged(self.session.first_nonfinite)
        self.transport.control(player)
        self.actions_.refresh()
        self._renew_status()

    def _on_run(self) -> None:
        self.actions_.refresh()
        self._renew_status()
        if self.session.first_nonfinite is None:
            self.banner.clear("diverged")
        phase = self.session.phase if self.session.slow_motion else None
        if phase is None:
            self.banner.clear("phase")
        elif self.banner.topic in ("", "phase"):
            self.banner.say(account(phase, self.session.rows()), topic="phase", stays=True)
        if self.session.startable:
            self.banner.clear("impossible")
        elif self.session.failure:
            self.banner.say(
                tr("This can't be trained: {why}", why=self.session.failure),
                kind="problem",
                topic="impossible",
                stays=True,
            )

    def _renew_badge(self) -> None:
        found = [seen for seen in self.diagnosis.watching.findings if seen.finding.severity != "note"]
        self.side.set_badge(self.diagnosis.findings, f"({len(found)})" if found else "")

    def _on_progress(self, what: str, done: int, total: int) -> None:
        if total:
            self.banner.progress(what, done, total)
        else:
            self.banner.clear("progress")
        # It says the same in the place of the picture.
        self.stage.heatmap.cells.update()

    def _on_diverged(self, where: FirstNonfinite) -> None:
        session = self.session
        rows = session.rows()
        place = tr("the loss")
        if where.layer is not None and where.layer < len(rows):
            place = tr("layer {name}", name=rows[where.layer].name)
        if where.quantity != "loss":
            place = tr("{layer} (in its {quantity})", layer=place, quantity=tr(where.quantity))
        if where.layer is not None:
            session.select_row(where.layer)
        self.banner.say(
            tr(
                "Diverged at step {step}: the first {kind} is in {place}. The run is paused.",
                step=where.step,
                kind="NaN" if where.kind == "nan" else "Inf",
                place=place,
            ),
            kind="problem",
            topic="diverged",
            choices=(
                (
                    tr("Back to the step before"),
                    tr("Go to the last step with finite numbers only"),
                    session.back_before_divergence,
                ),
                (
                    tr("Fork before it…"),
                    tr("From the last finite step on, the original and a twin with a cure side by side"),
                    lambda: self.comparing.ask_fork(before_divergence=True),
                ),
                (tr("Go on"), tr("Train on, to see what NaN and Inf do"), session.go_on),
            ),
        )

    def say(self, text: str) -> None:
        """Shows a message above the pictures."""
        self.banner.say(text, kind="warning")

    def _on_theme(self) -> None:
        unit = theme.zoom() * theme.current().font_scale
        if unit != self._unit:
            # Cards and panel keep what they show; the pictures between them give or take the difference.
            left, _, right = self.across.sizes()
            left, right = round(left * unit / self._unit), round(right * unit / self._unit)
            self.across.setSizes([left, max(1, self.across.width() - left - right), right])
            self._unit = unit
        self.settings.keep_theme()
        self._dress()
        self.actions_.refresh()

    def _renew_title(self) -> None:
        self.setWindowTitle(f"{self.files.title}[*] \u2013 gradsim")
        self.setWindowModified(self.session.document.dirty)
        path = self.session.document.path
        self.setWindowFilePath(str(path) if path is not None else "")
        self.setWindowTitle(f"{self.files.title}[*] \u2013 gradsim")
        self.left.renew()
        self.actions_.refresh()

    def _renew_status(self) -> None:
        status = self.player.status
        _set(self.state_label, tr(STATES[status.state]))
        steps = tr_n("{count} step", "{count} steps", status.step, count=f"{status.step:,}".replace(",", "\u2009"))
        epochs = tr_n("{count} epoch", "{count} epochs", status.epoch, count=f"{status.epoch:,}".replace(",", "\u2009"))
        _set(self.step_label, f"{steps}    {epochs}")
        speed = f"{status.speed:,.0f}" if status.speed >= 10 else f"{status.speed:.1f}"
        _set(self.speed_label, tr("{speed} steps/s", speed=speed.replace(",", "\u2009") if status.speed else "\u2013"))
        _set(self.memory_label, f"{status.memory / 2**20:,.0f} MB")

    # Panels

    @property
    def palette_shown(self) -> bool:
        """Whether the palette of layers is there."""
        return not self.palette_panel.isHidden()

    def toggle_palette(self) -> None:
        """Shows or hides the palette of layers."""
        self.palette_panel.setVisible(not self.palette_shown)

    def show_palette(self) -> None:
        """Shows the palette with the keyboard in it."""
        self._unfold(0)
        self.palette_panel.show()
        self.palette_panel.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.palette_panel.search.selectAll()

    @property
    def side_shown(self) -> bool:
        """Whether the side panel is there."""
        return not self.side.isHidden()

    @property
    def side_page(self) -> str:
        """Which page the side panel shows, by a name that stays."""
        return type(self.side.stack.currentWidget()).__name__

    def show_side_page(self, name: str) -> None:
        """Shows that page; nothing happens if there is none of that name."""
        for number in range(self.side.stack.count()):
            if type(self.side.stack.widget(number)).__name__ == name:
                self.side.show_page(number)

    def toggle_side(self) -> None:
        """Shows or hides the side panel."""
        self.side.setVisible(not self.side_shown)

    def show_inspector(self) -> None:
        """Shows all fields of the selection."""
        self._show_tab(self.inspector)
        self.inspector.focus()

    def _show_run_panel(self, section: str) -> None:
        self._show_tab(self.run_panel)
        self.run_panel.show_section(section)

    def _show_tab(self, panel: QWidget) -> None:
        self.side.show()
        self._unfold(2)
        self.side.show_page(panel)

    def _unfold(self, place: int) -> None:
        sizes = self.across.sizes()
        if not sizes[place]:
            sizes[place] = theme.px(300)
            sizes[1] = max(1, sizes[1] - theme.px(300))
            self.across.setSizes(sizes)

    def toggle_full_screen(self) -> None:
        """Uses the whole screen, or not."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def rewind_to_cursor(self) -> None:
        """Training goes on from the shown step."""
        cursor = self.player.state.cursor
        if cursor is not None:
            self.player.rewind(cursor)

    # Dialogs

    def commands(self) -> list[Command]:
        """Everything that the command palette offers."""
        self.actions_.refresh()
        found = []
        for name, verb in self.actions_.verbs.items():
            action = self.actions_[name]
            keys = ", ".join(key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts())
            found.append(
                Command(
                    plain(action.text()),
                    plain(tr(MENUS[verb.menu])),
                    keys,
                    tr(verb.tooltip),
                    action.isEnabled(),
                    action.trigger,
                )
            )
        for quantity in definitions("layer"):
            if not quantity.counts:
                show = functools.partial(self.session.state.set_quantity, quantity.key)
                found.append(Command(tr(quantity.title), tr("Show"), "", tr(quantity.help), True, show))
        for text, tip, can, cure in self.diagnosis.cure_commands():
            found.append(Command(text, tr("Cures"), "", tip, can, cure))
        for kind in nn_layers.registry:
            add = functools.partial(building.add, self.session, kind)
            found.append(
                Command(tr("Add {kind}", kind=kind), tr("Layer"), "", tr(nn_layers.registry[kind].summary()), True, add)
            )
        for example in bundled.everything():
            show_example = functools.partial(self._open_example, example)
            found.append(Command(tr(example.title), tr("Example"), "", tr(example.description), True, show_example))
        return found + self.lessons.commands()

    def show_commands(self) -> CommandPalette:
        """Opens the command palette."""
        found = CommandPalette(self.commands(), self)
        found.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        found.open_over(self)
        return found

    def take_picture(self, view: str = "heatmap") -> QWidget:
        """Opens the dialog that makes a picture of a view."""
        from gradsim.app.take.dialogs import show_picture

        return show_picture(self, view)

    def hand_out(self) -> QObject | None:
        """Makes a PDF of the open lesson."""
        from gradsim.app.take.handing import ask

        lesson = self.lessons.lecture.lesson
        return None if lesson is None else ask(self, lesson)

    def make_film(self, view: str = "heatmap") -> QWidget:
        """Opens the dialog that makes a moving picture of a view."""
        from gradsim.app.take.dialogs import show_film

        return show_film(self, view)

    def show_shortcuts(self) -> ShortcutsDialog:
        """Opens the keys."""
        dialog = ShortcutsDialog(self.actions_, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def show_guide(self, page: str = "") -> GuideWindow:
        """Opens the guide, at a page of that name, or brings it to the front."""
        if self._guide is None:
            self._guide = GuideWindow(self.actions_, self)
        if page:
            self._guide.show_page(page)
        self._guide.show()
        self._guide.raise_()
        self._guide.activateWindow()
        return self._guide

    def show_about(self) -> AboutDialog:
        """Opens versions and licences."""
        dialog = AboutDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def offer_recovery(self) -> None:
        """Says so if an earlier window ended without closing and left unsaved changes."""
        left = self.files.leftovers()
        if not left:
            return
        latest = left[0]

        def discard() -> None:
            for leftover in left:
                self.files.discard(leftover)

        def recover() -> None:
            if self.files.recover(latest):
                self.offer_recovery()

        what = latest.title
        if len(left) > 1:
            what = tr("{title} ({count} in all)", title=what, count=len(left))
        self.banner.say(
            tr("gradsim ended without closing. Unsaved changes were kept: {what}.", what=what),
            kind="warning",
            topic="recovery",
            choices=(
                (tr("Recover"), tr("Open what was kept"), recover),
                (tr("Discard"), tr("Delete what was kept"), discard),
            ),
        )

    # Layout

    def _restore(self) -> None:
        geometry, across = self.settings.layout("geometry"), self.settings.layout("across")
        if geometry is None or not self.restoreGeometry(geometry):
            self._first_size()
        if across is None or not self.across.restoreState(across):
            self._first_layout()
        self.side.setVisible(bool(self.settings.get("view/side", True)))
        self.palette_panel.setVisible(bool(self.settings.get("view/palette", True)))
        tab = self.settings.get("view/tab", 0)
        self.side.show_page(tab)
        self.cards.set_density(None)

    def _first_size(self) -> None:
        screen = self.screen().availableGeometry()
        self.resize(min(1280, screen.width()), min(800, screen.height()))

    def _first_layout(self) -> None:
        width = self.width()
        scale = theme.current().font_scale
        left = max(theme.px(270 * scale), width * 17 // 100)
        right = max(theme.px(310 * scale), width * 20 // 100)
        self.across.setSizes([left, max(1, width - left - right), right])
        self._divide_stage()

    def _divide_stage(self) -> None:
        """The rows of the layers get the most room: they are what one came for."""
        height = self.stage.height()
        self.stage.parts.setSizes([height * 74 // 100, height * 26 // 100])

    def _restore_stage(self) -> None:
        parts, above = self.settings.layout("parts"), self.settings.layout("above")
        if parts is None or not self.stage.parts.restoreState(parts):
            self._divide_stage()
        if above is not None and self.stage.above.restoreState(above):
            self.stage.beneath.setSizes(self.stage.above.sizes())
        self.left.align()

    def reset_layout(self) -> None:
        """All parts where they were at the first start."""
        self.settings.forget_layout()
        self.side.show()
        self.palette_panel.show()
        self._first_layout()
        self.left.align()

    def _keep(self) -> None:
        settings = self.settings
        settings.set_layout("geometry", self.saveGeometry())
        settings.set_layout("across", self.across.saveState())
        settings.set_layout("parts", self.stage.parts.saveState())
        settings.set_layout("above", self.stage.above.saveState())
        settings.set("view/side", self.side_shown)
        settings.set("view/palette", self.palette_shown)
        settings.set("view/tab", self.side.current)
        settings.set("view/upwards", self.cards.upwards)
        settings.keep_theme()
        settings.sync()

    def part(self) -> None:
        """Gives the session up to a window that takes its place; this one only has to be deleted."""
        for dialog in self.findChildren(QDialog):
            dialog.close()
        self.presenter.leave()
        self.comparing.leave()
        self.lessons.lecture.leave_views()
        self._keep()
        self.files.close()
        self.desk.close()
        self.diagnosis.close()
        self._remove_filter()
        self.session.setParent(None)
        self.session.leave_views()

    def take_up(self, before: MainWindow) -> None:
        """Goes on where the window before stood, with what is not kept in the settings."""
        self.resize(before.size())
        for uid in before.cards.faces.unfolded:
            self.cards.set_folded(uid, False)
        self.files.autosave()
        if self.session.first_nonfinite is not None:
            self._on_diverged(self.session.first_nonfinite)
        self._on_run()

    def _remove_filter(self) -> None:
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)

    # Events

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._shown:
            self._shown = True
            # The stage divides itself when it is first shown.
            QTimer.singleShot(0, self, self._restore_stage)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.files.may_leave():
            event.ignore()
            return
        self.presenter.leave()
        self.comparing.close()
        self._keep()
        self.files.close()
        self._remove_filter()
        # Out of sight at once; the thread ends within the chunk it computes.
        self.hide()
        self.diagnosis.close()
        self.lessons.lecture.close()
        self.session.close()
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _dropped(event.mimeData().urls())
        if paths:
            event.acceptProposedAction()
            # The program that the file came from waits for the end of the drop, which a question must not delay.
            QTimer.singleShot(0, self, functools.partial(self.files.take, paths[0]))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QWheelEvent) and event.type() == QEvent.Type.Wheel:
            # The event passes the window of the platform first, and from there it comes to a widget.
            held = event.modifiers() == Qt.KeyboardModifier.ControlModifier
            if held and isinstance(watched, QWidget) and watched.window() is self:
                turned = event.angleDelta().y()
                if turned:
                    theme.zoom_by(1 if turned > 0 else -1)
                return True
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            focused = QApplication.focusWidget()
            if focused is not None and focused is watched and _uses(focused, event):
                event.accept()
                return True
        # Every event of the program comes by: asking the base class would cost as much again.
        return False


_ARROWS = {Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down}


def _uses(widget: QWidget, event: QKeyEvent) -> bool:
    """Whether a control needs a key itself, so that it must not run a command: Space presses a focused button."""
    if event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier):
        return False
    key = event.key()
    if isinstance(widget, QAbstractButton):
        return key == Qt.Key.Key_Space
    if isinstance(widget, QAbstractSpinBox | QAbstractItemView):
        return key in _ARROWS or key == Qt.Key.Key_Space or bool(event.text().strip())
    if isinstance(widget, QComboBox):
        return key in _ARROWS or key == Qt.Key.Key_Space or bool(event.text().strip())
    if isinstance(widget, QAbstractSlider | QTabBar | Strip):
        return key in _ARROWS
    return False


def _dropped(urls: Any) -> list[Path]:
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _set(label: QLabel, text: str) -> None:
    if label.text() != text:
        label.setText(text)
