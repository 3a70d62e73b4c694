"""TCP's timers, worked out by hand for paths that are cut for a while."""

from __future__ import annotations

from math import inf, nan

import pytest

from dmmlab.experiments.oracle.tcp.roundtrip import RoundTrip
from dmmlab.experiments.oracle.tcp.segments import Beyond, Fate
from dmmlab.experiments.oracle.tcp.stream import Stream, keeps_its_route
from dmmlab.experiments.oracle.tcp.wheel import runs_out

WAY_S = 0.017


class Path:
    """17 ms each way, cut from 4 s for ``cut_s``, and when each end sends over it."""

    def __init__(self, cut_s: float, fate: Fate = "sent", rerouted_s: float = inf) -> None:
        self.sent_s: tuple[list[float], list[float]] = ([], [])
        ways = (self._way(0, cut_s), self._way(1, cut_s))
        rerouted = (lambda after_s, by_s: after_s < rerouted_s <= by_s, keeps_its_route)
        self.stream = Stream(ways, (lambda _: fate, lambda _: "sent"), 1448, (0.0, 0.0), rerouted)

    def _way(self, number: int, cut_s: float):  # type: ignore[no-untyped-def]
        def way(sent_s: float) -> float | None:
            self.sent_s[number].append(round(sent_s, 9))
            return None if 4.0 < sent_s < 4.0 + cut_s else sent_s + WAY_S

        return way

    def played(self, count: int = 300) -> list[float | None]:
        """When the answers come to probes every 20 ms from 2.006 s on."""
        assert self.stream.open(2.006, 0.02, count)
        self.stream.run()
        return [None if came is None else round(came, 9) for came in self.stream.answers_s(nan)]


@pytest.mark.parametrize(
    ("after", "tick"),
    [(24, 125), (63, 168), (62, 163), (96, 200), (200, 304)],
)
def test_a_timer_runs_out_one_step_late_at_most_and_never_early(after: int, tick: int) -> None:
    """From 63 ticks on in steps of eight: set at tick 100, 24 later is 124, and it runs out with the next."""
    assert runs_out(100, after, running=False) == (tick, True)


def test_where_steps_are_of_64_ticks_it_is_not_known_when_it_runs_out() -> None:
    assert runs_out(100, 800, running=False) == (901, False)


@pytest.mark.parametrize(("rerouted_s", "segments"), [(inf, 1), (4.05, 4), (4.2, 1)])
def test_what_is_sent_first_by_a_new_route_goes_in_the_least_of_segments(rerouted_s: float, segments: int) -> None:
    """Six probes wait until 4.106 s, 144 bytes: as four times 36 if the route is another by then."""
    path = Path(0.1, "unreachable", rerouted_s)
    came = path.played()
    assert path.sent_s[0].count(4.106) == segments
    assert came[100:106] == [4.14] * 6


def test_the_timer_of_a_path_that_does_not_vary() -> None:
    """RFC 6298: the first measurement counts three times; Linux's variation is 200 ms at least: 234 ms, 24 ticks."""
    path = RoundTrip()
    path.measured(34_000, 0, 0)
    assert (path.rto, path.smoothed_us) == (24, 34_000)
    path.measured(434_000, 24, 24)
    assert path.smoothed_us == 84_000
    assert path.rttvar_us == 451_000, "four deviations of 17 ms: 68 + 400 - 17"


def test_nothing_lost_each_answer_comes_a_round_trip_later() -> None:
    assert Path(0).played()[2:] == [round(2.006 + n * 0.02 + 0.034, 9) for n in range(2, 300)]


def test_probe_timeouts_and_back_off() -> None:
    """The tenth segment of the window leaves at 4.166: the first, of 3.986, is overdue 240 ms after it was sent, and a
    probe leaves with the tick after; 240, 480, 960 ms from one to the next, and a tick, the last a multiple of eight.
    """
    path = Path(1.5)
    answers = path.played()
    silent_s = [sent for sent in path.sent_s[0] if 4.0 < sent < 6]
    assert silent_s[:12] == [*(round(4.006 + n * 0.02, 9) for n in range(9)), 4.23, 4.48, 4.97]
    assert [sent for sent in silent_s[12:] if sent < 5.97][-1] == 5.96
    assert max(answer for answer in answers[:110] if answer) == 5.96 + 2 * WAY_S


def test_what_its_own_link_drops_makes_a_sender_send_less() -> None:
    """Twice a segment is dropped, and all is repaired soon; but the window is smaller than after losses on the way."""
    lost, dropped = Path(0.02), Path(0.02, fate="dropped")
    lost.played(), dropped.played()
    assert dropped.stream.ends[0].window < lost.stream.ends[0].window


def test_a_silence_that_ends_by_a_timer_of_more_than_five_seconds_is_not_modelled() -> None:
    path = Path(30.0)
    with pytest.raises(Beyond):
        path.played()
    assert any(came is not None and came != came for came in path.stream.answers_s(nan))
