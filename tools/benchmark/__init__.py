"""What `tools/bench.py` is made of.

`processes`, `rounds`, `report`, `picture`, `machine`, `contenders`, `growth` and `memory` run in
bench.py's own process. The modules named `run_*` are processes of their own, each started by
`processes`; `child` is how these talk; `nets`, `torch_module` and `torch_layers` are what they use.
"""
