"""Pictures of nets: boxes for layers, lines for blobs. No other program is needed."""
