"""What follows from the options of `charlm train` that were typed, and which of them do not go together."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charlm.config import CorpusConfig
from charlm.errors import UsageError, brief

POOLING = "mean"  # of a classifier; "last" learned little (benchmarks/RESULTS.md)
TEST_FRACTION = 0.1  # of labelled texts
MIN_COUNT = 5  # of words
# Options allowed with --resume: where the run ends, where it computes and how it is shown.
WITH_RESUME = {"resume", "max_steps", "epochs", "max_time", "device", "threads", "quiet", "json"}


def run_to_resume(resume: str, typed: set[str]) -> Path:
    """The folder of the run that --resume names. Raises `UsageError` when an option was typed that a run keeps."""
    extra = sorted(typed - WITH_RESUME)
    if "init_from" in extra:
        what = "--init-from was given with --resume, which goes on with a run as it was set up"
        raise UsageError(what, f"give one of them, as in: charlm train CORPUS --init-from {shlex.quote(resume)}")
    if extra:
        name = "CORPUS" if "corpus" in extra else "--" + extra[0].replace("_", "-")
        raise UsageError(
            f"{name} was given with --resume, which keeps everything the run was started with",
            "only --max-steps, --epochs, --max-time, --device, --threads, --quiet and --json may be given with it; "
            "--init-from begins another run from its model",
        )
    from charlm.runs.find import find_run

    return find_run(resume)


def settle_symbols(values: dict[str, Any], typed: set[str]) -> None:
    """Fill in how often a symbol must occur to be one. Raises `UsageError` where bytes or labels leave no choice."""
    if values["min_count"] is None:
        values["min_count"] = MIN_COUNT if values["symbols"] == "word" else CorpusConfig().min_count
    if "min_count" in typed and values["symbols"] == "byte":
        raise UsageError("--min-count was given with --symbols byte, where nothing is too rare", "leave it out")
    if values["task"] == "language":
        return
    if "separator" in typed:
        what = f"--separator was given with --task {values['task']}, which tells texts apart"
        raise UsageError(what, "leave it out")
    if values["symbols"] == "word":
        what = f"--symbols word was given with --task {values['task']}, which reads texts character by character"
        raise UsageError(what, "leave it out")
    if "min_count" in typed:
        what = f"--min-count was given with --task {values['task']}, which reads what is rare as U+FFFD"
        raise UsageError(what, "leave it out")


def settle_task(corpus: Sequence[str], values: dict[str, Any], typed: set[str]) -> None:
    """Fill in what follows from the task, and the task where it follows from something else. Raises `UsageError`."""
    is_treebank = bool(corpus) and all(name.lower().endswith(".conllu") for name in corpus)
    if "task" not in typed and (values["restore"] or is_treebank):
        values["task"] = "tag"
    if values["restore"] and values["task"] != "tag":
        raise UsageError(f"--restore was given with --task {values['task']}", "leave --task out: to restore is to tag")
    _check_documents(values, typed)
    if values["task"] == "language":
        for name in ("columns", "bidirectional", "pooling"):
            if name in typed:
                raise UsageError(
                    f"--{name} was given with --task language, which has no labels", "name a --task, or leave it out"
                )
        return
    if "bidirectional" not in typed:
        values["bidirectional"] = values["task"] == "tag"
    if "pooling" not in typed and values["task"] == "classify":
        values["pooling"] = POOLING
    if values["task"] == "tag" and "pooling" in typed:
        raise UsageError("--pooling was given with --task tag, where each character has its own label", "leave it out")
    if "test_fraction" not in typed:
        values["test_fraction"] = TEST_FRACTION


def _check_documents(values: dict[str, Any], typed: set[str]) -> None:
    """Raise `UsageError` for --documents without a value, and with what it does not go together with."""
    if "documents" not in typed:
        return
    if not values["documents"]:
        raise UsageError("--documents is empty", "say file, line, or what stands between two documents")
    given = f"--documents {brief(values['documents'])} was given with"
    if values["task"] != "language":
        what = f"--restore {values['restore']}" if values["restore"] else f"--task {values['task']}"
        raise UsageError(f"{given} {what}, which has texts of its own", "leave one of them out")
    if "separator" in typed:
        raise UsageError(f"{given} --separator, and files are not joined where documents are told apart", "leave it out")
