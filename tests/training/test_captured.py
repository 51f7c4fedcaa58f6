"""A captured step is the plain step, or is not relied on. On a CPU a stand-in replays what a graph would."""

from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charlm.checkpoint.training import load_trainer, trainer_bytes
from charlm.config import ModelConfig, TrainConfig
from charlm.model import language_model, stack
from charlm.model.capture import Captured
from charlm.model.language_model import LanguageModel
from charlm.tasks.language import LanguageTask
from charlm.text.streams import Streams
from charlm.training.captured import MOST_WARM_UP, CapturedStep, Standing, warm_up
from charlm.training.trainer import Trainer
from tests.conftest import CELLS, Philox, Replayed, save_trainer
from tests.training.test_loop import CONFIG, TASK, assert_same, new_trainer, run


def both(trainers: tuple[Trainer, Trainer], capture) -> list[str]:
    """Train one trainer plainly and the other captured; the notices that were given."""
    notices: list[str] = []
    list(run(trainers[0]))
    list(run(trainers[1], step=CapturedStep(notices.append, capture)))
    return notices


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_captured_run_is_the_plain_run(cell, optimiser, scaled):
    """Across epochs and evaluations, with dropout, a schedule and loss scaling, bit for bit."""
    config = TrainConfig(batch_size=4, seq_len=9, eval_every=7, optimiser=optimiser)
    trainers = new_trainer(cell, 2, config=config), new_trainer(cell, 2, config=config)
    for trainer in trainers:
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=5, enabled=scaled)
    played = []

    class Counted(Replayed):
        def __call__(self, *arguments):
            played.append(1)
            return super().__call__(*arguments)

    assert both(trainers, Counted) == []
    assert_same(*trainers)
    assert trainers[0].scaler.state_dict() == trainers[1].scaler.state_dict()
    assert len(played) == 2 + 40  # two to check the captured one, and then every step of the run


class FrozenRate(Replayed):
    """Takes the rate of the moment when it was captured, as a graph does with a number that is no tensor."""

    def __init__(self, function, arguments, generators=()):
        super().__init__(function, arguments)
        self.optimiser = FrozenRate.trainer.optimiser
        self.rates = [group["lr"] for group in self.optimiser.param_groups]

    def __call__(self, *arguments):
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate
        return super().__call__(*arguments)


class FrozenDropout(Replayed):
    """Drops the same units at every step."""

    def __init__(self, function, arguments, generators=()):
        super().__init__(function, arguments)
        self.generator = generators[0]
        self.state = self.generator.get_state()

    def __call__(self, *arguments):
        self.generator.set_state(self.state)
        return super().__call__(*arguments)


class FrozenState(Replayed):
    """Starts each step from where it was captured."""

    def __call__(self, *arguments):
        return super().__call__(*arguments[:2], *self.arguments[2:])


class FrozenWindow(Replayed):
    """Reads the same characters at every step."""

    def __call__(self, *arguments):
        return super().__call__(*self.arguments[:2], *arguments[2:])


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("cell", CELLS)
def test_many_streams_do_not_hide_a_frozen_batch(cell, optimiser):
    """However many characters a step averages over, one that always reads the same is found out."""
    ids = np.random.default_rng(0).integers(0, 13, 2 * 64 * 64).astype(np.uint8)
    streams = Streams(ids=ids, batch_size=64, seq_len=64, seed=1)
    task = LanguageTask(streams=streams, validation_ids=ids[:0])
    config = ModelConfig(cell=cell, embedding_size=8, hidden_size=64, num_layers=1, dropout=0.0)
    model = LanguageModel.initialised(config, 13, generator=torch.Generator().manual_seed(0))
    trainer = Trainer.fresh(model, task, TrainConfig(optimiser=optimiser), new_trainer().end, "fp32")
    notices: list[str] = []
    CapturedStep(notices.append, FrozenWindow)(trainer, next(task.batches(0, 0, trainer.device)))
    assert len(notices) == 1


class Failing(Replayed):
    """Fails half-way through being captured, as a graph does at work that cannot be captured."""

    def __init__(self, function, arguments, generators=()):
        function(*arguments)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.mark.parametrize("capture", [FrozenRate, FrozenDropout, FrozenState, FrozenWindow, Failing], ids=lambda r: r.__name__)
@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_captured_step_that_does_something_else_is_not_used(capture, optimiser):
    """One line says so, and the run is the plain run, bit for bit, as if nothing had been tried."""
    config = TrainConfig(batch_size=4, seq_len=9, eval_every=7, optimiser=optimiser)
    trainers = new_trainer("lstm", 2, config=config), new_trainer("lstm", 2, config=config)
    FrozenRate.trainer = trainers[1]
    (notice,) = both(trainers, capture)
    assert notice.startswith("steps are not captured as a CUDA graph, and launched one by one: ")
    assert "\n" not in notice
    assert_same(*trainers)


