"""Replay protection: a sliding window over sequence numbers (as in RFC 4303, 3.4.3), small enough for one table row."""

from dataclasses import dataclass

WIDTH = 62  # the bitmap fits SQLite's signed 64-bit integers


@dataclass(slots=True)
class Window:
    """The highest sequence seen, and a bitmap of the ones just below it (bit 0 is the highest itself)."""

    highest: int = 0
    bitmap: int = 0

    def accept(self, sequence: int) -> bool:
        """Note the sequence and return True, or return False when it was seen before or is too old to tell."""
        ahead = sequence - self.highest
        if ahead > 0:
            self.bitmap = (self.bitmap << ahead | 1) & ((1 << WIDTH) - 1) if ahead < WIDTH else 1
            self.highest = sequence
            return True
        bit = 1 << -ahead if -ahead < WIDTH else 0
        if not bit or self.bitmap & bit:
            return False
        self.bitmap |= bit
        return True
