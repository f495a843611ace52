"""The dialogs: a picture in any size and look, and the time line as a moving picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QGuiApplication, QImage, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.see import picture
from gradsim.app.take import animation
from gradsim.app.take.exhibit import Exhibit
from gradsim.app.take.film import Film, Plan, frame_steps
from gradsim.app.take.sheets import SMALLEST, VIEWS, Sheet, View
from gradsim.i18n import mark, tr, tr_n

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow

SIZES: tuple[tuple[str, tuple[int, int]], ...] = (
    (mark("Suits the view"), (0, 0)),
    (mark("Slide, 1920 x 1080"), (1920, 1080)),
    (mark("Small slide, 1280 x 720"), (1280, 720)),
    (mark("Old projector, 1024 x 768"), (1024, 768)),
    (mark("Poster, 3840 x 2160"), (3840, 2160)),
    (mark("A page across, 2000 x 1200"), (2000, 1200)),
)
LOOKS: tuple[tuple[str, theme.Choice | None], ...] = (
    (mark("As shown"), None),
    (mark("Light, for print"), "light"),
    (mark("Dark"), "dark"),
    (mark("Projector: high contrast, large text"), "projector"),
)
WINDOW = "window"
PREVIEW_MS = 150
"""A preview waits until nothing has been changed for so long."""


def _label(text: str, buddy: QWidget) -> QLabel:
    """A label whose letter leads to a field; a row of several has none of its own."""
    made = QLabel(text)
    made.setBuddy(buddy)
    return made


class _Choices(QWidget):
    """View, size and look; what both dialogs ask."""

    def __init__(self, views: tuple[tuple[str, str], ...], changed: Callable[[], object], form: QFormLayout) -> None:
        super().__init__()
        self._changed = changed
        self.view, self.preset, self.look = QComboBox(), QComboBox(), QComboBox()
        for key, title in views:
            self.view.addItem(title, key)
        for text, pixels in SIZES:
            self.preset.addItem(tr(text), pixels)
        for text, look in LOOKS:
            self.look.addItem(tr(text), look)
        self.wide, self.high = QSpinBox(), QSpinBox()
        for box, name in ((self.wide, tr("Width in pixels")), (self.high, tr("Height in pixels"))):
            box.setRange(SMALLEST, picture.LARGEST)
            box.setAccessibleName(name)
            box.setToolTip(tr("{name}: from {low} to {high}.", name=name, low=SMALLEST, high=picture.LARGEST))
            box.valueChanged.connect(lambda _: self._sized())
        size = QHBoxLayout()
        size.addWidget(self.preset, 1)
        size.addWidget(self.wide)
        size.addWidget(QLabel("x"))
        size.addWidget(self.high)
        for label, combo, tip in (
            (tr("&View:"), self.view, tr("What the picture shows.")),
            (tr("&Theme:"), self.look, tr("The colours of the picture; the window keeps its own.")),
        ):
            combo.setToolTip(tip)
            combo.setAccessibleName(label.replace("&", "").rstrip(":"))
            form.addRow(label, combo)
            if combo is self.view:
                form.addRow(_label(tr("&Size:"), self.preset), size)
        self.preset.setAccessibleName(tr("Size"))
        self.preset.setToolTip(tr("A usual size. The text grows with the width."))
        self.view.currentIndexChanged.connect(lambda _: self._viewed())
        self.preset.currentIndexChanged.connect(lambda _: self._take_preset())
        self.look.currentIndexChanged.connect(lambda _: changed())
        self.own = QSize(1600, 900)

    @property
    def key(self) -> str:
        return str(self.view.currentData())

    @property
    def size_in_pixels(self) -> tuple[int, int]:
        return self.wide.value(), self.high.value()

    def _suits(self) -> tuple[int, int]:
        found = VIEWS.get(self.key)
        return (2 * self.own.width(), 2 * self.own.height()) if found is None else found.size

    def _viewed(self) -> None:
        self._take_preset()
        self._changed()

    def _take_preset(self) -> None:
        size = self.preset.currentData()
        self.set_size(*(self._suits() if size == (0, 0) else size))

    def set_size(self, width: int, height: int) -> None:
        for box, value in ((self.wide, width), (self.high, height)):
            blocked = box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(blocked)
        self._changed()

    def _sized(self) -> None:
        sizes = [self.preset.itemData(row) for row in range(self.preset.count())]
        now = self.size_in_pixels
        self.preset.blockSignals(True)
        self.preset.setCurrentIndex(sizes.index(now) if now in sizes else 0 if now == self._suits() else -1)
        self.preset.blockSignals(False)
        self._changed()


class PictureDialog(QDialog):
    """A view, or the whole window, as PNG or SVG, and its numbers as CSV.

    Args:
        window: What is taken from.
        key: The view to begin with.
    """

    def __init__(self, window: MainWindow, key: str = "heatmap") -> None:
        super().__init__(window)
        self.main = window
        self.setWindowTitle(tr("Take a picture away"))
        self.setAccessibleName(self.windowTitle())
        self.sheet: Sheet | None = None
        form = QFormLayout()
        self.preview = QLabel()
        self.preview.setAccessibleName(tr("Preview"))
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.preview.setMinimumSize(theme.px(560), theme.px(360))
        self.preview.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PREVIEW_MS)
        self._timer.timeout.connect(self._renew)
        self._fit = QTimer(self)
        self._fit.setSingleShot(True)
        self._fit.setInterval(PREVIEW_MS)
        self._fit.timeout.connect(self._show_again)
        views = [(view.key, tr(view.title)) for view in VIEWS.values()]
        self.choices = _Choices((*views, (WINDOW, tr("The whole window"))), self._changed, form)
        self.choices.own = window.size()
        self.said = QLabel()
        self.said.setWordWrap(True)
        buttons = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for name, text, tip, action in (
            ("copy", tr("&Copy picture"), tr("To the clipboard."), self.copy),
            ("png", tr("Save as &PNG…"), tr("Pixels, for slides and web pages."), lambda: self._save("png")),
            ("svg", tr("Save as SV&G…"), tr("Lines and text stay sharp at any size, for print."),
             lambda: self._save("svg")),
            ("copy_table", tr("Copy &numbers"), tr("To the clipboard, for a spreadsheet."), self.copy_table),
            ("csv", tr("Save n&umbers as CSV…"), tr("What the picture shows, as a table."), lambda: self._save("csv")),
        ):  # fmt: skip
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setAutoDefault(False)
            button.clicked.connect(action)
            self.buttons[name] = button
            buttons.addWidget(button)
        self.buttons["png"].setDefault(True)
        buttons.addStretch(1)
        close = QPushButton(tr("Close"))
        close.setToolTip(tr("Close without saving anything more."))
        close.setAutoDefault(False)
        close.clicked.connect(self.reject)
        buttons.addWidget(close)
        whole = QVBoxLayout(self)
        whole.addWidget(self.preview, 1)
        whole.addLayout(form)
        whole.addWidget(self.said)
        whole.addLayout(buttons)
        self.choices.view.setCurrentIndex(max(0, self.choices.view.findData(key)))
        self.choices._take_preset()

    def _changed(self) -> None:
        if hasattr(self, "buttons"):
            self._timer.start()

    def _renew(self) -> None:
        """Makes the sheet anew, asks what has to be asked, and shows it."""
        window = self.choices.key == WINDOW
        self.choices.look.setEnabled(not window)
        self.choices.look.setToolTip(
            tr("The whole window is taken as it is: choose its theme in the menu View.")
            if window
            else tr("The colours of the picture; the window keeps its own.")
        )
        self._drop()
        self._say("")
        if window:
            self._show(picture.image(self.main, *self._fitting()))
            self._enable(tabular=False)
            return
        try:
            exhibit = Exhibit.of(self.main.session, upwards=self.main.cards.upwards)
            exhibit.setParent(self)
            self.sheet = Sheet(
                exhibit, VIEWS[self.choices.key], *self.choices.size_in_pixels, self.choices.look.currentData()
            )
        except ValueError as error:
            self._say(str(error))
            self.preview.clear()
            for button in self.buttons.values():
                button.setEnabled(False)
            return
        question = self.sheet.question
        if question is not None and exhibit.answer_to is not None:
            exhibit.answer_to(question[0], self._answered(self.sheet), self.main.session.state.cursor)
        self._finish()

    def _answered(self, sheet: Sheet) -> Callable[[Any], None]:
        def take(value: Any) -> None:
            if sheet is self.sheet and value is not None:
                sheet.answered(value, sheet.exhibit.step)
                self._finish()

        return take

    def _finish(self) -> None:
        assert self.sheet is not None
        self._show(self.sheet.image())
        self._enable(tabular=self.sheet.table is not None)

    def _enable(self, *, tabular: bool) -> None:
        for name, button in self.buttons.items():
            button.setEnabled(tabular or name not in ("csv", "copy_table"))

    def _fitting(self) -> tuple[int, int]:
        """The window's proportions within the chosen size."""
        size = self.main.size().scaled(QSize(*self.choices.size_in_pixels), Qt.AspectRatioMode.KeepAspectRatio)
        return size.width(), size.height()

    def _show(self, image: QImage) -> None:
        ratio = self.devicePixelRatioF()
        room = self.preview.contentsRect().size() * ratio
        shown = image.scaled(room, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
        shown.setDevicePixelRatio(ratio)
        self.preview.setPixmap(QPixmap.fromImage(shown))

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        # The picture stays, and its step: the dialog also grows when it has something to say.
        (self._changed if self.sheet is None else self._fit.start)()

    def _show_again(self) -> None:
        if self.sheet is not None and not self._timer.isActive():
            self._show(self.sheet.image())

    def _drop(self) -> None:
        if self.sheet is not None:
            exhibit = self.sheet.exhibit
            self.sheet.deleteLater()
            exhibit.deleteLater()
            self.sheet = None

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))

    # What comes of it

    def image(self) -> QImage:
        """The picture in its full size."""
        if self._timer.isActive():
            self._timer.stop()
            self._renew()
        if self.choices.key == WINDOW:
            return picture.image(self.main, *self._fitting())
        assert self.sheet is not None
        return self.sheet.image()

    def content(self, form: str) -> bytes:
        """The content of a file: "png", "svg" or "csv"."""
        made = self.image()
        if form == "png":
            return picture.png(made)
        if form == "svg":
            if self.sheet is None:
                return picture.svg(self.main, self.main.windowTitle(), made.size())
            return self.sheet.svg()
        assert self.sheet is not None and self.sheet.table is not None
        return picture.table(*self.sheet.table.export_columns()).encode()

    def copy(self) -> None:
        """The picture goes to the clipboard."""
        QGuiApplication.clipboard().setImage(self.image())
        self._say(tr("The picture is on the clipboard."))

    def copy_table(self) -> None:
        """The numbers go to the clipboard."""
        self.image()
        if self.sheet is not None and self.sheet.table is not None:
            picture.copy_table(self.sheet.table)
            self._say(tr("The numbers are on the clipboard."))

    def _save(self, form: str) -> None:
        kind = {"png": tr("PNG picture"), "svg": tr("SVG picture"), "csv": tr("CSV table")}[form]
        start = proposal(self.main, self.choices.key, form)
        name, _ = QFileDialog.getSaveFileName(self, self.windowTitle(), start, f"{kind} (*.{form})")
        if name:
            self.save(Path(name), form)

    def save(self, path: Path, form: str) -> bool:
        """Writes a file; False (and a sentence) if it can't be."""
        path = path if path.suffix else path.with_suffix(f".{form}")
        try:
            picture.write(path, self.content(form))
        except (OSError, ValueError) as error:
            self._say(str(error))
            return False
        self._say(tr("{name} is written.", name=path.name))
        return True


