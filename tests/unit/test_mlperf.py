"""MLPerf Tiny's text protocol: the firmware's main under sanitizers, and what the host makes of it."""

from __future__ import annotations

import itertools
import math
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.link.devices import INPUT_BYTES, device_on_a_pty, expected_output
from support.link.native_build import device_program

from tinydeploy import protocol
from tinydeploy.errors import LinkError, UsageError
from tinydeploy.mlperf import TextDevice, model_input, quality, same_results, wire_input
from tinydeploy.mlperf_data import read_samples
from tinydeploy.mlperf_records import PUBLISHED, TASKS, Task, task_of
from tinydeploy.project import StoredTensor
from tinydeploy.protocol import Decoder, Frame, Kind, encode_frame
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport

PIXELS, _, INT8, FLOATS = TASKS
HELLO = encode_frame(Frame(Kind.HELLO, 1, 5, protocol.pack_hello()))
DATA = bytes(range(256)) * 12
INPUT = DATA[:INPUT_BYTES]


def said(stream: bytes) -> list[str]:
    """Everything that the device prints in answer to `stream`, frames left out."""
    done = subprocess.run([device_program()], input=stream, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    events = Decoder().feed(done.stdout)
    text = "".join(event.text for event in events if isinstance(event, protocol.Text))
    return [line.strip() for line in text.splitlines()][1:]  # the first is the banner


def commands(*words: str) -> bytes:
    return "".join(f"{word}%" for word in words).encode()


def load(data: bytes, chunk: int = 31) -> bytes:
    pieces = [f"db {data[at : at + chunk].hex()}" for at in range(0, len(data), chunk)]
    return commands(f"db load {len(data)}", *pieces)


def answers(stream: bytes) -> list[list[str]]:
    """The lines of each answer, ``m-ready`` left out."""
    groups = [list(group) for ready, group in itertools.groupby(said(stream), lambda line: line == "m-ready")]
    return [group for group in groups if group[0] != "m-ready"]


def test_the_device_says_who_it_is() -> None:
    assert said(commands("name", "profile")) == [
        "m-name-dut-[host]",
        "m-ready",
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        "m-model-[backwards]",
        "m-ready",
    ]


def test_every_command_ends_in_ready() -> None:
    stream = commands("", " ", "help", "timestamp", "nonsense", "db", "db load", "infer", "results", "x" * 200)
    assert said(stream).count("m-ready") == 10


def test_line_ends_of_a_terminal_do_no_harm() -> None:
    assert said(b"\r\nname%\r\n name %\n").count("m-name-dut-[host]") == 2


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("bogus 1", "e-[Unknown command: bogus]"),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load 0", "e-[Command 'db load' requires the # of bytes, above 0]"),
        ("db load", "e-[Command 'db load' requires the # of bytes, above 0]"),
        ("db load 3001", "e-[The model takes 3000 bytes]"),
        ("db load -1", "e-[The model takes 3000 bytes]"),
        ("db load 4294967297", "e-[The model takes 3000 bytes]"),
        ("db 00", "e-[Command 'db' requires 'db load' first]"),
        ("db 0", "e-[Command 'db' requires pairs of hex digits: load again]"),
        ("db zz", "e-[Command 'db' requires pairs of hex digits: load again]"),
        ("infer 0", "e-[Inference iterations must be >0 and <=100000]"),
        ("infer 1 -1", "e-[Inference warmup must be >=0 and <=100000]"),
        ("infer 1 0", "e-[Input db has 0 bytes, expected 3000; a run uses them up]"),
        ("results", "e-[No results: load an input and infer first]"),
        ("y" * 81, "e-[Command too long, or damaged on the line: load again]"),
    ],
)
def test_mistakes(command: str, error: str) -> None:
    assert said(commands(command)) == [error, "m-ready"]


