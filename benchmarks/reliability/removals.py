"""Takes each mechanism out of a copy of the source in turn: its test must then fail, or it does not test the mechanism.

The code to take out is found as syntax, so layout and comments do not matter.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.reliability.figure import Figure

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Removal:
    """Replaces `code`, a statement or an expression that stands once at `where`, by `instead`; then `test` must fail.

    `where` is a module and its function, method or class: "charlm.files:replaced".
    """

    mechanism: str
    where: str
    code: str
    instead: str
    test: str

    @property
    def file(self) -> str:
        """The module's file, relative to the root of the repository."""
        return self.where.partition(":")[0].replace(".", "/") + ".py"

    def taken_out(self, source: str) -> str:
        """Take the mechanism out of the module's `source`. Raises `ValueError` unless the code stands there exactly once."""
        tree = ast.parse(source)
        taking = _Taking(self)
        taking.visit(_part(tree, self.where.partition(":")[2]))
        if taking.count != 1:
            raise ValueError(f"{self.mechanism}: {self.where} has {self.code!r} {taking.count} times, not once")
        return ast.unparse(tree)


class _Taking(ast.NodeTransformer):
    """Replaces a removal's code wherever it stands, and counts how often."""

    def __init__(self, removal: Removal) -> None:
        code, self.instead = ast.parse(removal.code).body[0], ast.parse(removal.instead).body
        self.text, self.count = ast.unparse(code), 0

    def generic_visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        if not isinstance(node, ast.stmt | ast.expr) or ast.unparse(node) != self.text:
            return super().generic_visit(node)
        self.count += 1
        if isinstance(node, ast.stmt):
            return self.instead
        (statement,) = self.instead
        return statement.value  # an expression is replaced by an expression, not a statement


def _part(tree: ast.Module, name: str) -> ast.AST:
    """Find the function, class or method of that dotted name. Raises `ValueError` when there is none."""
    part: ast.Module | ast.FunctionDef | ast.ClassDef = tree
    for word in name.split("."):
        found = [each for each in part.body if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == word]
        if len(found) != 1:
            raise ValueError(f"there is no {name}")
        part = found[0]
    return part


