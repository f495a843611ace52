"""Forms that follow from the definition of each field: label, unit, bounds, default, help, and nothing else.

A :class:`Form` shows the fields of one spec, of the same spec in several layers at once, or of a spec further in.
Every input is one edit of the experiment; what is refused is said at the field, in the words of the refusal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.build.editors import (
    MIXED,
    Editor,
    KindEditor,
    NumberEditor,
    Scale,
    number_text,
    value_editor,
    value_text,
)
from gradsim.app.session import Session
from gradsim.i18n import tr
from gradsim.model import edits
from gradsim.model.edits import Edit, EditError
from gradsim.model.experiment import Experiment
from gradsim.nn.spec import MISSING, REGISTRIES, FieldView, Spec, fields_of, to_json

LABELS = 94
"""Width of the labels, in pixels at 100 %: fields stand below each other, in whichever form."""
INDENT = 14
"""Of the fields of what a field holds."""
RESETS = 22
"""Width of the column of reset buttons."""

MakeEdit = Callable[[Experiment], Edit]
MakeEditor = Callable[[FieldView, QWidget], Editor]


def label_width() -> int:
    """Width of the labels now, in pixels."""
    return theme.px(LABELS * theme.current().font_scale)


@dataclasses.dataclass(frozen=True)
class Target:
    """What a form edits.

    Attributes:
        uids: Layers, all edited alike; ``("",)`` is the experiment.
        path: Where in them, with dots; "" is the layer or the experiment itself.
    """

    uids: tuple[str, ...] = ("",)
    path: str = ""

    def inside(self, name: str) -> Target:
        """The spec that a field of this one holds."""
        return Target(self.uids, self.field(name))

    def field(self, name: str) -> str:
        """Path of a field, as edits take it."""
        return f"{self.path}.{name}" if self.path else name

    def holders(self, experiment: Experiment) -> list[Spec]:
        """What has the fields, for each of the layers; those that are gone are left out."""
        if self.uids == ("",):
            found: list[Any] = [experiment]
        else:
            layers = {place.layer.uid: place.layer for place in edits.places(experiment)}
            found = [layers[uid] for uid in self.uids if uid in layers]
        for part in self.path.split(".") if self.path else ():
            found = [getattr(one, part, None) for one in found]
        return [one for one in found if isinstance(one, Spec)]


def shared_fields(holders: Iterable[Spec]) -> tuple[FieldView, ...]:
    """The fields that all of these have, as the first has them."""
    views = [fields_of(cls) for cls in dict.fromkeys(type(one) for one in holders)]
    if not views:
        return ()
    known = [{(view.name, view.type, view.kind) for view in some} for some in views[1:]]
    return tuple(
        view for view in views[0] if not view.hidden and all((view.name, view.type, view.kind) in k for k in known)
    )


def common_value(values: Iterable[Any]) -> Any:
    """The one value of all, or ``MIXED``."""
    found = list(values)
    said = [to_json(value) for value in found]
    return found[0] if found and all(one == said[0] for one in said) else MIXED


def is_default(view: FieldView, value: Any) -> bool:
    """True if a field holds its default (or has none)."""
    if view.required:
        return True
    return value is not MIXED and bool(to_json(value) == to_json(view.default))


class Form(QWidget):
    """The fields of a target, kept up to date.

    Args:
        session: Where edits go to.
        only: Names of the fields to show, in this order; None shows all.
        skip: Names of the fields to leave out.
        last: Names of the fields that stand at the end.
        editors: Makers of editors for fields that need another one than their type says, by name.
        bare: True without labels, where a heading says what the field is.
    """

    def __init__(
        self,
        session: Session,
        target: Target | None = None,
        parent: QWidget | None = None,
        *,
        only: Iterable[str] | None = None,
        skip: Iterable[str] = (),
        last: Iterable[str] = (),
        editors: Mapping[str, MakeEditor] | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__(parent)
        self.session = session
        self.bare = bare
        self.target = target or Target()
        self._only = None if only is None else tuple(only)
        self._skip, self._last = frozenset(skip), tuple(last)
        self._makers = dict(editors or {})
        self._types: tuple[type[Spec], ...] | None = None
        self._more = False
        self.fields: dict[str, Field] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.px(8))
        self._grid.setVerticalSpacing(theme.px(4))
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnMinimumWidth(0, label_width() - theme.px(INDENT) * self.target.path.count("."))
        self._grid.setColumnMinimumWidth(2, theme.px(RESETS))
        self._fold: QToolButton | None = None
        self.refresh()

    def set_target(self, target: Target) -> None:
        """Shows something else."""
        if target != self.target:
            self.target = target
            for field in self.fields.values():
                field.set_target(target)
            self.refresh(anew=True)

    def refresh(self, *, anew: bool = False) -> None:
        """Shows the experiment as it is now; ``anew`` drops what was refused before."""
        holders = self.target.holders(self.session.document.experiment)
        types = tuple(dict.fromkeys(type(one) for one in holders))
        if types != self._types:
            self._types = types
            self._build(holders)
        for field in self.fields.values():
            field.refresh(holders, anew=anew)

    def _build(self, holders: list[Spec]) -> None:
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                # It keeps its parent: without one Python would own it, and might collect it in another thread.
                widget.hide()
                widget.deleteLater()
        self.fields = {}
        self._fold = None
        views = [view for view in shared_fields(holders) if view.type not in ("specs", "other")]
        views = [view for view in views if view.name not in self._skip]
        if self._only is not None:
            named = {view.name: view for view in views}
            views = [named[name] for name in self._only if name in named]
        views.sort(key=lambda view: (view.advanced, view.name in self._last))
        # A single folded field would cost as much room as its fold.
        folds = sum(view.advanced for view in views) > 1
        row = 0
        for view in views:
            if folds and view.advanced and self._fold is None:
                row = self._add_fold(row)
            maker = self._makers.get(view.name)
            field = Field(self, view, maker)
            self.fields[view.name] = field
            row = field.place(self._grid, row)
            if folds and view.advanced:
                field.set_visible(self._more)

    def _add_fold(self, row: int) -> int:
        fold = QToolButton(self)
        fold.setText(tr("More"))
        fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        fold.setArrowType(Qt.ArrowType.DownArrow if self._more else Qt.ArrowType.RightArrow)
        fold.setCheckable(True)
        fold.setChecked(self._more)
        fold.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        fold.setToolTip(tr("Fields that rarely have to be changed"))
        fold.setAccessibleName(tr("More fields"))
        fold.toggled.connect(self._unfold)
        self._grid.addWidget(fold, row, 0, 1, 3, Qt.AlignmentFlag.AlignLeft)
        self._fold = fold
        return row + 1

    def _unfold(self, more: bool) -> None:
        self._more = more
        if self._fold is not None:
            self._fold.setArrowType(Qt.ArrowType.DownArrow if more else Qt.ArrowType.RightArrow)
        for field in self.fields.values():
            if field.view.advanced:
                field.set_visible(more)


class Field:
    """One field of a form: label, editor, reset button, words of a refusal, and the fields of what it holds."""

    def __init__(self, form: Form, view: FieldView, maker: MakeEditor | None) -> None:
        self.form, self.view = form, view
        self.session = form.session
        self._target = form.target
        self._value: Any = MIXED
        self._gesture = 0
        self.rate = view.type == "float" and bool(view.kind)
        editor = maker(view, form) if maker else RateEditor(view, form) if self.rate else value_editor(view, form)
        if editor is None:
            raise TypeError(f"no editor for {view.name}: {view.type}")
        self.editor: Editor = editor
        self.label = QLabel(tr(view.title), form)
        self.label.setBuddy(editor)
        self.label.setWordWrap(True)
        self.reset = QToolButton(form)
        self.reset.setText("\u21ba")
        self.reset.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.reset.setAutoRaise(True)
        # As high as the fields beside it, so that rows with and without one are equally far apart.
        self.reset.setStyleSheet("padding: 0px;")
        self.reset.setFixedSize(theme.px(RESETS), theme.px(20))
        if not view.required:
            shown = value_text(view.default)
            self.reset.setToolTip(tr("Back to the default: {value}", value=shown))
            self.reset.setAccessibleName(tr("Reset {field}", field=tr(view.title)))
            self.reset.setAccessibleDescription(tr("Back to the default: {value}", value=shown))
        self.error = QLabel(form)
        self.error.setWordWrap(True)
        # A role of the theme's palette: a palette of its own is lost when the label is first shown in a hidden tab.
        self.error.setForegroundRole(QPalette.ColorRole.BrightText)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()
        self.inner: Form | None = None
        self._visible = True
        editor.edited.connect(self._edited)
        editor.finished.connect(self._finished)
        self.reset.clicked.connect(self._reset)

    def set_target(self, target: Target) -> None:
        """The form shows something else; what was being typed is given up."""
        self._target = target
        self._say("")
        if self.inner is not None:
            self.inner.target = target.inside(self.view.name)

    def place(self, grid: QGridLayout, row: int) -> int:
        """Puts the widgets into the rows from ``row`` on; gives the next free one."""
        tall = self.view.type == "text" or self.rate
        top = Qt.AlignmentFlag.AlignTop if tall else Qt.AlignmentFlag.AlignVCenter
        if tall:
            self.label.setContentsMargins(0, theme.px(4), 0, 0)
        if self.form.bare:
            self.label.hide()
            grid.addWidget(self.editor, row, 0, 1, 2)
        else:
            grid.addWidget(self.label, row, 0, top)
            grid.addWidget(self.editor, row, 1)
        grid.addWidget(self.reset, row, 2, Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(self.error, row + 1, 0, 1, 3)
        if not (self.view.type == "spec" or self.rate):
            return row + 2
        box = QWidget(self.form)
        inside = QVBoxLayout(box)
        inside.setContentsMargins(theme.px(INDENT), 0, 0, 0)
        self.inner = Form(self.session, self._target.inside(self.view.name), box)
        inside.addWidget(self.inner)
        self._box = box
        grid.addWidget(box, row + 2, 0, 1, 3)
        return row + 3

    def set_visible(self, visible: bool) -> None:
        """Folds the field away, or shows it."""
        self._visible = visible
        self.label.setVisible(visible and not self.form.bare)
        self.editor.setVisible(visible)
        self.reset.setVisible(visible and not is_default(self.view, self._value))
        self.error.setVisible(visible and bool(self.error.text()))
        if self.inner is not None:
            self._box.setVisible(visible and bool(self.inner.fields))

    def refresh(self, holders: list[Spec], *, anew: bool = False) -> None:
        """Shows the value as it is now; what was refused stays to be mended unless ``anew``."""
        value = common_value(getattr(one, self.view.name) for one in holders)
        unchanged = value is not MIXED and self._value is not MIXED and to_json(value) == to_json(self._value)
        if self.error.text() and unchanged and not anew:
            return
        self._say("")
        self._value = value
        self.editor.set_value(value)
        if self.inner is not None:
            self.inner.refresh(anew=anew)
            self._box.setVisible(self._visible and bool(self.inner.fields))
        self.reset.setVisible(self._visible and not is_default(self.view, value))
        self.editor.describe(_spoken(self.view), tr(self.view.help), self._tooltip())
        self.label.setToolTip(self._tooltip())

    def _tooltip(self) -> str:
        view = self.view
        lines = [tr(view.help), _range_text(view)]
        if not view.required:
            lines.append(tr("Default: {value}.", value=value_text(view.default)))
        if self._target.uids == ("",):
            lines.append(tr("Acts at once; the weights are kept.") if view.live else "")
        return "\n".join(line for line in lines if line)

    def _edited(self, value: Any, dragging: bool) -> None:
        path = self._target.field(self.view.name)
        key = ("field", self._target.uids, path, id(self), self._gesture) if dragging else None
        self._make(lambda experiment: self._edit(experiment, path, value), key)

    def _edit(self, experiment: Experiment, path: str, value: Any) -> Edit:
        if self.view.type == "spec" and isinstance(value, str):
            return edits.choose(experiment, self._target.uids, path, value)
        if self.rate and isinstance(value, str):
            return edits.set_field(experiment, self._target.uids, path, self._as_rate(value))
        return edits.set_field(experiment, self._target.uids, path, value)

    def _as_rate(self, text: str) -> Any:
        """A schedule of this name that starts from the rate now, the rate as a number for "", else the text."""
        if text and text not in REGISTRIES[self.view.kind]:
            return text
        return converted_rate(self._value, text, self.view.kind)

    def _make(self, make: MakeEdit, merge_key: object) -> None:
        try:
            edit = make(self.session.document.experiment)
        except EditError as error:
            self._say(refusal(error))
            return
        self._say("")
        self.session.apply(edit, merge_key=merge_key)
        if not edit.change:
            # The document is silent about what changes nothing, such as 32 typed as 32.0.
            self.form.refresh()

    def _finished(self) -> None:
        self._gesture += 1

    def _reset(self) -> None:
        path = self._target.field(self.view.name)
        self.editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self._make(lambda experiment: edits.reset_field(experiment, self._target.uids, path), None)

    def _say(self, words: str) -> None:
        self.error.setText(words)
        self.error.setVisible(self._visible and bool(words))
        if words:
            self.error.setAccessibleName(f"{tr(self.view.title)}: {words}")
            self.editor.setAccessibleDescription(words)


def refusal(error: EditError) -> str:
    """What to say at the field that was refused."""
    said = []
    for fault in error.faults:
        if fault.received is MISSING or fault.received == "":
            said.append(fault.message)
        else:
            said.append(tr("{message} (received {value})", message=fault.message, value=_quoted(fault.received)))
    words = "; ".join(said)
    return words[:1].upper() + words[1:]


def _quoted(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    shown = str(value)
    return shown if len(shown) <= 40 else shown[:39] + "\u2026"


def _spoken(view: FieldView) -> str:
    return f"{tr(view.title)}, {tr(view.unit)}" if view.unit else tr(view.title)


def _range_text(view: FieldView) -> str:
    if view.type not in ("int", "float"):
        return ""
    low, high = view.minimum, view.maximum
    parts = []
    if low is not None:
        number = number_text(low)
        parts.append(
            tr("above {number}", number=number) if view.exclusive_minimum else tr("from {number}", number=number)
        )
    if high is not None:
        number = number_text(high)
        parts.append(
            tr("below {number}", number=number) if view.exclusive_maximum else tr("up to {number}", number=number)
        )
    if not parts:
        return ""
    return tr("Allowed: {range}.", range=" ".join(parts))


RATES = Scale(1e-6, 10.0, log=True)
"""The slider of a learning rate; a number beyond its ends can be typed."""


class RateEditor(Editor):
    """A learning rate: a number, or a schedule of its own fields. Tells a number, or the name of a schedule."""

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self._row.setDirection(self._row.Direction.TopToBottom)
        self.kind = KindEditor(view, self, number=tr("constant"))
        self.number = NumberEditor(view, self, slider=RATES)
        self._holds(self.number)
        self._holds(self.kind)
        self.setFocusProxy(self.number)
        self.kind.edited.connect(self.edited)
        self.number.edited.connect(self.edited)
        self.number.finished.connect(self.finished)

    def set_value(self, value: Any) -> None:
        plain = isinstance(value, int | float)
        self.number.setVisible(plain or value is MIXED)
        self.setFocusProxy(self.number if plain else self.kind)
        self.kind.set_value(value)
        if plain or value is MIXED:
            self.number.set_value(value)

    def describe(self, name: str, description: str, tooltip: str) -> None:
        self.number.describe(name, description, tooltip)
        self.kind.describe(
            tr("Schedule"), tr("How the learning rate goes on over the steps."), tr("Schedule of the learning rate")
        )


def converted_rate(value: Any, identifier: str, kind: str) -> Any:
    """A rate as a schedule that starts from it, or for "" as the number that a schedule reaches at most."""
    if isinstance(value, int | float):
        highest = float(value)
    elif isinstance(value, Spec):
        highest = max(
            float(getattr(value, view.name) or 0.0)
            for view in fields_of(type(value))
            if view.name in ("initial_learning_rate", "learning_rate", "warmup_target")
        )
    else:
        highest = 0.01
    if not identifier:
        return highest
    fields = {view.name for view in fields_of(REGISTRIES[kind][identifier])}
    name = "initial_learning_rate" if "initial_learning_rate" in fields else "learning_rate"
    return REGISTRIES[kind].create(identifier, **({name: highest} if name in fields else {}))
