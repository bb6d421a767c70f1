"""Between the library and the user's file: loads the file, turns the host's memory into NumPy arrays and back, and says
what is wrong in one line. It has no idea of policies; Python itself is interpreter.cpp's business."""
import ast
import collections
import contextlib
import difflib
import gc
import inspect
import math
import os
import sys
import traceback
import types
import weakref


class Mistake(Exception):
    """What this module finds wrong: its text stands for itself."""


def explain(error):
    """An exception with its traceback, on one line."""
    if isinstance(error, Mistake):
        text = str(error)
    elif isinstance(error, SyntaxError):
        line = f': {error.text.strip()}' if error.text else ''
        text = f'{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}{line}'
    else:
        text = traceback.format_exception_only(type(error), error)[-1].strip()
    frames = [f'{frame.filename}:{frame.lineno} in {frame.name}' for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename != '<sluice>']
    if frames:
        text += f' (at {", called from ".join(reversed(frames[-8:]))})'
    return ' '.join(text.split())


# Libraries of linear algebra start threads of their own, and a policy must not.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
try:
    import numpy as np
except ImportError as error:
    raise Mistake(f'needs NumPy, which {sys.executable or sys.prefix} (Python {sys.version.split()[0]}) does not have '
                  f'({error}); install it there (Debian: apt install python3-numpy, elsewhere: python3 -m pip install '
                  'numpy), or set VIRTUAL_ENV to an environment of this version that has it') from None

Geometry = collections.namedtuple('Geometry', 'layers heads kv_heads head_dim max_context')
Lanes = collections.namedtuple('Lanes', 'layer count capacity budget interval prompt')
KINDS = {'none': 0, 'sum': 1, 'peak': 2}
FREE = 0xFFFFFFFF


def hint(word, words):
    near = difflib.get_close_matches(word, words, 1)
    return f' (did you mean "{near[0]}"?)' if near else ''


def read_parameters(text):
    """'recent = 0.5, name = "x"' as a dictionary."""
    try:
        call = ast.parse(f'f({text})', '<parameters>', 'eval').body
        if call.args or any(word.arg is None for word in call.keywords):
            raise ValueError
        return {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, AttributeError):
        raise Mistake(f'parameters are values by name, as in "recent = 0.5, sinks = 4", not "{text}"') from None


@contextlib.contextmanager
def importable(folder):
    """What lies beside the file can be imported, but not by the files of other instances."""
    sys.path.append(folder)
    try:
        yield
    finally:
        if folder in sys.path:  # this one: the last
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(folder)]


def new_module(file):
    """A module for the file's names. Two files may be called alike, and one file may be loaded twice."""
    stem = 'sluice_policy_' + os.path.splitext(os.path.basename(file))[0]
    name, count = stem, 1
    while name in sys.modules:
        count += 1
        name = f'{stem}_{count}'
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = file
    return module


def load(file, parameters, geometry):
    """The file's Evictor, ready to be called."""
    try:
        with open(file, 'rb') as source:
            text = source.read()
    except OSError as error:
        raise Mistake(f'file: cannot read {file}: {error.strerror}') from None
    folder = os.path.dirname(os.path.abspath(file))
    module = new_module(file)
    try:
        code = compile(text, file, 'exec')
    except ValueError as error:
        raise Mistake(f'{file} is no Python source: {error}') from None
    with importable(folder):
        exec(code, module.__dict__)
    made = getattr(module, 'Evictor', None)
    if not inspect.isclass(made):
        classes = [name for name, value in vars(module).items()
                   if inspect.isclass(value) and value.__module__ == module.__name__]
        raise Mistake(f'{file} has no class Evictor' + (f'; it has: {", ".join(classes)}' if classes else ''))
    words = read_parameters(parameters)
    taken = inspect.signature(made).parameters
    names = list(taken)[1:]
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        for word in words:
            if word not in names:
                takes = ', '.join(names) or 'none'
                raise Mistake(f'parameters: Evictor in {file} has no "{word}"; it takes: {takes}{hint(word, names)}')
    with importable(folder):
        policy = made(Geometry(*geometry), **words) if taken else made()
    return Hosted(file, policy)


class State:
    """Arrays by name. Assigning copies into the array, which is the host's memory."""

    def __init__(self, arrays):
        self.__dict__.update(arrays)

    def __setattr__(self, name, value):
        if name not in self.__dict__:
            raise AttributeError(f'the state has no "{name}"; state() declared: {", ".join(self.__dict__)}')
        if value is not self.__dict__[name]:  # else done already, as in state.score += signal
            self.__dict__[name][...] = value


