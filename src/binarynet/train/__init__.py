"""From a recipe and a data set to a trained network: the loop is Lightning's, the rest is here.

| loader     | batches in memory, in an order that is a function of (seed, epoch) |
| evaluate   | loss and error of a model over a set                               |
| teacher    | a trained network whose answers are learnt beside the labels       |
| module     | the training and validation step; the scores of an epoch           |
| callbacks  | flip ratio and saturation; metrics.csv and TensorBoard             |
| checkpoint | files of weights: atomic, and read without running code            |
| keeping    | when last.ckpt and best.ckpt are written                           |
| folder     | the run folder, and when it may be gone on with                    |
| processes  | several processes for one run                                      |
| waiting    | threads that wait sleep                                            |
| interrupt  | Ctrl-C and SIGTERM                                                 |
| console    | what is shown while it trains                                      |
| config     | the config.json of a run as the beginning of another one           |
| check      | what is refused before a run writes anything                       |
| training   | `fit(recipe, data, out)`: all of it                                |
| sweep      | a search over settings, by Optuna                                  |
| load       | `load_run(out)`: the recipe and the best model of a run            |
| pretrained | a net and its settings in a folder of their own, or on the hub     |

Lightning takes seconds to import, so what needs it is imported when it is first asked for: whoever reads a run, or
writes a loop of his own with our batches, does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from binarynet.errors import TrainingError as TrainingError
from binarynet.train.config import Config as Config
from binarynet.train.evaluate import Scores as Scores
from binarynet.train.evaluate import evaluate as evaluate
from binarynet.train.folder import RunFolder as RunFolder
from binarynet.train.load import load_run as load_run
from binarynet.train.loader import EvaluationBatches as EvaluationBatches
from binarynet.train.loader import TrainingBatches as TrainingBatches
from binarynet.train.pretrained import Pretrained as Pretrained

if TYPE_CHECKING:
    from binarynet.train.interrupt import Interrupted as Interrupted
    from binarynet.train.processes import is_main_process as is_main_process
    from binarynet.train.training import Result as Result
    from binarynet.train.training import fit as fit

_LATER = {
    "Interrupted": "binarynet.train.interrupt",
    "Result": "binarynet.train.training",
    "fit": "binarynet.train.training",
    "is_main_process": "binarynet.train.processes",
}
__all__ = [
    "Config",
    "EvaluationBatches",
    "Interrupted",
    "Pretrained",
    "Result",
    "RunFolder",
    "Scores",
    "TrainingBatches",
    "TrainingError",
    "evaluate",
    "fit",
    "is_main_process",
    "load_run",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
