"""A panel in which the Tab key goes where the eye goes."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QGridLayout, QLayout, QScrollArea, QVBoxLayout, QWidget

from gradsim.app import theme


def stops(widget: QWidget) -> Iterator[QWidget]:
    """What takes the keyboard inside of a widget, in the order of its layouts; shown or not."""
    if isinstance(widget, QScrollArea):
        inside = widget.widget()
        if inside is not None:
            yield from stops(inside)
        return
    layout = widget.layout()
    for item in _items(layout) if layout is not None else ():
        if item.focusPolicy() & Qt.FocusPolicy.TabFocus:
            yield item
            if item.focusProxy() is not None:
                continue
        # A card is a stop itself, and so is each button on it.
        yield from stops(item)


def _items(layout: QLayout) -> Iterator[QWidget]:
    numbers = list(range(layout.count()))
    if isinstance(layout, QGridLayout):
        numbers.sort(key=lambda number: tuple(layout.getItemPosition(number)[:2]))  # type: ignore[index]
    for number in numbers:
        item = layout.itemAt(number)
        widget = item.widget() if item is not None else None
        inner = item.layout() if item is not None else None
        if widget is not None:
            yield widget
        elif inner is not None:
            yield from _items(inner)


class Panel(QWidget):
    """Base of panels whose fields come and go.

    Qt goes through widgets in the order in which they were made, so that a field that appears after a choice would
    come last in the window; ``setTabOrder`` on such widgets has brought the process down (Qt 6.11).
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self.scroll_area = QScrollArea(self)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outer.addWidget(self.scroll_area)
        theme.changed.connect(self.renew)

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        """Makes the contents."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Shows the experiment as it is now."""
        raise NotImplementedError

    def renew(self) -> None:
        """Makes the contents anew, in the colours and sizes of the theme."""
        old = self.scroll_area.takeWidget()
        if old is not None:
            old.deleteLater()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(theme.px(10), theme.px(8), theme.px(10), theme.px(8))
        layout.setSpacing(theme.px(7))
        self.build(inside, layout)
        layout.addStretch(1)
        self.scroll_area.setWidget(inside)
        self.refresh()

    def tab_stops(self) -> list[QWidget]:
        """What the Tab key stops at now."""
        return [
            widget
            for widget in stops(self)
            if widget.isEnabled() and widget.isVisibleTo(self) and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]

    def focusNextPrevChild(self, next: bool) -> bool:
        order, focused = self.tab_stops(), QApplication.focusWidget()
        at = next_index = order.index(focused) if focused in order else -1
        if at >= 0:
            next_index = at + (1 if next else -1)
        if at >= 0 and 0 <= next_index < len(order):
            target: QWidget | None = order[next_index]
        else:
            target = self._outside(next)
        if target is None:
            return super().focusNextPrevChild(next)
        reason = Qt.FocusReason.TabFocusReason if next else Qt.FocusReason.BacktabFocusReason
        target.setFocus(reason)
        parent = target.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(target)
            parent = parent.parentWidget()
        return True

    def _outside(self, next: bool) -> QWidget | None:
        """The next stop of the window behind (or before) the panel, or None."""
        widget = self.nextInFocusChain() if next else self.previousInFocusChain()
        while widget is not None and widget is not self:
            takes = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None
            if takes and widget.isVisible() and widget.isEnabled() and not self.isAncestorOf(widget):
                return widget
            widget = widget.nextInFocusChain() if next else widget.previousInFocusChain()
        return None
