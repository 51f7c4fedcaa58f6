"""Counts become shares of a stage."""

from charlm.inspection.telling import count_in, tell_nobody


def test_a_stage_begins_at_nothing_and_ends_at_all():
    """What comes in is added up and told as a share, of which there is never more than all."""
    told: list[tuple[str, float]] = []
    count = count_in(lambda *each: told.append(each), "counting", 8)
    for more in (1, 3, 4, 1):
        count(more)
    assert told == [("counting", share) for share in (0.0, 0.125, 0.5, 1.0, 1.0)]


def test_a_stage_of_nothing_is_no_division_by_zero():
    """Where there is nothing to do, nothing is done."""
    told: list[tuple[str, float]] = []
    count_in(lambda *each: told.append(each), "counting", 0)(0)
    assert told == [("counting", 0.0)] * 2


def test_nobody_may_be_told_anything():
    """Whoever only wants a result hands in one callable for counts and stages alike."""
    assert tell_nobody(3) is None
    assert tell_nobody("counting", 0.5) is None
