"""The fault explorer: draws faults from a seed, plays them, and checks what must hold whatever breaks."""
