"""How operations are called: the places of their arguments, of the context and of the record.

Every operation is a C function ``void(int64* a, double* f, int64* ci, double* cf, double* out)``:

- ``a``: its integer arguments: addresses, sizes, places in the record (one enumeration for each kind below);
- ``f``: its constant float arguments;
- ``ci``, ``cf``: the context of the step (:class:`Context`, :class:`Figures`);
- ``out``: the record of the step, ``(layers, columns)`` float64.
"""

from __future__ import annotations

import enum

from gradsim.telemetry.quantities import LAYER_COLUMNS

WORD = 8
# Words of one record in a program: the function, its integer and its float arguments.
INT_ARGUMENTS = 23
FLOAT_ARGUMENTS = 8
RECORD_WORDS = 1 + INT_ARGUMENTS + FLOAT_ARGUMENTS


class Context(enum.IntEnum):
    """Places in ``ci``, the integer context. TEAM is the address of the board that threads share (:class:`Board`), or
    0 where there is one thread only."""

    ROWS = 0
    TRAINING = 1
    STEP = 2
    EPOCH = 3
    POSITION = 4
    NONFINITE = 5
    SEED = 6
    TEAM = 7
    SIZE = 8


class Board(enum.IntEnum):
    """Where threads agree on who does which part of an operation, each a cache line of its own.

    TICKET holds, in one word, the number of parts (upper bits) and of the next one (lower 16 bits), so that taking a
    part and learning whether there is one are a single event. DONE counts the parts done; ARGUMENTS, CONTEXT and
    FIGURES are what the operation was called with; QUIT sends everybody home.
    """

    TICKET = 0
    DONE = 8
    ARGUMENTS = 16
    CONTEXT = 17
    FIGURES = 18
    QUIT = 24
    SIZE = 32


class Part(enum.IntEnum):
    """Arguments that operations which threads share have in the same places: their own address, room that each thread
    has for itself (``INNER * STRIP`` bytes), and the part to do, counted from 1; 0 for all."""

    FUNCTION = INT_ARGUMENTS - 3
    ROOM = INT_ARGUMENTS - 2
    NUMBER = INT_ARGUMENTS - 1


class Figures(enum.IntEnum):
    """Places in ``cf``, the float context of one step.

    The first six are what is recorded of a step, in telemetry's order; then come the options and
    coefficients of the optimizer's rule, and the five sums that one operation leaves to the next.
    """

    LOSS = 0
    ACCURACY = 1
    GLOBAL_NORM = 2
    LEARNING_RATE = 3
    EPOCH = 4
    ROWS = 5
    CLIP = 6
    DECAY = 7
    COEFFICIENTS = 8
    GRADIENT_SQUARES = 16
    GRADIENT_MAX = 17
    UPDATE_SQUARES = 18
    WEIGHT_SQUARES = 19
    WEIGHT_MAX = 20
    SIZE = 24


ROWS = int(Context.ROWS)
TEAM = int(Context.TEAM)
NONFINITE = int(Context.NONFINITE)

WORTH_SHARING = 1 << 22
"""Multiplications from which on a product is shared among threads: that of 64 rows and 256 x 256 weights. At a quarter
of it two threads took 1.3 times as long as one."""

PARTS = 8
"""Into how many a shared product is cut: more than there are threads, so that one who comes late holds nobody up."""

INNER = 512
"""Steps along the inner dimension of a product between two writes of the result: what is read again then still lies
in the cache."""

STRIP = 128
"""Bytes of a row in the widest tile of a product."""

PANEL = 8
"""Rows of the tallest tile of a product."""

BLOCK = 1 << 15
"""Weights that are updated together: what is recorded of more is summed by blocks, whoever does which."""

STRETCH = 1 << 11
"""Weights that are updated before what is recorded of them is summed: so few that they are still in the processor's
first cache."""

TILE = 512
"""Entries that are worked on together where rows are shorter: a loop over one short row costs more than its content."""

NEAR = 32_000
"""Bytes of records that are put into columns together: so few that they stay in the processor's first cache."""

COLUMNS = len(LAYER_COLUMNS)
"""Values per layer in a record."""

