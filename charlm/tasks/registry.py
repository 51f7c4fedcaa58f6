"""The tasks by name.

A new task is a module next to this one with a class that has `of` and the methods of `training/task.py`, and an entry here.
"""

from typing import Any

from charlm.config import chosen
from charlm.model.network import Network
from charlm.tasks.labels import ClassificationTask, TaggingTask
from charlm.tasks.language import LanguageTask

TASKS: dict[str, Any] = {"language": LanguageTask, "classify": ClassificationTask, "tag": TaggingTask}


def model_class(task: str) -> type[Network]:
    """The class of the models that a task trains. Raises `UsageError` for a task that does not exist."""
    found: type[Network] = chosen("--task", task, TASKS).model
    return found
