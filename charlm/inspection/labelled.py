"""Find, confirm, prove, for a model that gives labels: the argument of `examine`, where the labels are features too.

What is independent of one another is texts, not characters. So the texts are shuffled before they are halved, chance gives a
text the labels of another, and a clamp changes the loss of labels: one a text, or one a character.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError, counted
from charlm.features.labels import Labels
from charlm.features.registry import Feature, known
from charlm.inspection.decisions import intervene_on_labels, padded
from charlm.inspection.examine import CLAMP_WORK, argue, check_length
from charlm.inspection.findings import Report
from charlm.inspection.intervention import MOST_CONTROLS
from charlm.inspection.parallel import side_by_side
from charlm.inspection.stretch import top_level
from charlm.inspection.telling import count_in, tell_nobody
from charlm.inspection.trace import Trace, unit_of
from charlm.inspection.verdict import Effect
from charlm.model.heads import Labeller
from charlm.model.network import Network
from charlm.text.batches import Places, some
from charlm.text.corpus import Tell
from charlm.text.examples import UNLABELLED, Examples
from charlm.text.vocab import Vocab

LEAST_TEXTS = 40  # in which units can be found in one half and tested in the other
LEAST_OF_EITHER = 10  # texts with a label, and without, in each half: fewer prove nothing
MOST_CLAMPED = 400  # texts that a clamped unit is followed through
LEAST_CLAMPED = 100  # texts, however large the model, where there are as many
LEAST_SEEN = 5  # of these texts have more of a feature, and less

Mask = npt.NDArray[np.bool_]


def examine_labels(
    model: Network,
    examples: Examples,
    vocab: Vocab,
    names: Sequence[str],
    features: Sequence[Feature],
    seed: int,
    workers: int = 1,
    tell: Tell = tell_nobody,
) -> Report:
    """Each feature's best unit, tested, for the text's own features and for the labels, whose `names` go by their ids.

    Texts may have no labels, and then nothing is clamped. Raises `TextError` for under 40 of them, or 2,000 characters in all.
    """
    if len(examples) < LEAST_TEXTS:
        what = f"{counted(len(examples), 'text')}: too few to find units in one half and test them in the other"
        raise TextError(what, f"read {LEAST_TEXTS} texts or more")
    check_length(examples.num_characters, vocab)
    shuffled = some(examples, np.random.default_rng([seed, 0]).permutation(len(examples)))
    middle = len(shuffled) // 2
    border, end = int(shuffled.bounds[middle]), shuffled.num_characters
    asked, rare = features_of_labels(shuffled, middle, names, by_character=shuffled.by_character)
    labels = Labels(shuffled.ids, vocab, [*asked, *features], shuffled.bounds[:-1])
    clamp = partial(_clamp, model, shuffled.part(middle, len(shuffled))) if isinstance(model, Labeller) else _unclamped
    return argue(model, labels, ((0, border), (border, end)), clamp, seed, workers, tell, rare)


def features_of_labels(
    examples: Examples, middle: int, names: Sequence[str], *, by_character: bool
) -> tuple[list[Feature], list[tuple[str, str]]]:
    """The labels as features, true at every character that has the label, or whose text has it; and the names of those that
    too few texts have to be tested, and why. Of two labels the second says all.
    """
    at = examples.labels if by_character else examples.labels.repeat(examples.lengths)
    asked, rare = [], []
    for number in range(len(names) == 2, len(names)) if (at != UNLABELLED).any() else ():
        name = f"label={names[number]}"
        why = "" if by_character else _rarity(examples.labels == number, middle)
        if why:
            rare.append((name, why))
        else:
            asked.append(known(name, f"what is labelled {names[number]}", at == number))
    return asked, rare


def _rarity(has_label: Mask, middle: int) -> str:
    """Why a label of texts cannot be tested, in a few words; empty where it can."""
    if not has_label.any():
        return "not in the text"
    for half, where in ((has_label[:middle], "in the first half"), (has_label[middle:], "in the second half")):
        few = int(half.sum())
        if few < LEAST_OF_EITHER:
            return f"only {counted(few, 'text')} {where}" if few else f"not {where}"
        if len(half) - few < LEAST_OF_EITHER:
            return f"nearly everywhere {where}"
    return ""


def _unclamped(_trace: Trace, _labels: Labels, _pairs: Mapping[int, int], _seed: int, _tell: Tell) -> dict[int, Effect]:
    """Nothing: where there are no labels, there is no loss of theirs to change."""
    return {}


def _clamp(
    model: Labeller, examples: Examples, trace: Trace, labels: Labels, pairs: Mapping[int, int], seed: int, tell: Tell
) -> dict[int, Effect]:
    """What clamping does, by feature number, for `pairs` of feature number and row, while the second half's `examples` are
    read. Leaves out features that too few of the texts have more of, or less.
    """
    lanes = 2 * (1 + min(MOST_CONTROLS, model.config.hidden_size - 1)) + 1
    work = lanes * sum(weights.numel() for cell in model.layers for weights in cell.parameters()) * max(1, len(pairs))
    most = int(min(MOST_CLAMPED, max(LEAST_CLAMPED, CLAMP_WORK / (work * examples.lengths.mean()))))
    works, total = {}, 0
    for n, row in pairs.items() if (examples.labels != UNLABELLED).any() else ():
        rng = np.random.default_rng([seed, n + 1])
        chosen = texts_with_and_without(labels.only([n]), trace, examples, most, rng)
        if chosen is not None:
            works[n] = partial(intervene_on_labels, model, *chosen, unit_of(trace.groups, row), rng)
            total += lanes * padded(chosen[0])
    effects = side_by_side(list(works.values()), trace.workers, count_in(tell, "clamping units", total))
    return dict(zip(works, effects, strict=True))


def texts_with_and_without(
    labels: Labels, trace: Trace, examples: Examples, most: int, rng: np.random.Generator
) -> tuple[Examples, Mask] | None:
    """At most `most` of the texts that `trace` is over, half with more of the one feature of `labels` than the middle text has
    and half with less, in random order; and where it is present: in which of them or, where characters have labels, at which.
    None where there are too few.
    """
    ((levels,),) = [labels.between(trace.chapters[0].start, trace.chapters[-1].stop)]
    means = np.add.reduceat(levels, examples.bounds[:-1]) / examples.lengths
    has_more = means >= max(np.median(means), means[means > 0].min(initial=np.inf))
    sides = [np.flatnonzero(has_more), np.flatnonzero(~has_more)]
    if min(map(len, sides)) < LEAST_SEEN:
        return None
    taken: list[Places] = [
        rng.permutation(side)[: max(most // 2, most - len(other))] for side, other in zip(sides, sides[::-1], strict=True)
    ]
    which = rng.permutation(np.concatenate(taken))
    if not examples.by_character:
        return some(examples, which), has_more[which]
    is_present = levels >= (top_level(levels) if labels.features[0].is_graded else 1)
    places = np.concatenate([np.arange(examples.bounds[text], examples.bounds[text + 1]) for text in which.tolist()])
    chosen, is_present = some(examples, which), is_present[places]
    counted_in = is_present[chosen.labels != UNLABELLED]
    return (chosen, is_present) if counted_in.any() and not counted_in.all() else None
