"""Both directions side by side: what comes up through the layers, and what comes back down."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.profile import Profile
from gradsim.app.see.rows import RowSpace
from gradsim.app.session import Session
from gradsim.i18n import tr


class Directions(QWidget):
    """Forward signal (standard deviation of the activations) and backward signal (delta) by layer.

    Args:
        like: Which end of the stack is up is taken from here.
    """

    picture_key = "directions"

    def __init__(self, session: Session, like: RowSpace | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._like = like or RowSpace(self)
        self.forward = Profile(session, like=self._like, key="activation_std", parent=self)
        self.backward = Profile(session, like=self._like, key="delta_rms", parent=self)
        self._like.layout_changed.connect(lambda _: self._write())
        self._write()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.px(6))
        row.addWidget(self.forward)
        row.addWidget(self.backward)
        self.setAccessibleName(tr("Forward and backward signal by layer"))
        offer_menu(self, session.failed.emit)

    def _write(self) -> None:
        up, down = ("↑", "↓") if self._like.upwards else ("↓", "↑")
        self.forward.title = tr("forward {arrow}  activations", arrow=up)
        self.backward.title = tr("backward {arrow}  delta", arrow=down)
        for plot in (self.forward, self.backward):
            plot.shape_item.update()

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """Both signals as a table: a line per layer."""
        (names, forward), (_, backward) = self.forward.export_columns(), self.backward.export_columns()
        if not forward:
            return [], []
        header = [names[0], names[1], "delta_rms"]
        return header, [[a[0], a[1], b[1]] for a, b in zip(forward, backward, strict=True)]
