"""From a plan to results: a program of steps, the passes over it, memory, the executor."""
