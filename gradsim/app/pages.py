"""Pages of which one is shown, with buttons that go into a second row where one is too narrow for them."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QLayout,
    QLayoutItem,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme


class Flow(QLayout):
    """From left to right, and on in the next row where there is no more room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, area: QRect) -> None:
        super().setGeometry(area)
        self._place(area, move=True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        widths = [item.sizeHint().width() for item in self._items]
        margins = self.contentsMargins()
        return QSize(max(widths, default=0) + margins.left() + margins.right(), self.heightForWidth(theme.px(300)))

    def _place(self, area: QRect, *, move: bool) -> int:
        margins, gap = self.contentsMargins(), self.spacing()
        left, right = area.left() + margins.left(), area.right() - margins.right()
        x, y, height = left, area.top() + margins.top(), 0
        for item in self._items:
            size = item.sizeHint()
            if x > left and x + size.width() - 1 > right:
                x, y, height = left, y + height + gap, 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), size))
            x += size.width() + gap
            height = max(height, size.height())
        return y + height + margins.bottom() - area.top()


class Pages(QWidget):
    """A stack of pages and the buttons that choose one."""

    changed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stack = QStackedWidget(self)
        # A page may be wider at its best than the panel is; it must not widen the window, nor make it higher.
        self.stack.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.group = QButtonGroup(self)
        self.group.idClicked.connect(self._clicked)
        self._bar = QWidget(self)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self._bar.setSizePolicy(policy)
        self._flow = Flow(self._bar)
        self._top: QWidget | None = None
        self._whole = whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(theme.px(2))
        whole.addWidget(self._bar)
        whole.addWidget(self.stack, 2)
        theme.changed.connect(self._dress)
        self._dress()

    def add(self, page: QWidget, text: str, tooltip: str) -> None:
        """Adds a page at the end."""
        button = QToolButton(self._bar)
        button.setText(text)
        button.setCheckable(True)
        button.setToolTip(tooltip)
        button.setAccessibleName(text)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        number = self.stack.addWidget(page)
        self.group.addButton(button, number)
        self._flow.addWidget(button)
        self.show_page(self.stack.currentIndex())

    def show_page(self, page: int | QWidget) -> None:
        """Shows a page, by its number or itself."""
        number = page if isinstance(page, int) else self.stack.indexOf(page)
        if 0 <= number < self.stack.count():
            self.stack.setCurrentIndex(number)
            self.set_folded(False)
            self.changed.emit(number)

    def set_top(self, widget: QWidget) -> None:
        """Something that may stand above the pages, with more room than they have; not shown yet."""
        self._top = widget
        self._whole.insertWidget(0, widget, 3)
        widget.hide()

    def set_top_shown(self, on: bool) -> None:
        """Shows it or not; without it the pages are there."""
        if self._top is not None:
            self._top.setVisible(on)
            # What a page would like at least is more than its share of the height.
            self.stack.setMinimumHeight(theme.px(160) if on else 0)
        if not on:
            self.show_page(self.stack.currentIndex())

    @property
    def folded(self) -> bool:
        """Whether only the buttons of the pages are there, so that what stands above them has all the room."""
        return self.stack.isHidden()

    def set_folded(self, on: bool) -> None:
        """Leaves the room of the pages to what stands above them, or takes it back."""
        self.stack.setVisible(not on)
        button = self.group.button(self.stack.currentIndex())
        if button is None:
            return
        # Of an exclusive group the last button can't be let go, and none but an exclusive one lets the others go.
        self.group.setExclusive(not on)
        button.setChecked(not on)
        self.group.setExclusive(True)

    def _clicked(self, number: int) -> None:
        above = self._top is not None and not self._top.isHidden()
        if above and number == self.stack.currentIndex() and not self.folded:
            self.set_folded(True)
        else:
            self.show_page(number)

    @property
    def current(self) -> int:
        """Number of the page that is shown."""
        return self.stack.currentIndex()

    def titles(self) -> list[str]:
        """The texts of all pages, without their badges."""
        return [self.group.button(number).accessibleName() for number in range(self.stack.count())]

    def set_badge(self, page: QWidget, badge: str) -> None:
        """A few characters behind the text of a page: how many things there are to read; "" for none."""
        button = self.group.button(self.stack.indexOf(page))
        text = f"{button.accessibleName()} {badge}".strip()
        if button.text() != text:
            button.setText(text)
            self._flow.invalidate()
            self._bar.setFixedHeight(self._flow.heightForWidth(self.width()))

    @property
    def bar(self) -> QWidget:
        """The row of buttons."""
        return self._bar

    def _dress(self) -> None:
        self._flow.setContentsMargins(theme.px(6), theme.px(2), theme.px(6), theme.px(2))
        self._flow.setSpacing(theme.px(2))
        for button in self.group.buttons():
            button.setFont(theme.font())
        self._flow.invalidate()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._bar.setFixedHeight(self._flow.heightForWidth(self.width()))
