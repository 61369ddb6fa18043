"""Which of the marked tests a run takes, known while tests are made: those of large tables that nobody asks for are not made."""

_taken = {'slow': True, 'gpu': True}


def choose(expression):
    """What ``-m`` says, such as 'not slow and not gpu'; any other expression takes all."""
    words = expression.replace('(', ' ').replace(')', ' ').split()
    plain = set(words) <= {'not', 'and', *_taken}
    _taken.update({mark: not (plain and f'not {mark}' in ' '.join(words)) for mark in _taken})


def wants(marks):
    """Whether a test of these marks is one that the run may take."""
    return all(_taken.get(mark.name, True) for mark in marks)
