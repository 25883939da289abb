"""From a recipe and a data set to a trained network: the loop is Lightning's, the rest is here.

| loader     | batches in memory, in an order that is a function of (seed, epoch) |
| evaluate   | loss and error of a model over a set                               |
| teacher    | a trained network whose answers are learnt beside the labels       |
| module     | the training and validation step; the scores of an epoch           |
| callbacks  | flip ratio and saturation; metrics.csv and TensorBoard             |
| checkpoint | last.ckpt and best.ckpt: atomic, and read without running code     |
| folder     | the run folder, and when it may be gone on with                    |
| processes  | several processes for one run                                      |
| waiting    | threads that wait sleep                                            |
| interrupt  | Ctrl-C and SIGTERM                                                 |
| console    | what is shown while it trains                                      |
| config     | the config.json of a run as the beginning of another one           |
| check      | what is refused before a run writes anything                       |
| fit        | `fit(recipe, data, out)`: all of it                                |
| sweep      | a search over settings, by Optuna                                  |
| load       | `load_run(out)`: the recipe and the best model of a run            |
| pretrained | a net and its settings in a folder of their own, or on the hub     |
"""

from binarynet.errors import TrainingError as TrainingError
from binarynet.train.config import Config as Config
from binarynet.train.evaluate import Scores as Scores
from binarynet.train.evaluate import evaluate as evaluate
from binarynet.train.fit import Result as Result
from binarynet.train.fit import fit as fit
from binarynet.train.folder import RunFolder as RunFolder
from binarynet.train.interrupt import Interrupted as Interrupted
from binarynet.train.load import load_run as load_run
from binarynet.train.loader import EvaluationBatches as EvaluationBatches
from binarynet.train.loader import TrainingBatches as TrainingBatches
from binarynet.train.pretrained import Pretrained as Pretrained
from binarynet.train.processes import is_main_process as is_main_process
