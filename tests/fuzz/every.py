"""All targets by name."""

from tests.fuzz import bnn, engines, files
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {one.name: one for one in (bnn.TARGET, engines.TARGET, *files.TARGETS)}
