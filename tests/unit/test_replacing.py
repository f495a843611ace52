from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gradsim.replacing import beside, replacing, write


def test_that_what_was_there_stays_until_the_new_content_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"before")
    with replacing(path) as stream:
        stream.write(b"after")
        stream.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_that_what_can_not_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), replacing(tmp_path / "record") as stream:
        stream.writelines([b"half", "of it"])  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())


def test_that_another_program_may_write_the_file(tmp_path: Path) -> None:
    path = tmp_path / "film"
    with beside(path) as name:
        Path(name).write_bytes(b"frames")
        assert Path(name).parent == tmp_path
    assert path.read_bytes() == b"frames"


@pytest.mark.parametrize("name", ["n" * 250, "\u5c42" * 80])
def test_that_a_name_may_be_as_long_as_a_folder_takes(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions and links")
def test_that_links_and_permissions_stay(tmp_path: Path) -> None:
    target, link, new = tmp_path / "target", tmp_path / "link", tmp_path / "new"
    target.write_bytes(b"before")
    target.chmod(0o640)
    link.symlink_to(target)
    write(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"
    assert target.stat().st_mode & 0o777 == 0o640
    write(new, b"content")
    mask = os.umask(0)
    os.umask(mask)
    assert new.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_that_threads_which_write_at_once_leave_the_mask_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        begin = threading.Barrier(4)

        def work(number: int) -> None:
            begin.wait(10)
            for again in range(20):
                write(tmp_path / f"{number}-{again}", b"")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.umask(0o027) == 0o027
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
    finally:
        os.umask(before)
