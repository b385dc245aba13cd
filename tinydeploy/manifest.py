"""Program to the manifest's part that describes the model: what the tools on the host know of a build's C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tinydeploy import __version__
from tinydeploy.compiler import Program
from tinydeploy.constants_place import choices, copied_to, ram_constants_bytes
from tinydeploy.graph import Tensor


def program_manifest(
    program: Program, steps: Sequence[Mapping[str, Any]], fingerprint: str, classes: Sequence[str] | None
) -> dict[str, Any]:
    """The manifest of `program`, of whose steps `steps` says what the C sources call them."""

    def stated(tensor: int) -> dict[str, Any]:
        plan = program.plan
        return manifest_tensor(program.graph.tensors[tensor], plan.tensors.get(tensor), plan.pitches.get(tensor))

    return {
        "tool_version": __version__,
        "model_name": program.graph.name,
        "model_sha256": program.graph.sha256,
        "fingerprint": fingerprint,
        "core": program.core.name if program.core else None,
        "input": stated(program.graph.input),
        "output": stated(program.graph.output),
        "arena_bytes": program.plan.arena_bytes,
        "constants_bytes": program.constants_bytes,
        "copied_bytes": ram_constants_bytes(program.steps),
        "copied_to": copied_to(program.steps),
        "macs": program.nominal_macs,
        "needed_macs": program.needed_macs,
        "computed_macs": program.graph.macs,
        "classes": list(classes) if classes else None,
        "constants": [asdict(choice) for choice in choices(program)],
        "steps": [
            {
                "index": number,
                "name": context["name"],
                "op": context["kind"],
                "symbol": context["symbol"],
                "kernels": context["kernels"],
                "arrays": context["arrays"],
                "macs": context["macs"],
                "weights_bytes": step.op.weights_bytes,
                "outputs": [stated(step.op.output)],
            }
            for number, (step, context) in enumerate(zip(program.steps, steps, strict=True))
        ],
    }


def manifest_tensor(t: Tensor, offset: int | None, pitch_bytes: int | None = None) -> dict[str, Any]:
    """What the manifest says of a tensor that lies at `offset` in the arena, or is streamed; with rows of `pitch_bytes`
    where they do not follow one another at once."""
    quantized = t.quant is not None and t.dtype != "float32"
    return {
        "tensor": t.index,
        "name": t.name,
        "shape": list(t.shape),
        "dtype": t.dtype,
        "offset_bytes": offset,
        "size_bytes": t.size_bytes,
        "scale": t.quantization.scale if quantized else None,
        "zero_point": t.quantization.zero_point if quantized else None,
        **({"channels": list(t.channels)} if t.channels is not None else {}),
        **({"pitch_bytes": pitch_bytes} if pitch_bytes is not None else {}),
    }
