"""Everything about the selected layers: what they are, what is wrong, every field, their weights."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFrame,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.build.arrangement import describe, same_stack
from gradsim.app.build.editors import value_text
from gradsim.app.build.faces import weights_text
from gradsim.app.build.forms import Form, Target
from gradsim.app.build.panel import Panel
from gradsim.app.build.problem_list import ProblemList
from gradsim.app.session import Session
from gradsim.i18n import mark, tr, tr_n
from gradsim.model import edits
from gradsim.model.change import Change
from gradsim.nn.layers import Layer, Weight
from gradsim.nn.spec import fields_of

COMMON = tuple(view.name for view in fields_of(Layer))
"""Fields that every layer has: they stand behind those of its own."""
COLUMNS = (mark("Weight"), mark("Shape"), mark("Number"), mark("Starts as"))


class Inspector(Panel):
    """The panel for the selection."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._shown = session.experiment
        self.setAccessibleName(tr("Inspector"))
        session.document_changed.connect(self._on_change)
        session.state.selection_changed.connect(self._on_selection)
        self.renew()

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        session = self.session
        self.title = QLabel(inside)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.summary = QLabel(inside)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setWordWrap(True)
        self.problems = ProblemList(session, inside)
        self.form = Form(session, Target(()), inside, last=COMMON)
        self.weights = WeightTable(inside)
        for widget in (self.title, self.summary, self.problems, self.form, self.weights):
            layout.addWidget(widget)
        self.title.setFont(theme.font("large", bold=True))
        self.summary.setForegroundRole(QPalette.ColorRole.PlaceholderText)

    def focus(self) -> None:
        """Takes the keyboard to the first field."""
        first = next(iter(self.form.fields.values()), None)
        if first is not None:
            first.editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_change(self, change: Change) -> None:
        if same_stack(self._shown, self.session.experiment):
            self._show_problems()
        else:
            self.refresh()

    def _show_problems(self) -> None:
        chosen = self.session.state.selection
        self.problems.show_problems([problem for problem in self.session.problems if problem.uid in chosen])

    def _on_selection(self, uids: tuple[str, ...]) -> None:
        # What is half typed belongs to the layers that are selected now.
        focused = QApplication.focusWidget()
        if focused is not None and self.form.isAncestorOf(focused):
            focused.clearFocus()
        self.refresh()

    def refresh(self) -> None:
        """Shows the selection as it is now."""
        self._shown = experiment = self.session.document.experiment
        layers = {place.layer.uid: place.layer for place in edits.places(experiment)}
        chosen = [layers[uid] for uid in self.session.state.selection if uid in layers]
        uids = tuple(layer.uid for layer in chosen)
        self.form.setVisible(bool(chosen))
        self._show_problems()
        if not chosen:
            self.title.setText(tr("Nothing selected"))
            self.summary.setText(tr("Click a card of the stack to see all of its fields here."))
            self.weights.show_weights(())
            return
        infos = describe(experiment)
        kinds = list(dict.fromkeys(layer.identifier for layer in chosen))
        if len(chosen) == 1:
            info = infos[uids[0]]
            self.title.setText(f"{info.name} \u00b7 {kinds[0]}" if info.name != kinds[0] else kinds[0])
        else:
            count = tr_n("{n} layer", "{n} layers", len(chosen))
            self.title.setText(f"{count} \u00b7 {', '.join(kinds)}")
        lines = [tr(type(chosen[0]).summary())] if len(kinds) == 1 else []
        parameters = [infos[uid].parameters for uid in uids]
        if len(chosen) == 1:
            info = infos[uids[0]]
            if info.before is not None and info.after is not None:
                lines.append(
                    tr(
                        "{before} in, {after} out, {weights}.",
                        before=_shape(info.before),
                        after=_shape(info.after),
                        weights=weights_text(info.parameters or 0),
                    )
                )
            if not info.trainable and chosen[0].trainable:
                lines.append(tr("Frozen, because the group around it is."))
            if not info.enabled and chosen[0].enabled:
                lines.append(tr("Disabled, because the group around it is."))
        elif all(number is not None for number in parameters):
            lines.append(tr("{weights} together.", weights=weights_text(sum(number or 0 for number in parameters))))
        self.summary.setText("\n".join(lines))
        self.form.set_target(Target(uids))
        self.form.refresh()
        before = infos[uids[0]].before if len(chosen) == 1 else None
        self.weights.show_weights(weights_of(chosen[0], before))


def weights_of(layer: Layer, shape: tuple[int, ...] | None) -> tuple[Weight, ...]:
    """The arrays of a layer, or none where its input isn't known or can't be taken."""
    if shape is None:
        return ()
    try:
        return layer.weights(shape)
    except ValueError:
        return ()


def _shape(shape: tuple[int, ...]) -> str:
    return " \u00d7 ".join(map(str, shape))


class WeightTable(QTableWidget):
    """The arrays of a layer: role, shape, how many numbers, what they start from."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._weights: tuple[Weight, ...] | None = None
        self.setHorizontalHeaderLabels([tr(text) for text in COLUMNS])
        self.setAccessibleName(tr("Weights of the layer"))
        self.setToolTip(tr("The arrays of the layer, in Keras' order"))
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabKeyNavigation(False)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        header.setHighlightSections(False)

    def show_weights(self, weights: tuple[Weight, ...]) -> None:
        """Shows these; hides itself if there are none."""
        if weights == self._weights:
            return
        self._weights = weights
        self.setRowCount(len(weights))
        for row, weight in enumerate(weights):
            texts = (
                weight.role.replace("_", " "),
                _shape(weight.shape),
                f"{math.prod(weight.shape):,}",
                value_text(weight.initializer),
            )
            for column, text in enumerate(texts):
                self.setItem(row, column, QTableWidgetItem(text))
        self.resizeRowsToContents()
        height = self.horizontalHeader().sizeHint().height() + sum(self.rowHeight(row) for row in range(len(weights)))
        self.setFixedHeight(height + 2)
        self.setVisible(bool(weights))