class Hosted:
    """The verbs as interpreter.cpp calls them, around the file's Evictor. Memory comes as memoryviews."""

    def __init__(self, file, policy):
        self.file, self.policy, self.layouts = file, policy, {}
        self.signals = [self.wants(prompt) for prompt in (0, 1)]
        self.need('select')
        if any(signal[0] for signal in self.signals):
            self.need('observe')

    def need(self, verb):
        if not callable(getattr(self.policy, verb, None)):
            names = [name for name in dir(self.policy) if not name.startswith('_')]
            raise Mistake(f'class Evictor in {self.file} has no {verb}(){hint(verb, names)}')

    def wants(self, prompt):
        wanted = getattr(self.policy, 'signal', 'none')
        if callable(wanted):
            wanted = wanted(bool(prompt))
        fields = {'skip_first': 0, 'skip_self': 0, 'window': 0}
        given = {'kind': wanted} if isinstance(wanted, str) else wanted
        try:
            all_of = {**fields, **given}
            kind = KINDS[all_of.pop('kind')]
            values = [int(all_of.pop(name)) for name in fields]
            if not all_of and all(0 <= value <= 0xFFFFFFFF for value in values):
                return (kind, *values)
        except (KeyError, TypeError, ValueError, OverflowError):
            pass
        raise Mistake(f'signal of Evictor in {self.file} is {wanted!r}; right would be "none", "sum", "peak", or such as '
                      '{"kind": "sum", "skip_first": 4, "skip_self": True, "window": 32}')

    # ---- memory

    def layout(self, lanes):
        """What read_layout() returned or raised for such lanes first: by that the host has taken memory."""
        if lanes not in self.layouts:
            try:
                self.layouts[lanes] = self.read_layout(lanes)
            except BaseException as error:
                self.layouts[lanes] = error
        found = self.layouts[lanes]
        if isinstance(found, BaseException):
            raise found
        return found

    def read_layout(self, lanes):
        """name -> (dtype, shape, offset), and the bytes of all."""
        declared = self.policy.state(lanes) if hasattr(self.policy, 'state') else {}
        fields, end = {}, 0
        try:
            for name, (dtype, shape) in {'positions': ('int32', (lanes.count, lanes.capacity)), **declared}.items():
                dtype, shape = np.dtype(dtype), tuple(int(n) for n in np.atleast_1d(np.array(shape, dtype=int)))
                if dtype.hasobject or min(shape, default=0) < 0 or not name.isidentifier():
                    raise ValueError
                fields[name] = dtype, shape, end
                end += -(-dtype.itemsize * math.prod(shape) // 64) * 64
            if end > 1 << 40:
                raise ValueError
        except (AttributeError, TypeError, ValueError):
            raise Mistake(f'state() in {self.file} returned {declared!r}; right would be such as '
                          '{"score": ("float32", (lanes.count, lanes.capacity))}') from None
        if 'positions' in declared:
            raise Mistake(f'state() in {self.file} declares "positions", which every state has')
        return fields, end

    def state_bytes(self, lanes):
        return self.layout(Lanes(*lanes))[1]

    def open(self, memory, lanes):
        """What a verb works with until close() hands it over: all of the memory, the positions, what the file sees."""
        fields, end = self.layout(lanes)
        if end != memory.nbytes:
            raise Mistake(f'state() in {self.file} declares {end} bytes where it declared {memory.nbytes} before')
        root = np.frombuffer(memory, np.uint8)
        arrays = {}
        for name, (dtype, shape, start) in fields.items():
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = root[start:start + count * dtype.itemsize].view(dtype).reshape(shape)
        positions = arrays['positions']
        arrays['positions'] = positions.view()
        arrays['positions'].flags.writeable = False
        return types.SimpleNamespace(root=root, positions=positions, state=State(arrays))

    def call(self, verb, opened, *arguments):
        """The file's own verb, if it has one. The memory is the host's again afterwards: nothing may point to it."""
        watched = [weakref.ref(one.root) for one in opened]
        states = [one.state for one in opened]
        for one in opened:
            vars(one).clear()
        method = getattr(self.policy, verb, None)
        result = method(*states, *arguments) if method else None
        if result is not None:
            try:
                result = np.array(result)
            except ValueError:
                raise Mistake(f'{verb}() in {self.file} returned lists of different lengths') from None
        del states
        if any(root() is not None for root in watched):
            gc.collect()
            if any(root() is not None for root in watched):
                raise Mistake(f'{verb}() in {self.file} keeps an array of its state beyond the call; keep a copy of it')
        return result

    # ---- verbs

    def reset(self, lanes, memory):
        lanes = Lanes(*lanes)
        opened = self.open(memory, lanes)
        opened.positions[...] = -1
        self.call('reset', [opened], lanes)

    def resize(self, lanes, memory, old_lanes, old_memory, slots):
        lanes, old_lanes = Lanes(*lanes), Lanes(*old_lanes)
        opened, old = self.open(memory, lanes), self.open(old_memory, old_lanes)
        slots = numbers(slots, old_lanes.count, old_lanes.capacity)
        lane, slot = np.nonzero(slots >= 0)
        to = lane, slots[lane, slot]
        opened.positions[...] = -1
        opened.positions[to] = old.positions[lane, slot]
        self.carry(opened.state, lanes, to, old.state, old_lanes, (lane, slot))
        self.call('resize', [opened, old], lanes, old_lanes, slots)

    def carry(self, state, lanes, to, old, old_lanes, at):
        """Entries of tokens move with them; arrays that do not depend on the capacity stay as they are."""
        for name, array in arrays_of(old):
            mine = vars(state)[name]
            if of_tokens(array, old_lanes) and of_tokens(mine, lanes):
                mine[to] = array[at]
            elif mine.shape == array.shape:
                mine[...] = array
            elif not hasattr(self.policy, 'resize'):
                raise Mistake(f'"{name}" of state() in {self.file} has shape {array.shape} at {old_lanes.capacity} slots '
                              f'and {mine.shape} at {lanes.capacity}, so that Evictor needs a resize()')

    def insert(self, lanes, memory, n, slots, positions):
        lanes = Lanes(*lanes)
        opened = self.open(memory, lanes)
        slots, positions = numbers(slots, lanes.count, n), numbers(positions, n)
        at = np.arange(lanes.count)[:, None], slots
        opened.positions[at] = positions
        clear(opened.state, lanes, at)
        self.call('insert', [opened], lanes, slots, positions)

    def observe(self, lanes, memory, queries, signal):
        lanes = Lanes(*lanes)
        signal = np.frombuffer(signal, np.float32).reshape(lanes.count, lanes.capacity).copy()
        self.call('observe', [self.open(memory, lanes)], lanes, queries, signal)

    def select(self, lanes, memory, n, victims):
        lanes = Lanes(*lanes)
        chosen = self.call('select', [self.open(memory, lanes)], lanes, n)
        positions = np.frombuffer(memory, np.int32, lanes.count * lanes.capacity).reshape(lanes.count, lanes.capacity)
        self.check_victims(lanes, n, chosen, positions)
        np.frombuffer(victims, np.uint32).reshape(lanes.count, n)[...] = chosen
        np.put_along_axis(positions, chosen.astype(np.int64), -1, axis=1)

    def check_victims(self, lanes, n, chosen, positions):
        who = f'select() in {self.file}'
        if chosen is None or chosen.shape != (lanes.count, n):
            got = 'nothing' if chosen is None else f'an array of shape {chosen.shape}'
            raise Mistake(f'{who} returned {got}; right would be slots of shape ({lanes.count}, {n}): n for each lane')
        if chosen.dtype.kind not in 'iu':
            raise Mistake(f'{who} returned {chosen.dtype}; right would be integers: slots')
        for lane, slots in enumerate(chosen):
            outside = slots[(slots < 0) | (slots >= lanes.capacity)]
            if outside.size:
                raise Mistake(f'{who} names slot {outside[0]} in lane {lane}; there are slots 0 to {lanes.capacity - 1}')
            dead = slots[positions[lane, slots] < 0]
            if dead.size:
                raise Mistake(f'{who} names slot {dead[0]} in lane {lane}, which holds no token')
            slots, times = np.unique(slots, return_counts=True)
            if slots.size < n:
                raise Mistake(f'{who} names slot {slots[times > 1][0]} of lane {lane} twice')


def numbers(memory, *shape):
    """Slots or positions, signed, with -1 for what is free."""
    words = np.frombuffer(memory, np.uint32).reshape(shape).astype(np.int64)
    words[words == FREE] = -1
    return words


def arrays_of(state):
    """What the file declared."""
    return [(name, array) for name, array in vars(state).items() if name != 'positions']


def of_tokens(array, lanes):
    """Whether it has an entry per slot."""
    return array.shape[:2] == (lanes.count, lanes.capacity)


def clear(state, lanes, at):
    """Whoever had these slots before is gone."""
    for _, array in arrays_of(state):
        if of_tokens(array, lanes):
            array[at] = 0
