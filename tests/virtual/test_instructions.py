"""DSP, saturating and bit-field instructions against their definitions in the Armv7-M ARM, written here in Python."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tinydeploy.cores import CORES
from tinydeploy.virtual.bare import BareCore

MASK = 0xFFFF_FFFF
Reference = Callable[[int, int, int], int]


def signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def halves(value: int) -> tuple[int, int]:
    return signed(value, 16), signed(value >> 16, 16)


def quarters(value: int) -> list[int]:
    return [value >> shift & 0xFF for shift in (0, 8, 16, 24)]


def pack16(low: int, high: int) -> int:
    return low & 0xFFFF | (high & 0xFFFF) << 16


def pack8(values: list[int]) -> int:
    return sum((value & 0xFF) << 8 * index for index, value in enumerate(values))


def sat(value: int, bits: int) -> int:
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


def usat(value: int, bits: int) -> int:
    return max(0, min((1 << bits) - 1, value))


def ror(value: int, amount: int) -> int:
    return (value >> amount | value << 32 - amount) & MASK


def dot(a: int, b: int, swap: bool = False, sign: int = 1) -> int:
    (al, ah), (bl, bh) = halves(a), halves(b)
    if swap:
        bl, bh = bh, bl
    return al * bl + sign * ah * bh


def each16(a: int, b: int, function: Callable[[int, int], int]) -> int:
    (al, ah), (bl, bh) = halves(a), halves(b)
    return pack16(function(al, bl), function(ah, bh))


def each8(a: int, b: int, function: Callable[[int, int], int], is_signed: bool) -> int:
    pairs = zip(quarters(a), quarters(b), strict=True)
    return pack8([function(signed(x, 8), signed(y, 8)) if is_signed else function(x, y) for x, y in pairs])


def long_multiply(a: int, b: int, low: int, high: int, part: Callable[[int, int], int]) -> int:
    return (part(a, b) + (high << 32 | low)) & (1 << 64) - 1


def divide(a: int, b: int) -> int:
    """Towards zero; by zero gives 0."""
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def distance(a: int, b: int) -> int:
    return sum(abs(x - y) for x, y in zip(quarters(a), quarters(b), strict=True))


# instruction on r0 = a, r1 = b, r2 = c with its result in r0 -> definition
TABLE: dict[str, Reference] = {
    "smlad r0, r0, r1, r2": lambda a, b, c: dot(a, b) + c,
    "smladx r0, r0, r1, r2": lambda a, b, c: dot(a, b, swap=True) + c,
    "smlsd r0, r0, r1, r2": lambda a, b, c: dot(a, b, sign=-1) + c,
    "smlsdx r0, r0, r1, r2": lambda a, b, c: dot(a, b, swap=True, sign=-1) + c,
    "smuad r0, r0, r1": lambda a, b, c: dot(a, b),
    "smuadx r0, r0, r1": lambda a, b, c: dot(a, b, swap=True),
    "smusd r0, r0, r1": lambda a, b, c: dot(a, b, sign=-1),
    "smlabb r0, r0, r1, r2": lambda a, b, c: halves(a)[0] * halves(b)[0] + c,
    "smlabt r0, r0, r1, r2": lambda a, b, c: halves(a)[0] * halves(b)[1] + c,
    "smlatb r0, r0, r1, r2": lambda a, b, c: halves(a)[1] * halves(b)[0] + c,
    "smlatt r0, r0, r1, r2": lambda a, b, c: halves(a)[1] * halves(b)[1] + c,
    "smulbb r0, r0, r1": lambda a, b, c: halves(a)[0] * halves(b)[0],
    "smulbt r0, r0, r1": lambda a, b, c: halves(a)[0] * halves(b)[1],
    "smultt r0, r0, r1": lambda a, b, c: halves(a)[1] * halves(b)[1],
    "smlawb r0, r0, r1, r2": lambda a, b, c: (signed(a) * halves(b)[0] >> 16) + c,
    "smulwt r0, r0, r1": lambda a, b, c: signed(a) * halves(b)[1] >> 16,
    "smmul r0, r0, r1": lambda a, b, c: signed(a) * signed(b) >> 32,
    "smmulr r0, r0, r1": lambda a, b, c: signed(a) * signed(b) + 0x8000_0000 >> 32,
    "smmla r0, r0, r1, r2": lambda a, b, c: (c << 32) + signed(a) * signed(b) >> 32,
    "smmlar r0, r0, r1, r2": lambda a, b, c: (c << 32) + signed(a) * signed(b) + 0x8000_0000 >> 32,
    "smmls r0, r0, r1, r2": lambda a, b, c: (c << 32) - signed(a) * signed(b) >> 32,
    "mla r0, r0, r1, r2": lambda a, b, c: a * b + c,
    "mls r0, r0, r1, r2": lambda a, b, c: c - a * b,
    "sdiv r0, r0, r1": lambda a, b, c: (
        int(abs(signed(a)) // abs(signed(b))) * (1 if a >> 31 == b >> 31 else -1) if b else 0
    ),
    "udiv r0, r0, r1": lambda a, b, c: a // b if b else 0,
    "smull r2, r0, r0, r1": lambda a, b, c: signed(a) * signed(b) >> 32,
    "smull r0, r2, r0, r1": lambda a, b, c: signed(a) * signed(b),
    "umull r2, r0, r0, r1": lambda a, b, c: a * b >> 32,
    "smlal r2, r1, r0, r0\n mov r0, r1": lambda a, b, c: (
        long_multiply(a, a, c, b, lambda x, y: signed(x) * signed(y)) >> 32
    ),
    "umlal r2, r1, r0, r0\n mov r0, r1": lambda a, b, c: long_multiply(a, a, c, b, lambda x, y: x * y) >> 32,
    "umaal r2, r1, r0, r0\n mov r0, r1": lambda a, b, c: a * a + b + c >> 32,
    "smlald r2, r1, r0, r0\n mov r0, r1": lambda a, b, c: long_multiply(a, a, c, b, dot) >> 32,
    "smlalbb r2, r1, r0, r0\n mov r0, r2": lambda a, b, c: halves(a)[0] ** 2 + c,
    "ssat r0, #8, r0": lambda a, b, c: sat(signed(a), 8),
    "ssat r0, #8, r0, asr #12": lambda a, b, c: sat(signed(a) >> 12, 8),
    "ssat r0, #16, r0, lsl #3": lambda a, b, c: sat(signed(a << 3), 16),
    "usat r0, #7, r0, asr #4": lambda a, b, c: usat(signed(a) >> 4, 7),
    "ssat16 r0, #8, r0": lambda a, b, c: pack16(sat(halves(a)[0], 8), sat(halves(a)[1], 8)),
    "usat16 r0, #8, r0": lambda a, b, c: pack16(usat(halves(a)[0], 8), usat(halves(a)[1], 8)),
    "qadd r0, r0, r1": lambda a, b, c: sat(signed(a) + signed(b), 32),
    "qsub r0, r0, r1": lambda a, b, c: sat(signed(a) - signed(b), 32),
    "qdadd r0, r0, r1": lambda a, b, c: sat(signed(a) + sat(2 * signed(b), 32), 32),
    "qadd16 r0, r0, r1": lambda a, b, c: each16(a, b, lambda x, y: sat(x + y, 16)),
    "qsub16 r0, r0, r1": lambda a, b, c: each16(a, b, lambda x, y: sat(x - y, 16)),
    "sadd16 r0, r0, r1": lambda a, b, c: each16(a, b, lambda x, y: x + y),
    "shadd16 r0, r0, r1": lambda a, b, c: each16(a, b, lambda x, y: x + y >> 1),
    "qadd8 r0, r0, r1": lambda a, b, c: each8(a, b, lambda x, y: sat(x + y, 8), True),
    "ssub8 r0, r0, r1": lambda a, b, c: each8(a, b, lambda x, y: x - y, True),
    "uqadd8 r0, r0, r1": lambda a, b, c: each8(a, b, lambda x, y: usat(x + y, 8), False),
    "uhadd8 r0, r0, r1": lambda a, b, c: each8(a, b, lambda x, y: x + y >> 1, False),
    "usad8 r0, r0, r1": lambda a, b, c: distance(a, b),
    "usada8 r0, r0, r1, r2": lambda a, b, c: distance(a, b) + c,
    "ssub8 r0, r0, r1\n sel r0, r1, r2": lambda a, b, c: pack8(
        [
            y if signed(x, 8) >= signed(y, 8) else z
            for x, y, z in zip(quarters(a), quarters(b), quarters(c), strict=True)
        ]
    ),
    "sxtb16 r0, r0": lambda a, b, c: pack16(signed(a, 8), signed(a >> 16, 8)),
    "sxtb16 r0, r0, ror #8": lambda a, b, c: pack16(signed(a >> 8, 8), signed(a >> 24, 8)),
    "sxtab16 r0, r1, r0, ror #24": lambda a, b, c: pack16(
        signed(ror(a, 24), 8) + halves(b)[0], signed(ror(a, 24) >> 16, 8) + halves(b)[1]
    ),
    "uxtab r0, r1, r0, ror #16": lambda a, b, c: b + (a >> 16 & 0xFF),
    "sxth r0, r0, ror #8": lambda a, b, c: signed(ror(a, 8), 16),
    "pkhbt r0, r0, r1, lsl #16": lambda a, b, c: a & 0xFFFF | b << 16 & 0xFFFF_0000,
    "pkhtb r0, r0, r1, asr #16": lambda a, b, c: a & 0xFFFF_0000 | b >> 16,
    "clz r0, r0": lambda a, b, c: 32 - a.bit_length(),
    "rbit r0, r0": lambda a, b, c: int(f"{a:032b}"[::-1], 2),
    "rev16 r0, r0": lambda a, b, c: (a & 0xFF00FF) << 8 | a >> 8 & 0xFF00FF,
    "ubfx r0, r0, #5, #11": lambda a, b, c: a >> 5 & 0x7FF,
    "sbfx r0, r0, #5, #11": lambda a, b, c: signed(a >> 5, 11),
    "bfi r0, r1, #7, #9": lambda a, b, c: a & ~(0x1FF << 7) | (b & 0x1FF) << 7,
    "mov r0, r0, ror r1": lambda a, b, c: ror(a, b & 31) if b & 31 else a,
    "adds r0, r0, r1\n adc r0, r2, #0": lambda a, b, c: c + (a + b >> 32),
    "subs r0, r0, r1\n sbc r0, r2, r1": lambda a, b, c: c - b - (0 if a >= b else 1),
}
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0x8000_8000, 0x7FFF_8000, MASK)


def operands() -> list[tuple[int, int, int]]:
    source = random.Random(1)
    some = [(a, b, source.choice(EDGES)) for a in EDGES for b in EDGES]
    return some + [(source.getrandbits(32), source.getrandbits(32), source.getrandbits(32)) for _ in range(60)]


@pytest.fixture(scope="module", params=["m4", "m7"])
def program(request: pytest.FixtureRequest, compile_c: Callable[..., object]) -> BareCore:
    """Each function maps an array of (a, b, c) to an array of results."""
    lines = ["void Reset_Handler(void) {}"]
    for index, text in enumerate(TABLE):
        instruction = text.replace("\n", "\\n")
        lines.append(
            f"__attribute__((naked)) void f{index}(const unsigned *from, unsigned *to, int n) {{ __asm volatile("
            f'"push {{r4-r6, lr}}\\n mov r4, r0\\n mov r5, r1\\n mov r6, r2\\n'
            f"1: ldmia r4!, {{r0-r2}}\\n {instruction}\\n"
            f'str r0, [r5], #4\\n subs r6, #1\\n bne 1b\\n pop {{r4-r6, pc}}"); }}'
        )
    return BareCore(CORES[request.param], compile_c(request.param, "\n".join(lines)))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", TABLE)
def test_instruction_follows_its_definition(program: BareCore, text: str) -> None:
    cases = operands()
    source = program.allocate(b"".join(value.to_bytes(4, "little") for case in cases for value in case))
    target = program.allocate(4 * len(cases))
    program.call(f"f{list(TABLE).index(text)}", source, target, len(cases))
    raw = program.read(target, 4 * len(cases))
    for index, case in enumerate(cases):
        got = int.from_bytes(raw[4 * index : 4 * index + 4], "little")
        assert got == TABLE[text](*case) & MASK, f"{text} of {[hex(value) for value in case]}"
