"""``python -m tinydeploy`` is the command line, where the tinydeploy script is not on PATH."""

from tinydeploy.cli import main

main()
