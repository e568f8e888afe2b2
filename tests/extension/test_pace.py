"""The pace at which KFP is asked, played through on a clock of its own."""

import random
import statistics

import pytest

from jupyter_kfp_mt.extension.pace import OWN, QUEUED, SHARED, TOLD, Bounds, Look, Pace
from jupyter_kfp_mt.intervals import PATIENCE_SECONDS

MINUTES = 60.0
SEEDS = range(20)


def played(pace, seconds, took=lambda at: 0.3, changed=lambda since, at: True, requests=1):
    """The looks that are made in so many seconds."""
    looks, since, now = [], 0.0, pace.next()
    while now < seconds:
        looks.append(Look(now, took(now), requests, changed(since, now)))
        pace.looked(looks[-1])
        since, now = now, pace.next()
    return looks


def asked(looks, begin, seconds):
    return sum(look.requests for look in looks if begin <= look.at < begin + seconds)


def changes(rng, seconds, mean):
    """Moments at which something changes, as of many runs that go on."""
    found, now = [], 0.0
    while (now := now + rng.expovariate(1 / mean)) < seconds:
        found.append(now)
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "bounds, most", [pytest.param(SHARED, 60, id="asking"), pytest.param(TOLD, 30, id="told")]
)
def test_ten_minutes_in_which_everything_changes_take_no_more_than_the_budget(seed, bounds, most):
    rng = random.Random(seed)
    pace = Pace(0, bounds, rng.random)
    looks = played(pace, 60 * MINUTES, lambda at: rng.uniform(0.01, 2.0))
    begins = [rng.uniform(0, 50 * MINUTES) for _ in range(50)]
    assert max(asked(looks, begin, 10 * MINUTES) for begin in [0, *begins]) <= most


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_a_look_of_several_requests_pays_for_them_all(requests):
    looks = played(Pace(0), 60 * MINUTES, requests=requests)
    assert asked(looks, 10 * MINUTES, 50 * MINUTES) <= 50 * MINUTES / SHARED.budget + 3 + requests


def test_a_change_is_seen_within_five_seconds_or_so_in_the_median():
    rng = random.Random(1)
    pace, moments = Pace(0, jitter=rng.random), changes(rng, 60 * MINUTES, 1.5)
    looks = played(
        pace, 60 * MINUTES, changed=lambda since, at: any(since < each <= at for each in moments)
    )
    delays = [
        next(look.end for look in looks if look.at >= each) - each
        for each in moments
        if each < looks[-1].at
    ]
    assert statistics.median(delays) < 6


def test_a_run_that_is_stuck_for_a_day_is_asked_about_every_few_minutes():
    looks = played(Pace(0), 24 * 60 * MINUTES, changed=lambda since, at: False)
    assert 20 <= asked(looks, 22 * 60 * MINUTES, 100 * MINUTES) <= 35


def test_the_longer_nothing_changes_the_longer_are_the_pauses():
    looks = played(Pace(0, jitter=lambda: 0.5), 60 * MINUTES, changed=lambda since, at: False)
    pauses = [after.at - look.end for look, after in zip(looks, looks[1:], strict=False)][3:]
    assert pauses == pytest.approx(sorted(pauses))


def test_a_change_after_a_long_time_is_followed_closely():
    pace = Pace(0)
    played(pace, 60 * MINUTES, changed=lambda since, at: False)
    begin = pace.next()
    pace.looked(Look(begin, 0.05, changed=True))
    looks = played(pace, begin + 60, lambda at: 0.05)
    assert looks[0].at - begin < 5
    assert asked(looks, begin, 60) > 60 / SHARED.budget


@pytest.mark.parametrize("seed", SEEDS)
def test_who_changes_something_sees_it_at_once_even_if_the_budget_is_spent(seed):
    rng = random.Random(seed)
    pace = Pace(0, jitter=rng.random)
    looks = played(pace, rng.uniform(1, 10) * MINUTES)
    now = looks[-1].end + rng.uniform(0, 1)
    pace.woken(now)
    assert pace.next() == pytest.approx(now)


def test_a_thousand_changes_in_a_minute_do_not_make_a_thousand_looks():
    pace, count, now = Pace(0), 0, 0.0
    while now < 60:
        if pace.next() <= now:
            pace.looked(Look(now, 0.01, changed=True))
            count += 1
        pace.woken(now)
        now += 0.06
    assert count <= 60 / SHARED.budget + SHARED.saved + SHARED.owed + 1


def test_nothing_is_asked_for_what_nobody_sees():
    assert Pace(0).next(is_seen=False) is None


@pytest.mark.parametrize("took", [0.5, 1.0, 3.0, 10.0])
def test_no_more_than_a_tenth_of_the_time_is_spent_waiting_for_answers(took):
    looks = played(Pace(0), 60 * MINUTES, lambda at: took)
    assert sum(look.took for look in looks) <= 60 * MINUTES / 10 + took


