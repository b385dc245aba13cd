"""What a library can be exported for: each is a folder of templates, firmware_templates/export/<name>."""

from __future__ import annotations

ECOSYSTEMS = ("arduino", "cmake", "esp-idf", "platformio", "zephyr")
# Their chips are no Cortex-M: the portable sources are all that they compile.
WITHOUT_CORTEX_M = ("esp-idf",)
