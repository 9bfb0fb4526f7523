"""Pictures: what a net has learned, and how. Matplotlib is imported when one is drawn."""