def proposal(window: MainWindow, key: str, suffix: str) -> str:
    """A name for a file in the folder that was used last."""
    return str(window.files.directory() / f"{window.files.proposal()}-{key}.{suffix}")


class FilmDialog(QDialog):
    """The time line as GIF, WebP, APNG or MP4.

    Args:
        window: What is taken from.
        key: The view to begin with.
    """

    def __init__(self, window: MainWindow, key: str = "heatmap") -> None:
        super().__init__(window)
        self.main = window
        self.film: Film | None = None
        window.installEventFilter(self)
        self.setWindowTitle(tr("The time line as a moving picture"))
        self.setAccessibleName(self.windowTitle())
        self.form = QFormLayout()
        views = tuple((view.key, tr(view.title)) for view in VIEWS.values() if view.moves)
        self.choices = _Choices(views, self._changed, self.form)
        recorder = window.session.recorder
        first = 0 if recorder is None else recorder.first_step
        last = max(first, 0 if recorder is None else recorder.stop - recorder.every)
        self.begin, self.end, self.frames = QSpinBox(), QSpinBox(), QSpinBox()
        for box, value, name, tip in (
            (self.begin, first, tr("First step"), tr("The step that the first frame shows.")),
            (self.end, last, tr("Last step"), tr("The step that the last frame shows.")),
        ):
            box.setRange(first, last)
            box.setValue(value)
            box.setAccessibleName(name)
            box.setToolTip(tip)
            box.setGroupSeparatorShown(False)
            box.valueChanged.connect(lambda _: self._changed())
        self.frames.setRange(2, animation.MOST_FRAMES)
        self.frames.setValue(min(100, max(2, last - first + 1)))
        self.frames.setAccessibleName(tr("Frames"))
        self.frames.setToolTip(tr("How many pictures follow each other, evenly over the steps."))
        self.frames.valueChanged.connect(lambda _: self._changed())
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.5, 50.0)
        self.rate.setDecimals(1)
        self.rate.setValue(20.0)
        self.rate.setAccessibleName(tr("Frames per second"))
        self.rate.setToolTip(tr("How fast it plays."))
        self.rate.valueChanged.connect(lambda _: self._changed())
        steps = QHBoxLayout()
        steps.addWidget(self.begin, 1)
        steps.addWidget(QLabel(tr("to")))
        steps.addWidget(self.end, 1)
        self.form.addRow(_label(tr("S&teps:"), self.begin), steps)
        pace = QHBoxLayout()
        pace.addWidget(self.frames, 1)
        pace.addWidget(QLabel(tr("at")))
        pace.addWidget(self.rate, 1)
        pace.addWidget(QLabel(tr("per second")))
        self.form.addRow(_label(tr("&Frames:"), self.frames), pace)
        self.format = QComboBox()
        self.format.setAccessibleName(tr("Format"))
        self.format.setToolTip(tr("The kind of file."))
        for name, kind in animation.FORMS.items():
            if name != "mp4" or animation.ffmpeg() is not None:
                self.format.addItem(tr(kind.title), name)
        self.form.addRow(tr("F&ormat:"), self.format)
        self.format.currentIndexChanged.connect(lambda _: self._changed())
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setMinimumWidth(theme.px(420))
        self.bar = QProgressBar()
        self.bar.setAccessibleName(tr("Progress"))
        self.bar.setFormat(tr("frame %v of %m"))
        self.bar.hide()
        self.buttons = QDialogButtonBox()
        self.save_button = self.buttons.addButton(tr("&Save…"), QDialogButtonBox.ButtonRole.ActionRole)
        self.save_button.setToolTip(tr("Choose a file and begin."))
        self.close_button = self.buttons.addButton(tr("Close"), QDialogButtonBox.ButtonRole.RejectRole)
        self.save_button.clicked.connect(self._ask)
        self.buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(self.form)
        whole.addWidget(self.said)
        whole.addWidget(self.bar)
        whole.addWidget(self.buttons)
        self.choices.view.setCurrentIndex(max(0, self.choices.view.findData(key)))
        self.choices.preset.setCurrentIndex(2)
        self._changed()

    def plan(self) -> Plan:
        """What is asked for now."""
        view: View = VIEWS[self.choices.key]
        begin, end = sorted((self.begin.value(), self.end.value()))
        width, height = self.choices.size_in_pixels
        return Plan(
            view, width, height, frame_steps(begin, end, self.frames.value()), self.rate.value(),
            str(self.format.currentData()), self.choices.look.currentData(),
        )  # fmt: skip

    def _changed(self) -> None:
        if not hasattr(self, "save_button") or self.film is not None:
            return
        plan = self.plan()
        try:
            animation.check(plan.form, plan.width, plan.height, len(plan.steps))
        except animation.AnimationError as error:
            self.said.setText(str(error))
            self.save_button.setEnabled(False)
            return
        self.save_button.setEnabled(self.main.session.recorder is not None)
        seconds = len(plan.steps) / plan.rate
        text = tr_n("{n} frame, {seconds} s.", "{n} frames, {seconds} s.", len(plan.steps), seconds=f"{seconds:.1f}")
        if animation.ffmpeg() is None:
            text += " " + tr("MP4 is offered where the program ffmpeg is installed.")
        self.said.setText(text)

    def _ask(self) -> None:
        plan = self.plan()
        suffix = animation.FORMS[plan.form].suffix
        name, _ = QFileDialog.getSaveFileName(
            self, self.windowTitle(), proposal(self.main, plan.view.key, suffix[1:]), f"*{suffix}"
        )
        if name:
            path = Path(name)
            self.make(plan, path if path.suffix else path.with_suffix(suffix))

    def make(self, plan: Plan, path: Path) -> Film:
        """Begins; the dialog shows how far it is."""
        film = Film(self.main.session, plan, path, upwards=self.main.cards.upwards, parent=self)
        self.film = film
        self.bar.setRange(0, len(plan.steps))
        self.bar.setValue(0)
        self.bar.show()
        self.said.setText(tr("Painting. You can go on working."))
        self.save_button.setEnabled(False)
        self.close_button.setText(tr("Cancel"))
        film.progress.connect(self._progressed)
        film.finished.connect(lambda _: self._over(tr("{name} is written.", name=path.name)))
        film.failed.connect(self._over)
        film.cancelled.connect(lambda: self._over(tr("Cancelled. No file was written.")))
        film.start()
        return film

    def _progressed(self, done: int, total: int) -> None:
        self.bar.setValue(done)
        if done == total:
            self.said.setText(tr("Writing the file."))

    def _over(self, text: str) -> None:
        film, self.film = self.film, None
        if film is not None:
            film.deleteLater()
        self.bar.hide()
        self.close_button.setText(tr("Close"))
        self._changed()
        self.said.setText(text)

    def reject(self) -> None:
        """Cancels what is being made, or closes."""
        if self.film is not None:
            self.film.cancel()
        else:
            super().reject()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # The window closes: nothing is left to tell anybody.
        if event.type() == QEvent.Type.Hide and not event.spontaneous() and self.film is not None:
            self.film.cancel()
            self.film.wait()
        return super().eventFilter(watched, event)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.film is not None:
            self.film.cancel()
            self.film.wait()
        super().closeEvent(event)


def show_picture(window: MainWindow, key: str = "heatmap") -> PictureDialog:
    """Opens the dialog of pictures."""
    return _open(PictureDialog(window, key))


def show_film(window: MainWindow, key: str = "heatmap") -> FilmDialog:
    """Opens the dialog of moving pictures."""
    return _open(FilmDialog(window, key))


def _open(dialog: Any) -> Any:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
    return dialog
