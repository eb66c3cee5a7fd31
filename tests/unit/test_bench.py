"""The bench's results: kept whole, compared number by number, and summed up as the last line says."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.bench import offline
from tests.bench.__main__ import main, publish
from tests.bench.aims import BY_TURNS, LARGEST, aims, headline
from tests.bench.cpu import Ration, spent_s
from tests.bench.pictures import draw
from tests.bench.results import Result, Row, load, save, this_machine
from tests.bench.saturation import Case


def rows(worker_us: float) -> list[Row]:
    floor = [Row("floor", {"step": step, "batch": LARGEST}, {"us": 5.0}) for step in ("score", "consume", "commit")]
    walked, run = Case().label, Case(engine="onnxruntime").label
    return [
        *floor,
        Row("saturation", walked, {"worker_us": worker_us, "events_per_s": 1e6 / worker_us}),
        Row("saturation", run, {"worker_us": 2 * worker_us, "events_per_s": 5e5 / worker_us}),
        Row("naive", {"commit_every": 1}, {"us": 300.0}),
    ]


def kept(path: Path, worker_us: float) -> Path:
    found = rows(worker_us)
    loads = (0.1, 0.2, 0.3)
    save(
        Result(
            started_at="2026-11-21T00:00:00Z",
            seconds=1.0,
            quick=True,
            settings={},
            machine=this_machine(),
            load_before=loads,
            load_after=loads,
            headline=headline(found),
            rows=found,
        ),
        path,
    )
    return path


def test_a_kept_result_comes_back_as_it_was(tmp_path: Path) -> None:
    assert load(kept(tmp_path / "a.json", 20.0)).rows == rows(20.0)


def test_the_headline_is_ratios_of_what_the_same_run_found() -> None:
    expected = {"worker_us": 20.0, "floor_us": 15.0, "floor_ratio": 20 / 15, "ort_ratio": 4.0, "naive_ratio": 15.0}
    assert headline(rows(20.0)) == expected


def test_a_floor_that_was_measured_by_turns_counts_instead_by_its_median() -> None:
    steps = ("score", "consume", "commit")
    turns = [Row(BY_TURNS, {"repeat": n}, dict.fromkeys(steps, us)) for n, us in enumerate((4.0, 9.0, 6.0))]
    found = headline([*rows(20.0), *turns])
    assert (found["floor_us"], found["ort_ratio"]) == (18.0, 20 / 6)


def test_a_floor_without_kafka_is_no_floor() -> None:
    assert headline([row for row in rows(20.0) if row.of.get("step") != "commit"]).keys() == {
        "worker_us",
        "ort_ratio",
        "naive_ratio",
    }


def test_an_aim_is_judged_only_if_it_was_measured() -> None:
    judged = {aim.what: aim.holds for aim in aims(rows(11.0))}
    assert judged == {
        "worker with ONNX Runtime / floor": True,
        "worker / ONNX Runtime alone": False,
        "tutorial's loop / worker": True,
    }


def test_compare_shows_every_number_before_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = kept(tmp_path / "a.json", 20.0), kept(tmp_path / "b.json", 10.0)
    assert main(["compare", str(before), str(after)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("worker_us" in line and "20.0" in line and "10.0" in line and "0.50" in line for line in lines)


def test_table_is_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(kept(tmp_path / "a.json", 20.0))]) == 0
    assert "### The floor" in capsys.readouterr().out


def test_figures_and_their_sum_go_between_the_marks(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    pages = [tmp_path / "docs" / "performance.md", tmp_path / "README.md"]
    for page in pages:
        page.write_text("before\n<!-- figures -->\nstale words\n<!-- end of figures -->\nafter\n")
    for _ in range(2):
        assert publish(load(kept(tmp_path / "a.json", 20.0)), tmp_path) == 0
    whole, notes = (page.read_text() for page in pages)
    for text in (whole, notes):
        assert (text[:7], text[-7:], text.count("figures -->"), "stale" in text) == ("before\n", "\nafter\n", 2, False)
    assert "| worker / ONNX Runtime alone" in whole
    assert "**20.0 µs** of CPU an event: 50,000 a second" in notes
    assert "| 300 µs, 15.0 times as much |" in notes


def test_pictures_are_drawn_of_what_was_measured(tmp_path: Path) -> None:
    alone = Row("naive", {"commit_every": 100}, {"us": 200.0})
    (picture,) = draw([*rows(20.0), alone], tmp_path)
    assert (picture.name, "tutorial" in picture.read_text()) == ("cost.svg", True)
    again = draw([*rows(20.0), alone], tmp_path / "again")
    assert [path.read_bytes() for path in again] == [picture.read_bytes()]


def test_the_features_of_a_log_are_counted_in_rows_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    assert offline.main(["--events", "500"]) == 0
    told = dict(part.split("=") for part in capsys.readouterr().out.split()[1:])
    assert float(told["history_rows_per_s"]) > float(told["all_rows_per_s"]) > 0


def test_a_number_of_numpys_is_kept_like_any_other(tmp_path: Path) -> None:
    assert load(kept(tmp_path / "a.json", np.float64(20.0))).rows == rows(20.0)


def test_a_rationed_process_does_not_run_all_the_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        ration, (before,), inside = Ration([busy.pid], 0.2), spent_s([busy.pid]), 0.0
        for _ in range(4):
            busy.send_signal(signal.SIGCONT)
            began = time.perf_counter()
            with ration.kept():
                time.sleep(0.15)
                inside += time.perf_counter() - began
            busy.send_signal(signal.SIGSTOP)
        (after,) = spent_s([busy.pid])
        busy.kill()
    assert 0 < after - before < 0.5 * inside
