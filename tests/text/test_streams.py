"""Windows against the rule they are cut by."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import TextError, counted
from charlm.text.streams import Streams

shapes = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(0, 400), st.integers(0, 3), st.integers(0, 5))


def fitted(seq_len: int, batch_size: int, extra: int, seed: int) -> Streams:
    return Streams.fitted(np.arange(2 * seq_len + extra), batch_size, seq_len, seed)


@given(shapes)
def test_windows_follow_the_rule(shape):
    """Stream b of an epoch covers ids[o + b*W*T : o + (b+1)*W*T + 1], targets one step on, with nothing past the end."""
    seq_len, batch_size, extra, seed, epoch = shape
    streams = fitted(seq_len, batch_size, extra, seed)
    n, t, b, o = len(streams.ids), seq_len, streams.batch_size, streams.offset(epoch)
    w = (n - t) // (b * t)
    assert streams.windows_per_epoch == w >= 1
    assert 0 <= o <= n - 1 - b * w * t
    windows = list(streams.windows(epoch))
    assert len(windows) == w
    for number, window in enumerate(windows):
        for lane in range(b):
            first = o + lane * w * t + number * t
            assert window.inputs[:, lane].tolist() == list(range(first, first + t))
            assert window.targets[:, lane].tolist() == list(range(first + 1, first + t + 1))


@given(shapes, st.integers(0, 20))
def test_an_epoch_can_be_entered_at_any_window(shape, start):
    """Windows from number k on are those that reading from the first would come to."""
    seq_len, batch_size, extra, seed, epoch = shape
    streams = fitted(seq_len, batch_size, extra, seed)
    whole, late = list(streams.windows(epoch)), list(streams.windows(epoch, start))
    assert [w.inputs.tolist() for w in late] == [w.inputs.tolist() for w in whole[start:]]


@given(shapes, st.integers(1, 100), st.integers(0, 3))
def test_pieces_that_go_to_the_device_do_not_show(shape, piece, start):
    """However little of the text is there at a time, the windows are the same."""
    seq_len, batch_size, extra, seed, epoch = shape
    streams = fitted(seq_len, batch_size, extra, seed)
    whole = list(streams.windows(epoch, start))
    with patch("charlm.text.streams.PIECE", piece):
        cut = list(streams.windows(epoch, start))
    assert [(w.inputs.tolist(), w.targets.tolist()) for w in cut] == [(w.inputs.tolist(), w.targets.tolist()) for w in whole]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_a_text_may_be_stored_in_any_width_and_unwritable(dtype):
    """What is mapped from disk gives the windows that the same numbers give in memory."""
    ids = (np.arange(400) * 7 % 251).astype(dtype)
    ids.setflags(write=False)
    stored, plain = (next(Streams.fitted(each, 3, 9, 1).windows(2)) for each in (ids, ids.astype(np.int64)))
    assert stored.inputs.dtype == torch.int64
    assert torch.equal(stored.inputs, plain.inputs)
    assert torch.equal(stored.targets, plain.targets)


@given(shapes)
def test_lanes_shrink_to_what_fits(shape):
    """As many lanes as asked for, or the most that leave one window of each and one to move in."""
    seq_len, batch_size, extra, seed, _ = shape
    n = 2 * seq_len + extra
    assert fitted(seq_len, batch_size, extra, seed).batch_size == min(batch_size, n // seq_len - 1)


@pytest.mark.parametrize("seq_len", [1, 5, 64])
def test_a_text_shorter_than_two_windows_is_refused(seq_len):
    """The error says how long the text is and how long it would have to be."""
    has = counted(2 * seq_len - 1, "symbol")
    with pytest.raises(TextError, match=f"has {has}, and --seq-len {seq_len} needs {2 * seq_len}"):
        Streams.fitted(np.zeros(2 * seq_len - 1), 4, seq_len, 0)


def test_epochs_start_at_different_places_and_seeds_repeat_them():
    """The offset is drawn anew for each epoch, and is the same each time it is asked for."""
    streams = fitted(8, 4, 2000, 1)
    offsets = [streams.offset(epoch) for epoch in range(50)]
    assert offsets == [fitted(8, 4, 2000, 1).offset(epoch) for epoch in range(50)]
    assert len(set(offsets)) > 10
    assert offsets != [fitted(8, 4, 2000, 2).offset(epoch) for epoch in range(50)]


def test_every_offset_there_is_room_for_comes_up():
    """Both ends of [0, N - 1 - B*W*T] are reached: no character at either end of a text is left out for good."""
    streams = Streams.fitted(np.arange(50), 3, 5, 1)
    last = 50 - 1 - 3 * 5 * ((50 - 5) // (3 * 5))
    assert {streams.offset(epoch) for epoch in range(200)} == set(range(last + 1))