def test_a_failure_amid_a_scaled_step_leaves_a_scaler_that_works():
    """The scale and its count are what they were, and the next step may unscale again."""
    trainers = new_trainer(), new_trainer()
    for trainer in trainers:
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=5)

    class Unscaled(Replayed):
        def __init__(self, function, arguments, generators=()):
            function(*arguments)
            trainers[1].scaler.unscale_(trainers[1].optimiser)
            raise RuntimeError("no")

    assert len(both(trainers, Unscaled)) == 1
    assert_same(*trainers)
    assert trainers[0].scaler.get_scale() == trainers[1].scaler.get_scale()


@pytest.mark.parametrize(("halvings", "steps"), [(0, 3), (2, 3), (3, 4), (7, 8), (99, MOST_WARM_UP)])
def test_what_is_captured_is_warm(halvings, steps, monkeypatch):
    """Three plain steps at least, and more until none is skipped, each of which halves the scale; but not for ever."""
    taken = []
    scaler = SimpleNamespace(get_scale=lambda: 2.0 ** -min(len(taken), halvings))
    monkeypatch.setattr("charlm.training.captured.training_step", lambda *each: taken.append(each))
    warm_up(SimpleNamespace(scaler=scaler), None)
    assert len(taken) == steps


def test_a_check_in_which_nothing_moved_is_none():
    """Where every step that was tried was skipped, nothing is known of the captured step, and it is not relied on."""
    standing = Standing(new_trainer())
    assert standing.unlike(standing, standing) == "no step that was tried moved anything"


class Moved(Replayed):
    """A replay that adds up in another order than a plain step: what comes out is not the same to the last bit."""

    def __call__(self, *arguments):
        loss, norm, *parts = super().__call__(*arguments)
        return loss, norm, *(part.mul_(1 + 2**-20) for part in parts)


def resumable(cell: str, device: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A new trainer on `device`; on a CPU with loss scaling and a GPU's generator, which draws by where its state stands."""
    model = new_trainer(cell, 2).model.to(device)
    trainer = Trainer.fresh(model, TASK, CONFIG, new_trainer().end, precision)
    if device == "cpu":
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=5)
        trainer.generator, real = Philox().manual_seed(3), stack.dropout
        if not hasattr(real, "turns"):

            def turned(x, rate, generator):
                if generator is not None:
                    generator.turn()
                return real(x, rate, generator)

            turned.turns = True
            monkeypatch.setattr(stack, "dropout", turned)
            monkeypatch.setattr(language_model, "dropout", turned)
    return trainer


def bytes_of(trainer: Trainer) -> bytes:
    """All that a continuation needs, but for how long it took."""
    trainer.seconds = 0.0
    return trainer_bytes(trainer)


ON = [pytest.param("cpu", "fp32", Moved, id="stand-in")]
ON += [pytest.param("cuda", name, Captured, marks=pytest.mark.cuda, id=name) for name in ("fp32", "bf16", "fp16")]


@pytest.mark.parametrize(("device", "precision", "capture"), ON)
@pytest.mark.parametrize("cell", CELLS)
def test_a_captured_run_that_was_stopped_ends_as_one_that_was_not(cell, device, precision, capture, tmp_path, monkeypatch):
    """40 steps are 20, saved, loaded elsewhere and gone on with, bit for bit, with dropout and loss scaling.

    Though a replay may differ from a plain step, for neither run takes a plain one.
    """
    whole, first, second = (resumable(cell, device, precision, monkeypatch) for _ in range(3))
    notices: list[str] = []
    list(run(whole, step=CapturedStep(notices.append, capture)))
    list(run(first, step=CapturedStep(notices.append, capture), should_stop=lambda: first.step >= 20))
    save_trainer(tmp_path / "last", first)
    assert load_trainer(tmp_path / "last", second) == []
    list(run(second, step=CapturedStep(notices.append, capture)))
    assert notices == []
    assert bytes_of(whole) == bytes_of(second)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("cell", CELLS)
def test_on_a_gpu_a_captured_run_learns_what_the_plain_run_learns(cell, precision):
    """The graph is used, and after 40 steps its model is as near to the plain one as another plain one is."""
    trainers = []
    for _ in range(2):
        model = new_trainer(cell, 2).model.to("cuda")
        trainers.append(Trainer.fresh(model, TASK, CONFIG, new_trainer().end, precision))
    started = [p.detach().clone() for p in trainers[0].model.parameters()]
    notices: list[str] = []
    list(run(trainers[0]))
    list(run(trainers[1], step=CapturedStep(notices.append)))
    assert notices == []
    for start, plain, captured in zip(started, *(t.model.parameters() for t in trainers), strict=True):
        assert (plain - captured).norm() <= 0.3 * (plain - start).norm()
    assert all(part.is_cuda for part in chain(*trainers[1].state))
