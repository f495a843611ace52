"""The guards of the suite guard."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def guarded_suite(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> pytest.Pytester:
    conftest = request.config.rootpath / "tests" / "conftest.py"
    pytester.makeconftest(conftest.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers =\n    slow: slow\n")
    return pytester


def test_that_a_test_which_leaves_a_thread_running_fails(guarded_suite: pytest.Pytester) -> None:
    guarded_suite.makepyfile("""
        import threading

        release = threading.Event()

        def test_leaks():
            threading.Thread(target=release.wait, name="left-over", daemon=True).start()

        def test_ends():
            release.set()
    """)
    result = guarded_suite.runpytest("-p", "no:xdist")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*left threads running: left-over*"])


def test_that_slow_tests_run_last(guarded_suite: pytest.Pytester) -> None:
    guarded_suite.makepyfile("""
        import pytest

        @pytest.mark.slow
        def test_long(): pass

        def test_short(): pass
    """)
    result = guarded_suite.runpytest("-v", "-p", "no:xdist")
    result.stdout.fnmatch_lines(["*test_short PASSED*", "*test_long PASSED*"])


def test_that_qt_runs_without_a_screen() -> None:
    assert os.environ["QT_QPA_PLATFORM"]
