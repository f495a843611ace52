"""Operations that threads share: whoever trains puts one on the board, and everybody takes one part after the other."""

from __future__ import annotations

from typing import Any

from numba import carray

from gradsim.engine.jit import (
    Source,
    address_of,
    atomic_add,
    atomic_load,
    atomic_store,
    call_operation,
    give_way,
    inline,
    ints_at,
    pause,
)
from gradsim.engine.layout import INT_ARGUMENTS, WORD, Board, Part

LOOKS = 2000
"""How often a thread looks for what it waits for, some tens of microseconds, before it lets others run."""

_TICKET, _DONE, _QUIT = (int(place) * WORD for place in (Board.TICKET, Board.DONE, Board.QUIT))
_ARGUMENTS, _CONTEXT, _FIGURES = (int(place) * WORD for place in (Board.ARGUMENTS, Board.CONTEXT, Board.FIGURES))
_FUNCTION, _ROOM, _NUMBER = (int(place) for place in Part)


@inline
def _ticket(board: Any) -> Any:
    """The number of a part that nobody else will do, or -1 if there is none."""
    found = atomic_load(board + _TICKET)
    # Only then: tickets that nobody took must not count up into the number of parts.
    if (found & 0xFFFF) >= (found >> 16):
        return -1
    found = atomic_add(board + _TICKET, 1)
    return found & 0xFFFF if (found & 0xFFFF) < (found >> 16) else -1


@inline
def _wait(looks: Any) -> Any:
    """Before another look; who has looked often may be keeping the processor from whom it waits for."""
    if looks < LOOKS:
        pause()
        return looks + 1
    give_way()
    return looks


@inline
def _next(board: Any, parts: Any) -> Any:
    """A part for who trains; -1 if there is none left and all are done."""
    number = _ticket(board)
    looks = 0
    while number < 0 and atomic_load(board + _DONE) < parts:
        looks = _wait(looks)
    return number


@inline
def first(board: Any, a: Any, ci: Any, cf: Any, parts: Any) -> Any:
    """The part of an operation that this thread does first, counted from 0; -1 if the others have done all.

    A helper does the one that it was called for. Who trains puts the operation on the board; without a board (0) all
    parts are done here, in order.
    """
    if a[_NUMBER] > 0:
        return a[_NUMBER] - 1
    if board == 0:
        return 0
    # By atomic stores, since the compiler may put plain ones off.
    atomic_store(board + _ARGUMENTS, address_of(a))
    atomic_store(board + _CONTEXT, address_of(ci))
    atomic_store(board + _FIGURES, address_of(cf))
    atomic_store(board + _DONE, 0)
    atomic_store(board + _TICKET, parts << 16)
    return _next(board, parts)


@inline
def following(board: Any, a: Any, number: Any, parts: Any) -> Any:
    """The part that this thread does after part ``number``; -1 if there is none: for who trains, all are done then."""
    if a[_NUMBER] > 0:
        return -1
    if board == 0:
        return number + 1 if number + 1 < parts else -1
    atomic_add(board + _DONE, 1)
    return _next(board, parts)


def help_out() -> Source:
    """``a``: addresses of a board, of room that is this thread's own, and of as much as an operation has integer
    arguments. Does parts of what is put on the board until it is told to quit."""

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        board = a[0]
        own = carray(ints_at(a[2]), (INT_ARGUMENTS,))
        looks = 0
        while atomic_load(board + _QUIT) == 0:
            number = _ticket(board)
            if number < 0:
                looks = _wait(looks)
                continue
            looks = 0
            # What is on the board stays until this part is done.
            source = carray(ints_at(board + _ARGUMENTS), (1,))[0]
            theirs = carray(ints_at(source), (INT_ARGUMENTS,))
            for place in range(INT_ARGUMENTS):
                own[place] = theirs[place]
            own[_ROOM] = a[1]
            own[_NUMBER] = number + 1
            context = carray(ints_at(board + _CONTEXT), (1,))[0]
            figures = carray(ints_at(board + _FIGURES), (1,))[0]
            call_operation(own[_FUNCTION], a[2], source + INT_ARGUMENTS * WORD, context, figures, 0)
            atomic_add(board + _DONE, 1)

    return operation
