"""bench and verify, end to end: a model compiled by tinydeploy, behind the firmware's main, as a native program."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.link.devices import device_on_a_pty
from support.link.projects import build_native, small_model, write_project
from support.measurements import predicted
from support.reports import rendered

from tinydeploy.bench import Layer, bench
from tinydeploy.errors import MismatchError, UsageError
from tinydeploy.exchange import Timing
from tinydeploy.image import Image
from tinydeploy.latency import ON_DEVICE
from tinydeploy.project import Project
from tinydeploy.report import (
    measurement_json,
    measurement_report,
    verification_json,
    verification_report,
)
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport
from tinydeploy.verify import Verification, verify

IMAGE = Image(
    elf=Path("firmware.elf"),
    bin=Path("firmware.bin"),
    hex=Path("firmware.hex"),
    sections=(),
    symbols=(),
    flash_bytes=30_000,
    ram_bytes=9_000,
    model_flash_bytes=10_000,
    model_ram_bytes=2_000,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = write_project(tmp_path_factory.mktemp("small"), small_model())
    build_native(project)
    return project


@contextmanager
def session_with(project: Project, program: Path | None = None) -> Iterator[Session]:
    with device_on_a_pty(program or project.folder / "device") as (port, _):
        session = Session(SerialTransport(port), timing=Timing(patience_s=20))
        yield session
        session.close()


def broken(project: Project, step: int, offset: int, folder: Path) -> Path:
    """The program with one bit of the output of `step` wrong, `offset` bytes into it."""
    model = folder / "model"
    model.mkdir()
    for path in (project.folder / "model").iterdir():
        text = path.read_text()
        if path.name == "model.c":
            at = project.steps[step].outputs[0].start_bytes + offset
            body = rf"(void {project.steps[step].symbol}\(void\) {{\n.*?;\n)"
            text, count = re.subn(body, rf"\g<1>    arena[{at}] ^= 1;\n", text, flags=re.DOTALL)
            assert count == 1
        (model / path.name).write_text(text)
    return build_native(dataclasses.replace(project, folder=folder))


class TestBench:
    def test_measures_a_device_on_a_port(self, project: Project) -> None:
        told: list[tuple[int, int]] = []
        with session_with(project) as session:
            result = bench(project, session, IMAGE, count=4, runs=2, progress=lambda *at: told.append(at))
        assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert (result.samples, result.exact, result.mismatches, result.interrupted) == (4, True, 0, False)
        assert (result.instructions, result.cycles, result.cycle_model) == (None, 1000, ON_DEVICE)
        assert (result.latency_us, result.latency_min_us, result.latency_max_us) == (10.0, 10.0, 10.0)
        assert (result.stack_bytes, result.ram_bytes, result.flash_bytes) == (96, 2_096, 10_000)
        assert (result.firmware_flash_bytes, result.firmware_ram_bytes) == (30_000, 9_000)
        assert result.arena_bytes == project.arena_bytes
        assert result.accuracy == result.host_accuracy
        assert result.per_layer == tuple(Layer(s.name, s.op, s.macs, None, 1000) for s in project.steps)

    def test_samples_come_in_turn_where_there_are_fewer(self, project: Project) -> None:
        """The accuracy is that of the first turn, whole or not."""
        with session_with(project) as session:
            once = bench(project, session, IMAGE, count=6)
            result = bench(project, session, IMAGE, count=8)
        assert (result.samples, result.exact) == (8, True)
        assert (result.accuracy, result.host_accuracy) == (once.accuracy, once.host_accuracy)

    def test_the_json_holds_what_the_issue_asks_for(self, project: Project) -> None:
        with session_with(project) as session:
            stored = json.loads(measurement_json(bench(project, session, IMAGE, count=1)))
        keys = (
            "board core unit cycle_model model_sha256 macs instructions cycles latency_us flash_bytes ram_bytes "
            "arena_bytes stack_bytes firmware_flash_bytes firmware_ram_bytes samples accuracy exact per_layer"
        )
        assert set(keys.split()) <= set(stored)
        assert set(stored["per_layer"][0]) == {"name", "op", "macs", "instructions", "cycles"}

    def test_without_labels_there_is_no_accuracy(self, tmp_path: Path, project: Project) -> None:
        unlabelled = write_project(tmp_path, small_model(), labels=False)
        with session_with(project) as session:
            result = bench(unlabelled, session, IMAGE, count=2)
        assert (result.accuracy, result.host_accuracy) == (None, None)
        assert "accuracy" not in rendered(measurement_report(result))

    def test_a_wrong_output_is_counted_as_such(self, tmp_path: Path, project: Project) -> None:
        with session_with(project, broken(project, len(project.steps) - 1, 0, tmp_path)) as session:
            result = bench(project, session, IMAGE, count=3)
        assert (result.exact, result.mismatches) == (False, 3)
        assert "3 of 3 DIFFER from TFLite Micro's" in rendered(measurement_report(result))

    def test_another_build_is_refused(self, tmp_path: Path, project: Project) -> None:
        other = write_project(tmp_path, small_model(), fingerprint="ab" * 32)
        with session_with(project) as session, pytest.raises(MismatchError, match=r"holds build abababababababab"):
            bench(other, session, IMAGE)

    def test_ctrl_c_keeps_what_there_is(self, project: Project) -> None:
        def stop_after_two(done: int, total: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with session_with(project) as session:
            result = bench(project, session, IMAGE, count=5, progress=stop_after_two)
        assert (result.samples, result.interrupted, result.cycles) == (2, True, 1000)
        assert {layer.cycles for layer in result.per_layer} == {None}
        assert "interrupted" in rendered(measurement_report(result))

    def test_ctrl_c_before_the_first_sample_has_nothing_to_keep(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with session_with(project) as session:
            monkeypatch.setattr(session, "infer", stop)
            with pytest.raises(KeyboardInterrupt):
                bench(project, session, IMAGE)

    @pytest.mark.parametrize(
        ("option", "message"), [("count", "samples must be at least 1"), ("runs", "runs must be 1")]
    )
    def test_nothing_to_do_is_refused(self, project: Project, option: str, message: str) -> None:
        with session_with(project) as session, pytest.raises(UsageError, match=message):
            bench(project, session, IMAGE, **{option: 0})


class TestVerify:
    @pytest.mark.parametrize("full", [False, True], ids=["digests", "full"])
    def test_every_tensor_is_compared(self, project: Project, full: bool) -> None:
        with session_with(project) as session:
            result = verify(project, session, project.samples().inputs[:3], full=full)
        assert result.passed
        assert (result.samples, result.tensors) == (3, 3 * (len(project.steps) + 1))
        assert result.values == 3 * (sum(step.outputs[0].size_bytes for step in project.steps) + 4)
        how = "all read" if full else "by 64-bit digests"
        assert f"bit for bit ({how})" in " ".join(rendered(verification_report(result)).split())
        assert json.loads(verification_json(result))["passed"] is True

    @pytest.mark.parametrize(("step", "offset"), [(0, 0), (1, 13), (3, 2)])
    def test_the_first_difference_is_found(self, tmp_path: Path, project: Project, step: int, offset: int) -> None:
        with session_with(project, broken(project, step, offset, tmp_path)) as session:
            result = verify(project, session, project.samples().inputs[:3], full=step == 0)
        wrong = result.difference
        assert wrong is not None
        stored = project.steps[step].outputs[0]
        assert (wrong.sample, wrong.step, wrong.layer, wrong.tensor) == (0, step, project.steps[step].name, stored.name)
        assert wrong.index == tuple(int(axis) for axis in np.unravel_index(offset, stored.shape))
        assert (int(wrong.expected) ^ int(wrong.got), wrong.elements) == (1, 1)
        line = " ".join(rendered(verification_report(result)).split())
        assert (
            f"step {step} ({wrong.layer}, {wrong.op}), {wrong.tensor} at [{', '.join(map(str, wrong.index))}]" in line
        )
        assert f"expected {wrong.expected}, got {wrong.got}" in line
        assert json.loads(verification_json(result))["passed"] is False


def test_a_report_reads_well_in_a_pipe(project: Project) -> None:
    """No escape sequences, no line beyond 120 columns, every layer with its figures."""
    measurement = predicted(
        macs=7_490_000,
        instructions=6_600_000,
        cycles=9_500_000,
        latency_us=43_981.5,
        latency_min_us=43_900.0,
        latency_max_us=44_100.0,
        flash_bytes=296_000,
        ram_bytes=60_000,
        arena_bytes=55_296,
        firmware_flash_bytes=301_000,
        firmware_ram_bytes=70_000,
        samples=10,
        accuracy=0.9,
        host_accuracy=1.0,
        per_layer=(
            Layer("conv_pw_1/" + "long" * 20, "CONV_2D", 7_490_000, 6_500_000, 9_400_000),
            Layer("mean", "MEAN", 0, 1_000, 2_000),
        ),
    )
    text = rendered(measurement_report(measurement))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120
    for words in (
        r"CONV_2D +7,490,000 +6,500,000 +9,400,000 +1\.26 +98\.9 %",
        r"MEAN +0 +1,000 +2,000 +- +0\.0 %",
        r"in all +7,490,000 +6,600,000 +9,500,000 +1\.27 +100\.0 %",
        r"43\.981 ms \(median of 10 samples; 43\.900 ms to 44\.100 ms\)",
        r"dual-issue model \(an estimate\)",
        r"90\.00 % on the device, 100\.00 % on the host",
        r"60,000 B model \(arena 55,296 B, stack 184 B\), 70,000 B firmware in all",
    ):
        assert re.search(words, text), words


def test_verification_is_plain_data() -> None:
    result = Verification("b", "m4", "port", "m", "00", 1, 2, 3, False, None)
    assert json.loads(verification_json(result))["difference"] is None