REMOVALS = (
    Removal(
        "flush of a file",
        "charlm.files:replaced",
        "os.fsync(file.fileno())",
        "pass",
        "tests/test_files.py::test_no_loss_of_power_loses_a_file",
    ),
    Removal(
        "flush of a folder",
        "charlm.files:flush_folder",
        "os.fsync(descriptor)",
        "pass",
        "tests/test_files.py::test_no_loss_of_power_loses_a_file",
    ),
    Removal(
        "rename",
        "charlm.files:replaced",
        'temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")',
        "temporary = path; path.unlink(missing_ok=True)",
        "tests/test_files.py::test_when_writing_fails_the_old_file_stays",
    ),
    Removal(
        "state before the last",
        "charlm.files:replaced",
        "path.replace(keep)",
        "pass",
        "tests/runs/test_damage.py::test_a_damaged_last_state_falls_back_to_the_one_before",
    ),
    Removal(
        "hash of a tensor file",
        "charlm.tensorfile:TensorFile._check_digest",
        "zeroed.hexdigest() != digest",
        "False",
        "tests/checkpoint/test_format.py::test_every_flipped_bit_is_found",
    ),
    Removal(
        "hash of the corpus",
        "charlm.text.corpus:open_corpus",
        "sha256_of([path]) != ids_sha256",
        "False",
        "tests/runs/test_damage.py::test_a_spoiled_run_folder_is_one_line_of_error",
    ),
    Removal(
        "hash of the examples",
        "charlm.text.dataset:open_examples",
        "sha256_of([path]) != ids_sha256",
        "False",
        "tests/runs/test_labelled.py::test_a_spoiled_run_of_labels_is_one_line_of_error",
    ),
    Removal(
        "labels among what decides a run",
        "charlm.runs.folder:Run.about",
        "hashlib.sha256(labels.encode()).hexdigest()",
        "''",
        "tests/runs/test_labelled.py::test_labels_that_changed_their_names_are_said_to_have",
    ),
    Removal(
        "how long nothing was better",
        "charlm.checkpoint.training:_stand_at",
        "trainer.stale = position.stale",
        "pass",
        "tests/tasks/test_tasks.py::test_a_run_of_any_task_ends_when_its_patience_has",
    ),
    Removal(
        "nothing learned from texts without a label",
        "charlm.text.batches:with_labels",
        "has_label.all()",
        "True",
        "tests/tasks/test_labels.py::test_what_has_no_label_is_not_learned_from",
    ),
    Removal(
        "carried state",
        "charlm.checkpoint.training:load_trainer",
        "tensor.copy_(tensors[name])",
        'tensor.copy_(tensors[name] * (not name.startswith("state.")))',
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "moments of the optimiser",
        "charlm.checkpoint.training:load_trainer",
        "tensor.copy_(tensors[name])",
        'tensor.copy_(tensors[name] * (not name.startswith("optimiser.")))',
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "random state",
        "charlm.checkpoint.training:load_trainer",
        "trainer.generator.set_state(random_state)",
        "pass",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "kind of a random state",
        "charlm.checkpoint.training:_could_be_resumed",
        'generator.device.type != "cpu"',
        "False",
        "tests/checkpoint/test_training.py::test_wherever_a_gpus_generator_stands_it_is_resumed",
    ),
    Removal(
        "defaults of what a file lacks",
        "charlm.checkpoint.fields:_from_fields",
        "field.default is MISSING",
        "True",
        "tests/test_earlier.py::test_what_a_file_lacks_takes_its_default_and_nothing_is_said",
    ),
    Removal(
        "files of a later charlm left alone",
        "charlm.runs.restore:restored",
        "NewerError",
        "ZeroDivisionError",
        "tests/test_earlier.py::test_what_a_later_charlm_wrote_is_left_to_it",
    ),
    Removal(
        "every step of a run played",
        "charlm.training.captured:CapturedStep.__call__",
        "self.captured is None",
        'setattr(self, "calls", getattr(self, "calls", 0) + 1) or self.calls <= 3 or self.captured is None',
        "tests/training/test_captured.py::test_a_captured_run_that_was_stopped_ends_as_one_that_was_not",
    ),
    Removal(
        "position in the streams",
        "charlm.checkpoint.training:_stand_at",
        "position.window",
        "0",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "lock",
        "charlm.files:_lock",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "tests/runs/test_resume.py::test_two_trainers_do_not_share_a_folder",
    ),
    Removal(
        "second look under the lock",
        "charlm.runs.folder:record_end",
        "read_record(path) != run.record",
        "False",
        "tests/runs/test_resume.py::test_a_run_that_was_replaced_while_it_was_opened_is_left_alone",
    ),
    Removal(
        "signals",
        "charlm.runs.signals:StopRequest",
        "self.signal = number",
        "pass",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "second try on a full disk",
        "charlm.runs.disk:Disk.save",
        "self._pending[name] = contents",
        "self._pending = {name: contents}",
        "tests/runs/test_full_disk.py::test_a_disk_that_is_full_for_a_while_costs_nothing",
    ),
    Removal(
        "look at the numbers before saving",
        "charlm.training.loop:train",
        "require_sound(trainer)",
        "pass",
        "tests/training/test_loop.py",
    ),
    Removal(
        "finiteness of what is loaded",
        "charlm.checkpoint.format:_tensor",
        "tensor.is_floating_point() and not tensor.isfinite().all()",
        "False",
        "tests/checkpoint/test_training.py::test_a_forged_file_is_refused_with_the_trainer_as_it_was",
    ),
    Removal(
        "bounds of the header",
        "charlm.tensorfile:TensorFile._header",
        'raw.count(b"{") + raw.count(b"[") > MOST_BRACKETS or raw.count(b",") > MOST_COMMAS',
        "False",
        "tests/checkpoint/test_format.py::test_a_header_beyond_its_bounds_is_refused",
    ),
    Removal(
        "estimate of memory",
        "charlm.model.devices:require_memory",
        "needed > free",
        "False",
        "tests/runs/test_make.py::test_a_run_that_needs_more_memory_than_there_is_now_is_refused",
    ),
    Removal(
        "filter for terminals",
        "charlm.display.terminal:visible",
        "text.translate(VISIBLE_FORMS)",
        "text",
        "tests/display/test_terminal.py::test_every_code_point_is_made_harmless",
    ),
    Removal(
        "escaping in the page",
        "charlm.display.html:_escaped",
        "html.escape(_shown(text))",
        "_shown(text)",
        "tests/display/test_html.py",
    ),
)


def removals(every: int) -> Figure:
    """Take out all mechanisms, or only one in `every`: other ones each day, until all had their turn.

    An unchanged copy must pass the tests first. All of them take some four minutes of one core.
    """
    figure, chosen = Figure(), REMOVALS[datetime.now(UTC).toordinal() % every :: every]
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("charlm", "tests", "benchmarks", "data", "checkpoints/austen"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "SECURITY.md"):
            shutil.copy(ROOT / file, copy / file)
        tests = sorted({removal.test for removal in chosen})
        status, said = _tested(copy, *tests)
        figure.check(status == 0, f"untouched: {said[-500:]}")
        for removal in chosen:
            path = copy / removal.file
            source = path.read_text(encoding="utf-8")
            path.write_text(removal.taken_out(source), encoding="utf-8")
            status, said = _tested(copy, removal.test)
            path.write_text(source, encoding="utf-8")
            figure.cases += 1
            is_failure = status == 1 and re.search(r"\d+ failed", said) is not None
            figure.check(is_failure, f"without its {removal.mechanism}, {removal.test} ends with status {status}")
    figure.note = ", ".join(removal.mechanism for removal in chosen)
    return figure


def _tested(copy: Path, *tests: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    there = {**os.environ, "PYTHONPATH": str(copy)}  # also for the processes that tests start
    done = subprocess.run(command, cwd=copy, env=there, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
