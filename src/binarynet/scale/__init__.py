"""Many images: Parquet, folders and streams, a few megabytes at a time, and on a cluster. See docs/scale.md."""

from binarynet.scale.score import Scorer
from binarynet.scale.sources import Source, open_source
from binarynet.scale.write import answer_all

__all__ = ["Scorer", "Source", "answer_all", "open_source"]
