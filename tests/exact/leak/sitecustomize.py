"""A deliberate leak of work into virtual time: a start of Python takes as long as the path of this file."""

import time

time.sleep(len(__file__) * 1e-9)
