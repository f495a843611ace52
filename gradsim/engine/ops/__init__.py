"""The operations, by what they do. Each factory gives the address of a compiled operation.

An operation's integer arguments are named by an enumeration next to it, so that the plan fills them by name.
"""