DELTA_NORM = LAYER_COLUMNS.index("delta_norm")
DELTA_MAX = LAYER_COLUMNS.index("delta_max")
DELTA_NAN = LAYER_COLUMNS.index("delta_nan")
DELTA_INF = LAYER_COLUMNS.index("delta_inf")
GRADIENT_NORM = LAYER_COLUMNS.index("gradient_norm")
GRADIENT_MAX = LAYER_COLUMNS.index("gradient_max")
GRADIENT_NAN = LAYER_COLUMNS.index("gradient_nan")
GRADIENT_INF = LAYER_COLUMNS.index("gradient_inf")
WEIGHT_NORM = LAYER_COLUMNS.index("weight_norm")
WEIGHT_MAX = LAYER_COLUMNS.index("weight_max")
WEIGHT_NAN = LAYER_COLUMNS.index("weight_nan")
WEIGHT_INF = LAYER_COLUMNS.index("weight_inf")
UPDATE_NORM = LAYER_COLUMNS.index("update_norm")
ACTIVATION_MEAN = LAYER_COLUMNS.index("activation_mean")
ACTIVATION_STD = LAYER_COLUMNS.index("activation_std")
ACTIVATION_NAN = LAYER_COLUMNS.index("activation_nan")
ACTIVATION_INF = LAYER_COLUMNS.index("activation_inf")
SATURATED = LAYER_COLUMNS.index("saturated")
DEAD = LAYER_COLUMNS.index("dead")
CLIPPED_NORM = LAYER_COLUMNS.index("clipped_norm")
CLIP_COSINE = LAYER_COLUMNS.index("clip_cosine")

DELTA = (DELTA_NORM, DELTA_MAX, DELTA_NAN, DELTA_INF)
GRADIENT = (GRADIENT_NORM, GRADIENT_MAX, GRADIENT_NAN, GRADIENT_INF)
WEIGHT = (WEIGHT_NORM, WEIGHT_MAX, WEIGHT_NAN, WEIGHT_INF)


class Forward(enum.IntEnum):
    """Arguments: pre-activation, output, bias or 0, width, place in the record, scratch of ``TILE`` and a row."""

    Z = 0
    Y = 1
    BIAS = 2
    WIDTH = 3
    PLACE = 4
    SCRATCH = 5


class Backward(enum.IntEnum):
    """Arguments: gradient of the output, turned into delta in place; pre-activation, output, scratch of one row,
    width, place in the record."""

    D = 0
    Z = 1
    Y = 2
    SCRATCH = 3
    WIDTH = 4
    PLACE = 5


class Delta(enum.IntEnum):
    """Arguments: delta, its sums by column (the bias' gradient) or 0, scratch of as much, width, place."""

    D = 0
    COLUMN_SUMS = 1
    SCRATCH = 2
    WIDTH = 3
    PLACE = 4


class Output(enum.IntEnum):
    """Arguments: the outputs of a layer, their width, its place in the record."""

    Y = 0
    WIDTH = 1
    PLACE = 2


class LearnedSlope(enum.IntEnum):
    """Arguments of PReLU: input, output, slopes, gradient of the output (becomes that of the input), gradient of the
    slopes, width, place in the record."""

    X = 0
    Y = 1
    ALPHA = 2
    D = 3
    GRADIENT = 4
    WIDTH = 5
    PLACE = 6


class Batch(enum.IntEnum):
    """Arguments: data, targets, where they are gathered (0: used where they lie), order of the rows or 0 for as
    they come, rows of the data, of a batch; width of both; whether the order is mixed in each epoch."""

    X = 0
    TARGET = 1
    X_BATCH = 2
    TARGET_BATCH = 3
    ORDER = 4
    ROWS = 5
    SIZE = 6
    X_WIDTH = 7
    TARGET_WIDTH = 8
    SHUFFLE = 9


class Losing(enum.IntEnum):
    """Arguments: output, pre-activation of the output (for a fused loss), targets, gradient to write, outputs,
    whether accuracy is counted."""

    P = 0
    Z = 1
    TARGET = 2
    D = 3
    WIDTH = 4
    COUNT = 5


