"""Our training step beside the plain way, in turn in two processes.

| plain | the same recipe as public repositories train it      |
| speed | `compare`: time, memory and losses of both           |
"""
