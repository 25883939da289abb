"""Data sets as uint8 arrays, with the papers' splits; numpy only, nothing here imports torch.

| name | images | train / validation / test | read by |
|---|---|---|---|
| `digits` | 1×8×8 | 1,204 / 297 / 296 | `digits` |
| `mnist`, `fashion-mnist`, `kmnist` | 1×28×28 | 50,000 / 10,000 / 10,000 | `idx` |
| `cifar10` | 3×32×32 | 45,000 / 5,000 / 10,000 | `cifar10` |
| `svhn` | 3×32×32 | 598,388 / 6,000 / 26,032 | `svhn` |
"""

from binarynet.data.augment import pad_crop_flip as pad_crop_flip
from binarynet.data.catalogue import classes_of as classes_of
from binarynet.data.catalogue import is_own as is_own
from binarynet.data.catalogue import load as load
from binarynet.data.catalogue import load_split as load_split
from binarynet.data.catalogue import names as names
from binarynet.data.crops import Crops as Crops
from binarynet.data.dataset import DataSet as DataSet
from binarynet.data.dataset import Split as Split
from binarynet.data.idx import read_idx as read_idx
from binarynet.data.idx import write_idx as write_idx
from binarynet.data.local_contrast import LocalContrast as LocalContrast
from binarynet.data.preprocess import GlobalContrast as GlobalContrast
from binarynet.data.preprocess import Preprocessing as Preprocessing
from binarynet.data.preprocess import Zca as Zca
from binarynet.data.preprocess import principal_components as principal_components
from binarynet.data.streamed import Pictures as Pictures
from binarynet.data.streamed import StreamedSplit as StreamedSplit
