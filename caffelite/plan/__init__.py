"""From a message to a plan: layers wired, shapes inferred, parameters shared, gradients found."""
