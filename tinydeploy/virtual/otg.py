"""The USB controller of the STM32 (RM0432 "OTG_FS"), as far as HAL's initialization waits for it: always idle."""

from __future__ import annotations

from tinydeploy.virtual.peripheral import Peripheral

GRSTCTL = 0x10
_AHBIDL = 1 << 31


class Otg(Peripheral):
    """Resets and flushes are done at once, device mode is what it is in, and no host is connected."""

    def __init__(self, name: str, base: int) -> None:
        super().__init__(name, base, {GRSTCTL: _AHBIDL})
        self.writers = {GRSTCTL: lambda _value: None}
