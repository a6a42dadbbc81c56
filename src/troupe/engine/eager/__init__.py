"""A step of the model in torch, float32, on a CPU: for processors and installations without the
C++ operator, and to hold that one to.
"""
