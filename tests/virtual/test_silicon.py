"""Cycle models of calibrated chips: constants from TOML, caches looked up at every access, bands stated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tinydeploy.errors import BoardError

pytest.importorskip("unicorn")
from virtual_programs import boot, output

from benchmarks.silicon import Case
from tinydeploy.boards import load_board
from tinydeploy.virtual import VirtualBoard
from tinydeploy.virtual.fitting import fitted
from tinydeploy.virtual.memory import Traffic
from tinydeploy.virtual.models.silicon import CacheShape, Silicon
from tinydeploy.virtual.silicon_file import read_silicon, silicon_of

FOLDER = Path(__file__).parents[2] / "tinydeploy/virtual/silicon"
CALIBRATED = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", CALIBRATED, ids=lambda path: path.stem)
def test_the_constants_that_ship_name_their_band(path: Path) -> None:
    silicon = read_silicon(path)
    assert silicon_of(silicon.chip + "ZIT6") == silicon
    assert 0 < silicon.band.mean_percent < silicon.band.worst_percent <= 9
    assert f"{silicon.band.worst_percent:g} % at worst on {silicon.band.cases}" in silicon.statement
    assert len(silicon.cycles) <= 2


def test_chips_without_measurements_keep_the_cores_rules() -> None:
    assert silicon_of("STM32F407VG") is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("loop_end", "loop_and", r"\[cycles\]: unknown key 'loop_and'; did you mean 'loop_end'\?"),
        ("ways = 8", "ways = 0", r"\[data_cache\]: ways is 0; it must be 1 to"),
        ('core = "m4"', 'core = "m5"', "unknown core 'm5'"),
        ("miss = 3.82", "miss = -1", r"miss is -1; it must be a number"),
        ("[band]", "[bond]", "unknown table 'bond'; did you mean 'band'?"),
    ],
)
def test_a_mistake_in_the_constants_is_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    text = (FOLDER / "stm32l4r5.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(BoardError, match=words.replace("?", r"\?") if "bond" in words else words):
        read_silicon(path)


# Sums 64 words of flash twice; in an IT block every other time.
BODY = """
const uint32_t table[64] __attribute__((aligned(32))) = {[0 ... 63] = 3};
NOINLINE uint32_t sum(const volatile uint32_t *words) {
    uint32_t total = 0;
    for (int turn = 0; turn < 2; turn++)
        for (int index = 0; index < 64; index++) {
            uint32_t word = 0;
            __asm volatile("cmp %1, #0\\n ite eq\\n ldreq %0, [%2]\\n ldrne %0, [%2]"
                           : "=&r"(word) : "r"(turn), "r"(&words[index]) : "cc");
            total += word;
        }
    return total;
}
int main(void) { uart_up(); print_hex(sum(table)); return 0; }
"""


def run(silicon: Silicon) -> tuple[VirtualBoard, Traffic]:
    device = boot("nucleo_l4r5zi", BODY, cycles=silicon)
    assert output(device) == "00000180 "
    assert device.memory is not None
    return device, device.memory.traffic


def l4r5(**changes: object) -> Silicon:
    silicon = silicon_of("STM32L4R5")
    assert silicon is not None
    return dataclasses.replace(silicon, **changes)  # type: ignore[arg-type]


def test_a_cache_misses_each_line_once_while_all_of_them_fit() -> None:
    """Only the cache differs: the two runs execute the same, and differ in misses as the cache's size says."""
    large, seen_large = run(l4r5(data=CacheShape(1, 64, 32, 32, miss=0.0)))
    small, seen_small = run(l4r5(data=CacheShape(1, 4, 32, 32, miss=0.0)))
    sectors, seen_sectors = run(l4r5(data=CacheShape(1, 64, 32, 8, miss=0.0)))
    assert large.instructions == small.instructions == sectors.instructions
    assert seen_large.accesses == seen_small.accesses == seen_sectors.accesses >= 128
    assert seen_small.misses - seen_large.misses == 8  # the second turn finds its 8 lines gone
    assert seen_sectors.misses - seen_large.misses >= 8 * 3  # each line is filled in four parts


def test_a_miss_costs_what_the_constants_say() -> None:
    free, seen = run(l4r5(data=CacheShape(1, 8, 32, 8)))
    dear, again = run(l4r5(data=CacheShape(1, 8, 32, 8, miss=10.5, access=0.25)))
    # Time passes otherwise while the firmware waits for its UART, so that only the difference's size is certain.
    assert seen.misses == again.misses
    assert dear.cycles > free.cycles - 2000 + seen.misses * 10
    assert free.cycle_model == l4r5().statement


# Loads 1024 words of flash and as many of RAM: more than the cache holds.
STREAM = """
const uint32_t constant[1024] __attribute__((aligned(32))) = {[0 ... 1023] = 3};
uint32_t variable[1024] __attribute__((aligned(32)));
NOINLINE uint32_t sum(const volatile uint32_t *words) {
    uint32_t total = 0;
    for (int index = 0; index < 1024; index++) total += words[index];
    return total;
}
int main(void) { uart_up(); print_hex(sum(constant) + sum(variable)); return 0; }
"""


def test_lines_of_ram_lack_the_wait_states_of_flash() -> None:
    silicon = silicon_of("STM32F746")
    assert silicon is not None
    assert silicon.data is not None
    found = []
    for miss, waits in ((0.0, 0), (100.0, 0), (100.0, 15)):  # of which lines from RAM take 0, 100, 85
        chosen = dataclasses.replace(silicon, data=dataclasses.replace(silicon.data, miss=miss), wait_states=waits)
        device = boot("stm32f746", STREAM, cycles=chosen)
        assert output(device) == "00000c00 "
        assert device.memory is not None
        found.append((device.cycles, device.memory.traffic))
    (free, traffic), (lines, _), (waiting, _) = found
    assert 128 <= traffic.misses < 160
    assert 128 <= traffic.ram_misses < 160
    # Waiting for the UART takes up some of it.
    assert lines - free == pytest.approx(100 * (traffic.misses + traffic.ram_misses), abs=1000)
    assert lines - waiting == pytest.approx(15 * traffic.ram_misses, abs=1000)


def test_time_passes_in_a_loop_of_nothing_but_a_branch() -> None:
    device = boot("stm32f746", "int main(void) { uart_up(); put('x'); for (;;) { __asm volatile(\"\"); } }")
    assert output(device, 0.001) == "x"
    assert device.time_s >= 0.001


def test_the_rules_alone_are_there_on_request() -> None:
    board = load_board("nucleo_l4r5zi")
    plain = boot("nucleo_l4r5zi", BODY, cycles="rules")
    assert plain.memory is None
    assert "TRM rules" in plain.cycle_model
    assert boot("nucleo_l4r5zi", BODY).cycle_model.startswith(board.part[:9])


def test_a_fit_finds_constants_that_made_the_figures() -> None:
    truth = {"loop_end": 12.5, "data_cache.miss": 3.0, "load_use": 0.0}
    generator = np.random.default_rng(7)
    known = []
    for _ in range(6):
        counted = {name: float(generator.integers(1, 1000)) for name in ("straight", *truth)}
        cycles = counted["straight"] + sum(counted[name] * value for name, value in truth.items())
        known.append((Case("B", "v1", "ic", "", Path(), cycles, 115_200), counted))
    assert fitted(known, list(truth)) == pytest.approx(truth, abs=1e-6)
    known = [(dataclasses.replace(case, measured=counted["straight"] / 2), counted) for case, counted in known]
    assert fitted(known, list(truth)) == dict.fromkeys(truth, 0.0)
