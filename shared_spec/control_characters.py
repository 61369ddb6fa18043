"""Text from outside as a line that a terminal only shows: names of files and classes may hold what it would obey."""


def escape_controls(text: object) -> str:
    """The text with every character that is no printable one as ``repr`` writes it: ``\\x1b``, ``\\n``, ``\\u202e``."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in str(text))
