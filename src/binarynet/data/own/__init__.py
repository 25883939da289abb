"""Data of the user's own: folders of pictures, arrays, `.npz`, CSV, any map-style data set of PyTorch.

| pile     | images on their way into memory, and the three parts they are dealt to |
| labels   | what labels may be, and the names of the classes                       |
| values   | an array of images → bytes (n, channels, height, width)                |
| pictures | a folder of pictures for each class                                    |
| shards   | tar files of pictures and their classes, as WebDataset has them       |
| npz      | `.npz` files, read a piece at a time                                   |
| table    | CSV: a row of bytes an image, or a list of pictures                    |
| items    | any object with a length that gives (image, label)                     |
| find     | a path → what is there                                                 |

Nothing here knows `DataSet`, which is made of what comes back.
"""
