"""The intervals of door, streams, kernels and proxies: that they fit each other."""

from jupyter_kfp_mt.intervals import (
    CONNECT_SECONDS,
    DOOR_SECONDS,
    KEEP_ALIVE_SECONDS,
    PATIENCE_SECONDS,
    PROXY_SECONDS,
    READ_SECONDS,
    SILENCE_SECONDS,
)


def test_a_sign_of_life_may_be_lost_and_no_proxy_ends_the_stream():
    assert 2 * KEEP_ALIVE_SECONDS < PROXY_SECONDS


def test_a_listener_waits_longer_than_for_two_signs_of_life():
    assert SILENCE_SECONDS > 2 * KEEP_ALIVE_SECONDS


def test_a_stream_that_fell_silent_is_tried_again_more_than_once():
    assert PATIENCE_SECONDS > 2 * (SILENCE_SECONDS + CONNECT_SECONDS)


def test_the_door_answers_itself_when_kfp_does_not_before_its_asker_gives_up():
    assert DOOR_SECONDS > 2 * (CONNECT_SECONDS + READ_SECONDS)