def test_an_input_is_loaded_and_printed() -> None:
    lines = said(load(b"\x00\x12\xff" * 4) + commands("db print"))
    assert lines[0] == "m-[Expecting 12 bytes]"
    assert "m-load-done" in lines
    assert lines[-3:] == ["m-buffer-00-12-ff-00-12-ff-00-12", "m-buffer-ff-00-12-ff", "m-ready"]


def test_more_digits_than_announced_are_disregarded() -> None:
    assert said(commands("db load 2", "db 112233", "db print"))[-2:] == ["m-buffer-11-22", "m-ready"]


def test_an_inference() -> None:
    """The first run's output is told: later ones compute on what it left. The native counter adds 1,000 cycles at
    100 MHz to each reading, of which a run has two."""
    *_, inferred, again, results = answers(load(INPUT) + commands("infer 3 2", "infer", "results"))
    expected = np.frombuffer(expected_output(INPUT), np.int8)
    printed = "m-results-[" + ",".join(f"{value}.000" for value in expected) + "]"
    laps = [int(line.removeprefix("m-lap-us-")) for line in inferred if line.startswith("m-lap-us-")]
    shape = [line for line in inferred if not line.startswith("m-lap-us-")]
    assert shape == ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3", "m-infer-done", printed]
    assert laps[1] - laps[0] == 30
    assert again == ["e-[Input db has 0 bytes, expected 3000; a run uses them up]"]
    assert results == [printed]


def test_a_damaged_load_is_not_computed_from() -> None:
    stream = load(INPUT[:1500]) + commands("db 0g") + commands("infer 1 0")
    assert answers(stream)[-1] == ["e-[Input db has 0 bytes, expected 3000; a run uses them up]"]


def test_commands_inside_a_frame_are_none() -> None:
    """The frame is an input that holds commands; it is taken as a frame, and they change nothing."""
    payload = b"infer 1 0%db load 4%" + b"db 00%results%" * 20
    frame = encode_frame(Frame(Kind.WRITE_INPUT, 2, 5, protocol.pack_write_input(0, payload)))
    done = subprocess.run([device_program()], input=HELLO + frame, capture_output=True, timeout=60, check=True)
    frames = [event for event in Decoder().feed(done.stdout) if isinstance(event, Frame)]
    assert [frame.kind for frame in frames] == [Kind.HELLO | Kind.RESPONSE, Kind.WRITE_INPUT | Kind.RESPONSE]
    assert b"m-ready" not in done.stdout


@pytest.mark.parametrize("cut", [3, 9, 300, 1000])
def test_after_a_frame_that_was_cut_off(cut: int) -> None:
    """No zero comes any more: the second greeting ends the belief in the frame."""
    frame = encode_frame(Frame(Kind.WRITE_INPUT, 2, 5, protocol.pack_write_input(0, bytes(range(1, 251)) * 4)))
    lines = said(frame[:cut] + commands("name", "name", "timestamp"))
    assert lines[:4] == ["m-name-dut-[host]", "m-ready"] * 2
    assert lines[4].startswith("m-lap-us-")


def test_noise_is_not_answered() -> None:
    assert said(b"\xff25%\x80abc%") == []
    assert said(b"\xff\x80name%timestamp%")[0] == "m-name-dut-[host]"


def test_two_hosts_never_share_the_model_unknowingly() -> None:
    """A load ends the session of the frames, and a session forgets what was loaded."""
    assert answers(load(INPUT) + HELLO + commands("infer 1 0"))[-1][0].startswith("e-[Input db has 0 bytes")
    with device_on_a_pty() as (port, _):
        transport = SerialTransport(port)
        session = Session(transport)
        session.hello()
        before = session.infer(INPUT).output
        transport.write(commands("db load 1", "db 00"))
        assert session.infer(INPUT).output == before == expected_output(INPUT)
        session.close()


def test_the_host_speaks_it() -> None:
    heard: list[str] = []
    with device_on_a_pty() as (port, _):
        transport = SerialTransport(port)
        device = TextDevice(transport, heard.append)
        assert device.greet() == ("host", "backwards")
        device.load(INPUT)
        window = device.infer(2, 1)
        assert window.elapsed_us == 20
        assert bytes(int(value) & 0xFF for value in window.results) == expected_output(INPUT)
        with pytest.raises(LinkError, match="refused 'infer': Input db has 0 bytes"):
            device.infer(1, 0)
        transport.close()


