"""H2O in Python: the method of policies/h2o/h2o.c, which chooses the same victims, as a file to start from. What every
argument is stands in docs/policies/python.md."""
import numpy as np


class Evictor:
    signal = 'sum'  # the attention that a token was given since the last observe()

    def __init__(self, geometry, recent=0.5, sinks=0, decay=1.0):
        self.recent, self.sinks, self.decay = recent, sinks, np.float32(decay)

    def recent_tokens(self, lanes):
        """A number, or below 1 a share of the budget."""
        return int(lanes.budget * self.recent) if self.recent < 1 else self.recent

    def state(self, lanes):
        return {'score': ('float32', (lanes.count, lanes.capacity))}  # [lane][slot]: moves with the token

    def reset(self, state, lanes):
        recent, stays = self.recent_tokens(lanes), lanes.budget - lanes.interval + 1
        if stays < 1 or recent + self.sinks > stays:
            raise ValueError(f'recent {recent} and sinks {self.sinks} do not fit: with budget {lanes.budget} and '
                             f'interval {lanes.interval}, {stays} tokens stay after an eviction')

    def observe(self, state, lanes, queries, signal):
        keep, power = np.float32(1), self.decay  # decay ** queries by squaring, as in C
        while queries:
            keep, power, queries = keep * power if queries & 1 else keep, power * power, queries >> 1
        with np.errstate(over='ignore'):
            state.score = state.score * keep + signal

    def select(self, state, lanes, n):
        recent = self.recent_tokens(lanes)
        victims = np.empty((lanes.count, n), np.int64)
        for lane, positions in enumerate(state.positions):
            slots = np.flatnonzero(positions >= self.sinks)  # live ones; free slots have position -1
            slots = slots[np.argsort(positions[slots])]
            slots = slots[:max(len(slots) - recent, 0)]
            if len(slots) < n:
                raise ValueError('asked for more victims than there are tokens besides sinks and recent')
            # The lowest scores, of equal ones the oldest.
            victims[lane] = slots[np.argsort(state.score[lane, slots], kind='stable')[:n]]
        return victims
