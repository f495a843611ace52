"""Asks for what is put beside the open experiment: one cure or several, and for a fork from which step on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.diagnose import remedies
from gradsim.diagnose.remedies import Offer
from gradsim.i18n import tr
from gradsim.model.edits import EditError
from gradsim.model.experiment import Experiment

KEY = Qt.ItemDataRole.UserRole


class CureDialog(QDialog):
    """A list of the cures that apply; several of them can be chosen at once.

    Args:
        experiment: What they are made for.
        steps: Of a fork, the least and the most steps that can be kept; None leaves the step out.
        kept: The steps that are kept at first.
        note: What is to be said of the step, or "".
    """

    chosen = Signal(list, int)
    """Keys of remedies (none is an equal twin), and the steps that are kept."""
    by_hand = Signal(int)
    """The twin is to be edited by hand; the steps that are kept."""

    def __init__(
        self,
        experiment: Experiment,
        steps: tuple[int, int] | None = None,
        kept: int = 0,
        note: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.experiment = experiment
        forks = steps is not None
        self.setWindowTitle(tr("Fork here") if forks else tr("Compare with a cure"))
        self.intro = QLabel(
            tr("The original goes on from there, and beside it a twin with the same weights and what you choose here.")
            if forks
            else tr("The experiment as it is, and beside it a twin with what you choose here, from the same seed."),
            self,
        )
        self.intro.setWordWrap(True)
        self.step = QSpinBox(self)
        self.step.setAccessibleName(tr("Steps that are kept"))
        self.step.setToolTip(tr("The fork goes on behind so many steps of the run; they are computed again if needed."))
        self.note = QLabel(note, self)
        self.note.setWordWrap(True)
        self.note.setVisible(bool(note))
        self.list = QListWidget(self)
        self.list.setAccessibleName(tr("Cures"))
        self.list.setToolTip(tr("Hold Ctrl to choose several that are combined."))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.go = QPushButton(tr("Fork") if forks else tr("Compare"), self)
        self.go.setDefault(True)
        self.go.setToolTip(tr("Train both side by side"))
        buttons.addButton(self.go, QDialogButtonBox.ButtonRole.AcceptRole)
        self.hand = QPushButton(tr("Edit by hand…"), self)
        self.hand.setToolTip(tr("Change the twin with its cards, then go on beside the original"))
        self.hand.setVisible(forks)
        self.hand.setAutoDefault(False)
        buttons.addButton(self.hand, QDialogButtonBox.ButtonRole.ActionRole)
        whole = QVBoxLayout(self)
        whole.setSpacing(theme.px(8))
        whole.addWidget(self.intro)
        if steps is not None:
            self.step.setRange(*steps)
            self.step.setValue(kept)
            self.step.setGroupSeparatorShown(True)
            form = QFormLayout()
            form.addRow(tr("Keep the first steps:"), self.step)
            whole.addLayout(form)
        else:
            self.step.hide()
        whole.addWidget(self.note)
        whole.addWidget(self.list, 1)
        whole.addWidget(self.words)
        whole.addWidget(buttons)
        self.offers: dict[str, Offer] = {}
        if forks:
            self._item(tr("Unchanged: an equal twin, to see that it does the same"), "")
        self._waiting = self._made()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)
        self._timer.start(0)
        self.list.itemSelectionChanged.connect(self._describe)
        self.list.itemDoubleClicked.connect(lambda _: self._accept())
        self.go.clicked.connect(self._accept)
        self.hand.clicked.connect(self._by_hand)
        buttons.rejected.connect(self.reject)
        self.words.setMinimumHeight(self.fontMetrics().lineSpacing() * 5)
        self.resize(theme.px(520), theme.px(560))
        self._describe()

    def _item(self, text: str, key: str) -> QListWidgetItem:
        item = QListWidgetItem(text)
        item.setData(KEY, key)
        self.list.addItem(item)
        return item

    def _made(self) -> Iterator[Offer]:
        """One offer after the other: each takes some milliseconds, which the window must not wait for in one piece."""
        for key in remedies.REMEDIES:
            yield remedies.offer(self.experiment, key)

    def _next(self) -> None:
        offer = next(self._waiting, None)
        if offer is None:
            self._timer.stop()
            for one in self.offers.values():
                if not one.applicable:
                    item = self._item(tr(one.remedy.title), one.remedy.key)
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                    item.setToolTip(tr("Not here: {reason}", reason=one.reason))
            return
        self.offers[offer.remedy.key] = offer
        if offer.applicable:
            self._item(tr(offer.remedy.title), offer.remedy.key).setToolTip(tr(offer.remedy.changes))
            if self.list.currentRow() < 0:
                self.list.setCurrentRow(0)

    @property
    def complete(self) -> bool:
        """Whether all cures are listed."""
        return not self._timer.isActive()

    def keys(self) -> list[str]:
        """The chosen cures."""
        return [key for item in self.list.selectedItems() if (key := item.data(KEY))]

    def choose(self, keys: Sequence[str]) -> None:
        """Selects cures in the list."""
        self.list.clearSelection()
        for number in range(self.list.count()):
            item = self.list.item(number)
            item.setSelected(item.data(KEY) in keys)

    def _describe(self) -> None:
        keys = self.keys()
        fault = self._fault(keys)
        if fault:
            text = fault
        elif len(keys) == 1:
            remedy = self.offers[keys[0]].remedy
            text = f"{tr(remedy.changes)}\n{tr(remedy.why)}"
        else:
            text = "\n".join(tr(self.offers[key].remedy.changes) for key in keys)
        self.words.setText(text)
        self.go.setEnabled(bool(self.list.selectedItems()) and not fault)

    def _fault(self, keys: Sequence[str]) -> str:
        """Why the chosen cures can't be combined, or ""."""
        if len(keys) < 2:
            return ""
        try:
            remedies.combined(self.experiment, keys)
        except EditError as error:
            return error.faults[0].message
        return ""

    def _accept(self) -> None:
        if self.go.isEnabled():
            self.accept()
            self.chosen.emit(self.keys(), self.step.value())

    def _by_hand(self) -> None:
        self.accept()
        self.by_hand.emit(self.step.value())
