"""The chips that the virtual board models, one file per family, from the reference manuals and data sheets.

Nothing here is read from boards/*.toml: the firmware is built from those facts, and a wrong one must show.
"""
