"""The UART models by kind, as chips name them."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.cmsdk_uart import CmsdkUart
from tinydeploy.virtual.nrf_uart import NrfUart
from tinydeploy.virtual.pl011 import Pl011
from tinydeploy.virtual.uart_model import UartModel, UartWiring
from tinydeploy.virtual.usart import Usart
from tinydeploy.virtual.usart_v1 import UsartV1

AnyUart = UartModel | UsartV1
UARTS: dict[str, Callable[[UartWiring], AnyUart]] = {
    "usart_v2": Usart,
    "usart_v1": UsartV1,
    "nrf": NrfUart,
    "pl011": Pl011,
    "cmsdk": CmsdkUart,
}
