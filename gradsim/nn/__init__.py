"""The vocabulary of the program, in Keras' terms: what a stack can be made of.

Each thing (activation, initializer, regularizer, loss, optimizer, schedule, layer) is one definition in one of these
modules. See :mod:`gradsim.nn.spec` for what a definition consists of.
"""
