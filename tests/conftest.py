"""Fixtures and defaults for every test."""

from __future__ import annotations

import os

# Before anything imports Qt: the suite must run on machines without a screen.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# The texts that tests expect are those of the source, also of the processes that tests start.
os.environ["LC_ALL"] = "C.UTF-8"
os.environ.pop("LANGUAGE", None)

import threading
import time
from collections.abc import Iterator

import pytest

from gradsim import i18n

THREAD_GRACE_SECONDS = 2.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests last, so that a fault the fast ones can find shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """Whatever a test spoke, the next one hears English."""
    yield
    i18n.set_language(i18n.SOURCE)


def running_threads() -> set[threading.Thread]:
    # Qt's and numba's own threads show up as dummies when they call Python; they don't end with the test.
    return {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)}


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fails a test that leaves a thread running: it could disturb a later, unrelated one."""
    before = running_threads()
    yield
    deadline = time.monotonic() + THREAD_GRACE_SECONDS
    leaked = running_threads() - before
    for thread in leaked:
        thread.join(max(0.0, deadline - time.monotonic()))
    leaked = {thread for thread in leaked if thread.is_alive()}
    if leaked:
        names = ", ".join(sorted(thread.name for thread in leaked))
        pytest.fail(f"the test left threads running: {names}")
