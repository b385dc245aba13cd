"""Every error a user can cause or meet, one class per thing the reader must do about it.

The message is one sentence or two: the thing, the fact, the next step. Only ``cli.py`` catches these, and only the
base class; any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TinydeployError(Exception):
    """Base of all expected errors. ``exit_code`` is what the command line returns: 2, the user's to mend."""

    exit_code = 2


class UsageError(TinydeployError):
    """An option or argument is wrong: type the command again."""


class ModelError(TinydeployError):
    """The .tflite file cannot be used: export or choose another model."""


class UnsupportedOpError(ModelError):
    """The model holds an operator, or a form of one, that tinydeploy does not compile: change the model."""


class BoardError(TinydeployError):
    """A board description is unknown or wrong: mend boards/*.toml."""


class FitError(TinydeployError):
    """The model does not fit the board: choose a smaller model or a larger board."""


class DatasetError(TinydeployError):
    """The training data cannot be read or is too little: mend the data."""


class OutputError(TinydeployError):
    """A file or folder cannot be written: free the disk or choose another place."""


class ToolchainError(TinydeployError):
    """The compiler or the flash tool is missing or failed: install or mend it."""


class LinkError(TinydeployError):
    """The device cannot be reached, or stopped answering: look at the cable, the port and the firmware."""


class MismatchError(TinydeployError):
    """Device and build disagree: flash the build that is on the host, or rebuild."""


class FirmwareFaultError(TinydeployError):
    """The virtual board stopped the firmware where silicon would have faulted: mend the firmware."""


class OracleError(TinydeployError):
    """TFLite Micro refused or aborted on the model: mend the model."""


class InternalError(TinydeployError):
    """tinydeploy itself is wrong: report it."""

    exit_code = 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known word closest to `word`, or the empty string when none is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
