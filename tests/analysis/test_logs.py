"""The end of a log."""

from __future__ import annotations

from pathlib import Path

from core.analysis.logs import read_tail


def test_a_short_log_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("eins\n둘\n", encoding="utf-8")
    assert read_tail(path).text == "eins\n둘\n"
    assert not read_tail(path).is_cut


def test_a_long_log_is_cut_at_the_start_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("".join(f"줄 {number:05d}\n" for number in range(2000)), encoding="utf-8")
    tail = read_tail(path, max_bytes=1001)
    assert tail.is_cut
    assert tail.text.startswith("줄 ")
    assert tail.text.endswith("줄 01999\n")
    assert tail.n_bytes == path.stat().st_size


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_tail(tmp_path / "none.log").text == ""
