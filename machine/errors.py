"""What every refusal has in common, whichever part of the project it comes from."""


class Refusal(Exception):
    """Bad input or missing means: the message is one sentence for whoever asked, and the command line's status is 2."""
