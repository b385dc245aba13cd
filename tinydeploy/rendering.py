"""The one setting of Jinja for C, linker scripts and makefiles: strict about undefined names, no stray blank lines."""

from __future__ import annotations

import jinja2

from tinydeploy.resources import resource_dir


def environment() -> jinja2.Environment:
    """The templates of ``firmware_templates/``."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("firmware_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
