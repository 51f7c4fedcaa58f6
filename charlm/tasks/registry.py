"""The tasks by name.

A new task is a module next to this one with a class that has `of` and the methods of `training/task.py`, and an entry here.
"""

from charlm.tasks.labels import ClassificationTask, TaggingTask
from charlm.tasks.language import LanguageTask

TASKS = {"language": LanguageTask, "classify": ClassificationTask, "tag": TaggingTask}
