"""``binarynet report``: one HTML file that shows a model and the run it came from; it works without a network.

| content | what is shown, computed                     |
| run     | what a run folder says, read without torch  |
| html    | the content, laid out by ``page.html.j2``   |
"""

from binarynet.report.page.content import Content as Content
from binarynet.report.page.content import content_of as content_of
from binarynet.report.page.html import page as page
from binarynet.report.page.run import Run as Run
from binarynet.report.page.run import read_run as read_run
