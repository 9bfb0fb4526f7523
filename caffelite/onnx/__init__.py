"""ONNX: nets written as ONNX models, and ONNX models read as nets, both checked blob by blob.

Needs the extra `onnx`; nothing here is imported before it is asked for.
"""
