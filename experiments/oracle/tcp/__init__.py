"""TCP as Linux has it, computed segment by segment: when a stream goes on after a loss.

RFC 9293, and what decides how long it is silent: the retransmission timer (RFC 6298, with Linux's least of 200 ms in
the place of its variation), selective acknowledgements (RFC 2018, 2883), loss found by time and the tail loss probe
(RFC 8985), F-RTO (RFC 5682), Eifel's undoing by timestamps (RFC 3522), proportional rate reduction (RFC 6937), CUBIC
(RFC 9438), delayed acknowledgements.

Times are in nanoseconds, round trips in microseconds as Linux keeps them, sequence numbers count bytes from 0.
"""
