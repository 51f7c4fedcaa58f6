"""The tasks by name.

A new task is a module next to this one with a class that has `of` and the methods of `training/task.py`, and an entry here.
"""

from typing import Any

from charlm.config import chosen
from charlm.model.network import Network
from charlm.tasks.documents import DocumentsTask
from charlm.tasks.labels import ClassificationTask, TaggingTask
from charlm.tasks.language import LanguageTask
from charlm.text.vocab import Vocab

TASKS: dict[str, Any] = {"language": LanguageTask, "classify": ClassificationTask, "tag": TaggingTask}


def task_class(task: str, vocab: Vocab) -> Any:  # noqa: ANN401 (each has a type of its own)
    """The class of a task over texts of this vocabulary: language is another task where documents are told apart."""
    return DocumentsTask if vocab.marks and task == "language" else chosen("--task", task, TASKS)


def model_class(task: str) -> type[Network]:
    """The class of the models that a task trains. Raises `UsageError` for a task that does not exist."""
    found: type[Network] = chosen("--task", task, TASKS).model
    return found
