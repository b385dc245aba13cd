"""The arena goes to the memory that the board prefers, and to the next one when it does not fit, with the reason."""

from __future__ import annotations

import pytest

from tinydeploy.boards import board_names, load_board
from tinydeploy.errors import FitError
from tinydeploy.firmware import project_files
from tinydeploy.placement import place

F746 = load_board("stm32f746")


def test_a_small_arena_lies_in_dtcm_beside_the_stack() -> None:
    placement = place(F746, 56 * 1024, 100_000)
    assert (placement.arena.name, placement.weights.name) == ("dtcm", "flash")
    assert placement.reasons == ("arena of 57,344 B in dtcm", "weights of 100,000 B in flash")


def test_an_arena_too_large_for_dtcm_falls_to_the_next_bank_and_the_script_says_why() -> None:
    placement = place(F746, 56 * 1024 + 1, 0)
    assert placement.arena.name == "ram"
    assert placement.reasons[0] == "arena of 57,345 B in ram; dtcm has only 57,344 B left"
    files = project_files({"tinydeploy.json": '{"arena_bytes": 57345}'}, F746)
    script = str(files["firmware/link.ld"])
    assert " *   arena of 57,345 B in ram; dtcm has only 57,344 B left\n" in script
    model, rest = script.split("    .model_bss (NOLOAD)")[1].split("    .bss (NOLOAD)")
    assert "} > ram" in model
    assert "} > ram" in rest


def test_an_arena_that_fits_nowhere_is_refused_with_what_each_memory_has() -> None:
    with pytest.raises(FitError) as caught:
        place(F746, 300_000, 0)
    assert str(caught.value).startswith(
        "the arena needs 300,000 B of RAM, stm32f746 has 256,000 B; largest: [ram] (256,000 B), [dtcm] (57,344 B)"
    )


def test_weights_are_copied_to_ram_only_while_there_is_room_beside_the_arena() -> None:
    pico = load_board("pico")
    assert place(pico, 50_000, 100_000).weights.name == "ram"
    placement = place(pico, 150_000, 120_000)
    assert placement.weights.name == "flash"
    assert placement.reasons[1] == "weights of 120,000 B in flash; ram has only 106,000 B left"


@pytest.mark.parametrize("name", board_names())
def test_every_board_prefers_memories_that_it_has(name: str) -> None:
    board = load_board(name)
    placement = place(board, 1000, 1000)
    assert placement.arena == board.arena[0]
    assert placement.weights == board.weights[0]
