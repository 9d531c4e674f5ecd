"""Local models as supervised processes: their sources, the conversion, the two engines, and what keeps them alive."""
