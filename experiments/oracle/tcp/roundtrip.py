"""What a sender knows of its round trip, and the retransmission timer that follows (RFC 6298)."""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.oracle.tcp.wheel import NEVER, TICK_US, ticks

LEAST_RTO = 20  # ticks; TCP_RTO_MIN
MOST_RTO = 12_000


@dataclass
class RoundTrip:
    """Smoothed round trip and its variation as Linux keeps them, in 1/8 and 1/4 of microseconds, and ``rto`` in ticks.

    ``least_us`` is the shortest there was.
    """

    srtt8_us: int = 0
    mdev4_us: int = 0
    most_mdev_us: int = 0
    rttvar_us: int = 0
    round_ends: int = 0
    least_us: int = NEVER
    rto: int = 100

    @property
    def smoothed_us(self) -> int:
        """The smoothed round trip."""
        return self.srtt8_us >> 3

    def measured(self, us: int, acknowledged: int, sent: int) -> None:
        """A round trip of ``us``; bytes up to ``acknowledged`` of the ``sent`` ones have arrived.

        The variation never counts for less than 200 ms, and falls once a round trip at most.
        """
        least = LEAST_RTO * TICK_US
        if not self.srtt8_us:
            self.srtt8_us, self.mdev4_us = us << 3, us << 1
            self.rttvar_us = self.most_mdev_us = max(self.mdev4_us, least)
            self.round_ends = sent
        else:
            error = us - self.smoothed_us
            self.srtt8_us += error
            self._vary(error)
            if acknowledged > self.round_ends:
                if self.most_mdev_us < self.rttvar_us:
                    self.rttvar_us -= (self.rttvar_us - self.most_mdev_us) >> 2
                self.round_ends, self.most_mdev_us = sent, least
        self.rto = min(ticks(self.smoothed_us + self.rttvar_us), MOST_RTO)

    def _vary(self, error: int) -> None:
        change = abs(error) - (self.mdev4_us >> 2)
        if error < 0 < change:
            change >>= 3  # a path that has become shorter is not one that varies
        self.mdev4_us += change
        if self.mdev4_us > self.most_mdev_us:
            self.most_mdev_us = self.mdev4_us
            self.rttvar_us = max(self.rttvar_us, self.most_mdev_us)
