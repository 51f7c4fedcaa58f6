"""Each mechanism taken out of a copy of the source in turn: its test must fail, or it is no test of it."""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.figure import Figure

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Removal:
    """`text`, found once in `file`, becomes `instead`, and `test` must fail."""

    mechanism: str
    file: str
    text: str
    instead: str
    test: str


REMOVALS = (
    Removal(
        "flush of a file",
        "charlm/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        "tests/test_files.py::test_no_loss_of_power_loses_a_file",
    ),
    Removal(
        "flush of a folder",
        "charlm/files.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        "tests/test_files.py::test_no_loss_of_power_loses_a_file",
    ),
    Removal(
        "rename",
        "charlm/files.py",
        '    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")\n',
        "    temporary = path\n    path.unlink(missing_ok=True)\n",
        "tests/test_files.py::test_when_writing_fails_the_old_file_stays",
    ),
    Removal(
        "state before the last",
        "charlm/files.py",
        "            path.replace(keep)\n",
        "            pass\n",
        "tests/runs/test_resume.py::test_a_damaged_last_state_falls_back_to_the_one_before",
    ),
    Removal(
        "hash of a tensor file",
        "charlm/tensorfile.py",
        "        if zeroed.hexdigest() != digest:\n",
        "        if False:\n",
        "tests/checkpoint/test_format.py::test_every_flipped_bit_is_found",
    ),
    Removal(
        "hash of the corpus",
        "charlm/text/corpus.py",
        "    if sha256_of([path]) != ids_sha256:\n",
        "    if False:\n",
        "tests/runs/test_resume.py::test_a_spoiled_run_folder_is_one_line_of_error",
    ),
    Removal(
        "carried state",
        "charlm/checkpoint/training.py",
        "            tensor.copy_(tensors[name])\n",
        '            tensor.copy_(tensors[name] * (not name.startswith("state.")))\n',
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "moments of the optimiser",
        "charlm/checkpoint/training.py",
        "            tensor.copy_(tensors[name])\n",
        '            tensor.copy_(tensors[name] * (not name.startswith("optimiser.")))\n',
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "random state",
        "charlm/checkpoint/training.py",
        "        trainer.generator.set_state(random_state)\n",
        "        pass\n",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "kind of a random state",
        "charlm/checkpoint/training.py",
        '    return generator.device.type != "cpu" or _is_sound(state)\n',
        "    return _is_sound(state)\n",
        "tests/checkpoint/test_training.py::test_wherever_a_gpus_generator_stands_it_is_resumed",
    ),
    Removal(
        "defaults of what a file lacks",
        "charlm/checkpoint/fields.py",
        "    needed = {name for name, field in known.items() if field.default is MISSING}\n",
        "    needed = set(known)\n",
        "tests/test_earlier.py::test_what_a_file_lacks_takes_its_default_and_nothing_is_said",
    ),
    Removal(
        "files of a later charlm left alone",
        "charlm/runs/restore.py",
        "        except NewerError:\n",
        "        except ZeroDivisionError:\n",
        "tests/test_earlier.py::test_what_a_later_charlm_wrote_is_left_to_it",
    ),
    Removal(
        "every step of a run played",
        "charlm/training/captured.py",
        "        if not self.is_tried:\n",
        '        self.calls = getattr(self, "calls", 0) + 1\n'
        "        if self.calls <= 3:\n            return training_step(trainer, batch)\n        if not self.is_tried:\n",
        "tests/training/test_captured.py::test_a_captured_run_that_was_stopped_ends_as_one_that_was_not",
    ),
    Removal(
        "position in the streams",
        "charlm/checkpoint/training.py",
        "position.step, position.epoch, position.window\n",
        "position.step, position.epoch, 0\n",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "lock",
        "charlm/files.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        pass\n",
        "tests/runs/test_resume.py::test_two_trainers_do_not_share_a_folder",
    ),
    Removal(
        "second look under the lock",
        "charlm/runs/folder.py",
        "    if read_record(path) != run.record:\n",
        "    if False:\n",
        "tests/runs/test_resume.py::test_a_run_that_was_replaced_while_it_was_opened_is_left_alone",
    ),
    Removal(
        "signals",
        "charlm/runs/signals.py",
        "        self.signal = number\n",
        "        pass\n",
        "tests/runs/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not",
    ),
    Removal(
        "second try on a full disk",
        "charlm/runs/disk.py",
        "        self._pending[name] = contents\n",
        "        self._pending = {name: contents}\n",
        "tests/runs/test_resume.py::test_a_disk_that_is_full_for_a_while_costs_nothing",
    ),
    Removal(
        "look at the numbers before saving",
        "charlm/training/loop.py",
        "                require_sound(trainer)\n",
        "                pass\n",
        "tests/training/test_loop.py",
    ),
    Removal(
        "finiteness of what is loaded",
        "charlm/checkpoint/format.py",
        "    if tensor.is_floating_point() and not tensor.isfinite().all():\n",
        "    if False:\n",
        "tests/checkpoint/test_training.py::test_a_forged_file_is_refused_with_the_trainer_as_it_was",
    ),
    Removal(
        "bounds of the header",
        "charlm/tensorfile.py",
        '        if raw.count(b"{") + raw.count(b"[") > MAX_BRACKETS or raw.count(b",") > MAX_COMMAS:\n',
        "        if False:\n",
        "tests/checkpoint/test_format.py::test_a_header_beyond_its_bounds_is_refused",
    ),
    Removal(
        "estimate of memory",
        "charlm/model/devices.py",
        "    if needed > free:\n",
        "    if False:\n",
        "tests/runs/test_make.py::test_a_run_that_needs_more_memory_than_there_is_now_is_refused",
    ),
    Removal(
        "filter for terminals",
        "charlm/display/terminal.py",
        "    return text.translate(VISIBLE_FORMS)\n",
        "    return text\n",
        "tests/display/test_terminal.py::test_every_code_point_is_made_harmless",
    ),
    Removal(
        "escaping in the page",
        "charlm/display/html.py",
        "    return html.escape(_shown(text))\n",
        "    return _shown(text)\n",
        "tests/display/test_html.py",
    ),
)


def removals(every: int) -> Figure:
    """All mechanisms, or, for a quick look, one in `every`; a copy that is whole must pass its tests first."""
    figure, chosen = Figure(), REMOVALS[::every]
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
            figure.check(source.count(removal.text) == 1, f"{removal.mechanism}: {removal.file} no longer has its line, once")
            path.write_text(source.replace(removal.text, removal.instead), encoding="utf-8")
            status, said = _tested(copy, removal.test)
            path.write_text(source, encoding="utf-8")
            figure.cases += 1
            is_failure = status == 1 and re.search(r"\d+ failed", said) is not None
            figure.check(is_failure, f"without its {removal.mechanism}, {removal.test} ends with status {status}")
    figure.note = ", ".join(removal.mechanism for removal in chosen)
    return figure


def _tested(copy: Path, *tests: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
