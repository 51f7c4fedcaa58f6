"""The tasks by name.

A new task is a module beside this one, with a class that has `of` and what `training/task.py` asks for, and its entry here.
"""

from charlm.tasks.language import LanguageTask

TASKS = {"language": LanguageTask}
