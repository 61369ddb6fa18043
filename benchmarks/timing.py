"""How everything here is timed: contenders in turns, in one process."""

import gc
import statistics
import time

SHORT = 0.02  # seconds: what is shorter is called several times in a row, and the mean counts
PATIENCE = 8.0


def seconds(call, repeats=1):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def time_in_turns(contenders, rounds, patience=PATIENCE):
    """Name -> seconds of one call in each round; contenders: name -> function without arguments.

    A round times every contender once and begins with another one each time. Before the first, each is called twice,
    a slow one once. Who has used up ``patience`` seconds stops after three rounds, or after one if a call takes that
    long, so that a slow peer does not fill the hour.
    """
    repeats, least = {}, {}
    for name, call in contenders.items():
        once = seconds(call)
        if once < PATIENCE / 4:
            once = seconds(call)
        least[name] = 1 if once > patience else 3
        repeats[name] = max(1, min(100, round(SHORT / once)))
    found = {name: [] for name in contenders}
    order = list(contenders)
    gc.collect()
    gc.disable()
    try:
        for k in range(rounds):
            for name in order[k % len(order) :] + order[: k % len(order)]:
                spent = sum(found[name]) * repeats[name]
                if len(found[name]) < least[name] or spent < patience:
                    found[name].append(seconds(contenders[name], repeats[name]))
    finally:
        gc.enable()
    return found


def milliseconds(times):
    """The median, in milliseconds."""
    return 1e3 * statistics.median(times)


def ratio(times, reference):
    """The median over the rounds that both ran of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(times, reference))
