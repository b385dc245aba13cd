"""What a library can be exported for: each is a folder of templates, firmware_templates/export/<name>."""

from __future__ import annotations

ECOSYSTEMS = ("arduino", "cmake", "esp-idf", "platformio", "zephyr")
