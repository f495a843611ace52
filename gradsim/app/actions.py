"""Everything that a user can tell the window to do, each defined once.

Menus, tool bar, command palette and the dialog of shortcuts follow from :data:`VERBS` (and from the verbs of building).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from gradsim.app import icons, language, theme
from gradsim.app.build import verbs as building
from gradsim.app.settings import Settings
from gradsim.i18n import tr

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow

MENUS = {
    "file": "&File",
    "edit": "&Edit",
    "run": "&Run",
    "compare": "&Compare",
    "view": "&View",
    "present": "&Lessons",
    "help": "&Help",
}
SUBMENUS = {"language": "Lan&guage"}


@dataclasses.dataclass(frozen=True)
class Verb:
    """One thing to do.

    Attributes:
        name: Stable name, for settings: "run.play".
        text: What a menu says, with its mnemonic.
        keys: The shortcuts at first, as ``QKeySequence`` reads them.
        tooltip: One plain sentence.
        function: Does it; gets the window.
        menu: One of ``MENUS``.
        submenu: One of ``SUBMENUS`` that it stands in, or "".
        section: Verbs of one section stand together.
        icon: Name of its picture, or "".
        checked: For something that is on or off: which.
        possible: Whether it can be done now; None is always.
    """

    name: str
    text: str
    keys: tuple[str, ...]
    tooltip: str
    function: Callable[[MainWindow], object]
    menu: str
    section: str
    icon: str = ""
    checked: Callable[[MainWindow], bool] | None = None
    possible: Callable[[MainWindow], bool] | None = None
    submenu: str = ""

    @property
    def words(self) -> str:
        """The text without mnemonic and dots."""
        return plain(tr(self.text))


def plain(text: str) -> str:
    """A menu text as it is read."""
    # Languages without Latin letters name the key behind the text: 文件(&F).
    text = re.sub(r"\s*\(&\w\)", "", text)
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip(".…")


def _runs(window: MainWindow) -> bool:
    return window.player.recorder is not None


def _trained(window: MainWindow) -> bool:
    return window.player.status.step > 0 or window.player.phase is not None


def _looks_back(window: MainWindow) -> bool:
    cursor, latest = window.player.state.cursor, window.player.latest
    return cursor is not None and latest is not None and cursor < latest


def _broke(window: MainWindow) -> bool:
    recorder = window.player.recorder
    return recorder is not None and recorder.first_nonfinite is not None


def _file_verbs() -> Iterable[Verb]:
    yield Verb("file.new", "&New", ("Ctrl+N",), "Start with a small network.", lambda w: w.files.new(), "file", "open")
    yield Verb(
        "file.open",
        "&Open…",
        ("Ctrl+O",),
        "Open an experiment from a file.",
        lambda w: w.files.ask_open(),
        "file",
        "open",
    )
    yield Verb(
        "file.save", "&Save", ("Ctrl+S",), "Save the experiment in its file.", lambda w: w.files.save(), "file", "save"
    )
    yield Verb(
        "file.save_as",
        "Save &as…",
        ("Ctrl+Shift+S",),
        "Save the experiment in another file.",
        lambda w: w.files.ask_save(),
        "file",
        "save",
    )
    yield Verb(
        "file.save_with_run",
        "Save with the r&un…",
        (),
        "Save the experiment with everything recorded and the weights, to go on at this step.",
        lambda w: w.files.ask_save_with_run(),
        "file",
        "save",
        possible=_runs,
    )
    yield Verb(
        "file.paste_code",
        "Past&e code…",
        ("Ctrl+Shift+V",),
        "Make a stack of Keras or PyTorch code: it is read, never run.",
        lambda w: w.desk.paste_code(),
        "file",
        "import",
    )
    yield Verb(
        "file.view",
        "Open a recor&ding…",
        (),
        "Look at a recorded training, of gradsim.watch or of gradsim run, also while it grows.",
        lambda w: w.desk.ask_view(),
        "file",
        "import",
    )
    yield Verb(
        "file.own_data",
        "O&wn data…",
        (),
        "Look at a table, arrays or a folder of pictures, and learn from them.",
        lambda w: w.desk.own_data(),
        "file",
        "import",
    )
    yield Verb(
        "file.reuse",
        "Reuse &trained layers…",
        (),
        "Put the first layers of a trained network below the present ones, with their weights.",
        lambda w: w.desk.reuse(),
        "file",
        "import",
    )
    yield Verb(
        "file.export_code",
        "Export &code…",
        ("Ctrl+Alt+E",),
        "Write the experiment as a script for Keras or PyTorch, as a Keras config or as a drawing.",
        lambda w: w.desk.export_code(),
        "file",
        "export",
    )
    yield Verb(
        "file.picture",
        "Take a &picture away…",
        ("Ctrl+Shift+E",),
        "Any view, or the whole window, as PNG or SVG in any size and theme, and its numbers as CSV.",
        lambda w: w.take_picture(),
        "file",
        "export",
        possible=_trained,
    )
    yield Verb(
        "file.film",
        "Take a &moving picture away…",
        (),
        "The time line as GIF, WebP, APNG or MP4.",
        lambda w: w.make_film(),
        "file",
        "export",
        possible=_trained,
    )
    yield Verb(
        "file.export_record",
        "Export t&he record…",
        (),
        "Save every recorded number as a table (CSV) or recording (NPZ).",
        lambda w: w.files.ask_export(),
        "file",
        "export",
        possible=_trained,
    )
    yield Verb(
        "file.quit", "&Quit", ("Ctrl+Q",), "Close the window and end the program.", lambda w: w.close(), "file", "quit"
    )


def _edit_verbs() -> Iterable[Verb]:
    yield Verb(
        "edit.undo",
        "&Undo",
        ("Ctrl+Z",),
        "Take the last change of the experiment back.",
        lambda w: w.session.undo(),
        "edit",
        "history",
        possible=lambda w: bool(w.session.document.undo_names),
    )
    yield Verb(
        "edit.redo",
        "&Redo",
        ("Ctrl+Shift+Z", "Ctrl+Y"),
        "Make the last undone change again.",
        lambda w: w.session.redo(),
        "edit",
        "history",
        possible=lambda w: bool(w.session.document.redo_names),
    )
    for verb in building.VERBS:
        yield Verb(
            f"edit.{verb.name}",
            verb.text,
            (verb.shortcut,) if verb.shortcut else (),
            verb.tooltip,
            functools.partial(_build, verb),
            "edit",
            verb.section,
            possible=functools.partial(_can_build, verb),
        )
    yield Verb(
        "edit.move_up",
        "&Move up",
        ("Alt+Up",),
        "Move the selected layers one card up, also into and out of groups.",
        lambda w: w.cards.move_selection(upwards=True),
        "edit",
        "move",
        possible=_selects,
    )
    yield Verb(
        "edit.move_down",
        "Move do&wn",
        ("Alt+Down",),
        "Move the selected layers one card down, also into and out of groups.",
        lambda w: w.cards.move_selection(upwards=False),
        "edit",
        "move",
        possible=_selects,
    )
    yield Verb(
        "edit.fold",
        "F&old or unfold the group",
        ("Ctrl+.",),
        "Show what is in a group, or fold it into one card.",
        lambda w: w.cards.toggle_fold(),
        "edit",
        "move",
        possible=_selects,
    )
    yield Verb(
        "edit.find_layer",
        "Add a la&yer…",
        ("Ctrl+L",),
        "Go to the palette of layers: type a name, Enter adds it behind the selection.",
        lambda w: w.show_palette(),
        "edit",
        "add",
    )


def _build(verb: building.Verb, window: MainWindow) -> object:
    if verb.name == "paste" and window.desk.clipboard_holds_code():
        return window.desk.paste_code()
    return verb.function(window.session)


def _can_build(verb: building.Verb, window: MainWindow) -> bool:
    return verb.possible(window.session)


def _selects(window: MainWindow) -> bool:
    return bool(window.session.state.selection)


def _run_verbs() -> Iterable[Verb]:
    yield Verb(
        "run.play",
        "&Play or pause",
        ("Space",),
        "Train, or pause.",
        lambda w: w.player.toggle(),
        "run",
        "move",
        "play",
    )
    yield Verb(
        "run.step",
        "One &step",
        ("Right",),
        "Do one step and pause; in slow motion one phase of it.",
        lambda w: w.player.step_once(),
        "run",
        "move",
        "step",
        possible=_runs,
    )
    yield Verb(
        "run.epoch",
        "One &epoch",
        ("Shift+Right",),
        "Train to the end of the epoch as fast as the machine can, then pause.",
        lambda w: w.player.epoch(),
        "run",
        "move",
        "epoch",
        possible=_runs,
    )
    yield Verb(
        "run.back",
        "Step &back",
        ("Left",),
        "Undo the last step: weights and record are those of before.",
        lambda w: w.player.back(),
        "run",
        "move",
        "back",
        possible=_trained,
    )
    yield Verb(
        "run.reset",
        "&Reset",
        ("R",),
        "Start again with the same initial weights.",
        lambda w: w.player.reset(),
        "run",
        "reset",
        "reset",
    )
    yield Verb(
        "run.new_seed",
        "Reset with a &new seed",
        ("Shift+R",),
        "Start again with other initial weights and another order of the rows.",
        lambda w: w.player.reset(new_seed=True),
        "run",
        "reset",
        "seed",
    )
    yield Verb(
        "run.slow",
        "Slow &motion",
        ("S",),
        "Take every step apart: forward, loss, backward, clip, update.",
        lambda w: w.player.set_slow_motion(not w.player.slow_motion),
        "run",
        "speed",
        "slow",
        checked=lambda w: w.player.slow_motion,
        possible=lambda w: w.comparing.comparison is None,
    )
    yield Verb(
        "run.faster",
        "&Faster",
        ("Ctrl+Up",),
        "Raise the limit of the speed.",
        lambda w: w.transport.change_speed(1),
        "run",
        "speed",
    )
    yield Verb(
        "run.slower",
        "Sl&ower",
        ("Ctrl+Down",),
        "Lower the limit of the speed, down to one step a second.",
        lambda w: w.transport.change_speed(-1),
        "run",
        "speed",
    )
    yield Verb(
        "run.rewind",
        "&Go on from the shown step",
        ("Ctrl+R",),
        "Forget what was trained after the step that is shown, and train on from there.",
        lambda w: w.rewind_to_cursor(),
        "run",
        "time",
        possible=_looks_back,
    )
    yield Verb(
        "run.live",
        "Back to the &latest step",
        ("Ctrl+End",),
        "Show the latest step again in every view.",
        lambda w: w.player.state.set_cursor(None),
        "run",
        "time",
        possible=_looks_back,
    )
    yield Verb(
        "run.before_nan",
        "B&ack to before the first NaN or Inf",
        (),
        "Go back to the last step in which every number was finite.",
        lambda w: w.player.back_before_divergence(),
        "run",
        "time",
        possible=_broke,
    )
    yield Verb(
        "run.stop_nan",
        "Pause at the first NaN or &Inf",
        (),
        "Pause behind the first step with a number that is not finite.",
        lambda w: w.player.set_stop_on_nonfinite(not w.player.stop_on_nonfinite),
        "run",
        "time",
        checked=lambda w: w.player.stop_on_nonfinite,
    )


def _compare_verbs() -> Iterable[Verb]:
    yield Verb(
        "compare.before",
        "&Before and after the last edit",
        ("Ctrl+B",),
        "The experiment before its last edit and as it is now, side by side from the same seed; once more leaves.",
        lambda w: w.comparing.toggle_before_after(),
        "compare",
        "open",
        possible=lambda w: w.comparing.comparison is not None or w.session.document.before_last_edit is not None,
        checked=lambda w: w.comparing.comparison is not None,
    )
    yield Verb(
        "compare.cure",
        "With a &cure…",
        ("Ctrl+Shift+B",),
        "The experiment as it is, and beside it a twin with the cure that you choose.",
        lambda w: w.comparing.ask_cure(),
        "compare",
        "open",
    )
    yield Verb(
        "compare.other",
        "With an &example or a file…",
        (),
        "Another experiment beside the open one, trained in step with it.",
        lambda w: w.comparing.ask_other(),
        "compare",
        "open",
    )
    yield Verb(
        "compare.duplicate",
        "With a &duplicate",
        (),
        "The experiment twice; edit one of the two and compare again.",
        lambda w: w.comparing.duplicate(),
        "compare",
        "open",
    )
    yield Verb(
        "compare.scratch",
        "The same stack from &scratch",
        (),
        "Trained weights beside the same layers drawn from the seed, with nothing frozen.",
        lambda w: w.comparing.with_scratch(),
        "compare",
        "open",
        possible=lambda w: bool(w.session.experiment.pretrained),
    )
    yield Verb(
        "compare.rates",
        "Four learning &rates",
        (),
        "The experiment with its learning rate, a tenth of it, ten and a hundred times as much.",
        lambda w: w.comparing.with_rates(),
        "compare",
        "open",
        possible=lambda w: w.comparing.comparison is None,
    )
    yield Verb(
        "compare.fork",
        "&Fork here…",
        ("Ctrl+F",),
        "From the shown step on, train the run and a twin with a cure or an edit side by side, with the same weights.",
        lambda w: w.comparing.ask_fork(),
        "compare",
        "fork",
        possible=lambda w: w.comparing.can_fork,
    )
    yield Verb(
        "compare.fork_nan",
        "Fork before the first &NaN or Inf…",
        (),
        "Go on from the last step with finite numbers, with the original and a twin that has a cure.",
        lambda w: w.comparing.ask_fork(before_divergence=True),
        "compare",
        "fork",
        possible=lambda w: w.comparing.can_fork and _broke(w),
    )
    yield Verb(
        "compare.again",
        "Compare &again",
        (),
        "Side by side again, with what you made of the twin.",
        lambda w: w.comparing.again(),
        "compare",
        "leave",
        possible=lambda w: w.comparing.pending is not None,
    )
    yield Verb(
        "compare.leave",
        "&Leave the comparison",
        (),
        "Back to the single run, as it was left.",
        lambda w: w.comparing.leave(),
        "compare",
        "leave",
        possible=lambda w: w.comparing.comparison is not None,
    )

    yield Verb(
        "run.cures",
        "&Try the cures…",
        ("Ctrl+T",),
        "Train every cure and sensible pairs from the same seed on the same batches, rank them, and adopt one.",
        lambda w: w.diagnosis.try_cures(),
        "run",
        "cures",
    )


def _view_verbs() -> Iterable[Verb]:
    yield Verb(
        "view.larger",
        "&Larger",
        ("Ctrl++", "Ctrl+="),
        "Make everything larger.",
        lambda w: theme.zoom_by(1),
        "view",
        "zoom",
    )
    yield Verb(
        "view.smaller", "S&maller", ("Ctrl+-",), "Make everything smaller.", lambda w: theme.zoom_by(-1), "view", "zoom"
    )
    yield Verb(
        "view.normal_size",
        "&Normal size",
        ("Ctrl+0",),
        "Show everything at 100 %.",
        lambda w: theme.set_zoom(100),
        "view",
        "zoom",
    )
    for choice, text, tip in (
        ("system", "Theme of th&e system", "Light or dark as the desktop is."),
        ("light", "L&ight theme", "Dark text on light."),
        ("dark", "&Dark theme", "Light text on dark."),
        ("projector", "&Projector theme", "White, with high contrast, larger text and thicker lines."),
    ):
        yield Verb(
            f"view.theme_{choice}",
            text,
            (),
            tip,
            functools.partial(_choose_theme, choice),
            "view",
            "theme",
            checked=functools.partial(_has_theme, choice),
        )
    for choice, text, tip in (
        (language.SYSTEM, "Language of the &system", "What the desktop is set to, if it is one of these."),
        ("en", "&English", "Every text in English."),
        ("zh_CN", "简体中文 (&C)", "Every text in Simplified Chinese."),
    ):
        yield Verb(
            f"view.language_{choice}",
            text,
            (),
            tip,
            functools.partial(_choose_language, choice),
            "view",
            "language",
            checked=functools.partial(_has_language, choice),
            submenu="language",
        )
    yield Verb(
        "view.upwards",
        "Input at the &bottom",
        (),
        "Stack the layers upwards, from the input at the bottom to the output at the top.",
        lambda w: w.cards.set_upwards(not w.cards.upwards),
        "view",
        "panels",
        checked=lambda w: w.cards.upwards,
    )
    yield Verb(
        "view.findings",
        "&Outlines of findings",
        ("Ctrl+Shift+O",),
        "Draw what is wrong on the heatmap, where it happened.",
        lambda w: w.diagnosis.toggle_outlines(),
        "view",
        "overlays",
        checked=lambda w: w.diagnosis.outlined,
    )
    yield Verb(
        "view.theory",
        "&Theory beside measurement",
        ("Ctrl+Shift+T",),
        "Show what theory expects before the first step: a dashed curve over the profile, a factor on each card.",
        lambda w: w.diagnosis.toggle_theory(),
        "view",
        "overlays",
        checked=lambda w: w.diagnosis.theory_shown,
    )
    yield Verb(
        "view.palette",
        "Palette of la&yers",
        ("Ctrl+2",),
        "Show or fold the palette of layers.",
        lambda w: w.toggle_palette(),
        "view",
        "panels",
        checked=lambda w: w.palette_shown,
    )
    yield Verb(
        "view.side",
        "&Side panel",
        ("Ctrl+3",),
        "Show or fold the panel at the right.",
        lambda w: w.toggle_side(),
        "view",
        "panels",
        checked=lambda w: w.side_shown,
    )
    yield Verb(
        "view.reset_layout",
        "&Reset the layout",
        (),
        "All parts of the window where they were at the first start.",
        lambda w: w.reset_layout(),
        "view",
        "panels",
    )
    yield Verb(
        "view.full_screen",
        "&Full screen",
        ("F11",),
        "Use the whole screen, or not.",
        lambda w: w.toggle_full_screen(),
        "view",
        "screen",
        checked=lambda w: w.isFullScreen(),
    )


def _choose_theme(choice: Any, window: MainWindow) -> None:
    theme.set_choice(choice)


def _has_theme(choice: str, window: MainWindow) -> bool:
    return theme.choice() == choice


def _present_verbs() -> Iterable[Verb]:
    yield Verb(
        "present.next",
        "&Next step",
        ("PgDown",),
        "On to what comes next in the lesson: the question, the run, the result, the next step.",
        lambda w: w.presenter.talk.forward(),
        "present",
        "steps",
        possible=_has_steps,
    )
    yield Verb(
        "present.previous",
        "&Previous step",
        ("PgUp",),
        "Back to what came before in the lesson.",
        lambda w: w.presenter.talk.back(),
        "present",
        "steps",
        possible=_has_steps,
    )
    yield Verb(
        "lessons.resume",
        "&Go on with the lesson",
        (),
        "Open the lesson again that you left, where you left it.",
        lambda w: w.lessons.resume(),
        "present",
        "open",
        possible=lambda w: not w.lessons.lecture.on and w.lessons.lecture.lesson is not None,
    )
    yield Verb(
        "lessons.leave",
        "&Leave the lesson",
        (),
        "Back to your own experiment; the lesson stays where it is.",
        lambda w: w.lessons.leave(),
        "present",
        "open",
        possible=lambda w: w.lessons.lecture.on,
    )
    yield Verb(
        "lessons.handout",
        "&Handout as PDF…",
        (),
        "The lesson on paper: its questions with room to answer, then its pictures and numbers.",
        lambda w: w.hand_out(),
        "present",
        "open",
        possible=lambda w: w.lessons.lecture.lesson is not None,
    )
    yield Verb(
        "present.toggle",
        "Presenter's &view",
        ("F5",),
        "Large type and thick lines over the whole screen, and only what an audience needs.",
        lambda w: w.presenter.toggle(),
        "present",
        "present",
        checked=lambda w: w.presenter.on,
    )
    yield Verb(
        "present.leave",
        "&End the presentation",
        ("Esc",),
        "Show the window as it was before.",
        lambda w: w.presenter.leave(),
        "present",
        "present",
        possible=_presents,
    )
    yield Verb(
        "present.freeze",
        "&Freeze the picture",
        ("F",),
        "The audience keeps this picture while you prepare the next one.",
        lambda w: w.presenter.freeze(),
        "present",
        "cover",
        checked=lambda w: w.presenter.frozen,
        possible=_presents,
    )
    yield Verb(
        "present.blank",
        "&Black screen",
        ("B", "."),
        "The audience sees nothing until you press the key again.",
        lambda w: w.presenter.blank(),
        "present",
        "cover",
        checked=lambda w: w.presenter.black,
        possible=_presents,
    )
    yield Verb(
        "present.notes",
        "Teacher's n&otes",
        ("N",),
        "Notes, the next step and a clock in a window of their own; by itself where there are two screens.",
        lambda w: w.presenter.toggle_notes(),
        "present",
        "cover",
        checked=lambda w: w.presenter.notes is not None,
        possible=_presents,
    )
    yield Verb(
        "present.swap",
        "S&wap the screens",
        (),
        "The audience's picture and the notes change places.",
        lambda w: w.presenter.swap(),
        "present",
        "cover",
        possible=lambda w: w.presenter.on and len(w.presenter.screens()) > 1,
    )


def _has_steps(window: MainWindow) -> bool:
    return window.presenter.talk.place is not None


def _presents(window: MainWindow) -> bool:
    return window.presenter.on


def _choose_language(choice: str, window: MainWindow) -> None:
    if not _has_language(choice, window):
        window.language_wanted.emit(choice)


def _has_language(choice: str, window: MainWindow) -> bool:
    return window.settings.language == choice


def _help_verbs() -> Iterable[Verb]:
    yield Verb(
        "help.guide",
        "&User guide",
        ("F1",),
        "How everything works, with a part for teachers and one for maintainers; no network needed.",
        lambda w: w.show_guide(),
        "help",
        "guide",
    )
    yield Verb(
        "help.hints",
        "&Hints",
        (),
        "The call-outs of the first start: what is going on, where to look, what to click.",
        lambda w: w.hints.toggle(),
        "help",
        "guide",
        checked=lambda w: w.hints.on,
    )
    yield Verb(
        "help.palette",
        "&Commands…",
        ("Ctrl+Shift+P",),
        "Find any command by its words.",
        lambda w: w.show_commands(),
        "help",
        "find",
        "search",
    )
    yield Verb(
        "help.shortcuts",
        "&Keyboard shortcuts…",
        ("Ctrl+K",),
        "See and change the keys.",
        lambda w: w.show_shortcuts(),
        "help",
        "find",
    )
    yield Verb("help.about", "&About gradsim", (), "Versions and licences.", lambda w: w.show_about(), "help", "about")


def verbs() -> tuple[Verb, ...]:
    """All of them, in the order of the menus."""
    return (
        *_file_verbs(),
        *_edit_verbs(),
        *_run_verbs(),
        *_compare_verbs(),
        *_view_verbs(),
        *_present_verbs(),
        *_help_verbs(),
    )


VERBS = verbs()


class Actions(QObject):
    """One QAction per verb, with the user's keys.

    Args:
        window: Gets the actions and runs them.
        settings: Keeps the keys.
    """

    shortcuts_changed = Signal()

    def __init__(self, window: MainWindow, settings: Settings) -> None:
        super().__init__(window)
        self.window = window
        self.settings = settings
        self.verbs: Mapping[str, Verb] = {verb.name: verb for verb in VERBS}
        self._actions: dict[str, QAction] = {}
        chosen = settings.shortcuts
        for verb in VERBS:
            action = QAction(tr(verb.text), self)
            action.setObjectName(verb.name)
            action.setCheckable(verb.checked is not None)
            # The whole window, so that a key works wherever the focus is; never another window of the program.
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.triggered.connect(functools.partial(self._run, verb))
            self._actions[verb.name] = action
            key = chosen.get(verb.name)
            self._apply_keys(verb, key)
            window.addAction(action)
        theme.changed.connect(self._dress)
        self._dress()

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def _run(self, verb: Verb, *_: object) -> None:
        verb.function(self.window)
        self.refresh()

    def refresh(self) -> None:
        """Which can be done now, and which are on."""
        for name, action in self._actions.items():
            verb = self.verbs[name]
            # Cards are out of sight in a comparison: what can't be seen must not be edited.
            hidden = verb.menu == "edit" and self.window.comparing.comparison is not None
            if verb.possible is not None or verb.menu == "edit":
                action.setEnabled(not hidden and (verb.possible is None or verb.possible(self.window)))
            if verb.checked is not None:
                action.setChecked(verb.checked(self.window))
        document = self.window.session.document
        for name, word, names in (
            ("edit.undo", "&Undo", document.undo_names),
            ("edit.redo", "&Redo", document.redo_names),
        ):
            word = tr(word)
            self._actions[name].setText(f"{word} {tr(names[0])}" if names else word)

    def _dress(self) -> None:
        for verb in VERBS:
            if verb.icon:
                self._actions[verb.name].setIcon(icons.icon(verb.icon))

    # Keys

    def keys(self, name: str) -> list[QKeySequence]:
        """The shortcuts of a verb now."""
        return list(self._actions[name].shortcuts())

    def owner_of(self, key: QKeySequence, but: str = "") -> str | None:
        """The verb that has a shortcut, or None."""
        for name, action in self._actions.items():
            if name != but and any(
                key.matches(other) == QKeySequence.SequenceMatch.ExactMatch for other in action.shortcuts()
            ):
                return name
        return None

    def set_key(self, name: str, key: str | None) -> None:
        """Gives a verb another shortcut ("" for none; None for those it had at first).

        Raises:
            ValueError: if another verb has it.
        """
        wanted = [key] if key else self.verbs[name].keys if key is None else []
        for one in wanted:
            owner = self.owner_of(QKeySequence(one), but=name)
            if owner is not None:
                raise ValueError(
                    tr(
                        "{key} belongs to “{command}”: choose another key, or free that one first",
                        key=one,
                        command=self.verbs[owner].words,
                    )
                )
        self._apply_keys(self.verbs[name], key)
        self.settings.set_shortcut(name, key)
        self.shortcuts_changed.emit()

    def _apply_keys(self, verb: Verb, key: str | None) -> None:
        keys = verb.keys if key is None else (key,) if key else ()
        action = self._actions[verb.name]
        action.setShortcuts([QKeySequence(one) for one in keys])
        shown = QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
        action.setToolTip(f"{tr(verb.tooltip)} ({shown})" if shown else tr(verb.tooltip))

    def fill_menu(self, menu: QMenu, key: str) -> None:
        """Adds the actions of a menu, a line between its sections."""
        last = None
        inner: dict[str, QMenu] = {}
        for verb in VERBS:
            if verb.menu != key:
                continue
            if last is not None and verb.section != last:
                menu.addSeparator()
            last = verb.section
            if verb.submenu and verb.submenu not in inner:
                inner[verb.submenu] = menu.addMenu(tr(SUBMENUS[verb.submenu]))
                inner[verb.submenu].setToolTipsVisible(True)
                if verb.submenu == "language":
                    # Each language stands there in its own characters.
                    inner[verb.submenu].aboutToShow.connect(theme.load_chinese)
            inner.get(verb.submenu, menu).addAction(self._actions[verb.name])