class Penalty(enum.IntEnum):
    """Arguments of a regularizer: kernel, its gradient (0: only the loss), size; floats: l1, l2."""

    W = 0
    G = 1
    SIZE = 2


class Normalisation(enum.IntEnum):
    """Arguments; gamma, beta and their gradients are 0 where there is none.

    MEAN and INVERSE hold the batch's mean and inverse deviation between forward and backward pass: one value per
    column for batch normalisation, one per row for layer normalisation. BATCH tells whether a training step uses the
    batch's statistics (a frozen layer does not). DX is 0 if the gradient of the input is not needed.
    """

    X = 0
    Y = 1
    GAMMA = 2
    BETA = 3
    MOVING_MEAN = 4
    MOVING_VARIANCE = 5
    MEAN = 6
    INVERSE = 7
    WIDTH = 8
    BATCH = 10
    D = 11
    DX = 12
    GAMMA_GRADIENT = 13
    BETA_GRADIENT = 14
    SCRATCH = 15


class Dropping(enum.IntEnum):
    """Arguments of dropout, the same forward and backward. NUMBER tells the dropout layers apart."""

    X = 0
    Y = 1
    WIDTH = 2
    NUMBER = 3


class Product(enum.IntEnum):
    """Arguments of ``C = A B``: addresses, strides in bytes, sizes; M or K is the number of rows of the batch if -1.

    B_ROW is the distance of rows of B as it lies in memory; TURNED tells that B is the transposed of what lies there.
    PANELS is room for all of A, put together by tiles, where its inner dimension is at most :data:`INNER`, or 0.
    """

    A = 0
    A_ROW = 1
    A_INNER = 2
    B = 3
    B_ROW = 4
    TURNED = 5
    C = 6
    C_ROW = 7
    M = 8
    N = 9
    K = 10
    PANELS = 11


class Sum(enum.IntEnum):
    """Arguments of sums and copies over the rows of the batch."""

    X = 0
    Y = 1
    Z = 2
    WIDTH = 3


class Update(enum.IntEnum):
    """Arguments of everything here: weights, gradient, up to three slots, size; place in the record, or -1 for an
    array that is not shown (a bias); whether the gradient has been measured before it was clipped; the address of five
    float64 for each block (:data:`BLOCK`) where there are several."""

    W = 0
    G = 1
    SLOT = 2
    SIZE = 5
    PLACE = 6
    MEASURED = 7
    SUMS = 8


class Loop(enum.IntEnum):
    """Arguments of "loop.run": the program and its length; how many steps, whether to end after the first NaN or Inf;
    floats between the records of two steps (0: one record for all). Where SINK is not 0, there are KEPT records: when
    they are full, "intake.take" at the address TAKE empties them with the arguments at SINK. DONE and COUNTED are the
    results: steps done, values counted in the sink."""

    PROGRAM = 0
    LENGTH = 1
    STEPS = 2
    STOP = 3
    STRIDE = 4
    KEPT = 5
    TAKE = 6
    SINK = 7
    DONE = 8
    COUNTED = 9
    SIZE = 10


class Take(enum.IntEnum):
    """Arguments of "intake.take": ``n`` rows of ``layers x columns``, and where the columns of the ring begin, STRIDE
    bytes apart. COUNTED is the result."""

    ROWS = 0
    N = 1
    LAYERS = 2
    COLUMNS = 3
    MEASURED = 4
    RING = 5
    STRIDE = 6
    COUNTS = 7
    CLIPPED = 8
    UNCLIPPED = 9
    COUNTED = 10
    SIZE = 11


class Summarise(enum.IntEnum):
    """Arguments of "intake.summarise": columns of values, STRIDE bytes apart, and of the blocks, EACH values apart.
    ROOM is for twice as many numbers as a block of one column has."""

    VALUES = 0
    STRIDE = 1
    BLOCKS = 2
    ROWS = 3
    LAYERS = 4
    AVERAGED = 5
    COUNTED = 6
    ROOM = 7
    MINIMUM = 8
    MAXIMUM = 9
    MEAN = 10
    FINITE = 11
    COUNTS = 12
    EACH = 13
    SIZE = 14
