"""``python -m binarynet.cli``."""

from binarynet.cli.streams import main

main()