def test_no_more_than_a_twentieth_of_what_kfp_gives_is_asked_for():
    allowed = 5 * 60 * MINUTES
    assert asked(played(Pace(0), 60 * MINUTES), 0, 60 * MINUTES) <= allowed / 20


def test_who_waits_behind_others_asks_less_and_more_again_when_they_are_gone():
    def took(at):
        return 0.02 + (3 * QUEUED if 10 * MINUTES < at < 20 * MINUTES else 0)

    looks = played(Pace(0), 100 * MINUTES, took)
    alone, crowded, after = (asked(looks, at * MINUTES, 5 * MINUTES) for at in (3, 15, 95))
    assert crowded < alone / 4
    assert after > alone / 2


@pytest.mark.parametrize("usual", [0.05, 0.6])
def test_an_unused_kfp_that_takes_now_longer_and_now_less_is_asked_as_often_as_a_steady_one(usual):
    rng = random.Random(1)
    looks = played(
        Pace(0),
        60 * MINUTES,
        lambda at: usual * (1 + abs(rng.gauss(0, 0.2))) + rng.uniform(0, 0.05),
    )
    steady = played(Pace(0), 60 * MINUTES)
    assert asked(looks, 0, 60 * MINUTES) > 0.8 * asked(steady, 0, 60 * MINUTES)


def test_a_kfp_that_became_slower_for_good_is_asked_as_often_again_after_an_hour_or_two():
    looks = played(Pace(0), 180 * MINUTES, lambda at: 0.4 if at < 60 * MINUTES else 1.0)
    before, then, later = (asked(looks, at * MINUTES, 10 * MINUTES) for at in (40, 65, 170))
    assert then < before / 2
    assert later == pytest.approx(before, rel=0.1)


def test_a_kfp_that_fails_is_asked_less_and_less_but_never_given_up():
    pace, now, moments = Pace(0, jitter=lambda: 0), 0.0, []
    while now < 60 * MINUTES:
        pace.looked(Look(now, 0.1, failed=True))
        now = pace.next()
        moments.append(now)
    pauses = [after - moment for moment, after in zip(moments, moments[1:], strict=False)]
    assert pauses[-1] == pytest.approx(SHARED.longest + 0.1)
    assert max(pauses) <= SHARED.longest + 1


def test_a_kfp_that_fails_is_asked_twice_a_minute_while_those_who_wait_are_patient():
    pace, now, moments = Pace(0, jitter=lambda: 0), 0.0, [0.0]
    while now < PATIENCE_SECONDS:
        pace.looked(Look(now, 0.1, failed=True))
        now = pace.next()
        moments.append(now)
    pauses = [after - moment for moment, after in zip(moments, moments[1:], strict=False)]
    assert max(pauses) < 31


def test_servers_that_start_together_do_not_go_on_together():
    paces = [Pace(0, jitter=random.Random(seed).random) for seed in SEEDS]
    for pace in paces:
        played(pace, 30 * MINUTES, changed=lambda since, at: False)
    moments = sorted(pace.next() for pace in paces)
    assert moments[-1] - moments[0] > 10


def test_what_only_kfp_can_tell_is_asked_at_the_moment_but_within_the_budget():
    pace = Pace(0, TOLD)
    pace.looked(Look(0, 0.1))
    pace.wanted(20)
    assert pace.next() == 20
    for _ in range(10):
        pace.looked(Look(20, 0.1))
    pace.wanted(21)
    assert pace.next() > 21 + TOLD.budget


def test_a_kfp_of_this_machine_is_asked_each_second_while_something_changes():
    looks = played(Pace(0, OWN), 60, lambda at: 0.005)
    assert asked(looks, 0, 60) > 45


def test_a_clock_that_goes_back_stops_nothing():
    pace = Pace(1000, Bounds(1.0))
    pace.looked(Look(1000, 0.1, requests=3, changed=True))
    pace.looked(Look(10, 0.1, changed=True))
    assert pace.next() < 1000


def test_to_and_fro_between_two_bounds_nothing_is_won():
    pace = Pace(0)
    for _ in range(20):
        pace.keep(TOLD)
        pace.keep(SHARED)
    looks = played(pace, 10 * MINUTES)
    assert asked(looks, 0, 10 * MINUTES) <= 60


def test_a_poll_that_is_wanted_much_later_takes_nothing_from_those_before():
    """Else each of them would wait longer than the one before."""
    paces = Pace(0.0, SHARED, lambda: 0.0), Pace(0.0, SHARED, lambda: 0.0)
    moments = [], []
    for pace, polled in zip(paces, moments, strict=True):
        while (now := pace.next()) < 590.0:
            polled.append(now)
            pace.looked(Look(now, 0.0, 1, True))
            if pace is paces[0]:
                pace.wanted(600.0)
    assert moments[0] == moments[1]
    assert paces[0].next() <= paces[1].next()
