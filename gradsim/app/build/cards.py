"""The stack as a column of cards, painted; an editor stands on a card only while something is edited there.

Painting instead of one widget for each card keeps a stack of a thousand layers as light as one of ten. The column
owns the geometry of the rows: the pictures beside it follow its :class:`RowSpace`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QDrag,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QMenu, QToolTip, QWidget

from gradsim.app import theme
from gradsim.app.build import verbs
from gradsim.app.build.arrangement import (
    INPUT,
    LOSS,
    SIZES,
    Arrangement,
    Density,
    Item,
    Sizes,
    arrange,
    describe,
    same_stack,
)
from gradsim.app.build.card_editor import CardEditor
from gradsim.app.build.drops import DropPlace, drop_place
from gradsim.app.build.editors import Combo
from gradsim.app.build.faces import STRIP, Faces
from gradsim.app.build.now import now
from gradsim.app.build.problem_list import GLYPHS, ProblemPopup, by_place, sentence
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.app.session import Session
from gradsim.i18n import tr, tr_n
from gradsim.model import edits
from gradsim.model.change import Change
from gradsim.model.problems import Problem
from gradsim.nn.layers import Repeat, Residual, registry


class CardsColumn(QAbstractScrollArea):
    """The column of cards.

    Signals:
        layout_changed: A new :class:`RowLayout`; also set on ``row_space``.
        panel_wanted: "data" or "loss": the user wants the panel of the run at this field.
        inspector_wanted: The user wants to see all fields of the selection.
    """

    layout_changed = Signal(object)
    panel_wanted = Signal(str)
    inspector_wanted = Signal()

    def __init__(
        self,
        session: Session,
        row_space: RowSpace | None = None,
        parent: QWidget | None = None,
        *,
        upwards: bool = True,
    ) -> None:
        super().__init__(parent)
        self.session = session
        self.row_space = row_space or RowSpace(self)
        self.faces = Faces(session, upwards)
        self.editor = CardEditor(self, self.faces)
        self._upwards = upwards
        self._density: Density | None = None
        self._anchor = ""
        self._spoken: frozenset[str] = frozenset()
        self._found: tuple[Problem, ...] = ()
        self._shown = session.experiment
        self._layout_told: RowLayout | None = None
        self._press: tuple[QPoint, str, bool] | None = None
        self._parents = self._parents_now()
        self._moved: frozenset[str] = frozenset()
        self._own_scroll = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(theme.px(200))
        self.setAccessibleName(tr("Stack of layers"))
        self.viewport().setAcceptDrops(True)
        self.viewport().setMouseTracking(True)
        self._scroller = QTimer(self)
        self._scroller.setInterval(30)
        self._scroller.timeout.connect(self._scroll_while_dragging)
        self._dragged, self._drag_moves = QPoint(), False
        session.document_changed.connect(self._on_change)
        session.recorder_changed.connect(self._on_recorder)
        session.turns.connect(self._pull)
        session.slow_tick.connect(self.viewport().update)
        session.state.quantity_changed.connect(self._on_recorder)
        session.state.thresholds_changed.connect(self._on_recorder)
        session.state.cursor_changed.connect(self._on_recorder)
        session.state.selection_changed.connect(self._on_selection)
        session.state.hover_changed.connect(self._on_hover)
        theme.changed.connect(self._on_theme)
        self.row_space.scroll_changed.connect(self._scroll_to)
        self._read()
        self._pull()

    # Geometry

    @property
    def arrangement(self) -> Arrangement:
        """Where the cards lie."""
        return self.faces.arrangement

    @property
    def upwards(self) -> bool:
        """True if the input is at the bottom."""
        return self._upwards

    def set_upwards(self, upwards: bool) -> None:
        """Turns the column round."""
        if upwards != self._upwards:
            self._upwards = upwards
            self._arrange()

    @property
    def density(self) -> Density | None:
        """What the user chose; None is what fits."""
        return self._density

    def set_density(self, density: Density | None) -> None:
        """Comfortable, compact, or (None) comfortable as long as all cards fit into the window."""
        if density != self._density:
            self._density = density
            self._arrange()

    def show_factors(self, factors: Mapping[str, str], told: Callable[[str], str] | None) -> None:
        """What theory says of the layers: each one's factor in a few characters, and all of it in words."""
        if factors != self.faces.factors:
            self.faces.factors = dict(factors)
            self.viewport().update()
        self.faces.told = told

    def set_folded(self, uid: str, folded: bool) -> None:
        """Folds a group, or shows what is in it."""
        if folded != (uid not in self.faces.unfolded):
            (self.faces.unfolded.discard if folded else self.faces.unfolded.add)(uid)
            self._arrange()

    def toggle_fold(self) -> None:
        """Folds or unfolds the current group."""
        layer = self.faces.layer(self.faces.current)
        if layer is not None and isinstance(layer, Repeat | Residual):
            self.set_folded(layer.uid, layer.uid in self.faces.unfolded)

    def fold_all(self, folded: bool) -> None:
        """Folds or unfolds all groups."""
        groups = {
            place.layer.uid
            for place in edits.places(self.session.document.experiment)
            if isinstance(place.layer, Repeat | Residual)
        }
        self.faces.unfolded = set() if folded else groups
        self._arrange()

    def _sizes(self, density: Density) -> Sizes:
        return SIZES[density].scaled(theme.zoom() / 100 * theme.current().font_scale)

    def _arranged(self, density: Density, sizes: Sizes | None = None) -> Arrangement:
        return arrange(
            self.session.document.experiment,
            unfolded=self.faces.unfolded,
            sizes=sizes or self._sizes(density),
            density=density,
            upwards=self._upwards,
            words=lambda uid: self._words(uid, density),
        )

    def _words(self, uid: str, density: Density) -> bool:
        """Whether a problem is said below its card: the impossible always, the unwise once for each rule."""
        found = self.faces.problems_of(uid)
        if not found:
            return False
        worst = found[0].severity
        spoken = any(problem.severity == "unwise" and problem.uid in self._spoken for problem in found)
        return worst == "impossible" or spoken or (density == "comfortable" and worst == "unwise")

    def _read(self) -> None:
        """Takes over the experiment as it is now."""
        self._shown = experiment = self.session.document.experiment
        self.faces.layers = {place.layer.uid: place.layer for place in edits.places(experiment)}
        self.faces.infos = describe(experiment)
        self._found = found = self.session.problems
        self.faces.problems = by_place(found)
        first: dict[str, str] = {}
        for problem in found:
            if problem.severity == "unwise":
                first.setdefault(problem.rule, problem.uid)
        self._spoken = frozenset(first.values())
        self.faces.unfolded &= self.faces.layers.keys()
        if self.faces.current not in (INPUT, LOSS) and self.faces.current not in self.faces.layers:
            chosen = self.session.state.selection
            self.faces.current = chosen[-1] if chosen and chosen[-1] in self.faces.layers else ""
        self._arrange()
        self._announce()

    def _arrange(self) -> None:
        room = self.viewport().height()
        if self._density is not None:
            arranged = self._filled(self._density, room)
        else:
            arranged = self._filled("comfortable", room)
            if arranged.height > room or arranged.crowded:
                arranged = self._filled("compact", room)
        self.faces.width = self.viewport().width()
        self.faces.arrangement = arranged
        self._align()
        bar = self.verticalScrollBar()
        bar.setPageStep(room)
        bar.setSingleStep(round(self._sizes(arranged.density).card))
        bar.setRange(0, max(0, round(arranged.height) - room))
        self.editor.place()
        layout = arranged.layout
        if layout != self._layout_told:
            self._layout_told = layout
            self.row_space.set_layout(layout)
            self.layout_changed.emit(layout)
        self.row_space.set_scroll(float(bar.value()))
        self.viewport().update()

    def _filled(self, density: Density, room: float) -> Arrangement:
        arranged = self._arranged(density)
        if arranged.height >= room:
            return arranged
        return self._arranged(density, arranged.filling(room, 1.5 * self._sizes("comfortable").card))

    def _align(self) -> None:
        """Whether the recorded rows are those of the cards; a stack that can't be started has no others yet."""
        self.faces.aligned = tuple(self.session.row_uids) == self.faces.arrangement.row_uids

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(300), theme.px(480))

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self._own_scroll = True
        self.row_space.set_scroll(float(self.verticalScrollBar().value()))
        self._own_scroll = False
        self.editor.place()
        self.viewport().update()

    def _scroll_to(self, pixels: float) -> None:
        if not self._own_scroll:
            self.verticalScrollBar().setValue(round(pixels))

    @property
    def _offset(self) -> int:
        return self.verticalScrollBar().value()

    def drop_place(self, place: QPoint) -> DropPlace:
        """Where a layer would go that is dropped at this place of the viewport."""
        left = float(theme.px(STRIP) + theme.px(4))
        y = float(place.y() + self._offset)
        return drop_place(self.faces.arrangement, self.session.document.experiment, left, y)

    def item_rect(self, uid: str) -> QRect:
        """Where the card of a layer (or end) is in the viewport; empty if it isn't shown."""
        item = self.faces.arrangement.item(uid)
        if item is None:
            return QRect()
        return self.faces.body(item).translated(0, -self._offset).toRect()

    # News

    def _on_change(self, change: Change) -> None:
        self.editor.close()
        if same_stack(self._shown, self.session.experiment) and self.session.problems == self._found:
            # A slider of the optimizer moves a hundred times a second; no card depends on it.
            self.viewport().update()
            return
        before, self._parents = self._parents, self._parents_now()
        self._moved = frozenset(uid for uid, parent in self._parents.items() if before.get(uid) != parent)
        self._reveal(self._moved & set(self.session.state.selection))
        self._read()
        self._pull()

    def _on_recorder(self, *_: object) -> None:
        self._align()
        self.faces.now = None
        self._pull()
        self.viewport().update()

    def _on_theme(self) -> None:
        self.editor.close()
        self.setMinimumWidth(theme.px(200))
        self._arrange()

    def _on_selection(self, uids: tuple[str, ...]) -> None:
        if uids and uids[-1] != self.faces.current:
            self.faces.current = self._anchor = uids[-1]
        # The session selects what an edit has made after telling of the edit.
        hidden = [uid for uid in uids if uid in self._moved and self.faces.arrangement.item(uid) is None]
        self._moved = frozenset()
        if hidden:
            self._reveal(hidden)
            self._arrange()
        if uids:
            self.ensure_visible(self.faces.current)
        self._announce()
        self.viewport().update()

    def _on_hover(self, place: tuple[int, int | None] | None) -> None:
        self.viewport().update(0, 0, theme.px(STRIP), self.viewport().height())

    def _reveal(self, uids: Iterable[str]) -> None:
        """Opens the groups around layers that were just edited, so that the user sees what came of it."""
        for uid in uids:
            parent = self._parents.get(uid, "")
            while parent:
                self.faces.unfolded.add(parent)
                parent = self._parents.get(parent, "")

    def _parents_now(self) -> dict[str, str]:
        return {place.layer.uid: place.parent for place in edits.places(self.session.document.experiment)}

    def _pull(self) -> bool:
        found = now(self.session) if self.faces.aligned else None
        before, self.faces.now = self.faces.now, found
        if found is None or before is None:
            if found is not before:
                self.viewport().update()
            return found is not before
        if found.key == before.key and np.array_equal(found.classes, before.classes):
            return False
        self.viewport().update(0, 0, theme.px(STRIP), self.viewport().height())
        return True

    def _announce(self) -> None:
        """Tells a screen reader what the current card is, since it is painted."""
        self.setAccessibleDescription(self.faces.description(self.faces.current))

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.translate(0, -self._offset)
        self.faces.focused = self.hasFocus()
        self.faces.paint(painter, QRectF(event.rect()).translated(0, self._offset))
        painter.end()

    def edit(self, name: str = "") -> None:
        """Opens the editor of a field on the current card; by default of its first one."""
        item = self.faces.arrangement.item(self.faces.current)
        if item is None:
            return
        chips = self.faces.chips(item)
        chip = next((chip for chip in chips if chip.view.name == name), chips[0] if chips else None)
        if chip is not None:
            self.editor.open(item, chip)
        else:
            self.inspector_wanted.emit()

    # Keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, held = event.key(), event.modifiers()
        shift = bool(held & Qt.KeyboardModifier.ShiftModifier)
        control = bool(held & Qt.KeyboardModifier.ControlModifier)
        if held & Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_selection(upwards=key == Qt.Key.Key_Up)
            return
        shown = [item for item in self.faces.arrangement.items if item.selectable]
        at = next((i for i, item in enumerate(shown) if item.uid == self.faces.current), -1)
        page = max(1, int(self.viewport().height() / max(1.0, self.faces.sizes.card)) - 1)
        targets = {
            Qt.Key.Key_Up: at - 1 if at >= 0 else len(shown) - 1,
            Qt.Key.Key_Down: at + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(shown) - 1,
            Qt.Key.Key_PageUp: at - page,
            Qt.Key.Key_PageDown: at + page,
        }
        if key in targets and not held & Qt.KeyboardModifier.AltModifier and shown:
            self._go_to(shown[max(0, min(len(shown) - 1, targets[Qt.Key(key)]))].uid, extend=shift, keep=control)
            return
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
            if self.faces.current in (INPUT, LOSS) and key != Qt.Key.Key_F2:
                self.panel_wanted.emit("data" if self.faces.current == INPUT else "loss")
            else:
                self.edit()
            return
        layer = self.faces.layer(self.faces.current)
        if key == Qt.Key.Key_Space and control and layer is not None:
            self._toggle_selected(layer.uid)
            return
        if isinstance(layer, Repeat | Residual) and key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus) and not control:
            self.set_folded(layer.uid, key == Qt.Key.Key_Minus)
            return
        if key == Qt.Key.Key_Escape and self.session.state.selection:
            self.session.state.select(())
            return
        super().keyPressEvent(event)

    def move_selection(self, *, upwards: bool) -> Change:
        """Moves the selected layers one place up or down as the column stands."""
        move = verbs.move_to_output if upwards == self._upwards else verbs.move_to_input
        return move(self.session)

    def _go_to(self, uid: str, *, extend: bool = False, keep: bool = False) -> None:
        self.faces.current = uid
        if extend and self._anchor:
            self._select_range(self._anchor, uid)
        elif not keep:
            self._anchor = uid
            self.session.state.select(() if uid in (INPUT, LOSS) else (uid,))
        self.ensure_visible(uid)
        self._announce()
        self.viewport().update()

    def _select_range(self, anchor: str, uid: str) -> None:
        shown = [item.uid for item in self.faces.arrangement.items if item.selectable]
        if anchor not in shown or uid not in shown:
            return
        a, b = shown.index(anchor), shown.index(uid)
        chosen = shown[min(a, b) : max(a, b) + 1]
        # The current one last, as the selection has it.
        ordered = [one for one in chosen if one != uid] + [uid]
        self.session.state.select(one for one in ordered if one not in (INPUT, LOSS))
        self.faces.current = uid
        self._anchor = anchor

    def _toggle_selected(self, uid: str) -> None:
        """Takes a layer into the selection, or out of it."""
        chosen = self.session.state.selection
        kept = [one for one in chosen if one != uid]
        self.session.state.select(kept if uid in chosen else [*kept, uid])
        self._anchor = self.faces.current = uid
        self._announce()
        self.viewport().update()

    def ensure_visible(self, uid: str) -> None:
        item = self.faces.arrangement.item(uid)
        if item is None:
            return
        bar, room = self.verticalScrollBar(), self.viewport().height()
        margin = self.faces.sizes.gap
        if item.top - margin < bar.value():
            bar.setValue(int(item.top - margin))
        elif item.bottom + margin > bar.value() + room:
            bar.setValue(int(item.bottom + margin - room + 1))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if not self.faces.current:
            chosen = self.session.state.selection
            shown = [item.uid for item in self.faces.arrangement.items if item.selectable]
            self.faces.current = chosen[-1] if chosen else (shown[-1] if self._upwards else shown[0])
        self._announce()
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.viewport().update()

    @property
    def current(self) -> str:
        """The card that has the keyboard: a uid, ``INPUT``, ``LOSS`` or ""."""
        return self.faces.current

    # Mouse

    def _at(self, place: QPoint) -> tuple[Item | None, QPointF]:
        point = QPointF(place.x(), place.y() + self._offset)
        return self.faces.arrangement.at(point.y()), point

    def mousePressEvent(self, event: QMouseEvent) -> None:
        item, point = self._at(event.position().toPoint())
        self.editor.close()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if item is None and event.button() == Qt.MouseButton.LeftButton:
            self.session.state.select(())
        if item is None or event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return
        uid = item.uid
        if item.kind == "rounds":
            row, uids = self.faces.row_at(item, point.y()), self.faces.arrangement.row_uids
            uid = uids[row] if row is not None and row < len(uids) else uid
        elif not item.selectable:
            return
        held = event.modifiers()
        chosen = self.session.state.selection
        if event.button() == Qt.MouseButton.RightButton:
            if uid not in chosen:
                self._go_to(uid)
            return
        self._press = (event.position().toPoint(), item.uid if item.selectable else "", False)
        fold = self.faces.fold_rect(item)
        if fold is not None and fold.contains(point):
            self.set_folded(item.uid, item.uid in self.faces.unfolded)
            self._press = None
            return
        mark = self.faces.mark_rect(item)
        if item.selectable and ((mark is not None and mark.contains(point)) or self.faces.on_words(item, point)):
            self._go_to(uid)
            self._press = None
            self.show_problems(uid)
            return
        if held & Qt.KeyboardModifier.ShiftModifier and self._anchor:
            self._select_range(self._anchor, uid)
            self._press = None
        elif held & Qt.KeyboardModifier.ControlModifier:
            if uid not in (INPUT, LOSS):
                self._toggle_selected(uid)
        elif uid in chosen and len(chosen) > 1:
            # A drag takes all of them; a click without one chooses this one, when the button comes up.
            self._press = (event.position().toPoint(), uid, True)
        else:
            self._go_to(uid)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        place = event.position().toPoint()
        if event.buttons() & Qt.MouseButton.LeftButton:
            if self._press is not None and self._press[1] not in ("", INPUT, LOSS):
                far = (place - self._press[0]).manhattanLength() >= QApplication.startDragDistance()
                if far and self.session.state.selection:
                    self._press = None
                    self._drag()
            return
        item, point = self._at(place)
        row = self.faces.row_at(item, point.y()) if item is not None and self.faces.aligned else None
        step = self.session.step
        self.session.state.set_hover(None if row is None or step is None else (step, row))
        over_chip = item is not None and any(chip.rect.contains(point) for chip in self.faces.chips(item))
        fold = self.faces.fold_rect(item) if item is not None else None
        pointing = over_chip or (fold is not None and fold.contains(point))
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if pointing else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        press, self._press = self._press, None
        if press is None or event.button() != Qt.MouseButton.LeftButton:
            return
        item, point = self._at(event.position().toPoint())
        if item is None or item.uid != press[1]:
            return
        plain = not event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier)
        chip = next((chip for chip in self.faces.chips(item) if chip.rect.contains(point)), None)
        if chip is not None and plain:
            self.faces.current = item.uid
            self.editor.open(item, chip)
            if isinstance(self.editor.widget, Combo):
                self.editor.widget.showPopup()
        elif press[2] and plain:
            self._go_to(item.uid)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        item, point = self._at(event.position().toPoint())
        if item is None or any(chip.rect.contains(point) for chip in self.faces.chips(item)):
            return
        if item.kind in ("input", "loss"):
            self.panel_wanted.emit("data" if item.kind == "input" else "loss")
        elif isinstance(item.layer, Repeat | Residual) and item.selectable:
            self.set_folded(item.uid, item.uid in self.faces.unfolded)
        elif item.selectable:
            self.inspector_wanted.emit()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self._tooltip(event)
            return True
        if event.type() == QEvent.Type.Leave:
            self.session.state.set_hover(None)
        return super().viewportEvent(event)

    def _tooltip(self, event: QHelpEvent) -> None:
        item, point = self._at(event.pos())
        if item is None or item.kind in ("foot",):
            QToolTip.hideText()
            return
        lines = [self.faces.tooltip_text(item, point)]
        chip = next((chip for chip in self.faces.chips(item) if chip.rect.contains(point)), None)
        if chip is not None:
            lines = [f"{tr(chip.view.title)}: {chip.text}", tr(chip.view.help), tr("Click to change it.")]
        lines += [f"{GLYPHS[one.severity]} {sentence(one)}" for one in self.faces.problems_of(item.uid)]
        QToolTip.showText(event.globalPos(), "\n".join(line for line in lines if line), self.viewport())

    def show_problems(self, uid: str) -> None:
        """Opens the problems of a card beside it, with their fixes."""
        problems = self.faces.problems_of(uid)
        item = self.faces.arrangement.item(uid)
        if not problems or item is None:
            return
        face = self.faces.face(item)
        place = QPoint(round(face.left()) + theme.px(20), round(face.bottom()) - self._offset)
        ProblemPopup(self.session, problems, self).open_at(self.viewport().mapToGlobal(place))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            rect = self.item_rect(self.faces.current)
            place = self.viewport().mapToGlobal(rect.center() if rect.isValid() else QPoint(20, 20))
        else:
            place = event.globalPos()
        menu = self.context_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(place)

    def context_menu(self) -> QMenu:
        """What can be done to the selection."""
        menu = QMenu(self)
        for problem in self.faces.problems_of(self.faces.current):
            if problem.fix is not None:
                action = menu.addAction(tr("Fix: {name}", name=tr(problem.fix.name)))
                action.setToolTip(sentence(problem))
                make = problem.fix.make
                action.triggered.connect(lambda _=False, make=make: verbs.attempt(self.session, make))
        if menu.actions():
            menu.addSeparator()
        if self.faces.current in (INPUT, LOSS):
            wanted = "data" if self.faces.current == INPUT else "loss"
            menu.addAction(tr("Edit\u2026"), lambda: self.panel_wanted.emit(wanted))
            menu.addSeparator()
        else:
            edit = menu.addAction(tr("&Edit") + "\tF2", self.edit)
            edit.setEnabled(bool(self.session.state.selection))
            kinds = menu.addMenu(tr("Re&place by"))
            for kind, spec in registry.items():
                if kind not in ("Repeat", "Residual"):
                    kinds.addAction(_kind_action(kinds, self.session, kind, tr(spec.summary())))
            kinds.setEnabled(bool(self.session.state.selection))
            menu.addAction(tr("Move up") + "\tAlt+Up", lambda: self.move_selection(upwards=True))
            menu.addAction(tr("Move down") + "\tAlt+Down", lambda: self.move_selection(upwards=False))
            menu.addSeparator()
        for section, some in itertools.groupby(verbs.VERBS, key=lambda verb: verb.section):
            if section != verbs.VERBS[0].section:
                menu.addSeparator()
            for verb in some:
                action = menu.addAction(f"{tr(verb.text)}\t{verb.shortcut}")
                action.setToolTip(tr(verb.tooltip))
                action.setEnabled(verb.possible(self.session))
                action.triggered.connect(lambda _=False, verb=verb: verb.function(self.session))
        menu.addSeparator()
        menu.addAction(tr("Fold all groups"), lambda: self.fold_all(True))
        menu.addAction(tr("Open all groups"), lambda: self.fold_all(False))
        return menu

    # Drag and drop

    def _drag(self) -> None:
        chosen = verbs.selected(self.session)
        if not chosen:
            return
        drag = QDrag(self)
        drag.setMimeData(verbs.mime_of(edits.copy(self.session.document.experiment, chosen)))
        drag.setPixmap(self._drag_picture(chosen))
        drag.setHotSpot(QPoint(theme.px(12), theme.px(10)))
        # Elsewhere the layers are copied; who moves them is the column that takes them.
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.MoveAction)

    def _drag_picture(self, chosen: Sequence[str]) -> QPixmap:
        used = theme.current()
        infos = [self.faces.infos[uid].name for uid in chosen if uid in self.faces.infos]
        text = infos[0] if len(infos) == 1 else tr_n("{n} layer", "{n} layers", len(infos))
        font = theme.font("small", bold=True)
        size = QSize(int(QFontMetricsF(font).horizontalAdvance(text)) + theme.px(20), theme.px(22))
        ratio = self.devicePixelRatioF()
        picture = QPixmap(size * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(used.accent))
        painter.setBrush(QColor(used.selection))
        painter.drawRoundedRect(QRectF(0.5, 0.5, size.width() - 1, size.height() - 1), 4, 4)
        painter.setFont(font)
        painter.setPen(QColor(used.text))
        painter.drawText(QRect(QPoint(0, 0), size), Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        return picture

    def _takes(self, event: QDropEvent) -> bool:
        data = event.mimeData()
        return data.hasFormat(verbs.MIME) or data.hasFormat(verbs.KIND_MIME)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self._takes(event):
            event.acceptProposedAction()
        else:
            # A file is the window's business.
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if not self._takes(event):
            event.ignore()
            return
        self._dragged, self._drag_moves = event.position().toPoint(), self._moves(event)
        y, edge = self._dragged.y(), theme.px(28)
        near = y < edge or y > self.viewport().height() - edge
        (self._scroller.start if near else self._scroller.stop)()
        self._show_drop()
        if self.faces.drop is None:
            event.ignore()
        else:
            event.setDropAction(Qt.DropAction.MoveAction if self._moves(event) else Qt.DropAction.CopyAction)
            event.accept()

    def _show_drop(self) -> None:
        """Marks where what is dragged would go."""
        place = self.drop_place(self._dragged)
        self.faces.drop = None if self._drag_moves and self._inside_selection(place.parent) else place
        self.viewport().update()

    def _moves(self, event: QDropEvent) -> bool:
        """A drag within the column moves, with Ctrl it copies."""
        return event.source() is self and not event.modifiers() & Qt.KeyboardModifier.ControlModifier

    def _inside_selection(self, parent: str) -> bool:
        while parent:
            if parent in self.session.state.selection:
                return True
            parent = self._parents.get(parent, "")
        return False

    def _scroll_while_dragging(self) -> None:
        bar, edge = self.verticalScrollBar(), theme.px(28)
        if self._dragged.y() < edge:
            bar.setValue(bar.value() - theme.px(12))
        elif self._dragged.y() > self.viewport().height() - edge:
            bar.setValue(bar.value() + theme.px(12))
        # The mouse stands still, so that nobody else tells what is below it now.
        self._show_drop()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._end_drag()

    def _end_drag(self) -> None:
        self._scroller.stop()
        self.faces.drop = None
        self.viewport().update()

    def dropEvent(self, event: QDropEvent) -> None:
        if not self._takes(event):
            event.ignore()
            return
        place = self.drop_place(event.position().toPoint())
        moves = self._moves(event)
        self._end_drag()
        data = event.mimeData()
        if place.into:
            self.faces.unfolded.add(place.into)
        if data.hasFormat(verbs.KIND_MIME):
            kind = bytes(data.data(verbs.KIND_MIME).data()).decode("ascii", "replace")
            verbs.add(self.session, kind, place.parent, place.index)
        elif moves:
            chosen = verbs.selected(self.session)
            verbs.attempt(self.session, lambda now: edits.move(now, chosen, place.parent, place.index))
        else:
            text = verbs.text_of(data)
            verbs.attempt(self.session, lambda now: edits.paste(now, text, place.parent, place.index))
        # Who is moved stays selected, so that no news of a selection brings it into sight.
        self.ensure_visible(self.faces.current)
        event.setDropAction(Qt.DropAction.MoveAction if moves else Qt.DropAction.CopyAction)
        event.accept()
        self.setFocus(Qt.FocusReason.OtherFocusReason)


def _kind_action(menu: QMenu, session: Session, kind: str, summary: str) -> QAction:
    action = QAction(kind, menu)
    action.setToolTip(summary)
    action.triggered.connect(lambda: verbs.replace_kind(session, kind))
    return action
