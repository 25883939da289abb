"""``python -m binarynet.cli``."""

from binarynet.cli.app import main

main()
