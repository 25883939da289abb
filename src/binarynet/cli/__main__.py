"""``python -m binarynet.cli``."""

from binarynet.cli.main import main

main()