def tensor(scale: float, zero_point: int) -> StoredTensor:
    return StoredTensor(0, "t", (1,), "int8", 0, 1, scale, zero_point)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_inputs_in_the_benchmarks_encodings(task: Task) -> None:
    values = np.arange(-128, 128, dtype=np.int8)
    assert np.array_equal(model_input(task, tensor(0.37, 12), wire_input(task, tensor(0.37, 12), values)), values)


def test_pixels_are_unsigned() -> None:
    assert model_input(PIXELS, tensor(1, 0), b"\x00\x80\xff").tolist() == [-128, 0, 127]


def test_features_are_rounded_half_away_from_zero() -> None:
    wire = np.array([0.25, -0.25, 1e30, -1e30], "<f4").tobytes()
    assert model_input(FLOATS, tensor(0.5, 3), wire).tolist() == [4, 2, 127, -128]


def test_every_value_of_an_output_counts() -> None:
    output = tensor(1 / 256, -128)
    expected = np.array([[-128, 127, -127]], np.int8)
    assert same_results(INT8, output, b"", expected, (0.0, 0.996, 0.004))
    assert not same_results(INT8, output, b"", expected, (0.0, 0.992, 0.004))
    assert not same_results(INT8, output, b"", expected, (0.0, 0.996))


def test_quality() -> None:
    assert quality(INT8, [(1, [(0.1, 0.9)]), (0, [(0.4, 0.6)])]) == 0.5
    recordings = [(0, [(1.0,), (3.0,)]), (1, [(2.0,)]), (1, [(5.0,)])]
    assert quality(FLOATS, recordings) == 0.75
    assert math.isnan(quality(FLOATS, recordings[:1]))


def test_official_data_as_folder_and_archive(tmp_path: Path) -> None:
    folder = tmp_path / "kws01"
    folder.mkdir()
    (folder / "y_labels.csv").write_text("a.bin,12,7\nb.bin,12,3\n")
    (folder / "a.bin").write_bytes(bytes(490))
    (folder / "b.bin").write_bytes(b"\x01" * 490)
    read = read_samples(tmp_path, INT8)
    assert read is not None
    assert [(sample.file, sample.label, len(sample.segments)) for sample in read] == [("a.bin", 7, 1), ("b.bin", 3, 1)]
    other = tmp_path / "other"
    other.mkdir()
    with tarfile.open(other / "kws01.tar.xz", "w:xz") as archive:
        archive.add(folder, "kws01")
    assert read_samples(other, INT8, 1) == read[:1]
    assert read_samples(tmp_path, PIXELS) is None
    (folder / "a.bin").write_bytes(bytes(489))
    with pytest.raises(UsageError, match=r"a\.bin has 489 B"):
        read_samples(tmp_path, INT8)


def test_a_recording_is_cut_into_windows(tmp_path: Path) -> None:
    (tmp_path / "ad01").mkdir()
    (tmp_path / "ad01" / "y_labels.csv").write_text("r.bin,2,1,2560,512\n")
    (tmp_path / "ad01" / "r.bin").write_bytes(np.arange(1024, dtype="<f4").tobytes())
    read = read_samples(tmp_path, FLOATS)
    assert read is not None
    assert [np.frombuffer(segment, "<f4")[0] for segment in read[0].segments] == [0, 128, 256, 384]


def test_the_records_name_every_benchmark() -> None:
    assert {task for record in PUBLISHED for task in record.ms} == {task.name for task in TASKS}
    assert all(set(record.removed) <= set(record.ms) for record in PUBLISHED)
    assert round(PUBLISHED[0].megacycles("vww01"), 2) == 10.67
    assert task_of(490, 12) == INT8
    assert task_of(490, 10) is None
